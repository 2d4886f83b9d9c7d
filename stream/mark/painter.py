"""Writes the mark into the edited faces of one stream, inside of what was edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.crops import Placement, Quad, to_crop
from models.face.landmarks import region_of_mesh
from stream.mark.geometry import Window, unwrap, window_of, wrap
from stream.mark.payload import Bits, Statement
from stream.mark.square import bits_of, write

ReadLandmarks = Callable[[Image, Quad], tuple[Floats, float]]

FORGET_S = 2.0
"""Seconds after which the points of a face that is gone are dropped."""
INSET = 2.5
"""Pixels of the window by which the mark stays away from the edge of the mask: interpolation reaches that far."""
READINGS = 16
SPREAD = 0.05
"""Deviation of the regions of `mean_reading`, shares of the face's size."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one layer did to a face.

    Attributes:
        mask: (S, S) float32 in [0, 1], crop pixels; where it is 0 the layer changed nothing.
        placement: of that crop in the frame.
        flow: (S, S, 2) float32, crop pixels, as in `models.editor.Edit`; None where nothing moved.
    """

    mask: Floats
    placement: Placement
    flow: Floats | None = None


@dataclass(frozen=True, slots=True)
class EditedFace:
    """A face to be marked.

    Attributes:
        id: of the face.
        mesh: (478, 2) float32, of the face before it was edited, continuous frame coordinates.
        drawn: what the layers did to it, from bottom to top.
    """

    id: int
    mesh: Floats
    drawn: Sequence[Drawn]


@dataclass(slots=True)
class _Held:
    points: Floats
    bits: Bits
    seen_at: float


class MarkPainter:
    """Keeps the lattice points of each face from frame to frame, so that the mark does not flicker."""

    def __init__(self) -> None:
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
        mesh = face.mesh
        for layer in face.drawn:
            mesh = moved_mesh(mesh, layer)
        window = window_of(mesh, out.shape)
        if window is None:
            return False
        if statement != self._statement:
            self._statement, self._bits = statement, bits_of(statement)
        self._held = {id: held for id, held in self._held.items() if time - held.seen_at <= FORGET_S}
        held = self._held.get(face.id)
        known = None if held is None or held.bits is not self._bits else held.points
        written = write(unwrap(out, window), self._bits, known)
        self._held[face.id] = _Held(written.points, self._bits, time)
        residual = cv2.multiply(wrap(written.residual, window), coverage(face.drawn, window))
        if window.shrink > 1:
            residual = cv2.resize(residual, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
        _add(out[window.slices], residual)
        return True

    def forget(self) -> None:
        """Drop all points."""
        self._held.clear()


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
    """The mean of several readings of a face's landmarks, each in a region a little beside the others.

    One reading depends on its region by a pixel or more. In a video frames make up for that; a single picture has this.

    Args:
        image: (H, W, 3) uint8 BGR.
        mesh: (478, 2) float32, of one reading.
        landmarks: reads the points inside a quad.
    """
    return np.asarray(np.mean(readings(image, mesh, landmarks), axis=0), np.float32)


def readings(image: Image, mesh: Floats, landmarks: ReadLandmarks, count: int = READINGS) -> list[Floats]:
    """Readings of `mean_reading`, (478, 2) float32 each; the same for the same picture."""
    rng = np.random.default_rng(0)
    region = region_of_mesh(mesh)
    size = np.float32(np.ptp(mesh, axis=0).max())
    found = []
    for _ in range(count):
        centre = region.centre + rng.normal(0, SPREAD, 2).astype(np.float32) * size
        axis = region.axis * np.float32(1 + rng.normal(0, 2 * SPREAD))
        found.append(landmarks(image, Quad(centre.astype(np.float32), axis))[0])
    return found


def _add(part: Image, residual: Floats) -> None:
    """Add a (h, w) float32 residual to all channels of a (h, w, 3) uint8 picture, in place."""
    up, down = cv2.convertScaleAbs(cv2.max(residual, 0)), cv2.convertScaleAbs(cv2.min(residual, 0))
    cv2.add(part, cv2.cvtColor(up, cv2.COLOR_GRAY2BGR), dst=part)
    cv2.subtract(part, cv2.cvtColor(down, cv2.COLOR_GRAY2BGR), dst=part)
