"""Guides: the fine relief of an old face's skin in the texture square, which tells the network where creases may lie.

Without a guide nobody can foresee the creases of half a lifetime, and a network trained to be near the photograph draws
their blurred mean. A guide in training is the photograph's own relief, bent, faded, mixed and mirrored, so that the
network learns to follow it loosely and in the light of the portrait. A guide in use is the relief of somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image, Rows
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.creases import CREASED, MOST_CREASED, MOST_RELIEF, OTHER_SMILE, contrast_of
from models.embedded.creases import relief_of as fine_relief
from models.embedded.creases import seen_skin as shown
from models.face.canvas import covered
from models.face.imaging import LUMINANCE, log_colour, smoothstep
from models.face.texture_space import SIZE, FaceSpace, Fit
from models.training.data import FaceSet

MACHINE_MADE = ("fakerjs", "sfhq_t2i")
"""Sources that show nobody (CC0-1.0, MIT): their relief may be shipped with attribution."""
BANK = frozenset(
    {
        "fk_f12",
        "fk_f15",
        "fk_f16",
        "fk_f23",
        "fk_f24",
        "fk_f34",
        "fk_f41",
        "fk_f61",
        "fk_f63",
        "fk_f79",
        "fk_f80",
        "fk_f81",
        "fk_f93",
        "t2i_s1_age_female_6_5",
        "t2i_s2_Ethnicity_x_Age_1_0_1",
        "t2i_s2_Ethnicity_x_Age_1_0_3",
        "t2i_s2_Ethnicity_x_Age_1_0_8",
        "t2i_s2_Ethnicity_x_Age_1_1_5",
        "t2i_s2_Ethnicity_x_Age_1_2_2",
        "fk_m17",
        "fk_m22",
        "fk_m47",
        "fk_m50",
        "fk_m57",
        "fk_m6",
        "fk_m65",
        "fk_m69",
        "fk_m92",
        "t2i_s2_Ethnicity_x_Age_1_0_9",
        "fk_f25",
        "fk_f46",
        "fk_f7",
        "fk_f77",
        "fk_f78",
        "fk_f83",
        "fk_m28",
        "fk_m3",
        "fk_m56",
        "fk_m85",
        "fk_m99",
    }
)
"""Machine-made portraits, frontal, evenly lit, without hats, glasses and beards, whose creases are lent in use."""
CANDIDATES = 10
AGE_DISTANCE = 0.2
"""What a year of difference in age counts beside differences of looks."""
YOUNG = 32.0
"""Lenders below this age show the relief that all faces have, years."""
MOUTH_CORNERS, MOUTH_SIGMA = (61, 291), 17.0
"""Mesh points; reach of the creases around them that a smile moves, texture pixels."""


@dataclass(frozen=True, slots=True)
class Bending:
    """How a photograph's own relief is changed into a guide. Pixels are texture pixels, shares probabilities.

    Attributes:
        wobble: standard deviation of a smooth displacement.
        shift: standard deviation of a shift.
        linear: standard deviation of an affine map's entries.
        mirrored: share that is mirrored.
        mixed: share with patches of somebody else.
        gain: standard deviation of a smooth field of contrast, log.
        blurred: share that is blurred.
        blur: standard deviation of the blur at most.
        low, high: bounds of the contrast.
    """

    wobble: float = 1.6
    shift: float = 1.2
    linear: float = 0.012
    mirrored: float = 0.35
    mixed: float = 0.5
    gain: float = 0.4
    blurred: float = 0.5
    blur: float = 1.2
    low: float = 0.6
    high: float = 1.5


BENDING = Bending()


class Guides:
    """The relief of every portrait, and who lends it to whom.

    Attributes:
        bank: rows of the lenders whose relief may be shipped.
        mouth_corners: (192, 192) float32 in 0..1, what a smile creases.

    Args:
        faces: the portraits.
        space: the texture square.
        masks: (N, 128, 128, 3) uint8, hair, face and person.
        path: where the relief is kept.
    """

    def __init__(self, faces: FaceSet, space: FaceSpace, masks: NDArray[np.uint8], path: Path) -> None:
        self._faces = faces
        self._space = space
        self._masks = masks
        if not path.is_file():
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                reliefs = [relief_of(faces, space, masks[row], row) * skin_field() for row in range(len(faces))]
                stored = [np.round(np.clip(relief / MOST_RELIEF, -1, 1) * 127).astype(np.int8) for relief in reliefs]
                np.save(file, np.stack(stored), allow_pickle=False)
            part.replace(path)
        self._relief = np.load(path, mmap_mode="r")
        labels = faces.labels
        self._skin = skin_field()
        across, down = np.meshgrid(*2 * [np.arange(SIZE, dtype=np.float32)])
        corners = (space.mean[place] for place in MOUTH_CORNERS)
        near = [np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * MOUTH_SIGMA**2)) for x, y in corners]
        self.mouth_corners = np.maximum(*near)
        lends = (
            (labels["split"] == "train")
            & (labels["glasses"] != 1)
            & (labels["crop_px"] > 215)
            & (np.abs(labels["yaw"]) < 22)
            & (labels["mouth_open"] < 0.3)
            & (labels["outside_fraction"] < 0.15)
        )
        self._lenders = np.flatnonzero(lends)
        self.bank = np.flatnonzero(np.isin(labels["id"], list(BANK)) & np.isin(labels["source"], MACHINE_MADE))
        shapes = np.stack([space.fit(mesh).modes[:8] for mesh in faces.mesh])
        others = [labels["smile"] * 2.5, np.nan_to_num(labels["skin_L"], nan=60.0) / 12]
        self._likeness = np.column_stack([0.6 * shapes, *others, 3.5 * (labels["sex"] == "M")]).astype(np.float32)

        self._contrast = np.array([self.contrast(self._read(row)) for row in range(len(faces))], np.float32)
        young = labels["age"][self._lenders] < YOUNG
        self._common = {
            sex: np.mean(
                [self._read(int(row)) for row in self._lenders[young & (labels["sex"][self._lenders] == sex)]], 0
            )
            for sex in ("F", "M")
        }

    def contrast(self, relief: Floats) -> float:
        """Strength of the relief of skin, by its median: lids, nostrils and glasses are rare and strong."""
        return contrast_of(relief, self._skin)

    def creases(self, row: int) -> Floats:
        """A portrait's relief without what all young faces have, the shading of nose, lids and lips."""
        return self._creases(self._read(row), row)

    def creases_of(self, image: Image, row: int) -> Floats:
        """The creases of a portrait whose picture was changed, (192, 192) float32.

        Args:
            image: (256, 256, 3) uint8 RGB.
            row: the portrait.
        """
        return self._creases(relief_of(self._faces, self._space, self._masks[row], row, image) * self._skin, row)

    def _creases(self, relief: Floats, row: int) -> Floats:
        common = self._common[str(self._faces.labels["sex"][row])]
        return np.asarray(relief - common * np.float32((relief * common).sum() / (common**2).sum()), np.float32)

    def own(self, row: int, generator: np.random.Generator) -> Floats:
        """A portrait's own relief, bent: (192, 192) float32."""
        relief = self.creases(row)
        if generator.random() < BENDING.mirrored:
            relief = np.ascontiguousarray(relief[:, ::-1])
        if generator.random() < BENDING.mixed:
            other = self.creases(int(generator.choice(self._lenders)))
            field = cv2.resize(generator.normal(0, 1, (6, 6)).astype(np.float32), (SIZE, SIZE), interpolation=2)
            share = smoothstep(field, 0.4, 0.9)
            relief = relief * (1 - share) + other * share
        return _bend(relief, generator)

    def lent(self, row: int, age: float, generator: np.random.Generator) -> Floats:
        """The relief of somebody of another age who looks alike otherwise: (192, 192) float32."""
        ages = self._faces.labels["age"][self._lenders]
        near = self._lenders[np.abs(ages - age) < 8]
        if len(near) < CANDIDATES:
            near = self._lenders[np.argsort(np.abs(ages - age))[: 2 * CANDIDATES]]
        some = generator.choice(near, CANDIDATES, replace=False)
        lender = int(some[self._distance(row, some).argmin()])
        relief = self.creases(lender) * np.float32(
            self.fit_of(lender, self._contrast[row]) * generator.uniform(0.8, 1.3)
        )
        return np.ascontiguousarray(relief[:, ::-1]) if generator.random() < 0.5 else relief

    def fit_of(self, lender: int, contrast: float) -> float:
        """The factor that makes a lender's creases as strong as a portrait's light and sharpness would show them."""
        wanted = float(np.clip(CREASED * contrast, *MOST_CREASED))
        return wanted / self.contrast(self.creases(lender))

    def nearest(self, row: int, age: float) -> int:
        """The portrait of the bank that looks most like another portrait and has about the age."""
        ages = self._faces.labels["age"][self.bank]
        return int(self.bank[(self._distance(row, self.bank) + np.abs(ages - age) * AGE_DISTANCE).argmin()])

    def lent_by(self, lender: int, row: int) -> Floats:
        """The creases of a lender as strong as a portrait would show them, (192, 192) float32."""
        smile = self._faces.labels["smile"]
        other = 1 - float(np.clip(OTHER_SMILE * abs(smile[lender] - smile[row]), 0, 1)) * self.mouth_corners
        return np.asarray(
            self.creases(lender) * np.float32(self.fit_of(lender, self._contrast[row])) * other, np.float32
        )

    def _read(self, row: int) -> Floats:
        return self._relief[row].astype(np.float32) * np.float32(MOST_RELIEF / 127)

    def _distance(self, row: int, others: Rows) -> Floats:
        return np.asarray(np.abs(self._likeness[others] - self._likeness[row]).sum(axis=1))


def relief_of(
    faces: FaceSet, space: FaceSpace, masks: NDArray[np.uint8], row: int, image: Image | None = None
) -> Floats:
    """Fine log luminance of one face in the texture square, where it is seen: (192, 192) float32."""
    fit = space.fit(faces.mesh[row])
    light = log_colour(space.unwrap(faces.images[row] if image is None else image, fit)) @ LUMINANCE
    seen = seen_skin(faces, fit, masks, row)
    return fine_relief(light, seen)


def seen_skin(faces: FaceSet, fit: Fit, masks: NDArray[np.uint8], row: int) -> Floats:
    """Where a portrait shows its skin in the texture square, (192, 192) float32 in 0..1.

    Args:
        faces: the portraits.
        fit: where this one's face is.
        masks: (128, 128, 3) uint8, its hair, face and person.
        row: the portrait.
    """
    hair, face, person = (np.asarray(masks[..., k] / np.float32(255), np.float32) for k in range(3))
    crop = Crop(faces.images[row], faces.points5[row], faces.mesh[row], Masks(hair, face, np.zeros_like(hair), person))
    return shown_skin(crop, fit)


def shown_skin(crop: Crop, fit: Fit) -> Floats:
    """Where a crop shows skin in the texture square, faded at its edge: (192, 192) float32 in 0..1."""
    return shown(fit, covered(crop, fit))


def skin_field() -> Floats:
    """Where a guide may lie, (192, 192) float32 in 0..1: skin without lids, lips and brows."""
    tables = read_tables(EMBEDDED)
    return np.asarray(
        tables["ageing_skin"] / np.float32(255) * (1 - tables["skin_brows"] / np.float32(255)), np.float32
    )


def draw_guide(relief: Floats, where: Floats) -> Floats:
    """A guide drawn on a portrait, the shape of `where` but its last axis, float32.

    Args:
        relief: (192, 192) float32.
        where: (H, W, 2) float32, texture coordinates / 192.
    """
    places = where * np.float32(SIZE) - np.float32(0.5)
    return np.asarray(cv2.remap(relief, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


def _bend(relief: Floats, generator: np.random.Generator) -> Floats:
    axis = np.arange(SIZE, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    middle = (SIZE - 1) / 2
    matrix = np.eye(2) + generator.normal(0, BENDING.linear, (2, 2))
    wobble = cv2.resize(
        generator.normal(0, BENDING.wobble, (7, 7, 2)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
    )
    moved = (grid - middle) @ matrix.T.astype(np.float32) + middle + generator.normal(0, BENDING.shift, 2) + wobble
    relief = cv2.remap(relief, moved.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if generator.random() < BENDING.blurred:
        relief = cv2.GaussianBlur(relief, (0, 0), generator.uniform(0.3, BENDING.blur))
    field = generator.normal(0, BENDING.gain, (4, 4)).astype(np.float32)
    gain = np.exp(cv2.resize(field, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))
    return np.asarray(relief * gain * np.float32(generator.uniform(BENDING.low, BENDING.high)), np.float32)
