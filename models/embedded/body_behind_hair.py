"""What lies behind hair that hangs over neck and shoulders: skin, cloth or backdrop.

A network tells it from what is seen beside the hair (amodal segmentation, Zhu et al. 2017). Removal of hair takes its
first guess from it: a neck and shoulders with an edge, where a fill from the surroundings shows a backdrop that runs
into the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from engines.base import Engine
from models.arrays import Floats
from models.embedded.scalp import CENTER, COARSE, HeadMap, crop_to_texture, texture_scale
from models.face.imaging import enlarge, fill, log_colour, smoothstep
from models.face.texture_space import FACE_OVAL, SIZE

BODY_NETWORK = "body_behind_hair.onnx"
"""The network in the embedded pack: "given" (N, 13, S / 4, S / 4) -> "layout" (N, 3, S / 2, S / 2), logits of
`BACKDROP`, `SKIN` and `CLOTH`.
"""
PLANES = 13
BACKDROP, SKIN, CLOTH = range(3)
FINER = 2
"""Pixels of the layout per coarse pixel."""
GREY_LEVELS = 64.0
"""Colours are given as value / 64 - 2."""
UNSEEN = (0.03, 0.2)
"""Shares of hair in a coarse pixel over which it tells nothing."""
LARGEST = 1.5
"""Bound of relative log colours."""
DISTANCE_SCALE = 40.0
"""Distances are given in units of so many crop pixels, clipped to +-2."""


@dataclass(frozen=True, slots=True)
class Layers:
    """How a guess is made of a layout.

    Attributes:
        smooth: Gaussian of the layout, its pixels.
        likely: probability from which a body is there.
        edge: half the width of its edge, pixels.
        even: Gaussian that evens it out between ears and shoulders, crop pixels.
        flat: least slope of probabilities that has an edge, per pixel.
        sure: probabilities over which what is seen counts as that layer.
        below: heights below the brows over which the layout tells where the head ends, and not the skull, texture
            pixels.
        face: distances inside the oval of the face, crop pixels, over which all that is seen is skin.
        skull: heights below the points beside the ears over which the skull behind them ends, texture pixels.
        jaw: heights below the points beside the ears over which a jaw begins, texture pixels.
        slant: height below them from which a neck may leave the jaw, and how far for each pixel down, of women and of
            men.
        shoulder: heights below them over which shoulders begin.
        wider: how much wider than the mesh it is, shares of half the width of the face, of women and of men: medians of
            50 and 1400 sides.
        nearer: how much wider it is where it turns to the camera, by how far the middle of the forehead is from the
            middle of both sides.
        farther: the same on the far side, over which the skull behind the ear is hidden by the cheek.
        cheek: distances beyond the oval of the mesh, crop pixels, over which what is seen of a person is the face.
        neck: distances from the middle over which there is no neck, shares of half the width of the face.
        unlike: distances from the log colour of skin over which something is cloth.
        tint: the same from that of the face, of red and blue over green, however it is lit, over which it is no skin.
        eyes: how far eyes and brows are from the middle and below the brows, and half the width and height of what they
            and made-up lashes take of the skin there, texture pixels.
        chin: heights below the points beside the ears over which shoulders are looked at, texture pixels.
        bare: shares of skin in what is seen of them over which they are bare.
        shoulders: coarse pixels of it that must be seen, from none to all that is believed of it.
        cloth: RGB of cloth where none is seen, 0..255.
        least: weight of it, coarse pixels of cloth that is seen.
        collar: weight of cloth in front of the neck, of that of cloth beside it.
    """

    smooth: float = 1.0
    likely: float = 0.5
    edge: float = 2.0
    even: float = 5.0
    flat: float = 1e-3
    sure: tuple[float, float] = (0.6, 0.9)
    below: tuple[float, float] = (2.0, 18.0)
    face: tuple[float, float] = (4.0, 10.0)
    skull: tuple[float, float] = (-2.0, 14.0)
    jaw: tuple[float, float] = (20.0, 29.0)
    slant: tuple[float, float, float] = (68.0, 0.75, 0.95)
    shoulder: tuple[float, float] = (88.0, 106.0)
    wider: tuple[float, float] = (0.045, 0.06)
    nearer: float = 0.6
    farther: tuple[float, float] = (0.26, 0.4)
    cheek: tuple[float, float] = (-16.0, -12.0)
    neck: tuple[float, float] = (0.62, 0.74)
    unlike: tuple[float, float] = (0.3, 0.6)
    tint: tuple[float, float] = (0.2, 0.4)
    eyes: tuple[float, float, float, float] = (31.5, 7.0, 25.0, 18.0)
    chin: tuple[float, float] = (54.0, 66.0)
    bare: tuple[float, float] = (0.45, 0.65)
    shoulders: tuple[float, float] = (15.0, 40.0)
    cloth: tuple[float, float, float] = (46.0, 46.0, 52.0)
    least: float = 1.5
    collar: float = 0.03


LAYERS = Layers()
EAR_POINTS = (FACE_OVAL.index(234), FACE_OVAL.index(454))
"""Places in `HeadMap.oval` of the points beside which ears are, left in the picture and right."""


class Body(NamedTuple):
    """What is where without hair; each (S / 2, S / 2) float32 in 0..1.

    Attributes:
        skin: head, ears and neck.
        cloth: and all else that the person wears.
    """

    skin: Floats
    cloth: Floats


def layout_input(coarse: Floats, gone: Floats, person: Floats, head: HeadMap, skin: Floats, *, male: float) -> Floats:
    """The input of the network.

    Args:
        coarse: (H, W, 3) float32 RGB, 0..255, the crop on the coarse grid.
        gone: (H, W) float32 in 0..1, hair, and what lies beyond the camera's frame.
        person: (H, W) float32 in 0..1, the person.
        head: polar map of the crop.
        skin: (3,) float32, median log colour of the face.
        male: 0..1, how likely this is a man: necks of men are broad.

    Returns:
        (13, H, W) float32: colours, what is seen, the person, colours over those of the skin, the signed distances to
        the skull and to the oval of the face, the place, and -1 for women to 1 for men.
    """
    seen = 1 - smoothstep(cv2.dilate(gone, np.ones((3, 3), np.uint8)), *UNSEEN)
    told = seen[..., None]
    distances = np.stack([head.distance, within_oval(head)]) / np.float32(DISTANCE_SCALE)
    place = (head.texture - np.array(CENTER, np.float32)) / np.float32(SIZE / 2)
    planes = [
        (coarse / GREY_LEVELS - 2) * told,
        told,
        (person * seen)[..., None],
        np.clip(log_colour(coarse) - skin, -LARGEST, LARGEST) * told,
        np.clip(distances, -2, 2).transpose(1, 2, 0),
        place,
        np.full_like(told, 2 * male - 1),
    ]
    return np.ascontiguousarray(np.concatenate(planes, 2).transpose(2, 0, 1), np.float32)


def within_oval(head: HeadMap) -> Floats:
    """Signed distance inside the oval of the face, crop pixels, on the coarse grid."""
    side = len(head.distance)
    mask = np.zeros((2 * side, 2 * side), np.uint8)
    corners = np.clip((head.oval + 0.5) * (2 / COARSE) * 16 - 8, -(1 << 15), 1 << 15)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1, shift=4)
    inside, outside = (cv2.distanceTransform(each, cv2.DIST_L2, 3) for each in (mask, 1 - mask))
    # beyond the crop a face has no distance
    signed = np.clip(inside - outside, -4 * side, 4 * side).astype(np.float32) * np.float32(COARSE / 2)
    return np.asarray(cv2.resize(signed, (side, side), interpolation=cv2.INTER_AREA))


class BodyBehindHair:
    """The network on any engine. Thread-safe, without state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, given: Floats) -> Body:
        """Tell the layout.

        Args:
            given: of `layout_input`.
        """
        logits = self._engine.run({"given": given[None]})["layout"][0]
        odds = np.exp(logits - logits.max(0))
        odds /= odds.sum(0)
        return Body(odds[SKIN], odds[CLOTH])


def layers(body: Body, head: HeadMap, size: int, *, male: float, seen: Floats | None = None) -> tuple[Floats, Floats]:
    """How far a body covers the backdrop below the brows, and how much of it is cloth; each (S, S) float32 in 0..1.

    Args:
        body: of `BodyBehindHair.read`.
        head: polar map of the crop.
        size: S.
        male: 0..1, how likely this is a man.
        seen: (S / 4, S / 4) float32 in 0..1, where a person is seen; beside the face that is its cheek, which may be
            wider than the mesh. None where it is not known.
    """
    full = (size, size)
    skin, cloth = (enlarge(cv2.GaussianBlur(each, (0, 0), LAYERS.smooth), full) for each in body)
    within = within_oval(head)
    # behind the far cheek of a head that turns neither ear nor skull is seen
    farther = smoothstep(-_nearer(head), *LAYERS.farther)
    bounded = 1 - enlarge(np.maximum(_below_ears(head), farther) * _beyond_jaw(head, within, male), full)
    # behind the upper half of an ear is the skull
    behind_ears = 1 - smoothstep(head.texture[..., 1] - np.float32(_texture_row(head)), *LAYERS.skull)
    behind_ears = behind_ears * (1 - farther)
    head_there = np.maximum(smoothstep(within, -2, 2), smoothstep(head.distance, -2, 2) * behind_ears)
    if seen is not None:
        head_there = np.maximum(head_there, seen * smoothstep(within, *LAYERS.cheek))
    head_there = enlarge(head_there, full)
    skin = np.maximum(skin * bounded, head_there * (1 - cloth))
    # what is seen and what is told meet in steps beside the jaw
    jaw = enlarge(np.asarray(_below_ears(head) * above_shoulders(head), np.float32), full)
    skin += jaw * (cv2.GaussianBlur(skin, (0, 0), LAYERS.even) - skin)
    low = enlarge(smoothstep(head.texture[..., 1] - np.float32(CENTER[1]), *LAYERS.below), full)
    covers, clothed = (_with_edge(odds) for odds in (skin + cloth - np.float32(LAYERS.likely), cloth - skin))
    return low * covers, clothed


def without_ears(head: HeadMap, size: int, *, male: float) -> Floats:
    """Where a head may be that has no ears, (S, S) float32 in 0..1: as wide as its mesh, and a neck."""
    return 1 - enlarge(_beyond_jaw(head, within_oval(head), male), (size, size))


def _with_edge(odds: Floats) -> Floats:
    """A layer with a sharp edge, (S, S) float32 in 0..1, where odds are above 0: a slope all over is fog."""
    across, down = (cv2.Sobel(odds, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    distance = odds / np.maximum(cv2.magnitude(across, down), np.float32(LAYERS.flat))
    return smoothstep(distance, -LAYERS.edge, LAYERS.edge)


def _below_ears(head: HeadMap) -> Floats:
    """Heights below the ears, (S / 4, S / 4) float32 in 0..1."""
    return smoothstep(head.texture[..., 1] - np.float32(_texture_row(head)), *LAYERS.jaw)


def _beyond_jaw(head: HeadMap, within: Floats, male: float) -> Floats:
    """Where no skin of a head is, so far beyond its mesh, (S / 4, S / 4) float32 in 0..1."""
    women, men = LAYERS.wider
    across, half, _ = _across(head)
    # of a head that turns the neck behind the near jaw is seen
    wider = (women + male * (men - women) + LAYERS.nearer * np.maximum(_nearer(head), 0)) * half
    # a neck leaves the jaw at a slant
    begins, of_women, of_men = LAYERS.slant
    down = head.texture[..., 1] - np.float32(_texture_row(head) + begins)
    slope = (of_women + male * (of_men - of_women)) * texture_scale(head)
    wider = wider + np.maximum(down, 0) * np.float32(slope)
    beyond = smoothstep(-within - wider, -2, 2) * smoothstep(np.abs(across), *LAYERS.neck)
    return np.asarray(beyond * above_shoulders(head), np.float32)


def _nearer(head: HeadMap) -> Floats:
    """How far the side of a head is turned to the camera, (S / 4, S / 4) float32: by how far the middle of the forehead
    is from the middle of both sides, shares of half the width of the face; below 0 on the far side.
    """
    across, half, axis = _across(head)
    forehead = float((head.oval[0] - head.oval[list(EAR_POINTS)].mean(0)) @ axis) / half
    return np.where(across > 0, np.float32(-forehead), np.float32(forehead))


def above_shoulders(head: HeadMap) -> Floats:
    """Head and neck, and not what lies below them, (S / 4, S / 4) float32 in 0..1."""
    heights = head.texture[..., 1] - np.float32(_texture_row(head))
    return 1 - smoothstep(heights, *LAYERS.shoulder)


def _across(head: HeadMap) -> tuple[Floats, float, Floats]:
    """Distances from the middle of a face to its right, (S / 4, S / 4) float32, in units of half its width; that, crop
    pixels; and the direction, (2,) float32.
    """
    sides = head.oval[list(EAR_POINTS)]
    half = max(float(np.linalg.norm(sides[1] - sides[0])) / 2, 1.0)
    axis = np.asarray((sides[1] - sides[0]) / np.float32(2 * half), np.float32)
    rows, columns = np.indices(head.distance.shape, np.float32)
    place = np.stack([columns, rows], -1) * np.float32(COARSE) + np.float32((COARSE - 1) / 2) - sides.mean(0)
    return np.asarray(place @ axis / np.float32(half), np.float32), half, axis


def _texture_row(head: HeadMap) -> float:
    """Texture row of the points of the mesh beside the ears."""
    to_texture = crop_to_texture(head)
    return float(to_texture[1, :2] @ head.oval[list(EAR_POINTS)].mean(0) + to_texture[1, 2])


def body_colours(coarse: Floats, seen: Floats, body: Body, head: HeadMap, tone: Floats) -> tuple[Floats, Floats]:
    """Colours of skin and of cloth, filled from what is seen of them; each (H, W, 3) float32 RGB, 0..255.

    Args:
        coarse: (H, W, 3) float32 RGB, the crop on the coarse grid.
        seen: (H, W) float32 in 0..1, where a person is seen, below the eyes.
        body: of `BodyBehindHair.read`.
        head: polar map of the crop.
        tone: (3,) float32, median log colour of the face: lips and eyes tell nothing of the skin beside them.
    """
    skin, cloth = (
        smoothstep(cv2.resize(each, seen.shape[::-1], interpolation=cv2.INTER_AREA), *LAYERS.sure) for each in body
    )
    face = smoothstep(within_oval(head), *LAYERS.face)
    plain = np.maximum(skin, face) * of_tone(coarse, tone) * beside_eyes(head)
    skin_colour = fill(coarse, np.asarray(seen * plain, np.float32))
    cloth = seen * cloth * (1 - face) * unlike_skin(coarse, skin_colour) * beside_collar(head)
    held = float(cloth.sum())
    share = np.float32(held / (held + LAYERS.least))
    dark = np.array(LAYERS.cloth, np.float32)
    cloth_colour = np.asarray(dark + share * (fill(coarse, np.asarray(cloth, np.float32)) - dark), np.float32)
    return skin_colour, cloth_colour


def beside_eyes(head: HeadMap) -> Floats:
    """1 beside eyes and brows, 0 on them, on the coarse grid, float32."""
    far, down, wide, high = LAYERS.eyes
    across = np.abs(head.texture[..., 0] - np.float32(CENTER[0])) - np.float32(far)
    below = head.texture[..., 1] - np.float32(CENTER[1] + down)
    return smoothstep(np.hypot(across / np.float32(wide), below / np.float32(high)), 1.0, 1.3)


def of_tone(picture: Floats, tone: Floats) -> Floats:
    """How surely a colour is that of the face's skin, however it is lit, (H, W) float32 in 0..1.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        tone: (3,) float32, median log colour of the face.
    """
    away = log_colour(picture) - tone
    return 1 - smoothstep(np.abs(away[..., ::2] - away[..., 1:2]).max(2), *LAYERS.tint)


def bare_shoulders(coarse: Floats, seen: Floats, skin: Floats, body: Body, head: HeadMap) -> float:
    """How surely shoulders are bare, 0..1, by what is seen of them: the network has hardly seen any.

    Args:
        coarse, seen: as of `body_colours`.
        skin: (H, W, 3) float32 RGB, the skin of the face and of what is near, from there.
        body: of `BodyBehindHair.read`: a wall that is taken for the person is none of it.
        head: polar map of the crop.
    """
    below = smoothstep(head.texture[..., 1] - np.float32(_texture_row(head)), *LAYERS.chin)
    there = cv2.resize(body.skin + body.cloth, seen.shape[::-1], interpolation=cv2.INTER_AREA)
    beside = seen * smoothstep(there, *LAYERS.sure) * below * smoothstep(np.abs(_across(head)[0]), *LAYERS.neck)
    cloth = unlike_skin(coarse, skin)
    bare, clothed = float((beside * (1 - cloth)).sum()), float((beside * cloth).sum())
    share = bare / max(bare + clothed, 1e-3)
    return float(smoothstep(np.asarray(share), *LAYERS.bare) * smoothstep(np.asarray(bare), *LAYERS.shoulders))


def beside_collar(head: HeadMap) -> Floats:
    """How much cloth tells of what hair hides beside it, (S / 4, S / 4) float32 in 0..1: a white collar tells little of
    the jacket over it.
    """
    beside = smoothstep(np.abs(_across(head)[0]), *LAYERS.neck)
    return np.asarray(LAYERS.collar + (1 - LAYERS.collar) * beside, np.float32)


def unlike_skin(picture: Floats, skin: Floats, over: tuple[float, float] = LAYERS.unlike) -> Floats:
    """How surely a colour is no skin, (H, W) float32 in 0..1: the edge of a neck is not what cloth is filled with.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        skin: (H, W, 3) float32 RGB, the skin near by.
        over: distances of log colour over which it is none.
    """
    return smoothstep(np.abs(log_colour(picture) - log_colour(skin)).max(2), *over)
