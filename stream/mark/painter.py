"""Writes the mark into the edited faces of one stream, inside of what was edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.crops import Quad, to_crop
from models.face.landmarks import region_of_mesh
from stream.frame import Drawn
from stream.mark.geometry import LEAST_SIDE, Window, unwrap, window_of, wrap
from stream.mark.payload import Bits, Statement
from stream.mark.square import bits_of, write

ReadLandmarks = Callable[[Image, Quad], tuple[Floats, float]]

FORGET_S = 2.0
"""Seconds after which the points of a face that is gone are dropped."""
INSET = 2.5
"""Pixels of the window by which the mark stays away from the edge of the mask: interpolation reaches that far."""
NEAR = 0.15
"""Mean distance, shares of the face's size, up to which a face is looked for where the last edited frame showed it."""
SETTLE = 8
"""Readings of a single picture, each in the region of the last one."""
READINGS = 16
"""Further readings of a single picture."""
SPREAD = 0.01
"""Deviation of their regions, shares of the face's size."""


@dataclass(frozen=True, slots=True)
class EditedFace:
    """A face to be marked.

    Attributes:
        id: of the face.
        mesh: (478, 2) float32, of the face before it was edited, continuous frame coordinates.
        drawn: what the layers did to it, from bottom to top.
        alone: whether there is no stream around the picture, as in `stream.frame.Frame`.
    """

    id: int
    mesh: Floats
    drawn: Sequence[Drawn]
    alone: bool = False


@dataclass(slots=True)
class _Held:
    """What is known of a marked face.

    Attributes:
        points: lattice points of its projections.
        bits: that they are for.
        seen_at: seconds.
        seen: (478, 2) float32, where the landmark network saw the edited face in the last frame; None before the first.
    """

    points: Floats | None
    bits: Bits
    seen_at: float
    seen: Floats | None = None


class MarkPainter:
    """Marks the faces of one stream, and keeps what it knows of each from frame to frame.

    The lattice points are kept so that the mark does not flicker.
    """

    def __init__(self, landmarks: ReadLandmarks) -> None:
        """Start without a face.

        Args:
            landmarks: reads (478, 2) points and the presence inside a quad of a picture.
        """
        self._landmarks = landmarks
        self._held: dict[int, _Held] = {}
        self._statement: Statement | None = None
        self._bits: Bits = np.zeros(0, np.uint8)

    def paint(self, out: Image, face: EditedFace, statement: Statement, time: float) -> bool:
        """Write the mark of one face.

        Args:
            out: (H, W, 3) uint8 BGR, the edited frame, changed in place, and only where a mask is above 0.
            face: the edited face.
            statement: what the mark says.
            time: of the frame, seconds.

        Returns:
            Whether anything was written.
        """
        if statement != self._statement:
            self._statement, self._bits = statement, bits_of(statement)
        self._held = {id: held for id, held in self._held.items() if time - held.seen_at <= FORGET_S}
        held = self._held.get(face.id)
        if held is None:
            held = self._held[face.id] = _Held(None, self._bits, time)
        mesh = self._seen_mesh(out, face, held, time)
        window = window_of(mesh, out.shape)
        if window is None:
            return False
        written = write(unwrap(out, window), self._bits, held.points if held.bits is self._bits else None)
        held.points, held.bits, held.seen_at = written.points, self._bits, time
        residual = cv2.multiply(wrap(written.residual, window), coverage(face.drawn, window))
        if window.shrink > 1:
            residual = cv2.resize(residual, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
        _add(out[window.slices], residual)
        return True

    def forget(self) -> None:
        """Drop what is known of all faces."""
        self._held.clear()

    def _seen_mesh(self, out: Image, face: EditedFace, held: _Held, time: float) -> Floats:
        """Where the landmark network sees the edited face, (478, 2) float32."""
        mesh = face.mesh
        for layer in face.drawn:
            mesh = moved_mesh(mesh, layer)
        if not np.isfinite(mesh).all() or float(np.ptp(mesh, axis=0).min()) < LEAST_SIDE:
            return mesh
        if face.alone:
            return mean_reading(out, mesh, self._landmarks)
        last = held.seen
        if last is None or np.abs(last - mesh).mean() > NEAR * np.ptp(mesh, axis=0).max():
            last = mesh
        held.seen, _ = self._landmarks(out, region_of_mesh(last))
        return held.seen


def coverage(drawn: Sequence[Drawn], window: Window) -> Floats:
    """Where the mark may be written, (h, w) float32 in [0, 1], window pixels.

    It is 0 wherever a pixel of the frame that no mask reaches takes part in bringing the window's pixels to the frame.
    """
    whole = np.zeros(window.size[::-1], np.uint8)
    for layer in drawn:
        to_crop = layer.placement.to_crop.astype(np.float64)
        scale = np.array([[window.shrink, 0], [0, window.shrink]], np.float64)
        origin = np.array([window.x0, window.y0]) + (window.shrink - 1) / 2
        matrix = np.column_stack([to_crop[:, :2] @ scale, to_crop[:, :2] @ origin + to_crop[:, 2]])
        reach = int(np.ceil(INSET * float(np.hypot(*matrix[:, 0])))) + 1
        edited = cv2.compare(layer.mask, 0, cv2.CMP_GT)
        edited = cv2.erode(edited, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderValue=0)
        here = cv2.warpAffine(edited, matrix, window.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        whole = cv2.max(whole, here)
    return whole.astype(np.float32) * np.float32(1 / 255)


def moved_mesh(mesh: Floats, drawn: Drawn) -> Floats:
    """Where a layer's warp brings the points of a face: the reader sees them there, not where the camera did."""
    if drawn.flow is None:
        return mesh
    before = to_crop(mesh, drawn.placement.quad, drawn.placement.size) - np.float32(0.5)
    shift = np.zeros_like(before)
    for _ in range(2):  # the flow is given at the pixels that it brings the points to
        where = (before - shift)[None]
        flow, mask = (
            cv2.remap(plane, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[0]
            for plane in (drawn.flow, drawn.mask)
        )
        shift = flow * mask[:, None]
    return np.asarray(mesh - shift @ drawn.placement.to_frame[:, :2].T, np.float32)


def mean_reading(image: Image, mesh: Floats, landmarks: ReadLandmarks) -> Floats:
    """Where the landmark network sees a face of a single picture, (478, 2) float32.

    One reading depends on its region by a pixel or more. A video makes up for that; a single picture has the mean of
    several, each in a region a little beside the others.

    Args:
        image: (H, W, 3) uint8 BGR.
        mesh: (478, 2) float32, of one reading.
        landmarks: reads the points inside a quad.
    """
    settled = np.mean(settle(image, mesh, landmarks)[2:], axis=0)
    return np.asarray(np.mean(readings(image, settled, landmarks), axis=0), np.float32)


def settle(image: Image, mesh: Floats, landmarks: ReadLandmarks, count: int = SETTLE) -> list[Floats]:
    """Readings of the landmarks, each in the region of the last one, (478, 2) float32 each."""
    found = [mesh]
    for _ in range(count):
        found.append(landmarks(image, region_of_mesh(found[-1]))[0])
    return found[1:]


def readings(
    image: Image, mesh: Floats, landmarks: ReadLandmarks, count: int = READINGS, spread: float = SPREAD
) -> list[Floats]:
    """Readings in regions beside that of a mesh, (478, 2) float32 each; the same for the same picture.

    Args:
        image: (H, W, 3) uint8 BGR.
        mesh: (478, 2) float32.
        landmarks: reads the points inside a quad.
        count: of readings.
        spread: deviation of the regions' centres and sizes, shares of the face's size.
    """
    rng = np.random.default_rng(0)
    region = region_of_mesh(mesh)
    size = np.float32(np.ptp(mesh, axis=0).max())
    found = []
    for _ in range(count):
        centre = region.centre + rng.normal(0, spread, 2).astype(np.float32) * size
        axis = region.axis * np.float32(1 + rng.normal(0, spread))
        found.append(landmarks(image, Quad(centre.astype(np.float32), axis))[0])
    return found


def _add(part: Image, residual: Floats) -> None:
    """Add a (h, w) float32 residual to all channels of a (h, w, 3) uint8 picture, in place."""
    up, down = cv2.convertScaleAbs(cv2.max(residual, 0)), cv2.convertScaleAbs(cv2.min(residual, 0))
    cv2.add(part, cv2.cvtColor(up, cv2.COLOR_GRAY2BGR), dst=part)
    cv2.subtract(part, cv2.cvtColor(down, cv2.COLOR_GRAY2BGR), dst=part)
