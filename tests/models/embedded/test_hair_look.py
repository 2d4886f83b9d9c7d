"""Hair of another look: what the network is given, and what is made of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.base import Engine, EngineError, TensorSpec
from models.arrays import Floats
from models.editor import Crop
from models.embedded.hair_look import LOOKS, PLANES, STEP, HairLook, looks_of, planes_of
from models.embedded.strands import Look, look_of, measure_look
from models.face.imaging import LUMINANCE
from tests.models.hair_looks import shipped_look

SIZE = 128
SKIN = np.array([200, 160, 140], np.float32)
POINTS = np.array([[40, 90], [88, 90], [64, 105], [50, 115], [78, 115]], np.float32)
GREY = Look(float(np.log(150 + 4)), 0.2, 0.2, np.ones(3, np.float32))


class Stained(Engine):
    """Adds another colour in each half of the picture, and remembers what it was given."""

    backend, precision = "stub", "f32"
    inputs = (
        TensorSpec("given", (None, PLANES, None, None), np.dtype(np.float32)),
        TensorSpec("looks", (None, LOOKS), np.dtype(np.float32)),
    )
    outputs = (TensorSpec("change", (None, 3, None, None), np.dtype(np.float32)),)

    def __init__(self) -> None:
        self.given: list[Floats] = []

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = inputs["given"]
        self.given.append(given[0])
        change = np.full_like(given[:, :3], 1.2)
        half = given.shape[-1] // 2
        change[:, 0, :, :half] += 0.3
        change[:, 2, :, half:] += 0.3
        return {"change": change * (given[:, 3:4] > 0)}


def dark_hair(size: int = SIZE) -> tuple[Crop, Floats, Look]:
    image = np.zeros((size, size, 3), np.uint8) + SKIN.astype(np.uint8)
    alpha = np.zeros((size, size), np.float32)
    alpha[10:50, 20:100] = 1
    strands = 20 * (np.arange(size) % 6 < 3)
    image[alpha > 0] = (np.array([50, 36, 28]) + strands[None, :, None])[np.zeros(size, int)][alpha > 0]
    look = measure_look(image.astype(np.float32), alpha)
    assert look is not None
    return Crop(image, POINTS), alpha, look


def test_the_network_sees_colours_hair_and_both_looks() -> None:
    planes = planes_of(np.full((2, 2, 3), 192, np.float32), np.full((2, 2), 0.5, np.float32))
    np.testing.assert_allclose(planes[:, 0, 0], [1, 1, 1, 0.5])
    now = Look(4.5, 0, 0, np.array([np.e, 1, 1], np.float32))
    np.testing.assert_allclose(looks_of(now, GREY, SKIN)[[0, 1, 2, 4, 5]], [0.5, 1, 0, 0, 0], atol=1e-6)


def test_what_is_drawn_has_the_median_that_is_wanted_and_few_stains() -> None:
    crop, alpha, now = dark_hair()
    engine = Stained()
    after = crop.image + HairLook(engine).change(crop, alpha, now=now, wanted=GREY, skin=SKIN)
    hair = after[12:48, 22:98].reshape(-1, 3)
    assert np.median(hair @ LUMINANCE) == pytest.approx(150, rel=0.08)
    left, right = after[12:48, 22:58].mean((0, 1)), after[12:48, 62:98].mean((0, 1))
    stains = [np.log(one[0] / one[2]) for one in (left, right)]
    drawn = np.log((45 + 1.5 * 64) / (45 + 1.2 * 64))
    assert 0.02 < stains[0] - stains[1] < 0.6 * 2 * drawn
    np.testing.assert_array_equal(after[70:], crop.image[70:])


@pytest.mark.parametrize("size", [SIZE, 320])
def test_no_more_than_the_hair_is_drawn(size: int) -> None:
    crop, alpha, now = dark_hair(size)
    engine = Stained()
    HairLook(engine).change(crop, alpha, now=now, wanted=GREY, skin=SKIN)
    (given,) = engine.given
    assert given.shape[1] % STEP == given.shape[2] % STEP == 0
    assert given.shape[1] * given.shape[2] <= 96 * SIZE
    none = HairLook(engine).change(crop, 0 * alpha, now=now, wanted=GREY, skin=SKIN)
    assert not none.any()
    assert len(engine.given) == 1


def test_in_a_video_its_noise_is_not_told() -> None:
    crop, alpha, now = dark_hair()
    steady = cv_light(crop)
    noise = np.random.default_rng(0).integers(-9, 10, (SIZE, SIZE, 1))
    noisy = replace(crop, image=np.clip(crop.image + noise, 0, 255).astype(np.uint8), steady_light=steady)
    engine = Stained()
    for each in (replace(crop, steady_light=steady), noisy):
        HairLook(engine).change(each, alpha, now=now, wanted=GREY, skin=SKIN)
    one, other = (64 * (each[:3] + 2) for each in engine.given)
    assert np.abs(np.tensordot(LUMINANCE, one - other, 1)).max() < 3


def rows_of(alpha: Floats, beside: tuple[int, int, int]) -> Crop:
    """Black hair that passes over into what is beside it."""
    hair, other = np.array([24, 20, 18], np.float32), np.array(beside, np.float32)
    strands = 1 + 0.2 * (np.arange(SIZE) % 6 < 3)[None, :, None].astype(np.float32)
    mixed = other + alpha[..., None] * (hair * strands - other)
    return Crop(np.rint(mixed).astype(np.uint8), POINTS)


@pytest.mark.parametrize(("beside", "share"), [((190, 140, 120), 0.15), ((235, 235, 235), 0.15), ((40, 60, 140), 0.3)])
def test_edges_neither_glow_nor_stay_dark(beside: tuple[int, int, int], share: float) -> None:
    """What is added where hair passes over into skin or a wall is what hair gets, by its share."""
    rows = np.arange(SIZE, dtype=np.float32)[:, None] + np.zeros((1, SIZE), np.float32)
    alpha = np.asarray(np.clip((68 - rows) / 8, 0, 1), np.float32)
    crop = rows_of(alpha, beside)
    now = measure_look(crop.image.astype(np.float32), alpha)
    assert now is not None
    blond = look_of(np.array([180, 150, 110], np.float32))
    after = (crop.image + shipped_look().change(crop, alpha, now=now, wanted=blond, skin=SKIN)) @ LUMINANCE
    dyed, wall = float(after[20:50].mean()), float(np.array(beside) @ LUMINANCE)
    right = wall + alpha * (dyed - wall)
    assert np.abs(after - right)[58:70].mean() < share * max(abs(wall - dyed), 80)
    assert after[58:].max() < 1.2 * max(dyed, wall)


def cv_light(crop: Crop) -> Floats:
    return np.asarray(crop.image.astype(np.float32) @ LUMINANCE, np.float32)


def test_the_network_that_ships_is_steady() -> None:
    """Camera noise on dark hair is not multiplied in hair that is light."""
    crop, alpha, now = dark_hair()
    generator = np.random.default_rng(1)
    after = []
    for _ in range(2):
        image = np.clip(crop.image + generator.normal(0, 2, (SIZE, SIZE, 1)), 0, 255).astype(np.uint8)
        after.append(image + shipped_look().change(replace(crop, image=image), alpha, now=now, wanted=GREY, skin=SKIN))
    top = np.s_[14:46, 26:94]
    assert np.median(after[0][top] @ LUMINANCE) > 120
    assert np.abs(after[0][top] - after[1][top]).mean() < 6


def test_another_network_is_refused() -> None:
    class Other(Stained):
        inputs = (Stained.inputs[1], Stained.inputs[0])

    with pytest.raises(EngineError, match="no network of hair looks"):
        HairLook(Other())
