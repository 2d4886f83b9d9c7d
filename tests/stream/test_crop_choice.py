from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.arrays import Floats, Image, Latent
from models.crops import CropSpec
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

    wider: tuple[int, ...] = (WIDE, WIDEST)
    latent_seconds = 0.0

    def __init__(self, wanted: int = 0) -> None:
        self.wanted = wanted
        self.sides: list[int] = []

    def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
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


def test_a_face_has_at_first_the_crop_that_it_wants() -> None:
    assert choice([(0, 0)]) == [USUAL]
    assert choice([(USUAL + 1, 0), (WIDE - 1, 0)]) == [WIDE, WIDE]
    assert choice([(200, 0), (200, 0), (200, 0)]) == [WIDE, WIDEST, WIDEST]


def test_later_it_gets_a_larger_one_that_is_wanted_again_and_again() -> None:
    once = [(0, 0.0), (200, 0.1), (0, 0.2), (200, 0.3), (200, 0.4)]
    assert choice(once) == [USUAL] * 5
    assert choice([*once, (200, 0.5)])[-1] == WIDE


def test_a_crop_that_is_too_large_goes_after_a_while() -> None:
    small = USUAL // 2
    times = (0.0, 0.0, STAYS_S, STAYS_S + 0.1, 2 * STAYS_S + 0.3)
    wanted = (200, 200, small, small, small)
    assert choice(list(zip(wanted, times, strict=True))) == [WIDE, WIDEST, WIDEST, WIDE, USUAL]


def test_what_would_just_fit_a_smaller_crop_keeps_the_larger_one() -> None:
    """It would be sent back at once."""
    assert set(choice([(200, 0.0), *((USUAL - 2, float(k)) for k in range(30))])) == {WIDE}


def test_what_reaches_far_at_times_keeps_the_larger_crop() -> None:
    seen = [(USUAL + 1 if k % 3 == 0 else 0, float(k)) for k in range(20)]
    assert set(choice(seen)) == {WIDE}


def test_an_editor_for_still_pictures_may_have_another_crop(world: World) -> None:
    """A photo's last pass takes the finer way, with what was kept of the face."""

    class Fine(Growing):
        crop = CropSpec("ffhq", 2 * USUAL)
        wider = ()

    usual, fine = Growing(), Fine()
    settings = Settings(editor="tint", controls={"amount": 1.0}, smoothing=0.0, mark=False)
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), NoHair())
    for k, editor in enumerate((usual, usual, fine)):
        pipeline.process(Frame(world.picture(), k / 30), look_of(settings, editor))
    assert (usual.sides, fine.sides) == ([USUAL, USUAL], [2 * USUAL])


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
        def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
            return 200 if len(self.sides) == 0 else 0

    editor = Shrinking()
    last = shown(world, editor, [0.0, STAYS_S + 1, STAYS_S + 2])
    assert editor.sides == [WIDEST, WIDEST, WIDE]
    np.testing.assert_allclose(last, shown(world, Growing(), [0.0]), atol=1)


def test_what_was_inpainted_goes_on_in_the_middle_of_a_larger_crop(world: World) -> None:
    """And is drawn for it; in a live stream beside it."""
    drawn: list[int] = []
    shapes: list[tuple[int, ...]] = []

    class Painting(Growing):
        inpaint_seconds = 10.0

        def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
            return WIDE if 1 < len(self.sides) < 7 else 0

        def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Inpainting:
            drawn.append(len(crop.image))
            picture = np.full_like(crop.image, 90)
            middle = len(picture) // 2
            picture[middle - 4 : middle + 4, middle - 4 : middle + 4] = 200
            return Inpainting(picture, np.ones(picture.shape[:2], np.float32), picture)

        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            assert crop.inpainting is not None
            image, middle = crop.inpainting.image, len(crop.image) // 2
            shapes.append((*image.shape, *crop.inpainting.head.shape, *crop.inpainting.behind.shape))
            assert image[middle - 3, middle - 3].min() > 190
            assert image[middle - 6, middle - 6].max() < 100
            return super().render(crop, latent, steered, controls)

    editor = Painting()
    shown(world, editor, [*(k / 10 for k in range(8)), STAYS_S + 1, STAYS_S + 1.1], smoothing=0.5)
    assert editor.sides == [USUAL] * 4 + [WIDE] * 5 + [USUAL]
    assert drawn == [USUAL, WIDE, USUAL]
    assert all(shape[:2] == shape[3:5] == shape[5:7] for shape in shapes)


def test_means_of_masks_begin_anew_in_a_crop_of_another_size(world: World) -> None:
    """They are of other places."""
    person: list[float] = []

    class BySize(NoHair):
        def read(self, image: Image) -> Masks:
            masks = super().read(image)
            return replace(masks, person=masks.person * np.float32(USUAL / len(image)))

    class Watching(Growing):
        def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
            return WIDE if len(self.sides) > 2 else 0

        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            assert crop.masks is not None
            person.append(float(crop.masks.person.mean()))
            return super().render(crop, latent, steered, controls)

    settings = Settings(editor="tint", controls={"amount": 1.0}, smoothing=0.5, mark=False)
    pipeline, editor = Pipeline(Tracker(world.detect, world.landmarks), BySize()), Watching()
    for k in range(7):
        pipeline.process(Frame(world.picture(), k / 30), look_of(settings, editor))
    assert editor.sides == [USUAL] * 5 + [WIDE] * 2
    wide = BySize().read_around(np.zeros((WIDE, WIDE, 3), np.uint8), USUAL).person.mean()
    assert wide < 0.8
    np.testing.assert_allclose(person, [1] * 5 + [wide] * 2, atol=1e-3)
