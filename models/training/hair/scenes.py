"""Training pictures of hair removal: real people under other people's hair, so that the truth is a photograph.

A bald portrait under somebody's hair shows what a scalp looks like; a short-haired one under long hair shows ears,
temples, neck, collar and backdrop. Alpha and colours of the hair are exact, so the picture looks as a photograph does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image, Rows
from models.editor import Crop, Masks
from models.embedded.body_behind_hair import BodyBehindHair
from models.embedded.matte import HairMatte
from models.embedded.removal import (
    BODY,
    CHANNELS,
    COVER,
    FAINT,
    GREY_LEVELS,
    GUESS,
    SEEN,
    SIZE,
    erase,
    network_input,
)
from models.embedded.scalp import COARSE, HeadMap, ScalpModel, head_map, outline_features, skin_tone
from models.face.canvas import covered
from models.face.imaging import smoothstep
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.apply import PAD, padded
from models.training.data import FaceSet
from models.training.hair.mattes import Mattes
from models.training.hair.rings import darkened, ring_core


@dataclass(frozen=True, slots=True)
class Recipe:
    """How training pictures are drawn.

    Attributes:
        ring_share: share of pictures of rings in a training of these.
        ring_long: share of the hair laid over these that is long.
        insets: ranges of the inset of a ring's core beside the brows, and of what is added to it higher up.
        darker, darkest: share of rings that get more pigment, and how much at most, log units.
        above_core, edge_of_ring: angles from the crown, and distance within the skull, pixels, that tell how full
            a ring is.
        thin: share of hair there up to which a ring is hardly drawn.
        bald_share: share of pictures that show a bald person under hair.
        shaved_share: share of these in which that person is shaved.
        shaved: most share of the portrait that is surely hair of somebody shaved.
        sure: probability from which a pixel is surely hair.
        long_share: share of the hair laid over bald people that is long.
        women: how many times as often short-haired women are drawn as men: they are few.
        bald: least baldness of a bald person.
        full: most baldness of a short-haired person.
        edge: side of the square around a portrait's own hair in which nothing that is hidden is judged, pixels.
        ring: the same of bald people, whose shortest hair no reader finds.
        shift: standard deviation of the shift of the hair, pixels.
        scale: standard deviation of its relative size.
        spreads: smallest and largest margin around the hair that is erased, pixels.
        covers: the same for what is hidden.
        sides: sizes at which the hair is read, pixels.
        thresholds: range of the alpha that is read as hair.
        missed: share of pictures in which parts of the hair are not read.
        really_read: share of pictures whose hair the networks read, as in use.
        framed: share of pictures that end before an edge; beyond, their last pixels are repeated.
        margin: how far before an edge they end at most, pixels.
        lowered: share of pictures moved down, so that tall hair reaches above what the portrait shows.
        lower: largest such move, pixels.
        gain: range of the brightness.
        tint: standard deviation of the gain of each colour.
        noise: largest standard deviation of the camera noise, grey levels.
    """

    ring_share: float = 0.8
    ring_long: float = 0.15
    darker: float = 0.75
    darkest: float = 1.8
    above_core: tuple[float, float] = (0.75, 1.15)
    edge_of_ring: float = 4.0
    thin: float = 0.25
    insets: tuple[tuple[float, float], tuple[float, float]] = ((-6.0, 4.0), (-2.0, 10.0))
    bald_share: float = 0.5
    shaved_share: float = 0.6
    shaved: float = 0.004
    sure: float = 0.7
    long_share: float = 0.6
    women: float = 3.0
    bald: float = 0.75
    full: float = 0.3
    edge: int = 9
    ring: int = 25
    shift: float = 6.0
    scale: float = 0.05
    spreads: tuple[int, int] = (10, 18)
    covers: tuple[int, int] = (1, 6)
    sides: tuple[int, ...] = (64, 96, 128)
    thresholds: tuple[float, float] = (0.15, 0.55)
    missed: float = 0.15
    really_read: float = 0.85
    framed: float = 0.4
    margin: int = 32
    lowered: float = 0.4
    lower: int = 40
    gain: tuple[float, float] = (0.6, 1.15)
    tint: float = 0.04
    noise: float = 3.0


RECIPE = Recipe()
LONG_ROWS = slice(150, 220)
"""Rows of a portrait beside mouth and chin: hair there is long."""
FIELD = 512.0
"""The noise of the network's input begins anywhere in so many of its pixels."""
LONG, SHORT = 0.08, 0.012
"""Shares of hair in `LONG_ROWS` above which it is long, below which it is short."""


class People(NamedTuple):
    """Rows of portraits by what they are good for.

    Attributes:
        bald: nearly no hair on the crown; many have a ring of it.
        shaved: those of them without.
        short: short hair.
        long_hair: long hair, with a matte.
        any_hair: hair of any length, with a matte.
    """

    bald: Rows
    shaved: Rows
    short: Rows
    long_hair: Rows
    any_hair: Rows


class Sample(NamedTuple):
    """One training picture.

    Attributes:
        given: (17, 256, 256) float32, the input of the network.
        truth: (3, 256, 256) float32, the photograph, value / 64 - 2.
        judged: (1, 256, 256) float32 in 0..1, where the photograph is the truth.
    """

    given: Floats
    truth: Floats
    judged: Floats


class Laid(NamedTuple):
    """A portrait under hair.

    Attributes:
        shown: (256, 256, 3) uint8 RGB, the picture.
        read: (256, 256) float32 in 0..1, the hair as it is read in it, the portrait's own too.
        truth: (256, 256, 3) float32 RGB, 0..255, the portrait.
        own: (256, 256) float32 in 0..1, its own hair.
        person: (256, 256) float32 in 0..1, the portrait's person.
        beyond: (256, 256) float32, 1 where the picture repeats its last pixels; None where it does not.
        gain: (3,) float32, what its colours are multiplied with.
        rows, columns: (256,), those of the portrait that are shown.
    """

    shown: Image
    read: Floats
    truth: Floats
    own: Floats
    person: Floats
    beyond: Floats | None
    gain: Floats
    rows: Rows
    columns: Rows


def choose_people(faces: FaceSet, mattes: Mattes, rows: Rows) -> People:
    """Sort portraits by their hair.

    Args:
        faces: the portraits.
        mattes: hair that can be laid over others.
        rows: those to choose from.
    """
    labels = faces.labels
    plain = rows[
        (labels["age"][rows] > 17)
        & (np.abs(labels["yaw"][rows]) < 35)
        & (labels["hat"][rows] != 1)
        & (labels["outside_fraction"][rows] < 0.1)
    ]
    baldness = np.nan_to_num(labels["baldness"], nan=-1.0)[plain]
    low = np.array([faces.mask("hair", int(row))[LONG_ROWS].mean() for row in plain])
    full = (baldness >= 0) & (baldness < RECIPE.full)
    matted = np.isin(plain, mattes.rows)
    bald = plain[baldness >= RECIPE.bald]
    sure = np.array([np.mean(faces.mask("hair", int(row)) > RECIPE.sure) for row in bald])
    return People(
        bald=bald,
        shaved=bald[sure < RECIPE.shaved],
        short=plain[full & (low < SHORT)],
        long_hair=plain[full & matted & (low > LONG)],
        any_hair=plain[full & matted],
    )


class Scenes:
    """Draws training pictures.

    Args:
        faces: the portraits.
        mattes: the hair.
        people: who is drawn.
        space: the texture square.
        scalp: statistics of the scalp.
        bodies: tells what body is behind the hair, in use; None where only `lay` is called.
        segmenter: reads about where hair is, in use.
        matte: reads how much of each pixel is hair, in use.
    """

    def __init__(
        self,
        faces: FaceSet,
        mattes: Mattes,
        people: People,
        space: FaceSpace,
        scalp: ScalpModel,
        *,
        bodies: BodyBehindHair | None,
        segmenter: Segmenter,
        matte: HairMatte,
    ) -> None:
        self._segmenter, self._matte, self._bodies = segmenter, matte, bodies
        self._faces = faces
        self._mattes = mattes
        self._people = people
        self._shaved, self._bald = frozenset(people.shaved.tolist()), frozenset(people.bald.tolist())
        often = np.where(faces.labels["sex"][people.short] == "F", RECIPE.women, 1.0)
        self._often = often / max(often.sum(), 1.0)
        self._ringed = np.array(sorted(self._bald - self._shaved))
        self._full: NDArray[np.float64] | None = None
        self._space = space
        self._scalp = scalp
        self._of_row = {int(row): index for index, row in enumerate(mattes.rows)}
        self._geometry: dict[int, tuple[HeadMap, Floats, Floats]] = {}

    def draw(self, rng: np.random.Generator) -> Sample:
        """A new picture."""
        people = self._people
        is_bald, is_shaved = rng.random() < RECIPE.bald_share, rng.random() < RECIPE.shaved_share
        bald = people.shaved if is_shaved and len(people.shaved) else people.bald
        target = int(rng.choice(bald) if is_bald else rng.choice(people.short, p=self._often))
        long_hair = not is_bald or rng.random() < RECIPE.long_share
        donor = int(rng.choice(people.long_hair if long_hair else people.any_hair))
        alpha, foreground = self._hair(donor, rng)
        # who draws a ring of hair for some draws bits of it for all: hair that is there is no truth
        own = np.zeros((SIZE, SIZE), np.float32) if target in self._shaved else self._faces.mask("hair", target)
        return self.compose(target, alpha, foreground, own, rng=rng)

    def draw_for_rings(self, rng: np.random.Generator) -> Sample:
        """A new picture of a ring, or now and then another."""
        return self.draw_ring(rng) if rng.random() < RECIPE.ring_share else self.draw(rng)

    def draw_ring(self, rng: np.random.Generator) -> Sample:
        """A new picture of a bald person under hair whose ring is seen as far as its core: the rest of it is drawn."""
        people = self._people
        target = int(rng.choice(self._ringed, p=self._fullness()))
        long_hair = rng.random() < RECIPE.ring_long
        alpha, foreground = self._hair(int(rng.choice(people.long_hair if long_hair else people.any_hair)), rng)
        low = float(rng.uniform(*RECIPE.insets[0]))
        core = ring_core(self.geometry(target)[0], inset=(low, low + float(rng.uniform(*RECIPE.insets[1]))))
        return self.compose(target, alpha, foreground, self._faces.mask("hair", target), core, rng=rng)

    def compose(
        self,
        target: int,
        alpha: Floats,
        foreground: Floats,
        own: Floats,
        core: Floats | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Sample:
        """Lay hair over a portrait and make the network's input of it.

        Args:
            target: row of the portrait, the truth.
            alpha: (256, 256) float32 in 0..1, the hair.
            foreground: (256, 256, 3) float32 RGB, its colours.
            own: (256, 256) float32 in 0..1, the portrait's own hair: erased too, and not judged where there is no core.
            core: (256, 256) float32 in 0..1, where hair of a ring is seen; None where no ring is drawn.
            rng: for margins, light and noise; None for the middle of each.
        """
        assert self._bodies is not None
        laid = self.lay(target, alpha, foreground, own, core, rng=rng)
        low, high = RECIPE.spreads
        spread = int(rng.integers(low, high + 1)) if rng is not None else (low + high) // 2
        hidden, erased = erase(laid.read, cover_of(rng), spread)
        head, light, skin = self.geometry(target)
        given = network_input(
            self._scalp,
            self._bodies,
            laid.shown,
            erased=erased,
            hidden=hidden,
            person=laid.person,
            head=head,
            light=light,
            skin=skin,
            male=self.male(target),
            beyond=laid.beyond,
            moved=(0.0, 0.0) if rng is None else (float(rng.uniform(0, FIELD)), float(rng.uniform(0, FIELD))),
        )
        truth, own, person, beyond, gain = laid.truth, laid.own, laid.person, laid.beyond, laid.gain
        # what is seen close to a portrait's own hair is true as well: the ear below it, the forehead
        wide = RECIPE.ring if target in self._bald else RECIPE.edge
        near, around = (cv2.dilate(smoothstep(own, 0.1, 0.4), np.ones((side, side), np.uint8)) for side in (3, wide))
        unknown = np.maximum(near, around * smoothstep(hidden, 0.02, 0.3))
        judged = erased * (1 - unknown) if core is None else erased.copy()
        if beyond is not None:
            judged = judged * (1 - beyond)
        planes = np.concatenate([given, truth.transpose(2, 0, 1) / GREY_LEVELS - 2, judged[None]])
        truths = slice(CHANNELS, CHANNELS + 3)
        colours = [row for part in (GUESS, BODY, SEEN, truths) for row in range(part.start, part.stop)]
        planes[colours] = (planes[colours] + 2) * np.tile(gain, 4)[:, None, None] - 2
        if rng is not None and rng.random() < 0.5:
            planes = planes[..., ::-1]
        if rng is not None and rng.random() < RECIPE.lowered and person[0].mean() < 0.02:
            down = int(rng.integers(1, RECIPE.lower + 1))
            planes = np.concatenate([np.repeat(planes[:, :1], down, 1), planes[:, :-down]], 1)
        planes = np.ascontiguousarray(planes, np.float32)
        parts = np.split(planes, (CHANNELS, CHANNELS + 3))
        return Sample(*(np.ascontiguousarray(part) for part in parts))

    def lay(
        self,
        target: int,
        alpha: Floats,
        foreground: Floats,
        own: Floats,
        core: Floats | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Laid:
        """Lay hair over a portrait and read it; arguments as of `compose`."""
        kept = np.zeros_like(alpha) if core is None else core
        truth = self._faces.image(target).astype(np.float32)
        if core is not None and rng is not None and rng.random() < RECIPE.darker:
            truth = darkened(truth, own, float(rng.uniform(0, RECIPE.darkest)))
        alpha, own = alpha * (1 - kept), own * (1 - kept)
        person = self._faces.mask("person", target)
        picture = truth + alpha[..., None] * (foreground - truth)
        gain = np.ones(3, np.float32)
        if rng is not None:
            gain = np.asarray(rng.uniform(*RECIPE.gain) * (1 + rng.normal(0, RECIPE.tint, 3)), np.float32)
            picture = picture + rng.normal(0, rng.uniform(0, RECIPE.noise), picture.shape).astype(np.float32)
        shown = np.clip(picture, 0, 255).astype(np.uint8)
        rows = columns = np.arange(SIZE)
        beyond = None
        if rng is not None and rng.random() < RECIPE.framed:
            rows, columns, beyond = _frame(rng)
            shown = np.ascontiguousarray(shown[rows][:, columns])
            truth, alpha, own, person, kept = (
                np.ascontiguousarray(each[rows][:, columns], np.float32) for each in (truth, alpha, own, person, kept)
            )
        if rng is not None and rng.random() < RECIPE.really_read:
            read = np.ascontiguousarray(self._read(shown)[rows][:, columns])
        else:
            read = np.maximum(alpha if rng is None else misread(alpha, rng), own)
        read = np.asarray(read * (1 - kept), np.float32)
        return Laid(shown, read, truth, own, person, beyond, gain, rows, columns)

    def male(self, row: int) -> float:
        """1 for a man, 0 for a woman."""
        return float(self._faces.labels["sex"][row] == "M")

    def _read(self, image: Image) -> Floats:
        """Hair as the editor reads it in a picture with a margin around, (256, 256) float32 in 0..1."""
        crop = padded(image)
        return smoothstep(self._matte.read(crop, self._segmenter.read(crop).hair), *FAINT)[PAD:-PAD, PAD:-PAD]

    def _fullness(self) -> NDArray[np.float64]:
        """How likely each ring is drawn: the more of it is above its core, the more it tells."""
        if self._full is None:
            shares = []
            for row in self._ringed:
                head, hair = self.geometry(int(row))[0], self._faces.mask("hair", int(row), SIZE // COARSE)
                from_crown = np.abs(head.angle - np.float32(np.pi / 2))
                low, high = RECIPE.above_core
                edge = (np.abs(head.distance - RECIPE.edge_of_ring) < 10) & (from_crown > low) & (from_crown < high)
                seen = float(hair[edge].mean()) if edge.any() else 0.0
                shares.append(max(seen - RECIPE.thin, 0.0) + 1e-3)
            self._full = np.asarray(shares, np.float64) / np.sum(shares)
        return self._full

    def geometry(self, row: int) -> tuple[HeadMap, Floats, Floats]:
        """Polar map, light and skin tone of a portrait."""
        if row not in self._geometry:
            image, hair, person = (
                self._faces.image(row),
                self._faces.mask("hair", row, 128),
                self._faces.mask("person", row, 128),
            )
            fit = self._space.fit(self._faces.mesh[row])
            masks = Masks(hair, person, np.zeros_like(hair), person)
            hidden = covered(Crop(image, self._faces.points5[row], self._faces.mesh[row], masks), fit)
            texture = self._space.unwrap(image, fit)
            head = head_map(fit, self._scalp.radii(outline_features(fit)), SIZE)
            self._geometry[row] = head, self._scalp.light(texture, hidden), skin_tone(texture, hidden)
        return self._geometry[row]

    def random_hair(self, rng: np.random.Generator, *, long_hair: bool) -> tuple[Floats, Floats]:
        """Somebody's hair, moved a little: (256, 256) float32 alpha and (256, 256, 3) float32 RGB colours."""
        return self._hair(int(rng.choice(self._people.long_hair if long_hair else self._people.any_hair)), rng)

    def _hair(self, donor: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        index = self._of_row[donor]
        alpha = self._mattes.alpha[index].astype(np.float32) / 255
        foreground = self._mattes.foreground[index].astype(np.float32)
        scale = 1 + rng.normal(0, RECIPE.scale)
        shift = rng.normal(0, RECIPE.shift, 2) + (1 - scale) * SIZE / 2
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        if rng.random() < 0.5:
            alpha, foreground = alpha[:, ::-1], foreground[:, ::-1]
        size = (SIZE, SIZE)
        moved = [
            cv2.warpAffine(np.ascontiguousarray(each), matrix, size, borderMode=cv2.BORDER_REPLICATE)
            for each in (alpha, foreground)
        ]
        gain = np.float32(rng.uniform(0.7, 1.3))
        return np.asarray(moved[0], np.float32), np.clip(moved[1] * gain, 0, 255).astype(np.float32)


def cover_of(rng: np.random.Generator | None) -> int:
    """Margin around the hair that is hidden, pixels."""
    return int(rng.integers(RECIPE.covers[0], RECIPE.covers[1] + 1)) if rng is not None else COVER


def misread(alpha: Floats, rng: np.random.Generator) -> Floats:
    """Hair as a segmenter reads it: coarse, cut at another alpha, parts of it missed.

    Args:
        alpha: (256, 256) float32 in 0..1, the hair.
        rng: for size, threshold and what is missed.

    Returns:
        (256, 256) float32 in 0..1.
    """
    side = int(rng.choice(RECIPE.sides))
    small = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.2))
    threshold = rng.uniform(*RECIPE.thresholds)
    read = smoothstep(np.asarray(small, np.float32), threshold - 0.2, threshold + 0.2)
    if rng.random() < RECIPE.missed:
        field = rng.normal(size=(10, 10)).astype(np.float32)
        holes = smoothstep(cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC), 1.0, 1.3)
        read = read * (1 - np.float32(rng.uniform(0.5, 1)) * holes)
    return np.asarray(cv2.resize(read, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def _frame(rng: np.random.Generator) -> tuple[Rows, Rows, Floats]:
    """Rows and columns of a picture that ends before some of its edges, and (256, 256) float32: 1 beyond them."""
    most = RECIPE.margin
    cuts = np.where(rng.random(4) < 0.5, rng.integers(0, most + 1, 4), 0)
    places = np.arange(SIZE)
    rows, columns = np.clip(places, cuts[0], SIZE - 1 - cuts[1]), np.clip(places, cuts[2], SIZE - 1 - cuts[3])
    beyond = (rows != places)[:, None] | (columns != places)[None]
    return rows, columns, beyond.astype(np.float32)
