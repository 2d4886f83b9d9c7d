"""Training examples for the head's ageing: portraits in, moved, lit and spoiled as cameras do, with their ages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.face.head_space import HEAD_EXTENT, HEAD_ORIGIN
from models.face.imaging import LOG_OFFSET
from models.face.texture_space import FaceSpace
from models.training.ageing.guides import Guides, draw_guide, seen_skin
from models.training.ageing.networks import GUIDE_SCALE
from models.training.ageing.prepare import ADULT, YOUTH, Prepared
from models.training.data import SIZE, FaceSet
from models.training.editor.networks import READER_SIZE
from models.training.scenes.degrade import jpeg, reduce


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How examples are varied. Shares are probabilities; pixels are those of the 256 px portrait.

    Attributes:
        scale: standard deviation of the log scale.
        shift: standard deviation of the shift, pixels.
        reduced: share that is scaled down and up again.
        most_reduced: by this factor at most.
        lit: share that gets a light field.
        field: standard deviation of a light field, log.
        dim: share that is dimmed.
        dimmest: to this fraction of the light at least.
        noisy: share that gets sensor noise.
        noise: standard deviation of the noise at most, of 255.
        packed: share that is JPEG-compressed.
        textured: share of first-pair inputs whose skin gets a texture of its own, so that smoothness says nothing.
        texture: its standard deviation at most, of 255.
        tinted: share of first-pair inputs whose hair gets another lightness and colour.
        browed: share of first-pair inputs whose brows are darkened.
        brows: by how much at most, log.
    """

    scale: float = 0.04
    shift: float = 4.0
    reduced: float = 0.3
    most_reduced: float = 2.5
    lit: float = 0.4
    field: float = 0.16
    dim: float = 0.12
    dimmest: float = 0.25
    noisy: float = 0.4
    noise: float = 6.0
    packed: float = 0.15
    textured: float = 0.6
    texture: float = 5.0
    tinted: float = 0.8
    browed: float = 0.7
    brows: float = 0.6


@dataclass(frozen=True, slots=True)
class Kinds:
    """Shares of the paired examples.

    Attributes:
        younger: an old portrait, made young -> the photograph.
        older: a young portrait, made old -> the photograph.
        same: a photograph -> itself.
    """

    younger: float = 0.6
    older: float = 0.28
    same: float = 0.12


@dataclass(frozen=True, slots=True)
class Journeys:
    """Shares of the examples without a pair; the rest goes from any age to any.

    Attributes:
        older: the young to an old age.
        younger: the old to a young age.
    """

    older: float = 0.55
    younger: float = 0.33


SPOILING = Spoiling()
JOURNEYS = Journeys()
KINDS = Kinds()
UNGUIDED, UNGUIDED_YOUNG = 0.3, 0.6
"""Shares of the examples without a guide: of those that go to an old age, to a young one."""
SMOOTHED, LOST = 0.7, (0.5, 1.0)
"""Share of the examples towards youth whose guide takes the portrait's own creases away; how much of them."""
YOUTH_SPREAD = 6.0
"""Uncertainty of the age of a portrait made young, years."""
OLD_FROM, OLD_TO = 58.0, 85.0
YOUNG_FROM, YOUNG_TO = 18.0, 36.0
"""Ages that portraits are sent to where no pair says how they look there."""
MIDDLE_AGED = 48.0
RELIEF, WHOLE = 1.0, 2.0
"""Kinds of hints."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One example.

    Attributes:
        planes: (9, 256, 256) float32, see `HeadAger.forward`.
        photograph: (3, 256, 256) float32, RGB / 64 - 2: what the planes' picture shall become, or was made of.
        nodes: (64, 64, 2) float32, pixels of the texture square's lattice.
        head: (2, 3) float32, head picture -> pixels.
        male: probability of a man.
        source: age of the planes' picture, years.
        target: age of the photograph, or the age wanted, years.
        own: age of the photograph, years.
        hint: for an example without a pair, what the photograph is replaced by: 0 by nothing, `RELIEF` by the portrait
            with the guide's relief put in, of which only the relief is right, `WHOLE` by the embedded editor's.
    """

    planes: Floats
    photograph: Floats
    nodes: Floats
    head: Floats
    male: float
    source: float
    target: float
    own: float
    hint: float = 0.0


class Samples:
    """Draws examples.

    Args:
        faces: the portraits.
        prepared: what was made of them.
        space: the texture square.
        guides: the relief of the portraits.
    """

    def __init__(self, faces: FaceSet, prepared: Prepared, space: FaceSpace, guides: Guides) -> None:
        self._guides = guides
        self._brows = read_tables(EMBEDDED)["skin_brows"].astype(np.float32) / np.float32(255)
        self._faces = faces
        self._prepared = prepared
        self._space = space
        labels = faces.labels
        self._age = np.nan_to_num(labels["age"], nan=40.0).astype(np.float32)
        self._male = (labels["sex"] == "M").astype(np.float32)
        clear = (labels["outside_fraction"] < 0.2) & (labels["crop_px"] > 150)
        adult = np.flatnonzero(
            (labels["split"] == "train") & (self._age >= ADULT) & clear & (np.abs(labels["yaw"]) < 45)
        )
        self._young = adult[self._age[adult] <= MIDDLE_AGED]
        self._old = adult[self._age[adult] > MIDDLE_AGED]
        self._all = adult
        self._made_young = {int(row): place for place, row in enumerate(prepared.younger)}
        self._chances = {
            name: self._chance(rows)
            for name, rows in (
                ("young", self._young),
                ("old", self._old),
                ("all", adult),
                ("younger", prepared.younger),
                ("older", prepared.older),
            )
        }

    def _chance(self, rows: Rows) -> NDArray[np.float64]:
        """Sharp pictures, women, dark skin and the really old are rare and come more often."""
        labels = self._faces.labels
        weight = (
            (1 + 1.0 * (labels["crop_px"][rows] > 215))
            * (1 + 0.6 * (labels["sex"][rows] == "F"))
            * (1 + 0.8 * (labels["skin_L"][rows] < 50))
            * (1 + 0.8 * (self._age[rows] > 64))
        )
        return np.asarray(weight / weight.sum(), np.float64)

    def pair(self, generator: np.random.Generator) -> Sample:
        """A picture at another age -> the photograph."""
        which = generator.choice(3, p=[KINDS.younger, KINDS.older, KINDS.same])
        prepared = self._prepared
        if which == 0:
            place = int(generator.choice(len(prepared.younger), p=self._chances["younger"]))
            row = int(prepared.younger[place])
            photograph = self._faces.images[row].astype(np.float32)
            young, smooth = prepared.younger_images[place].astype(np.float32)
            strength, smoothed = float(generator.uniform(0.75, 1.15)), float(generator.uniform(0, 1))
            picture = photograph + np.float32(strength) * (young + np.float32(smoothed) * (smooth - young) - photograph)
            picture = self._disguise(picture, row, generator)
            own = float(self._age[row])
            source = own + min(1.0, strength) * (YOUTH - own) + generator.normal(0, YOUTH_SPREAD)
            ages = (max(16.0, source), own)
            return self._finish(picture, photograph, row, ages, generator, guide=self._own_guide(row, generator))
        if which == 1:
            place = int(generator.choice(len(prepared.older), p=self._chances["older"]))
            row = int(prepared.older[place])
            photograph = self._faces.images[row].astype(np.float32)
            made_old = float(generator.uniform(0.6, 1.25))
            picture = photograph + np.float32(made_old) * (prepared.older_images[place].astype(np.float32) - photograph)
            own = float(self._age[row])
            source = own + made_old * (70.0 - own) + generator.normal(0, YOUTH_SPREAD)
            ages = (min(88.0, source), own)
            guide = self._own_guide(row, generator)
            if generator.random() < SMOOTHED:
                made = np.clip(picture, 0, 255).astype(np.uint8)
                lost = np.float32(generator.uniform(*LOST)) * self._guides.creases_of(made, row)
                guide = -lost if guide is None else guide - lost
            return self._finish(picture, photograph, row, ages, generator, guide=guide)
        row = int(generator.choice(self._all, p=self._chances["all"]))
        photograph = self._faces.images[row].astype(np.float32)
        own = float(self._age[row])
        guide = self._own_guide(row, generator)
        return self._finish(photograph, photograph, row, (own, own), generator, guide=guide)

    def journey(self, generator: np.random.Generator) -> Sample:
        """A photograph that shall go to an age at which nobody knows it."""
        kind = generator.random()
        if kind < JOURNEYS.older:
            row, target = self._draw("young", self._young, generator), generator.uniform(OLD_FROM, OLD_TO)
        elif kind < JOURNEYS.older + JOURNEYS.younger:
            row, target = self._draw("old", self._old, generator), generator.uniform(YOUNG_FROM, YOUNG_TO)
        else:
            row, target = self._draw("all", self._all, generator), generator.uniform(YOUNG_FROM, OLD_TO)
        photograph = self._faces.images[row].astype(np.float32)
        ages = (float(self._prepared.read[row, 0]), float(target))
        lent = generator.random() >= _unguided(ages[1])
        guide = self._guides.lent(row, ages[1], generator) if lent else None
        hinted, hint = photograph, 0.0
        if target < min(MIDDLE_AGED, ages[0]) and generator.random() < SMOOTHED:
            lost = np.float32(generator.uniform(*LOST)) * self._guides.creases(row)
            guide = -lost if guide is None else guide - lost
        if guide is not None and target > MIDDLE_AGED:
            hinted, hint = self._with_relief(photograph, row, guide), RELIEF
        elif target < self._age[row] and row in self._made_young:
            young = self._prepared.younger_images[self._made_young[row], 0].astype(np.float32)
            share = np.float32(min(1.0, (self._age[row] - target) / (self._age[row] - YOUTH)))
            hinted, hint = photograph + share * (young - photograph), WHOLE
        return replace(self._finish(photograph, hinted, row, ages, generator, guide=guide), hint=hint)

    def _with_relief(self, photograph: Floats, row: int, guide: Floats) -> Floats:
        """The portrait with a guide's creases put in."""
        where = cv2.resize(self._prepared.where[row].astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        fit = self._space.fit(self._faces.mesh[row])
        change = draw_guide(guide * seen_skin(self._faces, fit, self._prepared.masks[row], row), where)
        return np.asarray((photograph + LOG_OFFSET) * np.exp(change)[..., None] - LOG_OFFSET, np.float32)

    def real(self, generator: np.random.Generator) -> Sample:
        """A photograph of any age, evenly of old and young, for the critics."""
        name, rows = ("old", self._old) if generator.random() < 0.6 else ("young", self._young)
        row = self._draw(name, rows, generator)
        photograph = self._faces.images[row].astype(np.float32)
        own = float(self._age[row])
        return self._finish(photograph, photograph, row, (own, own), generator)

    def _own_guide(self, row: int, generator: np.random.Generator) -> Floats | None:
        if generator.random() < _unguided(float(self._age[row])):
            return None
        return self._guides.own(row, generator)

    def _draw(self, name: str, rows: Rows, generator: np.random.Generator) -> int:
        return int(generator.choice(rows, p=self._chances[name]))

    def _disguise(self, picture: Floats, row: int, generator: np.random.Generator) -> Floats:
        """Change the look of skin, hair and brows, so that what the editor leaves behind says nothing."""
        masks = cv2.resize(self._prepared.masks[row], (SIZE, SIZE)).astype(np.float32) / 255
        if generator.random() < SPOILING.textured:
            noise = generator.normal(0, 1, (SIZE, SIZE)).astype(np.float32)
            fine, coarse = generator.uniform(0.5, 1.0), generator.uniform(1.2, 2.5)
            band = cv2.GaussianBlur(noise, (0, 0), fine) - cv2.GaussianBlur(noise, (0, 0), coarse)
            skin = np.maximum(masks[..., 1], masks[..., 2]) * (1 - masks[..., 0])
            band *= np.float32(generator.uniform(0.5, SPOILING.texture) / band.std())
            picture = picture + (band * skin * (picture.mean(axis=2) / 150))[..., None]
        if generator.random() < SPOILING.tinted:
            gain = np.exp(generator.uniform(-1.1, 0.15) + generator.normal(0, 0.04, 3)).astype(np.float32)
            grey = picture.mean(axis=2, keepdims=True)
            hair = (grey + np.float32(generator.uniform(0, 1.3)) * (picture - grey)) * gain
            picture = picture + masks[..., :1] * (hair - picture)
        if generator.random() < SPOILING.browed:
            places = cv2.resize(self._prepared.where[row].astype(np.float32), (SIZE, SIZE))
            brows = draw_guide(self._brows, places) * (1 - masks[..., 0])
            picture = picture * np.exp(np.float32(generator.uniform(-SPOILING.brows, 0.05)) * brows)[..., None]
        return np.asarray(picture, np.float32)

    def _finish(
        self,
        picture: Floats,
        photograph: Floats,
        row: int,
        ages: tuple[float, float],
        generator: np.random.Generator,
        *,
        guide: Floats | None = None,
    ) -> Sample:
        """Move, light and spoil picture and photograph alike."""
        scale = np.exp(generator.normal(0, SPOILING.scale))
        turn = generator.normal(0, 0.03)
        linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        middle = np.full(2, (SIZE - 1) / 2)
        shift = middle - linear @ middle + generator.normal(0, SPOILING.shift, 2)
        flip = bool(generator.random() < 0.5)
        sample = self._assemble(
            picture, photograph, row, ages, guide, matrix=np.column_stack([linear, shift]), flip=flip
        )
        both = np.concatenate([sample.planes[:3], sample.photograph]).transpose(1, 2, 0) * 64 + 128
        both = _spoil(np.clip(both, 0, 255).astype(np.float32), generator).transpose(2, 0, 1) / 64 - 2
        sample.planes[:3] = both[:3]
        sample.photograph[:] = both[3:]
        return sample

    def _assemble(
        self,
        picture: Floats,
        photograph: Floats,
        row: int,
        ages: tuple[float, float],
        guide: Floats | None,
        *,
        matrix: NDArray[np.float64],
        flip: bool,
    ) -> Sample:
        prepared = self._prepared
        masks = cv2.resize(prepared.masks[row], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        where = cv2.resize(prepared.where[row].astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        fit = self._space.fit(self._faces.mesh[row])
        drawn = np.zeros((SIZE, SIZE, 1), np.float32)
        if guide is not None:
            drawn = draw_guide(guide * seen_skin(self._faces, fit, prepared.masks[row], row), where)[..., None]
        where = np.clip(2 * where - 1, -1.8, 1.8)
        nodes = prepared.nodes[row].astype(np.float32)
        affine = fit.affine.astype(np.float64)
        step = HEAD_EXTENT / READER_SIZE
        origin = np.array(HEAD_ORIGIN) + 0.5 * step - 0.5
        head = np.column_stack([affine[:, :2] * step, affine[:, :2] @ origin + affine[:, 2]])
        parts = [picture / 64 - 2, masks, np.dstack([where, GUIDE_SCALE * drawn]), photograph / 64 - 2]
        if flip:
            parts[2][..., 0] *= -1
            parts = [np.ascontiguousarray(part[:, ::-1]) for part in parts]
            nodes = np.ascontiguousarray(nodes[:, ::-1])
            nodes[..., 0] = SIZE - 1 - nodes[..., 0]
            head[0] *= -1
            head[0, 2] += SIZE - 1
        if not np.array_equal(matrix, np.eye(2, 3)):
            parts = [cv2.warpAffine(part, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT_101) for part in parts]
            nodes = nodes @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
            head = np.column_stack([matrix[:, :2] @ head[:, :2], matrix[:, :2] @ head[:, 2] + matrix[:, 2]])
        planes = np.concatenate(parts[:3], axis=2).transpose(2, 0, 1)
        return Sample(
            planes=np.ascontiguousarray(planes, np.float32),
            photograph=np.ascontiguousarray(parts[3].transpose(2, 0, 1), np.float32),
            nodes=nodes.astype(np.float32),
            head=head.astype(np.float32),
            male=float(self._male[row]),
            source=ages[0],
            target=ages[1],
            own=float(self._age[row]),
        )


def _unguided(age: float) -> float:
    return UNGUIDED if age > MIDDLE_AGED else UNGUIDED_YOUNG


def _spoil(both: Floats, generator: np.random.Generator) -> Floats:
    """Light, blur, noise and JPEG of two pictures side by side, (256, 256, 6), 0..255: the same for both."""
    gain = np.exp(generator.normal(0, 0.04, 3)).astype(np.float32)
    both = both * np.concatenate([gain, gain])
    if generator.random() < SPOILING.lit:
        field = generator.normal(0, SPOILING.field, (3, 3)).astype(np.float32)
        both = both * np.exp(cv2.resize(field, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))[..., None]
    both = 255 * np.power(np.clip(both, 0, 255) / 255, np.float32(np.exp(generator.normal(0, 0.12))))
    light = np.exp(generator.normal(0, 0.12))
    if generator.random() < SPOILING.dim:
        light = generator.uniform(SPOILING.dimmest, 0.7)
    both = both * np.float32(light)
    if generator.random() < SPOILING.reduced:
        factor = generator.uniform(1.0, SPOILING.most_reduced)
        both = np.concatenate(
            [reduce(np.ascontiguousarray(half), factor) for half in (both[..., :3], both[..., 3:])], 2
        )
    if generator.random() < SPOILING.noisy:
        noise = generator.normal(0, generator.uniform(1, SPOILING.noise), (SIZE, SIZE, 3)).astype(np.float32)
        both = both + np.concatenate([noise, noise], axis=2)
    both = np.clip(both, 0, 255).astype(np.float32)
    if generator.random() < SPOILING.packed:
        quality = int(generator.integers(45, 90))
        whole = both.astype(np.uint8)
        packed = [jpeg(np.ascontiguousarray(half), quality) for half in (whole[..., :3], whole[..., 3:])]
        both = np.concatenate(packed, axis=2).astype(np.float32)
    return both
