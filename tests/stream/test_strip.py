"""The strip of one face at several settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.files import FileError
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.strip import CAPTION, TALLEST, main, strip
from tests.stream.conftest import Person, World


def photo(path: Path, size: tuple[int, int] = (320, 240)) -> Path:
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), 90, np.uint8))
    return path


def test_versions_stand_side_by_side(tmp_path: Path, world: World, make_pipeline: Callable[[World], Pipeline]) -> None:
    world.people = [Person((160, 120))]
    made: list[Pipeline] = []

    def pipeline() -> Pipeline:
        made.append(make_pipeline(world))
        return made[-1]

    settings = [Settings(), Settings(smoothing=0.1), Settings()]
    picture = strip(photo(tmp_path / "face.png"), ["15", "30", "45"], settings, pipeline)
    assert picture.shape == (240 + CAPTION, 3 * 320, 3)
    assert picture.dtype == np.uint8
    assert len(made) == 3
    assert (picture[240:] < 200).any(), "captions"


def test_a_tall_photo_is_shrunk(tmp_path: Path, world: World, make_pipeline: Callable[[World], Pipeline]) -> None:
    world.people = [Person((160, 120))]
    tall = photo(tmp_path / "face.png", (500, 2 * TALLEST))
    picture = strip(tall, ["15"], [Settings()], lambda: make_pipeline(world))
    assert picture.shape == (TALLEST + CAPTION, 250, 3)


def test_without_a_face_there_is_no_strip(
    tmp_path: Path, world: World, make_pipeline: Callable[[World], Pipeline]
) -> None:
    world.people.clear()
    with pytest.raises(FileError, match="no face"):
        strip(photo(tmp_path / "face.png"), ["15"], [Settings()], lambda: make_pipeline(world))


def test_too_many_pictures_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [str(age) for age in range(30)]
    assert main([str(photo(tmp_path / "face.png")), str(tmp_path / "strip.png"), "--values", *many]) == 1
    assert "at most" in capsys.readouterr().err
