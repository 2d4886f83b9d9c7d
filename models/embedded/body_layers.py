"""A body that was drawn behind hair, in layers: skin and cloth, of their own colours, with an edge before the backdrop.

Where a network does not know on which side of an edge a place lies it draws the mean of both: fog beside the neck and
shoulders that run into the backdrop. `models.embedded.body_behind_hair` says where the edge is; one of several that
may be, but one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.body_behind_hair import LAYERS, within_oval
from models.embedded.scalp import CENTER, COARSE, HeadMap
from models.face.imaging import LOG_OFFSET, box_of, enlarge, fill, smoothstep


@dataclass(frozen=True, slots=True)
class BodyFinish:
    """How layers are drawn. Lengths are crop pixels.

    Attributes:
        room: around what is hidden that tells its colours.
        inner: side of the square by which a layer is eroded: so near its edge the drawing is not believed.
        enough: coarse pixels of a layer that must be seen, from none to all that is believed of the camera's colours
            instead of the drawn ones.
        broad: Gaussian of the broad colours of a layer, coarse pixels.
        skin, cloth: how far a drawing may be from these, log colour.
        face: distances inside the oval of the face over which this ends: eyes and glasses are no plain skin.
    """

    room: int = 32
    inner: int = 11
    enough: tuple[float, float] = (4.0, 16.0)
    broad: float = 1.5
    skin: float = 0.15
    cloth: float = 0.2
    face: tuple[float, float] = (-3.0, 3.0)


BODY_FINISH = BodyFinish()


def in_layers(
    colours: Floats, behind: Floats, *, hidden: Floats, covers: Floats, worn: Floats, head: HeadMap
) -> Floats:
    """Draw a body that hair hid in layers.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255: what the camera sees, and a drawing where hair is.
        behind: (S, S, 3) float32 RGB, the backdrop.
        hidden: (S, S) float32 in 0..1, hair.
        covers: (S, S) float32 in 0..1, where a body covers the backdrop, below the brows.
        worn: (S, S) float32 in 0..1, where cloth does.
        head: polar map.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = colours.shape[1::-1]
    outside = 1 - smoothstep(enlarge(within_oval(head), size), *BODY_FINISH.face)
    below = smoothstep(head.texture[..., 1] - np.float32(CENTER[1]), *LAYERS.below)
    where = hidden * outside * enlarge(below, size)
    box = box_of(where > 0, BODY_FINISH.room)
    if box is None:
        return colours
    # whole coarse pixels
    box = (slice(box[0].start // COARSE * COARSE, box[0].stop), slice(box[1].start // COARSE * COARSE, box[1].stop))
    drawn, covered, clothed = colours[box], covers[box], worn[box]
    seen = np.asarray(1 - hidden[box], np.float32)
    skin = _plain(drawn, covered - clothed, seen, BODY_FINISH.skin)
    cloth = _plain(drawn, clothed, seen, BODY_FINISH.cloth)
    share = (clothed / np.maximum(covered, np.float32(1e-3)))[..., None]
    body = skin + share * (cloth - skin)
    layered = behind[box] + covered[..., None] * (body - behind[box])
    finished = colours.copy()
    finished[box] += where[box][..., None] * (layered - drawn)
    return finished


def _plain(colours: Floats, layer: Floats, seen: Floats, most: float) -> Floats:
    """The colours of a layer, carried on over its edge and bounded by how far they are from what is seen of them."""
    side = BODY_FINISH.inner
    inside = cv2.erode(layer, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    coarse = (-(-colours.shape[1] // COARSE), -(-colours.shape[0] // COARSE))
    known, drawn = (cv2.resize(inside * each, coarse, interpolation=cv2.INTER_AREA) for each in (seen, 1 - seen))
    known += (1 - smoothstep(known.sum(), *BODY_FINISH.enough)) * drawn
    if not known.any():
        return colours
    filled = fill(cv2.resize(colours, coarse, interpolation=cv2.INTER_AREA), np.asarray(known, np.float32))
    broad = enlarge(cv2.GaussianBlur(filled, (0, 0), BODY_FINISH.broad), colours.shape[1::-1])
    broad = cv2.log(np.maximum(broad, 0) + np.float32(LOG_OFFSET))
    logs = cv2.log(np.maximum(colours, 0) + np.float32(LOG_OFFSET))
    away = np.float32(most) * np.tanh((logs - broad) * np.float32(1 / most))
    return np.asarray(cv2.exp(broad + away) - np.float32(LOG_OFFSET), np.float32)
