"""Differences of age with editors that are told an age and read none."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, cast

import numpy as np
import pytest
from pydantic import Field

from models.ages import Difference, years_of
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit
from models.embedded.child import ChildControls
from models.embedded.editor import EmbeddedControls
from models.embedded.own_age import AgeReader
from models.published.fran.editor import FranControls
from models.published.lats.editor import LatsControls
from models.published.sam.editor import SamControls
from models.published.styleflow.editor import StyleFlowControls
from stream.face_edit import AGE_UNKNOWN
from stream.frame import Frame
from stream.look import Layer, Look
from stream.own_age import EVERY_S, OwnAge
from stream.pipeline import Pipeline
from stream.settings import Settings, SettingsError, checked
from stream.tracking import Tracker
from tests.stream.conftest import Person, Tint, World


class AgedControls(Controls):
    age: Annotated[float, Field(ge=0, le=70)] | Difference | None = None


class Aged(Tint):
    """Notes the age that it is told."""

    Controls = AgedControls  # type: ignore[assignment]

    def __init__(self) -> None:
        self.told: list[Any] = []

    def steer(self, latent: Latent, controls: Any) -> Latent:
        self.told.append(controls.age)
        return latent + np.float32(controls.age is not None)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        return super().render(crop, latent, steered, controls)


class Reader:
    """Reads ages from a list; the last one again and again."""

    crop = CropSpec("ffhq", 64)

    def __init__(self, *ages: float) -> None:
        self.ages = iter(ages)
        self.last = 0.0
        self.read_times = 0

    def read(self, crop: Crop) -> float:
        assert crop.mesh is not None
        self.read_times += 1
        self.last = next(self.ages, self.last)
        return self.last


def aged(age: str, reader: Reader | None, frames: int = 1, world: World | None = None) -> tuple[Aged, Any]:
    """What an editor is told over some frames, and the last output."""
    world = world or World(people=[Person((160, 120))])
    editor = Aged()
    look = Look(Settings(editor="aged", smoothing=0.0), (Layer("aged", editor, AgedControls(age=age)),))
    ages = None if reader is None else lambda: cast(AgeReader, reader)
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), ages=ages)
    for frame in range(frames):
        output = pipeline.process(Frame(world.picture(), frame / 30), look)
    return editor, output


def test_a_difference_is_added_to_the_age_that_is_read() -> None:
    reader = Reader(41.4)
    editor, output = aged("+20", reader, frames=10)
    assert editor.told == [61.0] * 10
    assert reader.read_times == 1, "an age is read twice a second, not on every frame"
    assert output.edited


@pytest.mark.parametrize(("read", "difference", "shown"), [(60, "+20", 70.0), (5, "-20", 0.0), (80, "+5", 70.0)])
def test_a_difference_ends_where_the_editor_ends(read: float, difference: str, shown: float) -> None:
    assert aged(difference, Reader(read))[0].told == [shown]


def test_a_face_whose_age_cannot_be_read_says_so() -> None:
    editor, output = aged("+20", None)
    assert editor.told == [None]
    assert output.obstacles == {"aged": {"age": AGE_UNKNOWN}}


@pytest.fixture
def crop() -> Crop:
    return Crop(np.zeros((64, 64, 3), np.uint8), np.zeros((5, 2), np.float32), np.zeros((478, 2), np.float32))


def test_an_age_wavers_no_more_than_whole_years_that_it_leaves(crop: Crop) -> None:
    own = OwnAge()
    reader = Reader(40, 41, 40, 41, 40, 41, *[50] * 60)
    seen: list[float] = []
    for step in range(60):
        own.update(cast(AgeReader, reader), lambda: crop, step * EVERY_S)
        assert own.years is not None
        seen.append(own.years)
    assert set(seen[:6]) == {40.0}
    assert seen[-1] == 50.0
    assert seen == sorted(seen), "it does not go back and forth"


def test_a_face_that_cannot_be_read_is_asked_twice_a_second_as_well() -> None:
    own, asked = OwnAge(), list[float]()

    def crop_at(time: float) -> Crop:
        asked.append(time)
        raise ValueError("no mesh")

    for frame in range(60):
        with suppress(ValueError):
            own.update(cast(AgeReader, Reader()), partial(crop_at, frame / 30), frame / 30)
    assert len(asked) == round(2 / EVERY_S)


@pytest.mark.parametrize("model", [SamControls, LatsControls, StyleFlowControls, EmbeddedControls])
def test_editors_that_show_ages_take_differences(model: type[Controls]) -> None:
    assert checked(model, {"age": "+20"}).relative
    assert not checked(model, {"age": 20}).relative
    assert cast(Any, model(age="-20").at_age(50)).age == 30  # type: ignore[call-arg]
    assert cast(Any, model(age="-20").at_age(None)).age is None  # type: ignore[call-arg]


def test_fran_is_told_the_own_age_as_well() -> None:
    controls = FranControls(source_age=35, target_age="+20").at_age(52)
    assert (controls.source_age, controls.target_age) == (52, 72)
    assert FranControls(source_age=35, target_age=60).at_age(52).source_age == 35


def test_a_difference_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(SettingsError, match=r"it takes no difference such as \+20") as refused:
        checked(ChildControls, {"age": "+20"}, "controls.")
    assert refused.value.field == "controls.age"
    assert cast(Any, checked(EmbeddedControls, {"smile": "-1"})).smile == -1
    with pytest.raises(ValueError, match="difference"):
        years_of("+20")
