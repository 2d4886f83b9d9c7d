"""Training pictures of the hair matte: hair of known alpha over other people, other backdrops, beside other heads.

The hair, its alpha and its colours are those of `models.training.hair.mattes`. The reading that comes with a picture is
the shipped segmenter's, or the alpha as a segmenter might read it: coarse, cut elsewhere, parts missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image, Rows
from models.embedded.matte import COARSE, network_input
from models.face.imaging import enlarge, fill, smoothstep
from models.face.segmenter import Segmenter
from models.training.data import SIZE, FaceSet
from models.training.hair.ears import Ears, find_ears
from models.training.hair.mattes import Mattes
from models.training.hair.scenes import RECIPE as HAIR_RECIPE
from models.training.hair.scenes import misread
from models.training.scenes.backgrounds import background
from models.training.scenes.overlays import any_colour
from models.training.scenes.portraits import Portraits
from models.training.scenes.webcam import degrade


@dataclass(frozen=True, slots=True)
class Recipe:
    """How training pictures are drawn. Shares are of the pictures.

    Attributes:
        kinds: shares of matted portraits as they are, on another backdrop, of their hair over bald people, and of
            portraits without a matte (hats, bald heads), where only what is surely hair or not is judged.
        beside: share of new backdrops with another head on them.
        alike: share of new backdrops in about the colour of the hair.
        covered: share of the hair of known alpha that cloth covers in part or wholly, which a reading may hold too.
        really_read: share whose hair the segmenter reads, as in use.
        dyed: share whose hair has another light and tint.
        gains, tint: range of that light, and the standard deviation of its tint.
        scales: range of the size of the head, 1 as in the portraits.
        shift, turn: standard deviations of its place, pixels, and of its turn, degrees.
        degraded: strength of light, blur, noise and compression.
        foggy: a wide area of mixed pixels over that of hair, above which a matte is not used: matting failed there.
        wide: pixels across which such an area is at least.
        hair_free: alpha below which a pixel tells what is behind the hair.
        sure: reading in the labels, near it too, below which a pixel without a matte is surely no hair.
        stock: backdrops kept at a time.
        renewed: share of pictures after which one of them is drawn anew.
    """

    kinds: tuple[float, float, float, float] = (0.38, 0.34, 0.12, 0.16)
    beside: float = 0.3
    alike: float = 0.25
    covered: float = 0.1
    really_read: float = 0.6
    dyed: float = 0.25
    gains: tuple[float, float] = (0.5, 1.6)
    tint: float = 0.1
    scales: tuple[float, float] = (0.58, 1.15)
    shift: float = 10.0
    turn: float = 4.0
    degraded: float = 0.8
    foggy: float = 0.12
    wide: int = 13
    hair_free: float = 0.03
    sure: float = 0.02
    stock: int = 48
    renewed: float = 0.3


RECIPE = Recipe()
SIDE_HEAD = (0.45, 1.0)
"""Range of the size of a head beside, 1 as in the portraits."""
DARKEST_CLOTH = 35.0
"""Least value of red, green and blue of cloth, of 255."""
ALPHA_LEVELS, GREY_LEVELS = 255.0, 255.0


class Sample(NamedTuple):
    """One training picture.

    Attributes:
        given: (4, 256, 256) float32, the input of the network.
        alpha: (1, 256, 256) float32 in 0..1, the hair.
        judged: (1, 256, 256) float32 in 0..1, where alpha is the truth.
        contrast: (1, 256, 256) float32 in 0..1, mean difference of the hair's colour to what is behind it.
    """

    given: Floats
    alpha: Floats
    judged: Floats
    contrast: Floats


class Layers(NamedTuple):
    """A picture before the camera.

    Attributes:
        picture: (256, 256, 3) float32 RGB.
        alpha: (256, 256) float32 in 0..1.
        judged: (256, 256) float32 in 0..1.
        contrast: (256, 256) float32 in 0..1.
        readable: (256, 256) float32 in 0..1, what may be read as hair: the hair, and cloth over it.
        foreign: (256, 256) float32 in 0..1, another head, whose hair the reading may hold.
    """

    picture: Floats
    alpha: Floats
    judged: Floats
    contrast: Floats
    readable: Floats
    foreign: Floats


class Behind(NamedTuple):
    """What is behind somebody's hair, at half the size of the portrait.

    Attributes:
        colour: (128, 128, 3) uint8 RGB, skin and cloth carried on under the hair.
        body: (128, 128) uint8, 255 where that is the person's, 0 where it is backdrop.
    """

    colour: Image
    body: NDArray[np.uint8]


class Scenes:
    """Draws training pictures.

    Args:
        faces: the portraits.
        mattes: the hair.
        rows: portraits that may be used.
        segmenter: reads hair in use.
    """

    def __init__(self, faces: FaceSet, mattes: Mattes, rows: Rows, *, segmenter: Segmenter) -> None:
        self._faces, self._mattes, self._segmenter = faces, mattes, segmenter
        self._portraits = Portraits.of(faces, rows)
        self._rows = rows
        labels = faces.labels
        baldness = np.nan_to_num(labels["baldness"][rows], nan=-1.0)
        hats = labels["hat"][rows] == 1
        self._bald = rows[(baldness >= HAIR_RECIPE.bald) & ~hats]
        # hats count twice: there the reading of hair is worst
        self._others = np.concatenate([rows[hats], rows[hats], self._bald])
        self._behind: dict[int, Behind] = {}
        self._ears: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}  # packed bits
        self._stock: list[Image] = []
        self._clear = np.array(
            [i for i in range(len(mattes.rows)) if not _foggy(mattes.alpha[i] / np.float32(ALPHA_LEVELS))]
        )

    def draw(self, rng: np.random.Generator) -> Sample:
        """A new picture."""
        kind = int(rng.choice(len(RECIPE.kinds), p=RECIPE.kinds))
        layers = (self._as_it_is, self._on_backdrop, self._on_bald, self._without_matte)[kind](rng)
        if kind < len(RECIPE.kinds) - 1 and rng.random() < RECIPE.covered:
            layers = cover_with_cloth(layers, rng)
        return self._seen(layers, rng)

    def _as_it_is(self, rng: np.random.Generator) -> Layers:
        index, _ = self._donor(rng)
        row = int(self._mattes.rows[index])
        alpha, hair = self._hair(index)
        picture = self._faces.image(row).astype(np.float32)
        behind = self._what_is_behind(index)
        contrast = _contrast(hair, enlarge(behind.colour.astype(np.float32), (SIZE, SIZE)))
        matrix = _matrix(rng)
        planes = _moved([picture, alpha, contrast, self._told(index)], matrix)
        judged = planes[3] * _within(matrix)
        return Layers(planes[0], planes[1], judged, planes[2], planes[1], np.zeros_like(alpha))

    def _on_backdrop(self, rng: np.random.Generator) -> Layers:
        index, row = self._donor(rng)
        alpha, hair = self._hair(index, rng)
        behind = self._what_is_behind(index)
        under = enlarge(behind.colour.astype(np.float32), (SIZE, SIZE))
        body = enlarge(behind.body.astype(np.float32) / np.float32(ALPHA_LEVELS), (SIZE, SIZE))
        picture = self._faces.image(row).astype(np.float32)
        # near hair the portrait's own pixels hold hair
        near = cv2.GaussianBlur(cv2.dilate((alpha > 0.02).astype(np.float32), np.ones((5, 5), np.uint8)), (0, 0), 1.0)
        under = picture + near[..., None] * (under - picture)
        body = self._faces.mask("person", row) * (1 - near) + body * near
        matrix = _matrix(rng)
        picture, alpha, hair, under, body, told = _moved([picture, alpha, hair, under, body, self._told(index)], matrix)
        # the person goes on below the portrait, and ends at its sides
        within = _within(matrix, below=True)
        alpha, body = alpha * within, body * within
        backdrop, foreign = self._backdrop(rng, hair, alpha)
        if rng.random() < RECIPE.beside:
            backdrop, foreign = self._with_head(backdrop, rng)
        base = backdrop + body[..., None] * (under - backdrop)
        picture = base + alpha[..., None] * (hair - base)
        foreign = foreign * (1 - np.maximum(body, alpha))
        return Layers(picture, alpha, told, _contrast(hair, base), alpha, foreign)

    def _on_bald(self, rng: np.random.Generator) -> Layers:
        index, _ = self._donor(rng)
        alpha, hair = self._hair(index, rng)
        alpha, hair, told = _moved([alpha, hair, self._told(index)], _matrix(rng, small=True))
        target = int(rng.choice(self._bald))
        base = self._faces.image(target).astype(np.float32)
        # the ring of hair that bald people have is hair too, of unknown alpha
        own = cv2.dilate(self._faces.mask("hair", target), np.ones((9, 9), np.uint8))
        judged = told * np.maximum(1 - smoothstep(own, 0.02, 0.1), smoothstep(alpha, 0.9, 0.99))
        picture = base + alpha[..., None] * (hair - base)
        matrix = _matrix(rng)
        planes = _moved([picture, alpha, judged, _contrast(hair, base)], matrix)
        judged = planes[2] * _within(matrix)
        return Layers(planes[0], planes[1], judged, planes[3], planes[1], np.zeros_like(alpha))

    def _without_matte(self, rng: np.random.Generator) -> Layers:
        row = int(rng.choice(self._others))
        picture, label = self._faces.image(row).astype(np.float32), self._faces.mask("hair", row)
        # cloth is at times taken for hair: only what surely is none is judged
        judged = cv2.dilate(label, np.ones((7, 7), np.uint8)) < RECIPE.sure
        matrix = _matrix(rng)
        picture, judges, readable = _moved([picture, judged.astype(np.float32), label], matrix)
        none = np.zeros_like(label)
        return Layers(picture, none, judges * _within(matrix), none, readable, none)

    def _seen(self, layers: Layers, rng: np.random.Generator) -> Sample:
        """A picture as a camera takes it, with the reading of its hair."""
        picture = np.clip(layers.picture + 0.5, 0, 255).astype(np.uint8)
        shown = degrade(rng, picture, RECIPE.degraded)
        if rng.random() < RECIPE.really_read:
            read = np.asarray(self._segmenter.read(shown).hair, np.float32)
            if rng.random() < 0.3:
                read = _spoiled(read, rng)
        else:
            read = misread(layers.readable, rng)
        given = network_input(shown, read)[0]
        # whose hair it is that the reading holds of a head beside, nobody can tell
        claimed = layers.foreign * smoothstep(given[COARSE], 0.1, 0.3)
        planes = np.concatenate([given, np.stack([layers.alpha, layers.judged * (1 - claimed), layers.contrast])])
        if rng.random() < 0.5:
            planes = planes[..., ::-1]
        parts = np.split(np.ascontiguousarray(planes, np.float32), (4, 5, 6))
        return Sample(*parts)

    def _donor(self, rng: np.random.Generator) -> tuple[int, int]:
        index = int(rng.choice(self._clear))
        return index, int(self._mattes.rows[index])

    def _hair(self, index: int, rng: np.random.Generator | None = None) -> tuple[Floats, Floats]:
        """Alpha in 0..1 and colours of somebody's hair, at times of another light and tint."""
        alpha = self._mattes.alpha[index].astype(np.float32) / np.float32(ALPHA_LEVELS)
        alpha = alpha * (1 - self._ears_of(index).skin)
        hair = self._mattes.foreground[index].astype(np.float32)
        if rng is not None and rng.random() < RECIPE.dyed:
            low, high = np.log(RECIPE.gains)
            hair = hair * np.float32(np.exp(rng.uniform(low, high))) * (1 + rng.normal(0, RECIPE.tint, 3))
            hair = np.clip(hair, 0, 255).astype(np.float32)
        return alpha, hair

    def _told(self, index: int) -> Floats:
        """Where somebody's matte is the truth, (256, 256) float32 in 0..1: not where it may hold an ear."""
        return 1 - self._ears_of(index).unsure

    def _ears_of(self, index: int) -> Ears:
        if index not in self._ears:
            row = int(self._mattes.rows[index])
            alpha = self._mattes.alpha[index].astype(np.float32) / np.float32(ALPHA_LEVELS)
            points5, mesh = (each[row].astype(np.float32) for each in (self._faces.points5, self._faces.mesh))
            found = find_ears(self._faces.image(row), points5, mesh, alpha)
            self._ears[index] = np.packbits(found.skin > 0), np.packbits(found.unsure > 0)
        planes = (np.unpackbits(each).reshape(SIZE, SIZE).astype(np.float32) for each in self._ears[index])
        return Ears(*planes)

    def _what_is_behind(self, index: int) -> Behind:
        if index not in self._behind:
            row, half = int(self._mattes.rows[index]), SIZE // 2
            alpha = self._hair(index)[0]
            picture = cv2.resize(self._faces.image(row), (half, half), interpolation=cv2.INTER_AREA)
            # the largest alpha of four pixels
            most = cv2.dilate(alpha, np.ones((5, 5), np.uint8))[::2, ::2]
            person = self._faces.mask("person", row, half)
            free = (most < RECIPE.hair_free).astype(np.float32)
            inside = fill(picture.astype(np.float32), np.asarray(free * (person > 0.8), np.float32))
            known = np.asarray(free * (np.abs(person - 0.5) > 0.3), np.float32)
            body = fill(cv2.merge([(person > 0.5).astype(np.float32)] * 3), known)[..., 0]
            body = smoothstep(body, 0.35, 0.65)
            self._behind[index] = Behind(
                np.clip(inside, 0, 255).astype(np.uint8), (body * np.float32(ALPHA_LEVELS)).astype(np.uint8)
            )
        return self._behind[index]

    def _backdrop(self, rng: np.random.Generator, hair: Floats, alpha: Floats) -> tuple[Floats, Floats]:
        """A backdrop without people, and (256, 256) zeros."""
        if len(self._stock) < RECIPE.stock:
            self._stock.append(background(rng, SIZE, self._portraits))
        elif rng.random() < RECIPE.renewed:
            self._stock[int(rng.integers(len(self._stock)))] = background(rng, SIZE, self._portraits)
        picture = self._stock[int(rng.integers(len(self._stock)))].astype(np.float32)
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1, 10)))
        if rng.random() < RECIPE.alike and (alpha > 0.9).any():
            colour = hair[alpha > 0.9].mean(0) + rng.normal(0, 12)
            picture = colour + np.float32(rng.uniform(0.05, 0.4)) * (picture - picture.mean((0, 1)))
        return np.clip(picture, 0, 255).astype(np.float32), np.zeros((SIZE, SIZE), np.float32)

    def _with_head(self, backdrop: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """The backdrop with another head on it at one side, and (256, 256) float32: where that is."""
        row = int(rng.choice(self._rows))
        scale = np.float32(rng.uniform(*SIDE_HEAD))
        place = rng.choice([-1, 1]) * rng.uniform(70, 150), rng.uniform(-60, 70)
        matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float32)
        matrix[:, 2] = SIZE / 2 * (1 - scale) + np.array(place)
        image, person = (
            cv2.warpAffine(each, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
            for each in (self._faces.image(row).astype(np.float32), self._faces.mask("person", row))
        )
        if rng.random() < 0.5:
            sigma = float(rng.uniform(0.8, 4))
            image, person = (cv2.GaussianBlur(each, (0, 0), sigma) for each in (image, person))
        person = np.asarray(person, np.float32)
        return np.asarray(backdrop + person[..., None] * (image - backdrop), np.float32), person


def cover_with_cloth(layers: Layers, rng: np.random.Generator) -> Layers:
    """A hat, a cap or a scarf over hair: cloth down to a line, or over all of it."""
    around = cv2.morphologyEx((layers.alpha > 0.3).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    wider = 2 * int(rng.integers(1, 8)) + 1
    cover = cv2.dilate(around, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wider, wider))).astype(np.float32)
    if rng.random() < 0.6 and (layers.alpha > 0.5).any():
        rows = np.flatnonzero((layers.alpha > 0.5).any(1))
        line = rows[0] + rng.uniform(0.15, 0.9) * (rows[-1] - rows[0])
        y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        cover *= y < np.float32(line) + np.float32(rng.normal(0, 0.25)) * (x - SIZE / 2)
    cover = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.5, 1.5)))
    free = np.asarray(1 - cover, np.float32)
    picture = layers.picture * free[..., None] + _cloth(rng) * cover[..., None]
    return layers._replace(
        picture=np.asarray(picture, np.float32),
        alpha=layers.alpha * free,
        contrast=layers.contrast * free,
        readable=np.maximum(layers.alpha, cover),
        foreign=layers.foreign * free,
    )


def _cloth(rng: np.random.Generator) -> Floats:
    """Cloth with folds, at times with a pattern or knitted, (256, 256, 3) float32 RGB."""
    # black cloth looks as black hair does
    colour = np.maximum(np.array(any_colour(rng), np.float32) * np.float32(rng.uniform(0.4, 1)), DARKEST_CLOTH)
    angle, stretch = rng.uniform(0, 180), rng.uniform(1, 6)
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), angle, 1.6)
    noise = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    folds = cv2.GaussianBlur(noise, (0, 0), sigmaX=float(rng.uniform(4, 14)), sigmaY=float(4 * stretch))
    folds = cv2.warpAffine(folds / folds.std(), turn, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
    cloth = np.broadcast_to(colour, (SIZE, SIZE, 3)).astype(np.float32)
    if rng.random() < 0.5:
        blobs = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), float(rng.uniform(1, 8)))
        pattern = smoothstep(blobs / blobs.std(), 0.0, 0.5)[..., None]
        cloth = cloth + pattern * (np.array(any_colour(rng), np.float32) - cloth)
    if rng.random() < 0.4:
        y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
        period = rng.uniform(2.5, 9)
        weave = np.sin(x * np.float32(2 * np.pi / period)) * np.sin(y * np.float32(2 * np.pi / period))
        cloth = cloth * (1 + np.float32(rng.uniform(0.05, 0.3)) * weave[..., None])
    cloth = cloth * np.exp(np.float32(rng.uniform(0.05, 0.35)) * folds)[..., None]
    return np.clip(cloth + rng.normal(0, 3, cloth.shape), 0, 255).astype(np.float32)


def _spoiled(read: Floats, rng: np.random.Generator) -> Floats:
    """A real reading, blurred, cut at another probability, parts of it missed."""
    side = len(read)
    read = cv2.GaussianBlur(read, (0, 0), float(rng.uniform(0.3, 2.0)))
    threshold = rng.uniform(0.25, 0.75)
    read = smoothstep(np.asarray(read, np.float32), threshold - 0.3, threshold + 0.3)
    if rng.random() < 0.4:
        field = rng.normal(size=(9, 9)).astype(np.float32)
        holes = smoothstep(cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC), 1.0, 1.4)
        read = read * (1 - np.float32(rng.uniform(0.5, 1)) * holes)
    return np.asarray(read, np.float32)


def _contrast(hair: Floats, behind: Floats) -> Floats:
    return np.asarray(np.abs(hair - behind).mean(2) / np.float32(GREY_LEVELS), np.float32)


def _matrix(rng: np.random.Generator, *, small: bool = False) -> Floats:
    """Where a portrait comes to lie in the crop, (2, 3); `small` for hair on another head."""
    if small:
        scale, turn, shift = 1 + rng.normal(0, HAIR_RECIPE.scale), 0.0, rng.normal(0, HAIR_RECIPE.shift, 2)
    else:
        scale = float(np.exp(rng.uniform(*np.log(RECIPE.scales))))
        turn, shift = float(rng.normal(0, RECIPE.turn)), rng.normal(0, RECIPE.shift, 2)
    middle = (SIZE - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), turn, scale)
    matrix[:, 2] += shift
    return np.asarray(matrix, np.float32)


def _moved(planes: list[Floats], matrix: Floats) -> list[Floats]:
    """All planes under one affine map; beyond their edges the last pixels are repeated."""
    smaller = float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))) < 1
    moved = []
    for plane in planes:
        # a little blur keeps strands from aliasing where they get smaller
        source = cv2.GaussianBlur(plane, (0, 0), 0.45) if smaller else plane
        warped = cv2.warpAffine(source, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        moved.append(np.asarray(warped, np.float32))
    return moved


def _within(matrix: Floats, *, below: bool = False) -> Floats:
    """(256, 256) float32: 1 in the portrait, and where it goes on `below`; 0 beyond it."""
    inside = np.ones((SIZE * (2 if below else 1), SIZE), np.float32)
    return np.asarray(cv2.warpAffine(inside, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR), np.float32)


def _foggy(alpha: Floats) -> bool:
    """Whether a wide area is neither hair nor something else, which shows that matting failed."""
    mixed = ((alpha > 0.08) & (alpha < 0.92)).astype(np.uint8)
    wide = cv2.morphologyEx(mixed, cv2.MORPH_OPEN, np.ones((RECIPE.wide, RECIPE.wide), np.uint8))
    return float(wide.sum()) > RECIPE.foggy * max(float(alpha.sum()), 1.0)
