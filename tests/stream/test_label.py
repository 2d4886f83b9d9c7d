"""The visible label: where and when it stands, and that it can be read."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Image
from stream.label import DRAWING, EVERY_S, SHOWN_S, Label, draw_label
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError, settings_schema


def grey(height: int, width: int) -> Image:
    return np.full((height, width, 3), 140, np.uint8)


@pytest.mark.parametrize("corner", ["upper left", "upper right", "lower left", "lower right"])
def test_the_label_stands_in_its_corner_and_nowhere_else(corner: str) -> None:
    image = grey(360, 640)
    region = draw_label(image, "modified", corner)
    assert (region.y1 <= 90) == ("upper" in corner)
    assert (region.x1 <= 220) == ("left" in corner)
    changed = (image != 140).any(2)
    changed[region.slices] = False
    assert not changed.any()


def test_letters_are_legible_in_360_lines() -> None:
    image = grey(360, 640)
    region = draw_label(image, "modified", "lower left")
    part = image[region.slices][..., 0]
    letters = np.flatnonzero((part[4:-4] > 200).any(1))
    assert region.y1 - region.y0 >= DRAWING.least
    assert len(letters) >= 8
    assert part.max() > 235
    assert np.percentile(part, 20) < 60


@pytest.mark.parametrize(("height", "width"), [(2, 2), (16, 24), (1080, 1920), (2160, 3840)])
def test_any_picture_can_be_labelled(height: int, width: int) -> None:
    region = draw_label(grey(height, width), "modified", "lower right")
    assert (region.x0 >= 0, region.y0 >= 0, region.x1 <= width, region.y1 <= height) == (True,) * 4


@pytest.mark.parametrize(
    ("time", "shown"), [(0, True), (SHOWN_S - 0.1, True), (SHOWN_S + 0.1, False), (EVERY_S + 1, True), (100, False)]
)
def test_the_label_comes_back_every_minute(time: float, shown: bool) -> None:
    label, settings = Label(), Settings(label="words")
    drawn = [label.draw(grey(90, 160), settings, tick / 2) is not None for tick in range(int(2 * time) + 1)]
    assert (label.draw(grey(90, 160), settings, time) is not None) == shown
    assert drawn[0]
    assert label.draw(grey(90, 160), Settings(label="words", label_when="always"), time) is not None
    assert label.draw(grey(90, 160), settings, time + 10) is not None  # after a pause it is a first sight again
    assert label.draw(grey(90, 160), Settings(), time + 10) is None


def test_a_server_can_require_the_label() -> None:
    runtime = Runtime(RuntimeSettings(threads=1, require_label="badge"))
    try:
        assert runtime.look(Settings(), {}).settings.label == "badge"
        assert runtime.look(Settings(), {"label": "words"}).settings.label == "words"
        with pytest.raises(SettingsError, match="label: edited pictures are labelled here"):
            runtime.look(Settings(), {"label": "off"})
    finally:
        runtime.close()
    label = settings_schema("words")["properties"]["label"]
    assert (label["enum"], label["default"], len(label["oneOf"])) == (["words"], "words", 1)
    assert settings_schema()["properties"]["label"]["default"] == "off"
