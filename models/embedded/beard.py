"""Where a man's beard is: hair of the lower face that is darker and rougher than his cheeks.

The segmenter counts a beard as skin. A shadow is as dark and smooth; lips, which are as dark, are known from the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.eye_axes import eye_axes
from models.face.imaging import smoothstep


@dataclass(frozen=True, slots=True)
class BeardSigns:
    """How a beard is told from skin. Lights are log units of green, lengths are shares of the distance of the eyes.

    Attributes:
        offset: added to 0..255 before the logarithm.
        broad: Gaussian over strands.
        cheek: half the side of the place whose light the cheek has.
        darker: how much darker than the cheeks a beard is.
        rough: deviation of its strands, over `rough_window`.
        beard_darker, beard_rough: the same where the chin shows a beard.
        redder, red_darker, red_rough: the same of a fair beard, which is more colourful than cheeks: log red over blue.
        rough_window: Gaussian of that.
        black: how much darker than the cheeks only hair is, rough or not.
        beside: distances from the middle of the face between which the beard's upper end rises to the sideburns.
        sideburns: how far below the eyes it ends there.
        hair_ends: the same where there is one for sure: it goes over to the hair.
        soft: length over which it begins.
        ears: distances beyond the sides of the face over which ears begin, above the mouth.
        lips: Gaussian by which the lips' outline is softened.
        chin: half the width of the chin.
        moustache: half the width of the place below the nose that shows one.
        moustached: as `bearded`, over that place: the shadow of a nose has edges.
        hanging: height above the lower end of the lips at which a moustache begins that reaches beside them.
        gap: gaps of a beard that are closed.
        below: how far beyond the mask of the face a beard is looked for, mask pixels.
        fair: mean redness over which a beard counts as fair.
        length: how far a fair beard may reach, as it is known from clothes by its colour.
        red_ends: how much redder than skin a beard is whose ends are found by its colour.
        few: quarter pixels that show too little beard to tell.
        bearded: mean over the chin at which there is no beard and a whole one: the side of a face may lie in the shade.
        paler, grey_rough, grey_bearded: as `redder`, `rough` and `bearded` of a beard without pigment, which is less
            colourful than cheeks and rougher than they are.
    """

    offset: float = 12.0
    broad: float = 0.022
    cheek: float = 0.06
    darker: tuple[float, float] = (0.22, 0.6)
    rough: tuple[float, float] = (0.028, 0.068)
    beard_darker: tuple[float, float] = (0.2, 0.65)
    beard_rough: tuple[float, float] = (0.02, 0.056)
    redder: tuple[float, float] = (0.08, 0.3)
    red_darker: tuple[float, float] = (0.0, 0.2)
    red_rough: tuple[float, float] = (0.012, 0.04)
    rough_window: float = 0.06
    black: tuple[float, float] = (0.8, 1.2)
    beside: tuple[float, float] = (0.65, 0.9)
    sideburns: float = 0.3
    hair_ends: float = 0.1
    soft: float = 0.08
    ears: tuple[float, float] = (-0.02, 0.06)
    lips: float = 0.025
    chin: float = 0.35
    moustache: float = 0.25
    moustached: tuple[float, float] = (0.52, 0.75)
    hanging: float = 0.1
    gap: float = 0.07
    below: int = 3
    fair: tuple[float, float] = (0.3, 0.5)
    length: float = 1.5
    red_ends: tuple[float, float] = (0.35, 0.5)
    few: float = 10.0
    bearded: tuple[float, float] = (0.1, 0.24)
    paler: tuple[float, float] = (0.12, 0.3)
    grey_rough: tuple[float, float] = (0.012, 0.04)
    grey_bearded: tuple[float, float] = (0.25, 0.5)


SIGNS = BeardSigns()
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Mesh points of the lips' outline."""
CHEEKS = (50, 280)
NOSE, UPPER_LIP, INNER_LIP, LOWER_LIP, CHIN = 2, 0, 13, 17, 152
"""Mesh points of the cheeks, of the lower end of the nose, of both edges of the upper lip, of that of the lower lip and
of the chin.
"""
SIDES = (234, 454)
"""Mesh points of the sides of the face, before the ears."""


def find_beard(crop: Crop, *, known: bool = False) -> Floats:
    """How much of each pixel is beard, (S, S) float32 in 0..1; found at half resolution, as it is soft.

    Args:
        crop: a man's face, with mesh and masks.
        known: that there is one.
    """
    view = _View.of(crop)
    across, down, ends, darker = view.across, view.down, view.ends, view.darker()
    sure = _bearded(_hairy(darker, view.rough, SIGNS.darker, SIGNS.rough), across, down, ends)
    sure = np.ones_like(sure) if known else sure
    if not sure.any():
        return np.zeros(crop.image.shape[:2], np.float32)
    # a moustache hangs over the upper lip
    hangs = smoothstep(darker, *SIGNS.black) * smoothstep(ends[INNER_LIP, 1] - down, 0, SIGNS.lips)
    redder = view.redder()
    beard = _hairy(darker, view.rough, SIGNS.beard_darker, SIGNS.beard_rough)
    red = smoothstep(redder, *SIGNS.redder) * smoothstep(darker, *SIGNS.red_darker)
    beard = view.filled(np.maximum(beard, red * smoothstep(view.rough, *SIGNS.red_rough)))
    beard *= view.place(1 - hangs, SIGNS.hair_ends if known else SIGNS.sideburns) * sure
    reach, seen = view.shown(crop)
    fair = float((redder * beard).sum() / (beard.sum() + 1))
    if fair > SIGNS.fair[0]:
        # a fair beard is known from clothes by its colour, however long it is
        far = smoothstep(redder, *SIGNS.redder) * smoothstep(np.asarray(fair), *SIGNS.fair)
        far *= smoothstep(SIGNS.length - (down - ends[CHIN, 1]), 0, 0.3)
        reach = np.maximum(reach, far * smoothstep(down - ends[LOWER_LIP, 1], -0.2, 0))
    return _enlarged(beard * reach * seen, crop)


def with_fair_ends(crop: Crop, alpha: Floats, fair: float) -> Floats:
    """A beard that a network told, with what rules find of it by its colour, however long it is.

    Args:
        crop: a man's face, with mesh and masks.
        alpha: (S, S) float32 in 0..1, beard.
        fair: from `fairness`.

    Returns:
        (S, S) float32 in 0..1.
    """
    sure = float(smoothstep(np.asarray(fair), *SIGNS.red_ends))
    return np.maximum(alpha, np.float32(sure) * find_beard(crop, known=True)) if sure > 0 else alpha


def fairness(image: Image, alpha: Floats, skin: Floats) -> float:
    """How much redder than skin a beard is, log red over blue; 0 where there is too little.

    Args:
        image: (S, S, 3) uint8 RGB.
        alpha: (S, S) float32 in 0..1, beard.
        skin: (3,) float32 RGB, 0..255, median of the face.
    """
    weight = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) ** 2
    total = float(weight.sum())
    if total < SIGNS.few:
        return 0.0
    small = cv2.resize(image, weight.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    red, _, blue = np.log(np.einsum("hwc,hw->c", small, weight) / total + SIGNS.offset)
    return float(red - blue - np.log((skin[0] + SIGNS.offset) / (skin[2] + SIGNS.offset)))


def find_grey_beard(crop: Crop) -> Floats:
    """How much of each pixel is a beard without pigment, which may be as light as skin; otherwise as `find_beard`."""
    view = _View.of(crop)
    # in the dark, noise is as rough as hair
    hairy = smoothstep(-view.redder(), *SIGNS.paler) * smoothstep(view.rougher(), *SIGNS.grey_rough)
    sure = float(smoothstep(_least_on_chin(hairy, view.across, view.down, view.ends), *SIGNS.grey_bearded))
    if sure == 0:
        return np.zeros(crop.image.shape[:2], np.float32)
    reach, seen = view.shown(crop)
    return _enlarged(view.filled(hairy) * view.place(np.float32(1)) * np.float32(sure) * reach * seen, crop)


@dataclass(frozen=True, slots=True)
class _View:
    """A face at half the crop's resolution.

    Attributes:
        mesh: (478, 2) float32, its mesh, pixels.
        unit: distance of the eyes, pixels.
        ends: (478, 2) float32, the mesh from the middle of the eyes, across and down, in distances of the eyes.
        across, down: (S/2, S/2) float32, the same of each pixel.
        broad: (S/2, S/2, 3) float32, log colour without strands.
        rough: (S/2, S/2) float32, deviation of the strands.
        cheeks: (2, 3) float32, log colour of both cheeks.
    """

    mesh: Floats
    unit: float
    ends: Floats
    across: Floats
    down: Floats
    broad: Floats
    rough: Floats
    cheeks: Floats

    @staticmethod
    def of(crop: Crop) -> _View:
        """Look at a crop with mesh and masks."""
        assert crop.mesh is not None
        whole = len(crop.image)
        size = whole // 2
        middle, axes = eye_axes(crop)
        mesh, unit = np.float32(0.5) * crop.mesh, 0.5 / float(np.linalg.norm(axes[0]))
        ends = np.asarray((crop.mesh - middle) @ axes.T, np.float32)
        axis = np.arange(0, whole, 2, dtype=np.float32)[:size]
        x, y = axis - np.float32(middle[0]), axis[:, None] - np.float32(middle[1])
        across, down = x * axes[0, 0] + y * axes[0, 1], x * axes[1, 0] + y * axes[1, 1]

        image = cv2.resize(crop.image, (size, size), interpolation=cv2.INTER_AREA)
        logs = cv2.log(image.astype(np.float32) + np.float32(SIGNS.offset))
        broad = np.asarray(cv2.GaussianBlur(logs, (0, 0), SIGNS.broad * unit))
        rough = np.sqrt(cv2.GaussianBlur((logs[..., 1] - broad[..., 1]) ** 2, (0, 0), SIGNS.rough_window * unit))
        return _View(mesh, unit, ends, across, down, broad, rough, _at_cheeks(broad, mesh, unit))

    def darker(self) -> Floats:
        """How much darker than the cheeks each pixel is: one side of a face may lie in the shade."""
        left, right = self.ends[list(CHEEKS), 0]
        share = np.clip((self.across - left) / max(float(right - left), 0.1), 0, 1)
        cheeks = self.cheeks[:, 1]
        return np.asarray(cheeks[0] + (cheeks[1] - cheeks[0]) * share - self.broad[..., 1], np.float32)

    def redder(self) -> Floats:
        """How much redder than the cheeks each pixel is, log red over blue."""
        cheeks = np.float32((self.cheeks[:, 0] - self.cheeks[:, 2]).mean())
        return np.asarray(self.broad[..., 0] - self.broad[..., 2] - cheeks, np.float32)

    def rougher(self) -> Floats:
        """How much rougher than the smoother cheek each pixel is."""
        return np.asarray(self.rough - _at_cheeks(self.rough, self.mesh, self.unit).min(), np.float32)

    def filled(self, beard: Floats) -> Floats:
        """A beard without its gaps."""
        gap = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(SIGNS.gap * self.unit) + 1,) * 2)
        return np.asarray(cv2.morphologyEx(beard, cv2.MORPH_CLOSE, gap))

    def place(self, lips_bare: Floats | np.float32, sideburns: float = SIGNS.sideburns) -> Floats:
        """Where a beard grows, 0..1, but on the lips as far as `lips_bare` says; at the sides up to `sideburns`."""
        nose = float(self.ends[NOSE, 1])
        beside = np.abs(self.across - self.ends[NOSE, 0])
        top = nose + (sideburns - nose) * smoothstep(beside, *SIGNS.beside)
        below = smoothstep(self.down - top, 0, SIGNS.soft)
        lips = np.zeros(self.down.shape, np.float32)
        outline = np.rint(self.mesh[list(LIPS)]).astype(np.int32)
        cv2.fillPoly(lips, [outline], (1.0,))
        cv2.polylines(lips, [outline], True, (1.0,), max(int(2 * SIGNS.lips * self.unit), 1))
        # ears are rough and dark
        away = np.maximum(self.ends[SIDES[0], 0] - self.across, self.across - self.ends[SIDES[1], 0])
        above = smoothstep(self.ends[UPPER_LIP, 1] - self.down, 0, SIGNS.soft)
        below *= 1 - smoothstep(away, *SIGNS.ears) * above
        return np.asarray(below * (1 - cv2.GaussianBlur(lips, (0, 0), SIGNS.lips * self.unit) * lips_bare))

    def shown(self, crop: Crop) -> tuple[Floats, Floats]:
        """How far a beard may reach beyond the mask of the face, and where nothing hides it; both 0..1."""
        masks = crop.masks
        assert masks is not None
        reach = cv2.dilate(masks.face, np.ones((2 * SIGNS.below + 1,) * 2, np.uint8))
        hidden = np.maximum(masks.hair, masks.occluder)
        size = self.down.shape[::-1]
        reach, seen = (
            cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (reach, masks.person * (1 - hidden))
        )
        return np.asarray(reach), np.asarray(seen)


def _at_cheeks(plane: Floats, mesh: Floats, unit: float) -> Floats:
    """Means of a plane over both cheeks, (2, C) float32, or (2,) of one channel; the rest is as in `_View`."""
    window = (2 * int(SIGNS.cheek * unit) + 1,) * 2
    places = mesh[None, list(CHEEKS)].astype(np.float32)
    return np.asarray(cv2.remap(cv2.blur(plane, window), places, None, cv2.INTER_LINEAR)[0], np.float32)


def _enlarged(beard: Floats, crop: Crop) -> Floats:
    return np.asarray(cv2.resize(beard, crop.image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _bearded(hairy: Floats, across: Floats, down: Floats, ends: Floats) -> Floats:
    """How sure it is that there is a beard, (H, W) float32 in 0..1: on the chin, or a moustache alone above it."""
    lip = (down > ends[NOSE, 1] + SIGNS.lips) & (down < ends[UPPER_LIP, 1] - SIGNS.lips)
    bearded = smoothstep(_least_on_chin(hairy, across, down, ends), *SIGNS.bearded)
    moustached = smoothstep(_less_hairy_side(hairy, lip, across - ends[NOSE, 0], SIGNS.moustache), *SIGNS.moustached)
    higher = smoothstep(ends[LOWER_LIP, 1] - down, 0, SIGNS.hanging)
    return np.asarray(bearded + higher * np.maximum(moustached - bearded, 0) + np.zeros_like(hairy), np.float32)


def _least_on_chin(hairy: Floats, across: Floats, down: Floats, ends: Floats) -> Floats:
    """Mean over the less hairy side of the chin, ()."""
    chin = (down > ends[LOWER_LIP, 1] + SIGNS.lips) & (down < ends[CHIN, 1])
    return _less_hairy_side(hairy, chin, across - ends[CHIN, 0], SIGNS.chin)


def _less_hairy_side(hairy: Floats, place: NDArray[np.bool_], across: Floats, half_width: float) -> Floats:
    """Mean over the less hairy side of a place, (): the other may lie in the shade."""
    sides = [place & (across > 0) & (across < half_width), place & (across < 0) & (across > -half_width)]
    return np.asarray(min((hairy[side].mean() for side in sides if side.any()), default=0), np.float32)


def _hairy(darker: Floats, rough: Floats, dark: tuple[float, float], strands: tuple[float, float]) -> Floats:
    strong = np.maximum(smoothstep(rough, *strands), smoothstep(darker, *SIGNS.black))
    return np.asarray(smoothstep(darker, *dark) * strong, np.float32)
