"""What the trainer of the head's ageing reads, made once: masks, coordinates, ages as read, the first pairs' inputs.

The first pairs are portraits at another age as the embedded editor draws it, without the change of shape, so that a
pixel of the edited portrait shows the same place as in the photograph: the old made young, the young made old.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.base import Engine
from engines.select import load as load_engine
from models.arrays import Floats, Image, Rows
from models.editor import Crop, Edit
from models.embedded import EMBEDDED
from models.embedded.ageing import Ageing
from models.embedded.attributes import AGE, MALE, READER, read_attributes, read_tables
from models.embedded.beard_alpha import BEARD_NETWORK, BeardAlpha
from models.embedded.controls.age import Age
from models.embedded.controls.hair_grey import HairGrey
from models.embedded.controls.smile import SmileControl
from models.embedded.creases import Creases
from models.embedded.editor import EmbeddedControls, EmbeddedEditor
from models.embedded.eyes_and_lips import EyesAndLips
from models.embedded.hair_look import HAIR_LOOK, HairLook
from models.embedded.matte import MATTE, HairMatte
from models.embedded.neck import Neck
from models.embedded.scalp import ScalpModel, skin_tone
from models.embedded.skin import Skin
from models.embedded.smile import Smile
from models.face.canvas import Canvas, covered
from models.face.imaging import log_colour, smoothstep
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.apply import PAD, apply_edit, inner, portrait_crop
from models.training.data import SIZE, FaceSet

"""Pixels around a portrait that make its crop as wide as the editor's (margin 1.25)."""
MASK_SIZE = 128
GRID = SIZE // 4
"""Side of the stored coordinates."""
ADULT = 16.0
YOUTH, OLD_AGE = 24.0, 76.0
"""Ages that the first pairs' inputs are edited to, years."""
LEAST_OLD, MOST_YOUNG = 48.0, 50.0
"""Portraits from this age on are made young, up to that age made old."""


@dataclass(frozen=True, slots=True)
class Softening:
    """Bilateral smoothing of skin that the texture square does not reach.

    Attributes:
        tone_distance: log colour further than this from the face's is no skin.
        hair: masks above this are hair, not skin.
        sigma_colour: of 255.
        sigma_space: pixels of the 256 px portrait.
        rounds: how often.
    """

    tone_distance: float = 0.6
    hair: float = 0.35
    sigma_colour: float = 34.0
    sigma_space: float = 5.0
    rounds: int = 2


SOFTENING = Softening()
FACE_FADE = 5.0
"""Standard deviation of the fade between the face and what lies around it, pixels."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The trainer's material, one row per portrait of `FaceSet`, memory-mapped.

    Attributes:
        masks: (N, 128, 128, 3) uint8, hair, face and person as the embedded segmenter reads them, x 255.
        where: (N, 64, 64, 2) float16, texture coordinates of each block of 4x4 pixels of the portrait, / 192.
        nodes: (N, 64, 64, 2) float16, pixels of the portrait of the texture square's lattice.
        read: (N, 2) float32, age in years and probability of a man as the embedded reader reads them.
        younger: rows that were made young.
        younger_images: (M, 2, 256, 256, 3) uint8 RGB, made young; the second with all skin smoothed besides.
        older: rows that were made old.
        older_images: (K, 256, 256, 3) uint8 RGB.
    """

    masks: NDArray[np.uint8]
    where: NDArray[np.float16]
    nodes: NDArray[np.float16]
    read: Floats
    younger: Rows
    younger_images: NDArray[np.uint8]
    older: Rows
    older_images: NDArray[np.uint8]


def prepare(faces: FaceSet, folder: Path) -> Prepared:
    """Make what is missing in `folder` and open it."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ("masks", "where", "nodes", "read", "younger", "older")
    if not all((folder / f"{name}.npy").is_file() for name in wanted):
        _make(faces, folder, *_edited(faces))
    opened = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in wanted}
    younger, older = _edited(faces)
    return Prepared(
        masks=opened["masks"],
        where=opened["where"],
        nodes=opened["nodes"],
        read=np.array(opened["read"]),
        younger=younger,
        younger_images=opened["younger"],
        older=older,
        older_images=opened["older"],
    )


def _edited(faces: FaceSet) -> tuple[Rows, Rows]:
    """The rows that are made young and old."""
    labels = faces.labels
    adult = (labels["age"] >= ADULT) & (labels["split"] == "train") & (np.abs(labels["yaw"]) < 40)
    younger, older = adult & (labels["age"] >= LEAST_OLD), adult & (labels["age"] <= MOST_YOUNG)
    return np.flatnonzero(younger), np.flatnonzero(older)


def _make(faces: FaceSet, folder: Path, younger: Rows, older: Rows) -> None:
    """Write what is missing; needs the engine of the embedded networks, which later runs do not."""
    maker = _Maker(faces)
    if not (folder / "read.npy").is_file():
        geometry = [maker.geometry(row) for row in tqdm(range(len(faces)), desc="read portraits", mininterval=20)]
        for name, values in zip(("masks", "where", "nodes", "read"), zip(*geometry, strict=True), strict=True):
            _save(folder / f"{name}.npy", np.stack(values))
    for name, rows, make in (("younger", younger, maker.younger), ("older", older, maker.older)):
        path = folder / f"{name}.npy"
        if not path.is_file():
            _save(path, np.stack([make(int(row)) for row in tqdm(rows, desc=f"make {name}", mininterval=20)]))


class _Maker:
    """The embedded editor without its changes of shape, and what it knows of each portrait."""

    def __init__(self, faces: FaceSet) -> None:
        tables = read_tables(EMBEDDED)
        shaped, smile = Ageing.from_tables(tables), Smile.from_tables(tables)
        self._faces = faces
        self.space = FaceSpace.from_tables(tables)
        self._reader = _engine(EMBEDDED / READER)
        self._segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
        still, skin = Ageing(np.zeros_like(shaped.shape), np.zeros_like(shaped.youth)), Skin.from_tables(tables)
        self._editor = EmbeddedEditor(
            self._reader,
            space=self.space,
            canvas=Canvas.from_tables(tables, shaped.shape, shaped.youth, smile.shape),
            scalp=ScalpModel.from_tables(tables),
            controls=(
                Age(
                    Creases.from_tables(tables),
                    still,
                    skin,
                    Neck.from_tables(tables),
                    EyesAndLips.of(self.space.mean),
                ),
                HairGrey(
                    skin,
                    HairMatte(_engine(EMBEDDED / MATTE)),
                    BeardAlpha(_engine(EMBEDDED / BEARD_NETWORK)),
                    HairLook(_engine(EMBEDDED / HAIR_LOOK)),
                ),
                SmileControl(smile),
            ),
        )

    def crop(self, row: int) -> Crop:
        faces = self._faces
        return portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], self._segmenter)

    def geometry(self, row: int) -> tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.float16], Floats]:
        crop = self.crop(row)
        assert crop.masks is not None
        masks = portrait_masks(crop)
        fit = self.space.fit(self._faces.mesh[row])
        where = self.space.to_texture(fit, (0, 0, SIZE, SIZE)) / 192
        read = read_attributes(self._reader, self._faces.images[row], fit)
        seen = np.array([read[AGE] * 100, read[MALE]], np.float32)
        return (
            np.round(masks * 255).astype(np.uint8),
            np.clip(where, -4, 4).astype(np.float16),
            fit.nodes.astype(np.float16),
            seen,
        )

    def younger(self, row: int) -> NDArray[np.uint8]:
        """(2, 256, 256, 3) uint8 RGB."""
        crop = self.crop(row)
        young = self._edit(crop, YOUTH)
        neck = self._soften(young, crop, row, everywhere=False)
        return np.stack([inner(neck), inner(self._soften(neck, crop, row, everywhere=True))])

    def older(self, row: int) -> Image:
        """(256, 256, 3) uint8 RGB."""
        return inner(self._edit(self.crop(row), OLD_AGE))

    def _edit(self, crop: Crop, age: float) -> Image:
        controls = EmbeddedControls(age=age)
        latent = self._editor.encode(crop, controls)
        edit = self._editor.render(crop, latent, self._editor.steer(latent, controls), controls)
        still = Edit(mask=edit.mask, image=edit.image, opacity=edit.opacity, delta=edit.delta)
        return apply_edit(still, crop.image)

    def _soften(self, image: Image, crop: Crop, row: int, *, everywhere: bool) -> Image:
        """Smooth the skin of neck and ears, or all skin."""
        assert crop.masks is not None
        assert crop.mesh is not None
        fit = self.space.fit(crop.mesh)
        tone = skin_tone(self.space.unwrap(image, fit), covered(crop, fit))
        size = image.shape[:2]
        distance = np.abs(log_colour(image) - tone).max(axis=2)
        hair, person = (cv2.resize(mask, size) for mask in (crop.masks.hair, crop.masks.person))
        skin = (distance < SOFTENING.tone_distance) & (person > 0.5) & (hair < SOFTENING.hair)
        weight = cv2.GaussianBlur(cv2.erode(skin.astype(np.float32), np.ones((3, 3), np.uint8)), (0, 0), 2.0)
        if not everywhere:
            inside = np.zeros(size, np.uint8)
            cv2.fillConvexPoly(inside, cv2.convexHull(crop.mesh[:468].astype(np.int32)), 1)
            weight *= 1 - cv2.GaussianBlur(inside.astype(np.float32), (0, 0), FACE_FADE)
        else:
            points = crop.mesh
            for ring in (EYES_LEFT, EYES_RIGHT, MOUTH):
                kept = np.zeros(size, np.uint8)
                cv2.fillConvexPoly(kept, cv2.convexHull(points[list(ring)].astype(np.int32)), 1)
                weight *= 1 - cv2.GaussianBlur(
                    cv2.dilate(kept, np.ones((5, 5), np.uint8)).astype(np.float32), (0, 0), 2
                )
        smooth = image
        for _ in range(SOFTENING.rounds):
            smooth = cv2.bilateralFilter(smooth, 0, SOFTENING.sigma_colour, SOFTENING.sigma_space)
        blend = image + weight[..., None] * (smooth.astype(np.float32) - image)
        return np.clip(blend + 0.5, 0, 255).astype(np.uint8)


EYES_LEFT = (33, 133, 159, 145, 158, 153, 160, 144)
EYES_RIGHT = (362, 263, 386, 374, 385, 380, 387, 373)
MOUTH = (61, 291, 0, 17, 37, 267, 84, 314)
"""Mesh points around what smoothing leaves sharp."""


def portrait_masks(crop: Crop) -> Floats:
    """Hair, face and person on the portrait inside an editor's crop, (128, 128, 3) float32 in 0..1."""
    assert crop.masks is not None
    side = len(crop.image)
    stacked = np.dstack([crop.masks.hair, crop.masks.face, crop.masks.person])
    sized = cv2.resize(stacked, (side, side), interpolation=cv2.INTER_LINEAR)[PAD:-PAD, PAD:-PAD]
    return np.asarray(cv2.resize(sized, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA), np.float32)


def edge_fade(size: int, width: int = 10) -> Floats:
    """1 inside, falling to 0 at the edge of the picture, (size, size) float32."""
    axis = smoothstep(np.minimum(np.arange(size), np.arange(size)[::-1]), 0, width)
    return np.asarray(axis[:, None] * axis[None], np.float32)


def _save(path: Path, values: NDArray[np.generic]) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    part.replace(path)


def _engine(path: Path) -> Engine:
    return load_engine(path, backend="openvino", precision="f32", threads=1)
