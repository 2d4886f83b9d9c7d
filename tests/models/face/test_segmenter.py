"""The segmenter: what it gives its engine, what it refuses, and that the embedded network does its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

import models
from engines.base import Array, Engine, EngineError, TensorSpec
from engines.select import load
from models.face.segmenter import Segmenter

WEIGHTS = Path(models.__file__).parent / "embedded" / "segmenter.onnx"
FLOAT = np.dtype(np.float32)


class EchoEngine(Engine):
    """Gives back the three colour planes and their mean, as four masks."""

    backend = "echo"
    precision = "f32"

    def __init__(self, inputs: str = "image", shape: tuple[int | None, ...] = (None, 3, 32, 32)) -> None:
        self.inputs = (TensorSpec(inputs, shape, FLOAT),)
        self.outputs = (TensorSpec("masks", (None, 4, 32, 32), FLOAT),)

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        image = inputs["image"]
        return {"masks": np.concatenate([image, image.mean(axis=1, keepdims=True)], axis=1)}


@pytest.fixture(scope="module")
def segmenter() -> Iterator[Segmenter]:
    with load(WEIGHTS, backend="onnxruntime", precision="f32", threads=1) as engine:
        yield Segmenter(engine)


@pytest.mark.parametrize("size", [1, 31, 32, 256])
def test_planes_are_rgb_in_0_to_1_in_order(size: int) -> None:
    image = np.broadcast_to(np.array([255, 51, 0], np.uint8), (size, size, 3)).copy()
    masks = Segmenter(EchoEngine()).read(image)
    assert masks.hair.shape == (32, 32)
    for mask, level in ((masks.hair, 1.0), (masks.face, 0.2), (masks.occluder, 0.0), (masks.person, 0.4)):
        np.testing.assert_allclose(mask, level, atol=1e-6)


def test_extent_is_kept() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, 32:] = 255
    hair = Segmenter(EchoEngine()).read(image).hair
    assert hair[4, 28] == 1
    assert hair[28, 28] == hair[4, 4] == 0


def test_the_middle_of_a_larger_crop_is_read_as_finely_as_a_usual_one() -> None:
    """Echoes of stripes of 2 pixels: at a usual crop's own scale they are seen, in the shrunk whole they are grey."""
    usual, size = 32, 64
    image = np.zeros((size, size, 3), np.uint8)
    image[:, ::2] = 255
    masks = Segmenter(EchoEngine()).read_around(image, usual)
    assert masks.hair.shape == masks.person.shape == (64, 64)
    np.testing.assert_allclose(masks.hair[28:36, 28:36], image[28:36, 28:36, 0] / 255, atol=1e-5)
    np.testing.assert_allclose(masks.hair[:12], 0.5, atol=0.01)
    assert Segmenter(EchoEngine()).read_around(image[:usual, :usual], usual).hair.shape == (32, 32)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_other_pictures_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a"):
        Segmenter(EchoEngine()).read(image)


@pytest.mark.parametrize(
    ("name", "shape"), [("x", (None, 3, 32, 32)), ("image", (None, 3, 32, 16)), ("image", (3, 32))]
)
def test_other_networks_are_refused(name: str, shape: tuple[int | None, ...]) -> None:
    with pytest.raises(EngineError, match="not a segmenter"):
        Segmenter(EchoEngine(name, shape))


@pytest.mark.parametrize("kind", ["black", "white", "noise", "one pixel"])
def test_any_picture_gives_finite_masks(segmenter: Segmenter, kind: str) -> None:
    size = 1 if kind == "one pixel" else 200
    image = np.full((size, size, 3), 255 if kind == "white" else 0, np.uint8)
    if kind == "noise":
        image = np.random.default_rng(0).integers(0, 256, image.shape).astype(np.uint8)
    masks = segmenter.read(image)
    for mask in (masks.hair, masks.face, masks.occluder, masks.person):
        assert mask.shape == (segmenter.size, segmenter.size)
        assert mask.dtype == np.float32
        assert np.isfinite(mask).all()
        assert mask.min() >= 0
        assert mask.max() <= 1


def test_embedded_network_finds_hair_and_person(segmenter: Segmenter, shared: Path) -> None:
    faces = np.load(shared / "faces" / "masks.npz")
    overlap = {"hair": np.zeros(2), "person": np.zeros(2)}
    for row in range(0, len(faces["id"]), len(faces["id"]) // 12):
        picture = cv2.imread(str(shared / "faces" / "images" / f"{faces['id'][row]}.jpg"))
        assert picture is not None
        masks = segmenter.read(np.ascontiguousarray(picture[..., ::-1]))
        for name, found in (("hair", masks.hair), ("person", masks.person)):
            got, want = cv2.resize(found, (128, 128)) > 0.5, faces[name][row] > 127
            overlap[name] += (got & want).sum(), (got | want).sum()
    assert overlap["hair"][0] / overlap["hair"][1] > 0.8
    assert overlap["person"][0] / overlap["person"][1] > 0.9
