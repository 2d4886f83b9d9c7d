"""Carries what an editor inpainted from the frame it was drawn from to later ones, along the face and the scene.

What lies on the head follows the skull, and brows and cheeks the mesh; what lies behind it stays where it is in the
frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

from models.arrays import Floats, Image
from models.crops import Placement, similarity
from models.editor import Controls, Crop, Inpainting
from models.face.head_outline import HeadFrame, apart, bend, outline
from models.face.imaging import smoothstep
from models.inpaintings import bent, laid_over, of_side, packed_head
from stream.frame import Trace


@dataclass(frozen=True, slots=True)
class CarrySettings:
    """How, and how far, an inpainting is carried.

    Attributes:
        rigid: points of the mesh that move with the skull: the upper outline of the face, the bridge of the nose, the
            eyes.
        cells: side of the grid on which the motion of the face over the skull, as that of the brows, is interpolated.
        spread: standard deviation of the Gaussian that interpolates it, cells.
        far: weight of a motion of 0, in points within a cell: away from the face the skull moves as one.
        least: motion of the face over the skull that is followed, crop pixels.
        turned: mean distance of the rigid points from where a similarity carries them, in crop sides, from which a new
            inpainting is due: the head has turned.
        moved: distance that a corner of the crop may move in the scene, in crop sides; beyond it, a new one is due.
        thumbnail: side in pixels of the pictures that are compared to see a cut.
        cut: mean difference of those pictures, 0..255, from which the scene is another one.
        still: displacement in crop pixels below which nothing is moved.
        near: side of the window over which two inpaintings are compared, pixels.
        alike: differences between them, 0..255, over which one does not fade into the other where the head has turned.
        turning: what `turned` measures, over which that holds.
        apart: distances of the outlines of both heads, crop pixels, over which it holds too: a skull may be larger.
        bent: distance of the outlines along a ray, crop pixels, from which both drawings are bent to one between them.
    """

    rigid: tuple[int, ...] = (10, 338, 297, 332, 284, 251, 389, 162, 21, 54, 103, 67, 109, 127, 6, 33, 133, 362, 263)
    cells: int = 64
    spread: float = 1.2
    far: float = 0.02
    least: float = 0.2
    turned: float = 0.006
    moved: float = 0.08
    thumbnail: int = 16
    cut: float = 32.0
    still: float = 0.05
    near: int = 3
    alike: tuple[float, float] = (20.0, 50.0)
    turning: tuple[float, float] = (0.003, 0.007)
    apart: tuple[float, float] = (1.5, 4.0)
    bent: float = 0.5


CARRY = CarrySettings()
ALIKE = 1 - smoothstep(np.arange(256, dtype=np.float32), *CARRY.alike)
"""How far one inpainting fades into another, by their difference, 0..255."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """The crop that an inpainting is drawn from.

    Attributes:
        points: (N, 2) float32, the mesh, or the five points where there is none; crop pixels.
        placement: of the crop.
        thumbnail: (16, 16, 3) uint8 RGB, the crop.
        controls: that it is drawn for.
    """

    points: Floats
    placement: Placement
    thumbnail: Image
    controls: Controls

    @staticmethod
    def of(crop: Crop, placement: Placement, controls: Controls) -> Keyframe:
        """The keyframe of a crop."""
        points = crop.points5 if crop.mesh is None else crop.mesh
        size = (CARRY.thumbnail, CARRY.thumbnail)
        thumbnail = np.asarray(cv2.resize(crop.image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return Keyframe(points, placement, thumbnail, controls)

    def sized_as(self, other: Keyframe) -> Keyframe:
        """The same of a crop of the size of another's around the same middle, at the same scale; it has its thumbnail,
        as none was made of that crop.
        """
        size, side = self.placement.size, other.placement.size
        if side == size:
            return self
        placement = Placement.of(self.placement.quad.enlarged(side / size), side)
        return Keyframe(self.points + np.float32((side - size) / 2), placement, other.thumbnail, self.controls)

    @property
    def anchors(self) -> Floats:
        """The points that move with the skull."""
        return self.points[list(CARRY.rigid)] if self._is_mesh else self.points

    @property
    def frame(self) -> HeadFrame | None:
        """Where the rays of the head begin; None where there is no mesh."""
        return HeadFrame.of(self.anchors) if self._is_mesh else None

    @property
    def _is_mesh(self) -> bool:
        return len(self.points) > max(CARRY.rigid)


class CarriedInpainting:
    """The newest inpainting of one face, where the face is now. A new one fades in over the last one.

    Args:
        fade: seconds over which it fades in, at most.
    """

    def __init__(self, fade: float) -> None:
        self._most_fade = fade
        self._asked: Keyframe | None = None
        self._asked_at = self._seen_at = -math.inf
        self._job: Future[Inpainting | None] | None = None
        self._key: Keyframe | None = None  # of what follows
        self._drawn: Inpainting | None = None
        self._before: Inpainting | None = None  # what was shown, moved to the keyframe
        self._since = -math.inf
        self._fade = 0.0
        self._turned = 0.0  # how far the head turned or grew from one to the other, 0..1
        self._frame: HeadFrame | None = None  # of both, where their outlines differ
        self._outlines: tuple[Floats, Floats] | None = None

    def __call__(
        self,
        now: Keyframe,
        time: float,
        draw: Callable[[], Inpainting | None],
        *,
        every: float,
        rest: float = 0.0,
        background: Executor | None,
        trace: Trace,
        measured: Callable[[Callable[[], Inpainting | None]], Inpainting | None] = lambda draw: draw(),
    ) -> Inpainting | None:
        """Draw a new inpainting where one is due, and move the newest one to the crop of this frame.

        Args:
            now: the crop.
            time: of the frame, seconds.
            draw: makes an inpainting of this crop; None where there is nothing to remove.
            every: seconds between two inpaintings of a face that does not turn.
            rest: seconds between two inpaintings of any face, but for a cut and other controls.
            background: draws them beside the stream. Then only the first one, and the first one after a cut, hold the
                frame up. None draws every one within its frame.
            trace: of the frame.
            measured: calls `draw` beside the stream, to count what it takes.

        Raises:
            engines.batching.Dropped: the first inpainting could not be drawn, as its engine is busy.
        """
        last, self._seen_at = self._seen_at, time
        if self._job is not None and self._job.done():
            job, self._job = self._job, None
            with trace.unless_busy():
                self._add(job.result(), last)
        self._go_on_in(now)
        shown = self._at(now, time)
        if self._job is not None and shown is not None:
            return shown
        asked = self._asked
        since = time - self._asked_at
        if asked is not None and asked.controls == now.controls and since < max(every, rest):
            nothing_to_draw = self._drawn is None
            if nothing_to_draw or (shown is not None and (since < rest or not _is_far(asked, now))):
                return shown
        if self._job is not None:  # its result is of before a cut
            if not self._job.cancel():
                wait([self._job])
            self._job = None
        if shown is not None and background is not None:
            self._asked, self._asked_at = now, time
            self._job = background.submit(measured, draw)
            return shown
        drawn = draw()
        self._asked, self._asked_at = now, time
        self._add(drawn, last)
        return self._at(now, time)

    def _go_on_in(self, now: Keyframe) -> None:
        """Bring what is shown into crops of another size, where the face is given one: its middle stays as it is."""
        side = now.placement.size
        if self._key is None or self._key.placement.size == side:
            return
        self._key, self._frame, self._outlines = self._key.sized_as(now), None, None
        drawn, before = self._drawn, self._before
        self._drawn = None if drawn is None else of_side(drawn, side)
        self._before = None if before is None else of_side(before, side)

    def _add(self, drawn: Inpainting | None, time: float) -> None:
        """Fade in an inpainting of the crop that was asked for; `time` is that of the last frame without it."""
        if self._key is not None and self._asked is not None:  # a job may have begun before the crop changed
            self._asked = self._asked.sized_as(self._key)
            drawn = None if drawn is None else of_side(drawn, self._key.placement.size)
        last, key, before = self._key, self._asked, self._shown(time)
        if drawn is None or last is None or key is None or before is None or _is_cut(last, key):
            self._before = None
        else:
            self._before = _carried(before, last, key)
            turned = smoothstep(np.asarray(_turn(last, key)), *CARRY.turning)
            self._turned = float(max(turned, smoothstep(np.asarray(_apart(self._before, drawn)), *CARRY.apart)))
            self._frame = key.frame
            self._outlines = None
            if self._frame is not None:
                old, new = (outline(each.head, self._frame) for each in (self._before, drawn))
                self._outlines = (old, new) if apart(old, new) > CARRY.bent else None
        self._fade = min(self._most_fade, time - self._since)
        self._drawn, self._key, self._since = drawn, key, time

    def _at(self, now: Keyframe, time: float) -> Inpainting | None:
        """What is shown, in the coordinates of a crop; None where there is nothing, or the scene is another one."""
        shown = self._shown(time)
        if shown is None or self._key is None or _is_cut(self._key, now):
            return None
        return _carried(shown, self._key, now)

    def _shown(self, time: float) -> Inpainting | None:
        """What is shown, in the coordinates of its keyframe."""
        if self._drawn is None or self._before is None:
            return self._drawn
        share = 1.0 if self._fade <= 0 else (time - self._since) / self._fade
        if share >= 1:
            self._before = None
            return self._drawn
        new, old = self._drawn, self._before
        behind = np.asarray(cv2.addWeighted(new.behind, share, old.behind, 1 - share, 0), np.uint8)
        if self._frame is not None and self._outlines is not None:
            between = self._outlines[0] + np.float32(share) * (self._outlines[1] - self._outlines[0])
            old, new = (
                bent(each, behind, bend(self._frame, drawn, between, len(behind)))
                for each, drawn in zip((old, new), self._outlines, strict=True)
            )
        if self._turned == 0:
            image = np.asarray(cv2.addWeighted(new.image, share, old.image, 1 - share, 0), np.uint8)
            return Inpainting(image, new.head, behind)
        # where one shows the head and the other what is behind it, both would be seen: a ghost of an outline
        red, green, blue = cv2.split(cv2.blur(cv2.absdiff(new.image, old.image), (CARRY.near, CARRY.near)))
        faded = np.float32(1 - share) * (1 - np.float32(self._turned) * (1 - ALIKE))
        left = cv2.LUT(cv2.max(cv2.max(red, green), blue), faded)
        image = np.asarray(cv2.blendLinear(old.image, new.image, left, 1 - left), np.uint8)
        return Inpainting(image, new.head, behind)


def _is_cut(before: Keyframe, now: Keyframe) -> bool:
    return float(cv2.norm(before.thumbnail, now.thumbnail, cv2.NORM_L1)) > CARRY.cut * now.thumbnail.size


def _turn(before: Keyframe, now: Keyframe) -> float:
    """Mean distance of the rigid points from where a similarity carries them, crop sides."""
    (a, b), shift = similarity(before.anchors, now.anchors)
    carried = before.anchors @ np.array([[a, b], [-b, a]], np.float32) + shift
    return float(np.hypot(*(carried - now.anchors).T).mean()) / now.placement.size


def _apart(before: Inpainting, now: Inpainting) -> float:
    """Mean distance of the outlines of two heads, crop pixels: the area between them over the circumference."""
    area = max(float(now.head.sum()), 1.0)
    return float(cv2.norm(before.head, now.head, cv2.NORM_L1)) / (2 * math.sqrt(math.pi * area))


def _is_far(before: Keyframe, now: Keyframe) -> bool:
    size = now.placement.size
    if _turn(before, now) > CARRY.turned:
        return True
    return _displacement(_scene_motion(before, now), size) > CARRY.moved * size


def _carried(drawn: Inpainting, before: Keyframe, now: Keyframe) -> Inpainting:
    """Move an inpainting from one crop to another."""
    head, scene = _head_motion(before, now), _scene_motion(before, now)
    size = now.placement.size
    face = _face_motion(before, now, head)
    if face is None and max(_displacement(head, size), _displacement(scene, size)) < CARRY.still:
        return drawn
    on_head = _warp_face(packed_head(drawn), head, face, size)
    return laid_over(on_head, _warp(cv2.cvtColor(drawn.behind, cv2.COLOR_RGB2RGBA), scene, size))


def _head_motion(before: Keyframe, now: Keyframe) -> Floats:
    """(2, 3) map between pixel indices of two crops that the skull follows."""
    half = np.float32(0.5)  # anchors are continuous coordinates
    (a, b), shift = similarity(before.anchors - half, now.anchors - half)
    return np.array([[a, -b, shift[0]], [b, a, shift[1]]], np.float32)


def _face_motion(before: Keyframe, now: Keyframe, head: Floats) -> Floats | None:
    """How the face moved over the skull: (cells, cells, 2) float32, what is added to the places in the first crop that
    the skull's motion gives for those in the second one, pixels; None where that is nothing.
    """
    back = cv2.invertAffineTransform(head)
    half = np.float32(0.5)
    away = before.points - half - ((now.points - half) @ back[:, :2].T + back[:, 2])
    if float(np.abs(away).max()) < CARRY.least:
        return None
    cells = CARRY.cells
    column, row = np.clip(now.points * np.float32(cells / now.placement.size), 0, cells - 1).astype(int).T
    count, right, down = (
        np.bincount(row * cells + column, weight, cells * cells).reshape(cells, cells)
        for weight in (np.ones(len(away)), *away.T)
    )
    total = cv2.GaussianBlur(np.dstack([right, down, count]).astype(np.float32), (0, 0), CARRY.spread)
    return np.asarray(total[..., :2] / (total[..., 2:] + np.float32(CARRY.far)), np.float32)


def _scene_motion(before: Keyframe, now: Keyframe) -> Floats:
    """(2, 3) map between pixel indices of two crops that the scene behind follows."""
    whole = (np.vstack([each, [0, 0, 1]]) for each in (now.placement.to_crop, before.placement.to_frame))
    return np.asarray(np.matmul(*whole)[:2], np.float32)


def _displacement(motion: Floats, size: int) -> float:
    """Largest displacement of a corner of the crop, pixels."""
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], np.float32)
    return float(np.hypot(*(corners @ motion.T - corners[:, :2]).T).max())


def _warp_face(packed: MatLike, head: Floats, face: Floats | None, size: int) -> MatLike:
    if face is None:
        return _warp(packed, head, size)
    back = cv2.invertAffineTransform(head).astype(np.float32)
    x, y = cv2.split(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR))
    across = np.arange(size, dtype=np.float32)
    x += back[0, 0] * across + (back[0, 1] * across + back[0, 2])[:, None]
    y += back[1, 0] * across + (back[1, 1] * across + back[1, 2])[:, None]
    return cv2.remap(packed, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _warp(packed: MatLike, motion: Floats, size: int) -> MatLike:
    return cv2.warpAffine(packed, motion, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
