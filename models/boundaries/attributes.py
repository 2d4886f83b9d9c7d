"""How much of an attribute a drawn face has, by the project's own networks: reader, landmarks and segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.base import Engine
from models.arrays import Floats, Image
from models.editor import Masks
from models.embedded import EMBEDDED, TRACKER
from models.embedded.attributes import AGE, BALD, GLASSES, GREY, HAT, MALE, READER, SMILE, read_attributes, read_tables
from models.face.beard import beard_darkness
from models.face.detector import Detector
from models.face.imaging import LUMINANCE, log_colour
from models.face.landmarks import Landmarks, region_of_box, region_of_mesh
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace, Fit

SIDE = 256
"""Pixels of the picture that is read; the recipe's classifiers read the same size."""

FOREHEAD = (105, 104, 103, 67, 109, 10, 338, 297, 332, 333, 334, 296, 336, 9, 107, 66)
"""Mesh points around the forehead between the brows and its upper edge (MediaPipe's numbering)."""
TEMPLES = ((68, 103), (298, 332))
"""Inner and outer mesh point of the corners of the hairline, left and right in the picture."""
ABOVE = (0.35, 0.5, 0.65)
"""Heights over the temples at which the hairline is looked for, in distances from brows to mouth."""


@dataclass(frozen=True, slots=True)
class DrawnFace:
    """What is known of one picture.

    Attributes:
        image: (256, 256, 3) uint8 RGB.
        read: (8,) what the reader says, in the order of `models.embedded.attributes.ATTRIBUTES`.
        masks: of the picture.
        mesh: (478, 2) float32, pixels.
        texture: (192, 192, 3) uint8 RGB, the face unwrapped.
        space: the texture square.
    """

    image: Image
    read: Floats
    masks: Masks
    mesh: Floats
    texture: Image
    space: FaceSpace


class FaceReader:
    """Finds and reads the face of a picture.

    Args:
        load_engine: makes an engine of an ONNX file.
    """

    def __init__(self, load_engine: Callable[[Path], Engine]) -> None:
        self._detector = Detector("embedded", SIDE)
        self._landmarks = Landmarks(load_engine(TRACKER / "landmarks.onnx"))
        self._reader = load_engine(EMBEDDED / READER)
        self._segmenter = Segmenter(load_engine(EMBEDDED / "segmenter.onnx"))
        self._space = FaceSpace.from_tables(read_tables(EMBEDDED))

    def __call__(self, image: Image) -> DrawnFace | None:
        """The largest face of an aligned picture; None where there is none.

        Args:
            image: (256, 256, 3) uint8 RGB.
        """
        picture = np.ascontiguousarray(image[..., ::-1])
        found = self._detector(picture)
        if not found:
            return None
        mesh, _ = self._landmarks(picture, region_of_box(found[0].box))
        mesh, present = self._landmarks(picture, region_of_mesh(mesh))
        if present < 0.5:
            return None
        fit: Fit = self._space.fit(mesh)
        read = read_attributes(self._reader, image, fit)
        return DrawnFace(image, read, self._segmenter.read(image), mesh, self._space.unwrap(image, fit), self._space)


def _read(place: int) -> Callable[[DrawnFace], float]:
    return lambda face: float(face.read[place])


def fringe(face: DrawnFace) -> float:
    """Share of the forehead that hair covers, 0..1."""
    side = len(face.masks.hair)
    region = np.zeros((side, side), np.uint8)
    points = face.mesh[list(FOREHEAD)] * (side / len(face.image))
    cv2.fillPoly(region, [np.rint(points).astype(np.int32)], 1)
    return float(face.masks.hair[region > 0].mean()) if region.any() else float("nan")


def receding(face: DrawnFace) -> float:
    """How bare the corners over the temples are where a hairline usually is, 0 (hair) to 1 (skin).

    A hat hides them: the score is not a number then.
    """
    if face.read[HAT] > 0.5:
        return float("nan")
    brow, mouth = face.mesh[[105, 334]].mean(0), face.mesh[[61, 291]].mean(0)
    up = brow - mouth
    side, scale = len(face.masks.hair), len(face.masks.hair) / len(face.image)
    bare = []
    for inner, outer in TEMPLES:
        foot = face.mesh[[inner, outer]].mean(0)
        for height in ABOVE:
            x, y = np.rint((foot + (height - ABOVE[0]) * up) * scale).astype(int)
            if 0 <= x < side and 0 <= y < side:
                bare.append(float(face.masks.face[y, x] - face.masks.hair[y, x]))
    return float(np.clip(np.mean(bare) / 2 + 0.5, 0, 1)) if bare else float("nan")


def beard(face: DrawnFace) -> float:
    """How much darker upper lip and chin are than the cheeks, in log luminance; see `models.face.beard`."""
    return beard_darkness(log_colour(face.texture) @ LUMINANCE, face.space.mean)


def hair_amount(face: DrawnFace) -> float:
    """Share of the picture that is hair, 0..1."""
    return float(face.masks.hair.mean())


def hair_light(face: DrawnFace) -> float:
    """Mean luminance of the hair, 0..1: from black to blond and white. Not a number where there is next to none."""
    side = len(face.masks.hair)
    small = cv2.resize(face.image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) @ LUMINANCE
    weight = face.masks.hair > 0.8
    return float(small[weight].mean() / 255) if weight.sum() > 0.01 * side * side else float("nan")


ATTRIBUTES: Mapping[str, Callable[[DrawnFace], float]] = {
    "age": _read(AGE),
    "sex": _read(MALE),
    "bald": _read(BALD),
    "grey": _read(GREY),
    "glasses": _read(GLASSES),
    "hat": _read(HAT),
    "smile": _read(SMILE),
    "bangs": fringe,
    "receding": receding,
    "beard": beard,
    "hair": hair_amount,
    "light_hair": hair_light,
}
"""What can be scored without another network: higher is more of it. `sex` is female to male, `age` in centuries."""


def score(face: DrawnFace | None, names: Sequence[str]) -> Floats:
    """The scores of a face, (names,) float32; not a number where it has none."""
    if face is None:
        return np.full(len(names), np.nan, np.float32)
    return np.array([ATTRIBUTES[name](face) for name in names], np.float32)
