"""Training pictures of hair looks: photographs whose hair was given another look, and photographs that shall get one.

In a pair the photograph is what the network shall draw. Its hair gets the look of somebody else's, loses some of its
strands and shades, and gets some that somebody else's hair shows: dark hair shows other lights than grey hair does.
A journey has no truth: the hair of a photograph shall look as somebody else's does, and a critic says whether it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image, Rows
from models.embedded.hair_look import GREY_LEVELS, looks_of, planes_of
from models.embedded.strands import FILTER, Lit, Look, compressed, find_strands, measure_look, pure_hair
from models.face.imaging import LUMINANCE
from models.training.data import SIZE, FaceSet
from models.training.looks.portraits import Portraits
from models.training.scenes.degrade import jpeg, reduce


@dataclass(frozen=True, slots=True)
class LookRecipe:
    """How training pictures are drawn.

    Attributes:
        colours: shares of wanted hair by its labelled colour.
        darks: shares of hair as it is in journeys.
        beards: share of batches of beards.
        grey_from: age from which a beard may be grey, years.
        grey_beards: log light over that of skin, and by how much less warm than skin, red over blue, from which a beard
            counts as grey.
        made: how many times as often portraits that no camera took are drawn as photographs.
        tinted, tints: share of photographs whose hair is tinted, and the standard deviation of its colours, log.
        same: share of pairs whose hair keeps its look.
        broad, fine: shares of its own shades and strands that hair keeps when it gets another look.
        lent: shares of those of other hair that it gets.
        moved: pixels by which these are moved at most.
        own_colour: share of its own differences in colour that it keeps.
        blurred: share of pictures that are blurred, and by how much at most.
        packed, worst: share that is compressed, and the least quality.
        noisy, noise: share of pictures with noise, and the most, grey levels; what is wanted has none.
        wider, least_scale: share of pictures as in a wider crop, and the least scale of these.
        windows: of so many windows the one with most hair is used.
        light, tint: standard deviations of the logs of a picture's light, and of its colours.
    """

    colours: tuple[tuple[str, float], ...] = (
        ("grey-white", 0.42),
        ("brown", 0.2),
        ("black", 0.13),
        ("blond", 0.15),
        ("red", 0.07),
        ("other", 0.03),
    )
    darks: tuple[tuple[str, float], ...] = (
        ("black", 0.42),
        ("brown", 0.34),
        ("grey-white", 0.16),
        ("blond", 0.05),
        ("red", 0.03),
    )
    beards: float = 0.2
    grey_from: float = 47.0
    grey_beards: tuple[float, float] = (-0.8, 0.1)
    made: float = 0.5
    tinted: float = 0.15
    tints: float = 0.35
    same: float = 0.06
    broad: tuple[float, float] = (0.4, 1.3)
    fine: tuple[float, float] = (0.0, 1.2)
    lent: tuple[float, float] = (0.0, 0.9)
    moved: int = 24
    own_colour: tuple[float, float] = (0.0, 0.6)
    blurred: tuple[float, float] = (0.35, 1.8)
    packed: float = 0.4
    worst: int = 55
    noisy: float = 0.6
    noise: float = 3.5
    wider: float = 0.4
    least_scale: float = 0.62
    windows: int = 2
    light: float = 0.15
    tint: float = 0.03


RECIPE = LookRecipe()
MACHINE_MADE = ("sfhq_t2i", "fakerjs")
"""Sources of portraits that no camera took."""


class LookSample(NamedTuple):
    """One training picture.

    Attributes:
        given: (4, 256, 256) float32, planes of the network.
        looks: (8,) float32, what it is told.
        truth: (3, 256, 256) float32, value / 64 - 2: the photograph of a pair; that of the wanted look in a journey.
        alpha: (1, 256, 256) float32, the hair of that photograph.
        own: (8,) float32, what would be told of that photograph.
        paired: (1,) float32, 1 for a pair, 0 for a journey.
    """

    given: Floats
    looks: Floats
    truth: Floats
    alpha: Floats
    own: Floats
    paired: Floats


class Shown(NamedTuple):
    """A portrait.

    Attributes:
        made: (256, 256, 3) float32 RGB, 0..255, with hair of another look, or `photograph` itself.
        photograph: (256, 256, 3) float32 RGB, 0..255.
        alpha: (256, 256) float32 in 0..1, its hair.
    """

    made: Floats
    photograph: Floats
    alpha: Floats


class Passage(NamedTuple):
    """Hair on its way to another look.

    Attributes:
        now: the look that it has.
        wanted: the look that it gets.
        lent: (256, 256) float32, shades and strands of other hair in log light.
    """

    now: Look
    wanted: Look
    lent: Floats


class LookScenes:
    """Draws training pictures.

    Args:
        faces: the portraits.
        portraits: what was read of them.
        items: those of it that are used.
        colours: (N,) str, the colour of the hair of each of `portraits`, as labelled.
    """

    def __init__(self, faces: FaceSet, portraits: Portraits, items: Rows, colours: NDArray[np.str_]) -> None:
        self._faces, self._portraits = faces, portraits
        labels = faces.labels
        weight = (1.0 + (labels["crop_px"] > 215)) * np.where(np.isin(labels["source"], MACHINE_MADE), RECIPE.made, 1.0)
        chance = weight[portraits.rows]
        self._of = {
            name: (of, chance[of] / chance[of].sum())
            for name, _ in RECIPE.colours
            if len(of := items[colours[items] == name])
        }

    def pair(self, rng: np.random.Generator) -> LookSample:
        """A photograph, and the same with hair of another look."""
        row = self._row(RECIPE.colours, rng)
        other = self._row(RECIPE.darks, rng)
        alpha = self._alpha(row)
        picture = self._photograph(row, alpha, rng)
        own = measure_look(picture, alpha) or self._look(row)
        made = picture
        if rng.random() >= RECIPE.same:
            wanted = self._lit(row).on(_in_white(self._look(other), self._lit(other)))
            made = _relooked(picture, alpha, Passage(own, wanted, self._lent(other, rng)), rng)
        return self._finish(row, Shown(made, picture, alpha), None, rng)

    def journey(self, rng: np.random.Generator) -> LookSample:
        """A photograph whose hair shall look as that of another, which goes with it."""
        row, other = self._row(RECIPE.darks, rng), self._row(RECIPE.colours, rng)
        alpha = self._alpha(other)
        shown = self._photograph(other, alpha, rng)
        look = measure_look(shown, alpha) or self._look(other)
        wanted = self._lit(row).on(_in_white(look, self._lit(other)))
        picture = self._faces.image(self._face(row)).astype(np.float32)
        sample = self._finish(row, Shown(picture, picture, self._alpha(row)), wanted, rng)
        real = self._finish(other, Shown(shown, shown, alpha), None, rng, noisy=False)
        return sample._replace(truth=real.truth, alpha=real.alpha, own=real.own)

    def _photograph(self, row: int, alpha: Floats, rng: np.random.Generator) -> Floats:
        """A portrait, now and then with tinted hair, (256, 256, 3) float32 RGB."""
        picture = self._faces.image(self._face(row)).astype(np.float32)
        if rng.random() >= RECIPE.tinted:
            return picture
        tint = np.exp(rng.normal(0, RECIPE.tints, 3)).astype(np.float32)
        tinted = picture * tint
        light = cv2.transform(picture, LUMINANCE[None]) / np.maximum(cv2.transform(tinted, LUMINANCE[None]), 1)
        return np.asarray(np.clip(picture + alpha[..., None] * (tinted * light[..., None] - picture), 0, 255))

    def _row(self, shares: tuple[tuple[str, float], ...], rng: np.random.Generator) -> int:
        known = [(name, share) for name, share in shares if name in self._of]
        weights = np.array([share for _, share in known])
        rows, chances = self._of[known[int(rng.choice(len(known), p=weights / weights.sum()))][0]]
        return int(rng.choice(rows, p=chances))

    def _alpha(self, row: int) -> Floats:
        return np.asarray(self._portraits.alpha[row].astype(np.float32) / np.float32(255))

    def _face(self, row: int) -> int:
        return int(self._portraits.rows[row])

    def _look(self, row: int) -> Look:
        return Look.unpack(self._portraits.looks[row])

    def _lit(self, row: int) -> Lit:
        return Lit.unpack(self._portraits.lights[row])

    def _lent(self, other: int, rng: np.random.Generator) -> Floats:
        """Shades and strands of another's hair in log light, 0 beyond it, (256, 256) float32."""
        alpha = self._alpha(other)
        pure = pure_hair(alpha, FILTER.edge)
        luminance = cv2.transform(self._faces.image(self._face(other)).astype(np.float32), LUMINANCE[None])
        strands = find_strands(luminance, pure, still=True)
        level = np.float32(self._portraits.looks[other, 0])
        light = (np.clip(strands.broad - level, -1, 1) + strands.fine) * pure
        if rng.random() < 0.5:
            light = light[:, ::-1]
        down, right = rng.integers(-RECIPE.moved, RECIPE.moved + 1, 2)
        return np.roll(light, (down, right), (0, 1))

    def _finish(
        self, row: int, shown: Shown, wanted: Look | None, rng: np.random.Generator, *, noisy: bool = True
    ) -> LookSample:
        """Light and spoil both alike; `wanted` is None for the look of the photograph."""
        made, photograph = _spoiled(shown.made, shown.photograph, rng, noisy=noisy)
        alpha = shown.alpha
        now = measure_look(made, alpha) or self._look(row)
        gain = photograph.mean() / max(float(self._faces.images[self._face(row)].mean()), 1.0)
        if wanted is None:
            own = now if made is photograph else measure_look(photograph, alpha)
            wanted = own or self._look(row)
        else:
            wanted = Look(wanted.level + float(np.log(gain)), wanted.broad, wanted.fine, wanted.colour)
        skin = np.clip(self._portraits.skins[row] * np.float32(gain), 1, 255)
        given = planes_of(made, alpha)
        truth = photograph.transpose(2, 0, 1) / np.float32(GREY_LEVELS) - 2
        if rng.random() < 0.5:
            given, truth, alpha = given[..., ::-1], truth[..., ::-1], alpha[:, ::-1]
        looks = looks_of(now, wanted, skin)
        return LookSample(
            np.ascontiguousarray(given),
            looks,
            np.ascontiguousarray(truth, np.float32),
            np.ascontiguousarray(alpha[None]),
            looks_of(wanted, wanted, skin),
            np.ones(1, np.float32),
        )


def beard_colours(faces: FaceSet, portraits: Portraits) -> NDArray[np.str_]:
    """Light beards of the old with little colour are "grey-white", others are "brown"."""
    levels = portraits.looks[:, 0] - np.log(portraits.skins @ LUMINANCE + 1)
    warmth = np.log(np.maximum(portraits.looks[:, 3], 0.05) / np.maximum(portraits.looks[:, 5], 0.05))
    warmer = np.log((portraits.skins[:, 0] + 1) / (portraits.skins[:, 2] + 1)) - warmth
    old = faces.labels["age"][portraits.rows] > RECIPE.grey_from
    grey = old & (levels > RECIPE.grey_beards[0]) & (warmer > RECIPE.grey_beards[1])
    return np.where(grey, "grey-white", "brown")


def draw_batch(scenes: LookScenes, pairs: int, journeys: int, window: int, rng: np.random.Generator) -> LookSample:
    """Pictures of a step, pairs first, stacked along a first axis; of each a window with much hair is used."""
    samples = [scenes.pair(rng) for _ in range(pairs)]
    samples += [scenes.journey(rng)._replace(paired=np.zeros(1, np.float32)) for _ in range(journeys)]
    parts = [_windowed(_scaled(sample, window, rng), window, rng) for sample in samples]
    return LookSample(*(np.stack(part) for part in zip(*parts, strict=True)))


def _scaled(sample: LookSample, least: int, rng: np.random.Generator) -> LookSample:
    """Each picture as in a wider crop, or as it is; what lies beyond has its last pixels and no hair."""
    if rng.random() >= RECIPE.wider:
        return sample
    side = round(SIZE * rng.uniform(RECIPE.least_scale, 1.0))
    room = max(least - side, 0)
    before, after = room // 2, room - room // 2

    def scaled(planes: Floats, border: int) -> Floats:
        small = cv2.resize(planes.transpose(1, 2, 0), (side, side), interpolation=cv2.INTER_AREA)
        small = cv2.copyMakeBorder(small, before, after, before, after, border)
        return np.ascontiguousarray(np.atleast_3d(small).transpose(2, 0, 1))

    given = np.concatenate(
        [scaled(sample.given[:3], cv2.BORDER_REPLICATE), scaled(sample.given[3:], cv2.BORDER_CONSTANT)]
    )
    return sample._replace(
        given=given,
        truth=scaled(sample.truth, cv2.BORDER_REPLICATE),
        alpha=scaled(sample.alpha, cv2.BORDER_CONSTANT),
    )


def _windowed(sample: LookSample, side: int, rng: np.random.Generator) -> LookSample:
    """The same part of each picture: of a few the one with most hair."""
    places = rng.integers(0, sample.given.shape[-1] - side + 1, (RECIPE.windows, 2))
    y, x = max(places, key=lambda at: float(sample.given[3, at[0] : at[0] + side, at[1] : at[1] + side].sum()))
    part = slice(y, y + side), slice(x, x + side)
    return sample._replace(given=sample.given[:, *part], truth=sample.truth[:, *part], alpha=sample.alpha[:, *part])


def _relooked(picture: Floats, alpha: Floats, passage: Passage, rng: np.random.Generator) -> Floats:
    """A picture whose hair looks somewhat as another's does, (256, 256, 3) float32 RGB."""
    own, wanted = passage.now, passage.wanted
    luminance = cv2.transform(picture, LUMINANCE[None])
    pure = pure_hair(alpha, FILTER.edge)
    strands = find_strands(luminance, pure, still=True)
    broad_gain, fine_gain = (
        np.float32(rng.uniform(*bounds) * np.clip(have / max(had, 0.03), 0.4, 2.5))
        for bounds, have, had in (
            (RECIPE.broad, wanted.broad, own.broad),
            (RECIPE.fine, wanted.fine, own.fine),
        )
    )
    light = broad_gain * np.clip(strands.broad - np.float32(own.level), -1.4, 1.4)
    light += fine_gain * strands.fine * pure
    light += np.float32(rng.uniform(*RECIPE.lent)) * passage.lent
    level = wanted.level + rng.normal(0, 0.1)
    turned = compressed(np.maximum(np.exp(light + np.float32(level)) - np.float32(FILTER.offset), 0))
    around = np.maximum(np.exp(strands.broad) - np.float32(FILTER.offset), 0)
    kept = np.float32(rng.uniform(*RECIPE.own_colour))
    paler = np.clip(1 - np.float32(rng.uniform(0.2, 0.9)) * light, 0.4, 1.5)
    planes = []
    for value, had, new in zip(cv2.split(picture), own.colour, wanted.colour, strict=True):
        deviation = kept * (value / np.maximum(luminance, 8) - had) * pure
        drawn = turned * np.maximum(1 + (new - 1) * paler + deviation, np.float32(0.02))
        hair = around * had
        hair += pure * (value - hair)
        planes.append(value + alpha * (drawn - hair))
    return np.clip(cv2.merge(planes), 0, 255)


def _in_white(look: Look, lit: Lit) -> Look:
    """The look in white room light of hair that is seen in another."""
    colour = look.colour / np.maximum(lit.tint, np.float32(0.1))
    return Look(look.level - lit.exposure, look.broad, look.fine, np.asarray(colour / (colour @ LUMINANCE), np.float32))


def _spoiled(made: Floats, photograph: Floats, rng: np.random.Generator, *, noisy: bool) -> tuple[Floats, Floats]:
    """Both pictures in another light, blurred and compressed alike; noise is in the first alone."""
    gain = np.exp(rng.normal(0, RECIPE.light) + rng.normal(0, RECIPE.tint, 3)).astype(np.float32)
    factor = rng.uniform(1.0, RECIPE.blurred[1]) if rng.random() < RECIPE.blurred[0] else 1.0
    quality = int(rng.integers(RECIPE.worst, 92)) if rng.random() < RECIPE.packed else 0
    noise = rng.uniform(0.5, RECIPE.noise) if noisy and rng.random() < RECIPE.noisy else 0.0
    spoiled = []
    for place, picture in enumerate((made,) if made is photograph and noise == 0 else (made, photograph)):
        lit = np.clip(picture * gain, 0, 255)
        if factor > 1:
            lit = reduce(lit, factor)
        if noise and place == 0:
            lit = lit + rng.normal(0, noise, lit.shape).astype(np.float32)
        if quality:
            packed: Image = jpeg(np.clip(lit, 0, 255).astype(np.uint8), quality)
            lit = packed.astype(np.float32)
        spoiled.append(np.asarray(np.clip(lit, 0, 255), np.float32))
    return spoiled[0], spoiled[-1]
