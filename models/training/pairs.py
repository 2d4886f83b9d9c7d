"""The pair factory: examples of ageing, composed from portraits of the young and the old, measured and filtered.

A pair is a face and a change of its skin in the texture square. Older: the mean change of colour of its sex, plus the
folds of one old donor near in skin, pose and expression, minus part of its own. Younger: the mean change the other way,
and an edge-keeping smoothing. Baldness and grey hair need no pairs: `models.scalp` draws them from statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.ageing import Ageing, covered, draw_ageing
from models.editor import Crop, Edit, Masks
from models.face_space import FaceSpace
from models.scalp import LUMINANCE, log_colour
from models.training.apply import apply_edit
from models.training.data import FaceSet
from models.training.statistics import FOLD_SIGMA, OLD, brow_field, folds, people
from models.training.teachers import Teachers

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

OLDER_COLOUR, YOUNGER_COLOUR = 0.85, 1.0
"""How much of the mean change of colour a pair takes."""
DONOR_FOLDS, OWN_FOLDS = 0.8, 0.35
"""How much of the donor's folds comes, how much of the face's own goes."""
DEEPEST, HIGHEST = -0.32, 0.2
"""Folds are clipped to this change of log luminance."""
SMOOTHING = 0.85
YOUNGER = -1
"""The donor of a pair that grows younger."""
TRIAL_STRENGTH = 0.8
"""At this strength a pair is measured: 36 years."""
LEAST_SHIFT = 12.0
"""Years by which both teachers together must see a pair age at the trial strength; younger: half of it."""
LEAST_IDENTITY = 0.42
DONOR_GLASSES = 0.15
"""Probability of glasses up to which an old face may lend its folds."""
UNLABELLED_GLASSES = frozenset(
    {
        "fk_f69",
        "t2i_s2_Age_x_Ethnicity_x_Sex_1_5_9",
        "ukmp_25066",
        "usc_K000009",
        "vv_021340",
        "vv_029912",
        "t2i_s2_Physical_Characteristics_1_3",
        "usc_L000569",
        "usc_N000189",
        "usc_T000469",
        "vv_020511",
        "vv_029373",
        "vv_029534",
    }
)
"""Portraits found by eye that both the labels and the reader miss."""
SHARP_PIXELS = 230
"""Side of a donor's crop in its source picture, at least."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Accepted pairs, one each row.

    Attributes:
        face: (N,) int64, rows of the portraits.
        donor: (N,) int64, rows of the donors, `YOUNGER` for a pair that grows younger.
        shift: (N,) float32, mean shift of apparent age at `TRIAL_STRENGTH`, years.
        identity: (N,) float32, cosine with the unedited face.
    """

    face: Rows
    donor: Rows
    shift: Floats
    identity: Floats

    def save(self, path: Path) -> None:
        """Write an npz file."""
        with path.open("wb") as file:
            np.savez_compressed(
                file, face=self.face, donor=self.donor, shift=self.shift, identity=self.identity, allow_pickle=False
            )

    @staticmethod
    def load(path: Path) -> Pairs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return Pairs(file["face"], file["donor"], file["shift"], file["identity"])


class PairFactory:
    """Composes pairs.

    Args:
        faces: the portraits.
        space: the texture square.
        ageing: the statistics of shape and where skin may change.
        textures: (N, 192, 192, 3) uint8 RGB, every portrait unwrapped.
        colour: (2, 192, 192, 3) float32, mean change of women's and men's log colour.
        rows: portraits that donors may come from.
        glasses: (N,) float32, the reader's probability of glasses: the labels miss half of them.
    """

    def __init__(
        self,
        faces: FaceSet,
        space: FaceSpace,
        ageing: Ageing,
        *,
        textures: NDArray[np.uint8],
        colour: Floats,
        rows: Rows,
        glasses: Floats,
    ) -> None:
        self.faces = faces
        self.space = space
        self.ageing = ageing
        self.textures = textures
        self._colour = colour
        self._smooth_skin = 1 - 0.8 * brow_field(space)
        labels = faces.labels
        self.donors: dict[str, Rows] = {}
        self._folds: dict[int, Floats] = {}
        for sex in ("F", "M"):
            old = people(faces, rows, sex, OLD)
            sharp = (labels["crop_px"][old] > SHARP_PIXELS) & (labels["mouth_open"][old] < 0.2)
            bare = (glasses[old] < DONOR_GLASSES) & ~np.isin(labels["id"][old], list(UNLABELLED_GLASSES))
            self.donors[sex] = old[sharp & bare & (labels["outside_fraction"][old] < 0.1)]
            for row in self.donors[sex]:
                hidden = smooth_hidden(self.hidden(int(row)))
                self._folds[int(row)] = np.clip(folds(textures[row]), DEEPEST, HIGHEST) * (1 - hidden)

    def hidden(self, row: int) -> Floats:
        """Where hair covers a portrait's skin, (192, 192) float32 in the texture square."""
        return covered(self.crop(row), self.space.fit(self.faces.mesh[row]))

    def crop(self, row: int) -> Crop:
        """A portrait as a crop, with the labelled masks."""
        hair, person = (self.faces.mask("hair", row, 128), self.faces.mask("person", row, 128))
        masks = Masks(hair, person, np.zeros_like(hair), person)
        return Crop(self.faces.images[row], self.faces.points5[row], self.faces.mesh[row], masks)

    def candidates(self, row: int, count: int, generator: np.random.Generator) -> Rows:
        """Old donors of the face's sex, near in skin, pose and expression, drawn at random among the nearest."""
        labels = self.faces.labels
        donors = self.donors[str(labels["sex"][row])]
        far = np.zeros(len(donors))
        for name, unit in (("skin_L", 6.0), ("yaw", 8.0), ("pitch", 8.0), ("smile", 0.35)):
            far += np.abs(labels[name][donors] - labels[name][row]) / unit
        far += generator.exponential(0.6, len(donors))
        far[donors == row] = np.inf
        return donors[np.argsort(far)[:count]]

    def gain(self, row: int, donor: int) -> Floats:
        """The change of log colour of a pair at strength 1, (192, 192, 3) float32."""
        texture = self.textures[row]
        male = int(self.faces.labels["sex"][row] == "M")
        luminance = log_colour(texture) @ LUMINANCE
        if donor == YOUNGER:
            smooth = cv2.bilateralFilter(luminance, 9, 0.12, 4)
            fine = SMOOTHING * (smooth - luminance) * self._smooth_skin
            brows = (0.35 + 0.65 * self._smooth_skin)[..., None]
            return np.asarray(fine[..., None] - YOUNGER_COLOUR * self._colour[male] * brows)
        own = np.clip(luminance - cv2.GaussianBlur(luminance, (0, 0), FOLD_SIGMA), DEEPEST, HIGHEST)
        fine = (DONOR_FOLDS * self._folds[donor] - OWN_FOLDS * own) * self._smooth_skin
        return np.asarray(fine[..., None] + OLDER_COLOUR * self._colour[male])

    def picture(self, row: int, donor: int, strength: float) -> NDArray[np.uint8]:
        """The portrait as the pair wants it, (256, 256, 3) uint8 RGB."""
        crop = self.crop(row)
        fit = self.space.fit(self.faces.mesh[row])
        flow, delta, mask = draw_ageing(
            self.space,
            self.ageing,
            fit,
            crop,
            gain=self.gain(row, donor),
            male=float(self.faces.labels["sex"][row] == "M"),
            strength=-strength if donor == YOUNGER else strength,
        )
        return apply_edit(Edit(mask=mask, delta=delta, flow=flow), crop.image)


def usable(faces: FaceSet, rows: Rows) -> Rows:
    """Portraits whose faces are edited: adults, not turned away, no hat."""
    labels = faces.labels
    return rows[(labels["age"][rows] > 17) & (np.abs(labels["yaw"][rows]) < 35) & (labels["hat"][rows] != 1)]


def make_pairs(
    factory: PairFactory, teachers: Teachers, rows: Rows, *, per_face: int = 3, seconds: float = 300
) -> Pairs:
    """Compose, measure and filter.

    Args:
        factory: what composes.
        teachers: what measures.
        rows: the faces.
        per_face: donors per face.
        seconds: stop after so long; faces come in random order.
    """
    generator = np.random.default_rng(0)
    labels = factory.faces.labels
    kept: list[tuple[int, int, float, float]] = []
    tried = 0
    clock = tqdm(generator.permutation(rows), desc="pairs", mininterval=10)
    for row in clock:
        before = teachers.ages(factory.faces.images[row], factory.faces.points5[row], factory.faces.mesh[row])
        face = teachers.identity(factory.faces.images[row], factory.faces.points5[row])
        age = float(labels["age"][row])
        wanted = [int(donor) for donor in factory.candidates(int(row), per_face, generator)] if age < 65 else []
        for donor in [*wanted, *([YOUNGER] if age > 32 else [])]:
            tried += 1
            result = factory.picture(int(row), donor, TRIAL_STRENGTH)
            after = teachers.ages(result, factory.faces.points5[row], factory.faces.mesh[row])
            likeness = float(face @ teachers.identity(result, factory.faces.points5[row]))
            shift = float(np.mean(np.subtract(after, before)))
            enough = -shift >= 0.5 * LEAST_SHIFT if donor == YOUNGER else shift >= LEAST_SHIFT
            if enough and likeness >= LEAST_IDENTITY:
                kept.append((int(row), donor, shift, likeness))
        if clock.format_dict["elapsed"] > seconds:
            break
    print(f"pairs: {len(kept)} of {tried} accepted")
    face_rows, donors, shifts, likenesses = zip(*kept, strict=True)
    return Pairs(np.array(face_rows), np.array(donors), np.array(shifts, np.float32), np.array(likenesses, np.float32))


def smooth_hidden(hidden: Floats) -> Floats:
    """Hair over the skin, widened and softened: no donor's strand becomes a fold."""
    return np.asarray(cv2.GaussianBlur(cv2.dilate(hidden, np.ones((7, 7), np.uint8)), (0, 0), 2))
