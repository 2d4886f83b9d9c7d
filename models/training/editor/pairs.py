"""The pair factory: examples of ageing, composed from portraits of the young and the old, measured and filtered.

A pair is a face and an old donor, near in skin, pose and expression, whose folds it gets on top of what
`models.embedded.skin` makes of its own skin. Youth, baldness and grey hair need no pairs: they follow from the face and
from statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.arrays import Floats, Rows
from models.editor import Crop, Edit, Masks
from models.embedded.ageing import Ageing
from models.embedded.skin import BROWS_SPARED, Skin
from models.face.canvas import Canvas, covered
from models.face.texture_space import FaceSpace
from models.training.apply import apply_edit
from models.training.data import FaceSet
from models.training.editor.statistics import OLD, folds, people
from models.training.editor.teachers import Teachers

DONOR_FOLDS = 0.85
"""How much of the donor's folds comes."""
DEEPEST, HIGHEST = -0.32, 0.2
"""Folds are clipped to this change of log luminance."""
TRIAL_STRENGTH = 0.8
"""At this strength a pair is measured: 36 years."""
LEAST_SHIFT = 14.0
"""Years by which both teachers together must see a pair age at the trial strength."""
LEAST_IDENTITY = 0.5
OLDEST = 65.0
"""Faces up to this age are made older."""
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
SAVE_EVERY = 500
SHARP_PIXELS = 230
"""Side of a donor's crop in its source picture, at least."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Accepted pairs, one each row.

    Attributes:
        face: (N,) int64, rows of the portraits.
        donor: (N,) int64, rows of the donors.
        shift: (N,) float32, mean shift of apparent age at `TRIAL_STRENGTH`, years.
        identity: (N,) float32, cosine with the unedited face.
        tried: how many were measured.
    """

    face: Rows
    donor: Rows
    shift: Floats
    identity: Floats
    tried: int

    @staticmethod
    def of(kept: list[tuple[int, int, float, float]], tried: int) -> Pairs:
        """Take (face, donor, shift, identity) of each accepted pair."""
        face, donor, shift, identity = (np.array([pair[k] for pair in kept]) for k in range(4))
        return Pairs(
            face.astype(np.int64),
            donor.astype(np.int64),
            shift.astype(np.float32),
            identity.astype(np.float32),
            tried,
        )

    def columns(self) -> tuple[Rows, Rows, Floats, Floats]:
        """Face, donor, shift and identity."""
        return self.face, self.donor, self.shift, self.identity

    def save(self, path: Path) -> None:
        """Write an npz file."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                face=self.face,
                donor=self.donor,
                shift=self.shift,
                identity=self.identity,
                tried=self.tried,
                allow_pickle=False,
            )
        part.replace(path)

    @staticmethod
    def load(path: Path) -> Pairs:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return Pairs(file["face"], file["donor"], file["shift"], file["identity"], int(file["tried"]))


class PairFactory:
    """Composes pairs.

    Args:
        faces: the portraits.
        space: the texture square.
        canvas: where skin may change.
        ageing: the statistics of shape.
        skin: what becomes of a face's own skin.
        textures: (N, 192, 192, 3) uint8 RGB, every portrait unwrapped.
        rows: portraits that donors may come from.
        glasses: (N,) float32, the reader's probability of glasses: the labels miss half of them.
    """

    def __init__(
        self,
        faces: FaceSet,
        space: FaceSpace,
        canvas: Canvas,
        ageing: Ageing,
        skin: Skin,
        *,
        textures: NDArray[np.uint8],
        rows: Rows,
        glasses: Floats,
    ) -> None:
        self.faces = faces
        self.space = space
        self.canvas = canvas
        self.ageing = ageing
        self.textures = textures
        self.skin = skin
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
                own = np.clip(folds(textures[row]), DEEPEST, HIGHEST)
                self._folds[int(row)] = DONOR_FOLDS * own * (1 - hidden) * (1 - BROWS_SPARED * skin.brows)

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

    def lends(self, row: int) -> bool:
        """Whether a portrait is a donor."""
        return row in self._folds

    def folds(self, donor: int) -> Floats:
        """What a donor lends: change of log light at strength 1, (192, 192) float32."""
        return self._folds[donor]

    def gain(self, row: int, donor: int) -> Floats:
        """The change of log colour of a pair at strength 1, (192, 192, 3) float32."""
        male = float(self.faces.labels["sex"][row] == "M")
        return self.skin.older(self.textures[row], male) + self._folds[donor][..., None]

    def picture(self, row: int, donor: int, strength: float) -> NDArray[np.uint8]:
        """The portrait as the pair wants it, (256, 256, 3) uint8 RGB."""
        crop = self.crop(row)
        fit = self.space.fit(self.faces.mesh[row])
        moves = self.ageing.moves(float(self.faces.labels["sex"][row] == "M"), strength)
        change = self.gain(row, donor) * np.float32(abs(strength))
        flow, delta, mask = self.canvas.draw(self.space, fit, crop, moves=moves, change=change)
        return apply_edit(Edit(mask=mask, delta=delta, flow=flow), crop.image)


def usable(faces: FaceSet, rows: Rows) -> Rows:
    """Portraits whose faces are edited: adults, not turned away, no hat."""
    labels = faces.labels
    return rows[(labels["age"][rows] > 17) & (np.abs(labels["yaw"][rows]) < 35) & (labels["hat"][rows] != 1)]


def make_pairs(
    factory: PairFactory, teachers: Teachers, rows: Rows, path: Path, *, per_face: int = 12, seconds: float = 300
) -> Pairs:
    """Compose, measure and filter; pairs already at `path` are kept, and the file grows as it goes.

    Args:
        factory: what composes.
        teachers: what measures.
        rows: the faces.
        path: an npz file.
        per_face: donors per face, at most.
        seconds: stop after so long; faces come in random order, each with one donor before any comes again.
    """
    labels = factory.faces.labels
    rows = rows[labels["age"][rows] < OLDEST]
    chance = np.random.default_rng(0)
    plan = [
        (int(row), int(donor))
        for row, donors in ((row, factory.candidates(int(row), per_face, chance)) for row in rows)
        for donor in donors
    ]
    plan = [plan[index] for index in chance.permutation(len(plan))]
    kept: list[tuple[int, int, float, float]] = []
    tried = 0
    if path.is_file():
        found = Pairs.load(path)
        kept, tried = list(zip(*(column.tolist() for column in found.columns()), strict=True)), found.tried
    before: dict[int, tuple[float, Floats]] = {}
    clock = tqdm(plan[tried:], desc="pairs", mininterval=30)
    for row, donor in clock:
        picture, points, mesh = factory.faces.images[row], factory.faces.points5[row], factory.faces.mesh[row]
        if row not in before:
            before[row] = (float(np.mean(teachers.ages(picture, points, mesh))), teachers.identity(picture, points))
        tried += 1
        result = factory.picture(row, donor, TRIAL_STRENGTH)
        shift = float(np.mean(teachers.ages(result, points, mesh))) - before[row][0]
        likeness = float(before[row][1] @ teachers.identity(result, points)) if shift >= LEAST_SHIFT else 0.0
        if likeness >= LEAST_IDENTITY:
            kept.append((row, donor, shift, likeness))
        elapsed = clock.format_dict["elapsed"] > seconds
        if elapsed or tried % SAVE_EVERY == 0 or tried == len(plan):
            pairs = Pairs.of(kept, tried)
            pairs.save(path)
            print(f"pairs: {len(kept)} of {tried} accepted", flush=True)
        if elapsed:
            break
    return Pairs.of(kept, tried)


def smooth_hidden(hidden: Floats) -> Floats:
    """Hair over the skin, widened and softened: no donor's strand becomes a fold."""
    return np.asarray(cv2.GaussianBlur(cv2.dilate(hidden, np.ones((7, 7), np.uint8)), (0, 0), 2))
