from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.arrays import Floats, Image, Latent
from models.editor import Crop, Edit, Inpainting, Masks
from models.face.segmenter import Segmenter
from stream.crop_choice import STAYS_S, CropChoice
from stream.frame import Frame
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking.tracker import Tracker
from tests.stream.conftest import Tint, World, look_of

USUAL, WIDE, WIDEST = 64, 96, 128
RADIUS = 20


class Growing(Tint):
    """Paints a disc of always the same size, and says how large a crop it wants."""

    wider = (WIDE, WIDEST)
    latent_seconds = 0.0

    def __init__(self, wanted: int = 0) -> None:
        self.wanted = wanted
        self.sides: list[int] = []

    def wanted_side(self, crop: Crop, controls: Any) -> int:
        assert crop.masks is not None
        return self.wanted

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        size = len(crop.image)
        self.sides.append(size)
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        mask = np.clip(RADIUS - np.hypot(x, y), 0, 1).astype(np.float32)
        return Edit(mask=mask, delta=np.full((size, size, 3), 50, np.float32))


class NoHair(Segmenter):
    """Finds a person in front of nothing everywhere."""

    def __init__(self) -> None: ...

    def read(self, image: Image) -> Masks:
        nothing, person = (np.full((16, 16), value, np.float32) for value in (0, 1))
        return Masks(hair=nothing, face=nothing, occluder=nothing, person=person)


def shown(world: World, editor: Growing, times: list[float], smoothing: float = 0.0) -> Floats:
    """The picture of the last of some frames."""
    settings = Settings(editor="tint", controls={"amount": 1.0}, smoothing=smoothing, mark=False)
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), NoHair())
    for time in times:
        output = pipeline.process(Frame(world.picture(), time), look_of(settings, editor))
    return output.image.astype(np.float32)


def choice(wanted: list[tuple[int, float]]) -> list[int]:
    chosen, sides = CropChoice(Growing()), []
    for side, time in wanted:
        chosen.update(side, time)
        sides.append(chosen.side)
    return sides


def test_a_face_has_the_usual_crop_until_what_changes_goes_on_beyond_it() -> None:
    assert choice([(0, 0), (USUAL, 1), (USUAL + 1, 2), (WIDE - 1, 3)]) == [USUAL, USUAL, WIDE, WIDE]


def test_the_largest_crop_is_the_last() -> None:
    assert choice([(200, 0), (200, 0), (200, 0)]) == [WIDE, WIDEST, WIDEST]


def test_a_crop_that_is_too_large_goes_after_a_while() -> None:
    small = USUAL - 8
    late, later = STAYS_S + 0.1, 2 * STAYS_S + 0.3
    assert choice([(200, 0), (200, 0), (small, STAYS_S), (small, late), (small, later)]) == [
        WIDE,
        WIDEST,
        WIDEST,
        WIDE,
        USUAL,
    ]


def test_what_reaches_far_at_times_keeps_the_larger_crop() -> None:
    seen = [(USUAL + 1 if k % 3 == 0 else 0, float(k)) for k in range(20)]
    assert set(choice(seen)) == {WIDE}


@pytest.mark.parametrize(("wanted", "side"), [(0, USUAL), (USUAL + 1, WIDE), (200, WIDEST)])
def test_a_larger_crop_is_taken_within_the_frame(world: World, wanted: int, side: int) -> None:
    editor = Growing(wanted)
    shown(world, editor, [0.0])
    assert editor.sides == [side]


def test_an_edit_has_its_size_and_place_in_any_crop(world: World) -> None:
    usual, wide = (shown(world, Growing(wanted), [0.0]) for wanted in (0, 200))
    plain = world.picture().astype(np.float32)
    assert np.abs(usual - plain).max() > 40
    np.testing.assert_allclose(wide, usual, atol=1)


def test_an_edit_of_one_crop_is_shown_at_its_place_while_the_next_has_another(world: World) -> None:
    """A face goes back to a smaller crop while the frame shows what was drawn in the larger one."""

    class Shrinking(Growing):
        def wanted_side(self, crop: Crop, controls: Any) -> int:
            return 200 if len(self.sides) == 0 else 0

    editor = Shrinking()
    last = shown(world, editor, [0.0, STAYS_S + 1, STAYS_S + 2])
    assert editor.sides == [WIDEST, WIDEST, WIDE]
    np.testing.assert_allclose(last, shown(world, Growing(), [0.0]), atol=1)


def test_what_was_inpainted_in_a_crop_of_another_size_is_drawn_anew(world: World) -> None:
    class Painting(Growing):
        inpaint_seconds = 10.0

        def wanted_side(self, crop: Crop, controls: Any) -> int:
            return WIDE if len(self.sides) == 2 else 0

        def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Inpainting:
            return Inpainting(crop.image, np.ones(crop.image.shape[:2], np.float32), crop.image)

        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            assert crop.inpainting is not None
            assert crop.inpainting.image.shape == crop.image.shape
            return super().render(crop, latent, steered, controls)

    editor = Painting()
    shown(world, editor, [0.0, 0.1, 0.2, 0.3], smoothing=0.5)
    assert editor.sides == [USUAL, USUAL, WIDE, WIDE]
