"""The strip of one face at several settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.arrays import Image
from stream.photos import PhotoError
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.strip import CAPTION, TALLEST, main, strip
from tests.stream.conftest import Person, World, look_of


def picture(size: tuple[int, int] = (320, 240)) -> Image:
    return np.full((size[1], size[0], 3), 90, np.uint8)


def test_versions_stand_side_by_side(world: World, make_pipeline: Callable[[World], Pipeline]) -> None:
    world.people = [Person((160, 120))]
    made: list[Pipeline] = []

    def pipeline() -> Pipeline:
        made.append(make_pipeline(world))
        return made[-1]

    looks = [look_of(each) for each in (Settings(), Settings(smoothing=0.1), Settings())]
    made_of = strip(picture(), ["15", "30", "45"], looks, pipeline)
    assert made_of.shape == (240 + CAPTION, 3 * 320, 3)
    assert made_of.dtype == np.uint8
    assert len(made) == 3
    assert (made_of[240:] < 200).any(), "captions"


def test_a_tall_photo_is_shrunk(world: World, make_pipeline: Callable[[World], Pipeline]) -> None:
    world.people = [Person((160, 120))]
    made_of = strip(picture((500, 2 * TALLEST)), ["15"], [look_of(Settings())], lambda: make_pipeline(world))
    assert made_of.shape == (TALLEST + CAPTION, 250, 3)


def test_without_a_face_there_is_no_strip(world: World, make_pipeline: Callable[[World], Pipeline]) -> None:
    world.people.clear()
    with pytest.raises(PhotoError, match="no face"):
        strip(picture(), ["15"], [look_of(Settings())], lambda: make_pipeline(world))


def test_too_many_pictures_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [str(age) for age in range(30)]
    assert main([str(tmp_path / "face.png"), str(tmp_path / "strip.png"), "--values", *many]) == 1
    assert "at most" in capsys.readouterr().err
