"""The matte of hair: right on hair of known alpha, 0 on what is not this person's, at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.base import Engine, EngineError, TensorSpec
from engines.select import load as load_engine
from models.arrays import Floats, Image
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.hair import Hair, HairControls
from models.embedded.matte import COARSE, MATTE, STEP, HairMatte, network_input
from tests.models.beards import told_beard
from tests.models.editing import rendered
from tests.models.hair_looks import shipped_look
from tests.models.matting import CoarseMatte

SIZE, SIDE = 256, 160
BEFORE = 0.75
"""Share of the error of the coarse reading that the matte may have."""


@pytest.fixture(scope="module")
def matte() -> HairMatte:
    return HairMatte(load_engine(EMBEDDED / MATTE, backend="onnxruntime", precision="f32", threads=1))


def ellipse(centre: tuple[float, float], axes: tuple[float, float]) -> Floats:
    """(256, 256) float32, 1 inside; (x, y)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    inside = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1])
    return np.asarray(np.clip((1 - inside) * min(axes) + 0.5, 0, 1), np.float32)


def hair_of(centre: tuple[float, float], radius: float, seed: int) -> Floats:
    """Alpha of a cap of hair around a face, frayed into strands at its edge, (256, 256) float32."""
    rng = np.random.default_rng(seed)
    x, y = centre
    cap = ellipse((x, y - 0.25 * radius), (radius, 1.1 * radius)) - ellipse(
        (x, y + 0.2 * radius), (0.68 * radius, radius)
    )
    cap = np.clip(cap, 0, 1)
    cap[int(y + 0.5 * radius) :] = 0
    soft = cv2.GaussianBlur(cap, (0, 0), 3)
    strands = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), sigmaX=0.8, sigmaY=4)
    strands = strands / strands.std()
    return np.asarray(np.clip((soft - 0.5) * 2.2 + 0.5 + 0.35 * strands * 4 * soft * (1 - soft), 0, 1), np.float32)


def head(
    picture: Floats, centre: tuple[float, float], radius: float, colour: tuple[float, float, float], seed: int
) -> tuple[Floats, Floats]:
    """The picture with a head on it, and the alpha of its hair."""
    rng = np.random.default_rng(seed)
    x, y = centre
    for place, axes, tone in (
        ((x, y + 1.9 * radius), (1.5 * radius, radius), (60, 70, 110)),
        ((x, y + 0.8 * radius), (0.35 * radius, 0.7 * radius), (190, 145, 125)),
        ((x, y + 0.15 * radius), (0.7 * radius, 0.95 * radius), (205, 160, 140)),
    ):
        part = ellipse(place, axes)[..., None]
        picture = picture * (1 - part) + part * np.array(tone, np.float32)
    for side in (-0.28, 0.28):
        eye = ellipse((x + side * radius, y), (0.12 * radius, 0.06 * radius))[..., None]
        picture = picture * (1 - eye) + eye * np.float32(40)
    mouth = ellipse((x, y + 0.6 * radius), (0.25 * radius, 0.07 * radius))[..., None]
    picture = picture * (1 - mouth) + mouth * np.array((160, 80, 80), np.float32)
    alpha = hair_of(centre, radius, seed)
    streaks = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), sigmaX=1.2, sigmaY=12)
    hair = np.array(colour, np.float32) * np.exp(0.25 * streaks / streaks.std())[..., None]
    return np.asarray(picture * (1 - alpha[..., None]) + hair * alpha[..., None], np.float32), alpha


def coarsely(alpha: Floats) -> Floats:
    """A reading of the hair as a segmenter gives it, (160, 160)."""
    small = cv2.resize(alpha, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    small = np.clip((cv2.GaussianBlur(small, (0, 0), 1.0) - 0.5) * 2 + 0.5, 0, 1)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def backdrop() -> Floats:
    shade = np.linspace(170, 215, SIZE, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to((shade[:, None] + 0 * shade)[..., None], (SIZE, SIZE, 3)))


def photo(picture: Floats) -> Image:
    noise = np.random.default_rng(9).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", [(40.0, 28.0, 22.0), (110.0, 70.0, 40.0)])
def test_alpha_of_composed_hair_is_right(matte: HairMatte, colour: tuple[float, float, float]) -> None:
    picture, alpha = head(backdrop(), (128, 130), 70, colour, 1)
    read = coarsely(alpha)
    found = matte.read(photo(picture), read)
    error, before = (float(np.abs(each - alpha).mean()) for each in (found, cv2.resize(read, (SIZE, SIZE))))
    assert error < 0.03
    assert error < BEFORE * before
    face = ellipse((128, 150), (35, 45)) > 0.99
    assert found[face].max() < 0.05
    assert found[:20].max() < 0.05


def test_the_hair_of_another_head_stays(matte: HairMatte) -> None:
    picture, foreign = head(backdrop(), (225, 105), 45, (60, 40, 30), 2)
    picture, alpha = head(picture, (110, 135), 65, (60, 40, 30), 1)
    found = matte.read(photo(picture), coarsely(alpha))
    assert found[(foreign > 0.5) & (alpha < 0.01)].mean() < 0.05
    assert found[alpha > 0.95].mean() > 0.9


@pytest.mark.parametrize("size", [96, 200, 256, 320])
def test_the_matte_has_the_size_of_the_crop(matte: HairMatte, size: int) -> None:
    picture, alpha = head(backdrop(), (128, 130), 70, (40, 28, 22), 1)
    image = cv2.resize(photo(picture), (size, size), interpolation=cv2.INTER_AREA)
    found = matte.read(image, coarsely(alpha))
    assert found.shape == (size, size)
    assert found.dtype == np.float32
    assert 0 <= found.min() < 0.01
    assert 0.99 < found.max() <= 1
    truth = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(found - truth).mean() < 0.04


def test_no_hair_is_no_matte(matte: HairMatte) -> None:
    picture, _ = head(backdrop(), (128, 130), 70, (40, 28, 22), 1)
    assert matte.read(photo(picture), np.zeros((SIDE, SIDE), np.float32)).mean() < 0.03


def test_the_input_is_filled_up_with_the_last_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    hair = np.full((8, 8), 0.25, np.float32)
    given = network_input(image, hair)
    assert given.shape == (1, 4, 2 * STEP, 2 * STEP)
    np.testing.assert_allclose(given[0, :COARSE, :50, :40], image.transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_allclose(given[0, 0, 50:, 39], image[-1, -1, 0] / 255, atol=1e-6)
    np.testing.assert_allclose(given[0, COARSE], 0.25)


def test_other_networks_are_refused() -> None:
    class Other(CoarseMatte):
        inputs = (TensorSpec("image", (None, 3, None, None), np.dtype(np.float32)),)

    with pytest.raises(EngineError, match="not a matte of hair"):
        HairMatte(Other())


def crop_of(hair: NDArray[np.float32]) -> Crop:
    nothing = np.zeros_like(hair)
    points = np.array([[108, 130], [148, 130], [128, 150], [112, 172], [144, 172]], np.float32)
    picture, _ = head(backdrop(), (128, 130), 70, (40, 28, 22), 1)
    return Crop(photo(picture), points, None, Masks(hair, nothing, nothing, nothing))


def test_the_network_runs_only_where_hair_is_dyed() -> None:
    engine = CoarseMatte()
    editor = Hair(HairMatte(engine), told_beard(), shipped_look())
    alpha = coarsely(head(backdrop(), (128, 130), 70, (40, 28, 22), 1)[1])
    haired, bald = crop_of(alpha), crop_of(np.zeros_like(alpha))
    latent = editor.encode(haired, HairControls())
    for crop, controls in (
        (haired, HairControls()),
        (haired, HairControls(colour="red", amount=0)),
        (bald, HairControls(colour="red")),
    ):
        read = latent if crop is haired else editor.encode(bald, controls)
        assert rendered(editor, crop, read, controls).mask.max() == 0
    assert engine.calls == 0
    assert rendered(editor, haired, latent, HairControls(colour="red")).mask.max() > 0.9
    assert engine.calls == 1


def test_the_stand_in_is_an_engine() -> None:
    assert isinstance(CoarseMatte(), Engine)
