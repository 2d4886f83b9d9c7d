"""The motion of a face's points and masks between two frames, by dense optical flow.

Landmarks that are read frame by frame jitter by a pixel or two. Optical flow measures the motion of the skin to a
fraction of a pixel, and the landmarks correct its drift slowly (`stream.filters.OneEuro`). Masks are warped along the
same flow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Masks
from models.face.eye_frame import eye_places
from models.face.imaging import LUMINANCE, smoothstep

PATCH = 160
"""Side in pixels of the picture of the face in which motion is measured: at 96 a mesh is half as far off again."""
MARGIN = 1.3
"""Side of that picture over the longer side of the points' bounding box."""
MASK_PATCH = 64
"""Side in pixels of the crop in which the motion of masks is measured."""


def fine_flow() -> cv2.DISOpticalFlow:
    """Dense inverse search (Kroeger et al. 2016) at half the resolution. Not thread-safe.

    The preset stops at a quarter of it: brows and lips drift by two pixels a frame.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    flow.setFinestScale(1)
    return flow


class PointFlow:
    """Optical flow around a face. Not thread-safe."""

    def __init__(self) -> None:
        self._flow = fine_flow()

    def __call__(self, before: Image, now: Image, points: Floats) -> Floats:
        """Measure the motion of points between two frames.

        Args:
            before: (H, W, 3) uint8 BGR, the frame that the points belong to.
            now: (H, W, 3) uint8 BGR, a later frame.
            points: (N, 2) float32, continuous frame coordinates.

        Returns:
            (N, 2) float32, the displacement of each point, frame pixels; zeros where the points have no extent.
        """
        low, high = points.min(0), points.max(0)
        side = MARGIN * float((high - low).max())
        if not np.isfinite(side) or side < 1:
            return np.zeros_like(points)
        scale = np.float32(PATCH / side)
        shift = np.float32(PATCH / 2) - (low + high) / 2 * scale
        # Continuous coordinates have pixel centres at halves, OpenCV's maps at integers.
        to_patch = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        to_patch[:, 2] += 0.5 * (scale - 1)
        first, second = (_patch(image, to_patch) for image in (before, now))
        flow = self._flow.calc(first, second, None)
        where = (points * scale + shift - 0.5).astype(np.float32)
        moved = cv2.remap(flow, where[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        return np.asarray(moved / scale, np.float32)


class FlowCompensatedMean:
    """Exponential moving average of one face's masks, warped by optical flow: the mask of moving hair does not lag."""

    def __init__(self, slow: float, quick: float) -> None:
        """Start without a history: the first masks are returned as they are.

        Args:
            slow: time constant of hair and person in seconds; 0 or less turns smoothing off.
            quick: time constant of face and occluder in seconds: a hand has to appear at once.
        """
        self._slow, self._quick = slow, quick
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._means: tuple[Floats, Floats] | None = None
        self._before: Image | None = None
        self._time = -math.inf

    def __call__(self, image: Image, masks: Masks, time: float) -> Masks:
        """Add one sample.

        Args:
            image: (S, S, 3) uint8 RGB, the crop that the masks belong to.
            masks: of the segmenter.
            time: seconds.

        Returns:
            The averaged masks, of the same shape.
        """
        if self._slow <= 0:
            return masks
        now = cv2.merge([masks.hair, masks.person]), cv2.merge([masks.face, masks.occluder])
        small = cv2.resize(image, (MASK_PATCH, MASK_PATCH), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._before is None or self._means is None or self._means[0].shape != now[0].shape:
            self._means = now
        else:
            side = len(now[0])
            back = cv2.resize(self._flow.calc(grey, self._before, None), (side, side)) * np.float32(side / MASK_PATCH)
            where = back + _indices(side)
            step = max(time - self._time, 0.0)
            slow, quick = (math.exp(-step / seconds) for seconds in (self._slow, self._quick))
            self._means = (
                _warped_mean(self._means[0], where, slow, now[0]),
                _warped_mean(self._means[1], where, quick, now[1]),
            )
        self._before, self._time = grey, time
        hair, person = cv2.split(self._means[0])
        face, occluder = cv2.split(self._means[1])
        return Masks(hair=hair, face=face, occluder=occluder, person=person)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Parameters of `SteadyLight`.

    Attributes:
        patch: side in pixels of the picture in which motion is measured.
        seconds: time constant where nothing changes.
        like: relative differences from the average at which a pixel counts as the same surface and as another one.
        dark: luminance, 0..255, that is added to the denominator of relative differences: in the dark they are noise.
        grid: pixels of the crop for one of the surface's grid.
        rest: seconds in which places that stick to a surface return to those that the eyes give: flow drifts.
        strayed: distances between both, distances of the eyes, over which that is `soon`: a hand takes places along.
        soon: see `strayed`.
        still: displacements between frames, crop pixels, at which a pixel counts as still and as moving. Moving pixels
            are not averaged: resampling blurs, and motion hides noise.
    """

    patch: int = 160
    seconds: float = 0.3
    like: tuple[float, float] = (0.06, 0.2)
    dark: float = 12.0
    grid: int = 4
    rest: float = 8.0
    strayed: tuple[float, float] = (0.5, 1.0)
    soon: float = 0.7
    still: tuple[float, float] = (0.4, 1.2)


STEADINESS = Steadiness()


class Steady(NamedTuple):
    """What moves with a face.

    Attributes:
        light: (S, S) float32, 0..255, see `models.editor.Crop.steady_light`.
        surface: (S / 4, S / 4, 2) float32, see `models.editor.Crop.surface`.
    """

    light: Floats
    surface: Floats


class SteadyLight:
    """Exponential moving average of one face's luminance along the optical flow, with less camera noise.

    Along the same flow go the places of its surface, as of advected textures (Neyret 2003): noise that is looked up by
    them moves as hair does, and not as the head.
    """

    def __init__(self) -> None:
        self._flow = fine_flow()
        self._last: Steady | None = None
        self._before: Image | None = None
        self._time = -math.inf

    def __call__(self, image: Image, points5: Floats, time: float) -> Steady:
        """Add one crop.

        Args:
            image: (S, S, 3) uint8 RGB.
            points5: (5, 2) float32, crop pixels.
            time: seconds.

        Returns:
            The average light where it is similar to the crop, the crop's own luminance elsewhere; and the surface.
        """
        light = cv2.transform(image, LUMINANCE[None]).astype(np.float32)
        patch = (STEADINESS.patch, STEADINESS.patch)
        grey = np.asarray(cv2.resize(light, patch, interpolation=cv2.INTER_AREA), np.uint8)
        side = len(light)
        surface = eye_places(points5, side, side // STEADINESS.grid)
        if self._before is not None and self._last is not None and self._last.light.shape == light.shape:
            back = self._flow.calc(grey, self._before, None)
            passed = max(time - self._time, 0.0)
            light = self._light(light, self._last.light, back, passed)
            away = _moved(self._last.surface, back, surface) - surface
            strayed = smoothstep(np.hypot(away[..., 0], away[..., 1]), *STEADINESS.strayed)[..., None]
            slowly, soon = (np.float32(math.exp(-passed / each)) for each in (STEADINESS.rest, STEADINESS.soon))
            surface += (slowly + strayed * (soon - slowly)) * away
        self._last, self._before, self._time = Steady(light, surface), grey, time
        return self._last

    def _light(self, light: Floats, mean: Floats, back: Floats, passed: float) -> Floats:
        side = len(light)
        motion = cv2.resize(back, (side, side)) * np.float32(side / STEADINESS.patch)
        before = cv2.remap(mean, motion + _indices(side), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        away = cv2.blur(np.abs(light - before), (3, 3)) / (light + np.float32(STEADINESS.dark))
        kept = np.float32(math.exp(-passed / STEADINESS.seconds))
        like = 1 - smoothstep(away, *STEADINESS.like)
        still = 1 - smoothstep(cv2.magnitude(motion[..., 0], motion[..., 1]), *STEADINESS.still)
        return np.asarray(light + kept * like * still * (before - light), np.float32)


def _moved(surface: Floats, back: Floats, new: Floats) -> Floats:
    """Places of a surface that were where the flow comes from; what comes in from beyond the edge has `new` ones."""
    side = len(surface)
    motion = cv2.resize(back, (side, side), interpolation=cv2.INTER_AREA) * np.float32(side / STEADINESS.patch)
    where = motion + _indices(side)
    moved = cv2.remap(surface, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    within = ((where >= 0) & (where <= side - 1)).all(axis=2, keepdims=True)
    return np.where(within, moved, new)


def _warped_mean(mean: Floats, where: Floats, kept: float, now: Floats) -> Floats:
    warped = cv2.remap(mean, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.addWeighted(warped, kept, now, 1 - kept, 0), np.float32)


@lru_cache(maxsize=4)
def _indices(side: int) -> Floats:
    axis = np.arange(side, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), axis=-1)


def _patch(image: Image, to_patch: Floats) -> Image:
    patch = cv2.warpAffine(image, to_patch, (PATCH, PATCH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY), np.uint8)
