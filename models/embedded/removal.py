"""Hair removal by a network: what it is shown, and how the hair recedes over what it draws.

It is shown a first guess of the head without hair, and what is known around it. The guess is the statistical scalp
(`models.embedded.bare_head.scalp_colour`) inside the skull, and outside of it the backdrop, filled from backdrop
alone. Training and the editor share this module, so that both show the same.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from models.arrays import Floats, Image
from models.editor import Backdrop, Inpainting
from models.embedded.backdrop_texture import SeenBackdrop
from models.embedded.bare_head import background_behind, own_hair, scalp_colour
from models.embedded.body_behind_hair import (
    LAYERS,
    UNSEEN,
    Body,
    BodyBehindHair,
    above_shoulders,
    bare_shoulders,
    body_colours,
    layers,
    layout_input,
)
from models.embedded.body_layers import in_layers
from models.embedded.finish import (
    GRAINS,
    backdrop_grain,
    camera_grain,
    clean_rim,
    plain_scalp,
    skin_colours,
    skin_relief,
    without_mottles,
)
from models.embedded.hair_loss import covered, lose_hair, shown_hair
from models.embedded.head_noise import between, noise_on
from models.embedded.lent_ears import Ear, with_lent_ears
from models.embedded.scalp import CENTER, COARSE, HeadMap, ScalpModel
from models.embedded.shaved_head import with_stubble
from models.face.imaging import box_of, enlarge, fill, smoothstep

SIZE = 256
"""Side of the pictures that the network is trained on, pixels. It takes any multiple of 32."""
REMOVAL = "hair_removal.onnx"
"""The network in the embedded pack: "given" (N, 17, S, S) -> "drawn" (N, 3, S, S), colours as value / 64 - 2."""
SPREAD = 15
"""Margin around the hair that is erased, crop pixels."""
BEHIND = 5
"""The same of the backdrop and the face: what is seen there is better than what is drawn, strands aside."""
ABOVE_EARS = (-5.0, 15.0)
"""Heights above the brows over which the margin grows from `BEHIND` to `SPREAD`, texture pixels: ears are seen."""
CLOSE = 2
"""The same of brows and what they pass over: a brow that was drawn stays where it was when it moves."""
SEEN_FACE = (0.4, 0.7)
"""Face in the segmenter's reading over which skin counts as seen."""
SEEN_BESIDE = (0.2, 0.6)
"""Shares of hair over which a place beside a face is not seen."""
EARS_END = (2.0, 16.0)
"""Heights above the brows over which ears end, texture pixels."""
RAISED = (10.0, 18.0)
"""Distances above the brows over which they do not reach, texture pixels."""
COVER = 3
"""Margin around the hair that is hidden from the network, crop pixels."""
FAINT = (0.02, 0.32)
"""Alpha over which a pixel is taken for hair: what may be hair is removed too."""
STRANGE = (30.0, 70.0)
"""Differences between picture and drawing, 0..255, over which a place beside the hair counts as hair itself."""
MOST_ADDED = 80.0
"""Largest correction of a drawing, 0..255."""
BESIDE = (-9.0, -4.0)
"""Signed distances to the skull, crop pixels, over which a backdrop that was seen is no longer shown."""
HALO = 6
"""Margin around head and hair from which no backdrop is taken, crop pixels."""
FAINTLY_TAKEN = 0.1
"""What is taken by head and hair up to which a place counts as backdrop."""
UNDER_RIM = 4.0
"""How far within the outline of the skull the backdrop is drawn, crop pixels."""
LYING = (0.3, 1.5)
"""Distances by which hair is moved, crop pixels, over which it counts as pressed to the skull."""
EDGE_OF_HAIR = 0.8
"""Gaussian of the edge of such hair, crop pixels."""
ERASED_BY_NEAR = smoothstep(np.arange(256, dtype=np.float32) / np.float32(255), 0.1, 0.5)
"""What is erased by the hair near by, 0..255."""
ENOUGH_BACKDROP = 40.0
"""Coarse pixels of a backdrop that count as much as what was drawn of it."""
MEN = (0.44, 0.56)
"""How likely somebody is a man, over which a ring of hair is kept."""
CHANNELS = 17
GUESS, ERASED, DISTANCE, BODY, PERSON, SEEN, HIDDEN = slice(0, 3), 3, 4, slice(5, 8), 8, slice(9, 12), 12
COVERS, CLOTHED = 15, 16
"""Channels of the input: the picture with the guess in the erased part, how far each pixel is erased (0..1), the signed
distance to the skull, neighbouring skin and cloth continued over the erased part, the visible person (0..1), the
picture with the guess in the hidden part, and how far each pixel is hidden (0..1). What is erased but not hidden lies
beside the hair: the network takes over of it what is not hair. Noise inside the skull, in the bands of `GRAINS`, moves
with the head: a texture is drawn of it. The last two are how far a body covers the backdrop below the brows, and how
far with cloth (`models.embedded.body_behind_hair`).
"""
GREY_LEVELS = 64.0
"""Colours are given as value / 64 - 2."""
MIDDLE_ENDS = (4.0, 28.0)
"""Distances from the edge of what the network draws of a larger crop, pixels, over which its drawing is shown."""
DISTANCE_SCALE = 40.0
"""Distances are given in units of so many crop pixels, clipped to +-1.5."""
BELOW_BROWS = 8.0
"""Texture pixels below the brows at which the scalp of the guess ends, and the skin of the cheek begins."""
BESIDE_EYES = (-5.0, 15.0)
"""Distances below the brows over which what is seen counts as the skin of a cheek, texture pixels."""


def network_input(
    model: ScalpModel,
    bodies: BodyBehindHair,
    image: Image,
    *,
    erased: Floats,
    hidden: Floats,
    person: Floats,
    head: HeadMap,
    light: Floats,
    skin: Floats,
    male: float,
    behind: Backdrop | None = None,
    beyond: Floats | None = None,
    moved: tuple[float, float] = (0.0, 0.0),
) -> Floats:
    """Make the input of the removal network.

    Args:
        model: statistics of the scalp.
        bodies: tells what body is behind the hair.
        image: (S, S, 3) uint8 RGB, the head with its hair; S is a multiple of 32.
        erased: (S, S) float32 in 0..1, hair and its surroundings: these pixels are drawn anew.
        hidden: (S, S) float32 in 0..1, hair: these pixels are not shown.
        person: (S, S) float32 in 0..1, the person.
        head: polar map of this picture, from `models.embedded.scalp.head_map`.
        light: light coefficients, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.
        male: 0..1, how likely this is a man.
        behind: what was seen of the backdrop earlier: the guess where it is known.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame and tells nothing; None for nowhere.
        moved: where the noise begins, `FINER` pixels; training varies it.

    Returns:
        (17, S, S) float32; see `GUESS` and the other channels.
    """
    size = len(image)
    side = size // COARSE
    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    gone = cv2.resize(hidden, (side, side), interpolation=cv2.INTER_AREA)
    body = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
    if beyond is not None:
        gone = np.maximum(gone, cv2.resize(beyond, (side, side), interpolation=cv2.INTER_AREA))
    scalp = scalp_colour(model, coarse, hair=gone, head=head, light=light, skin=skin)
    backdrop = background_behind(coarse, gone, body, head.distance)
    if behind is not None:
        colour, known = (
            cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in (behind.colour, behind.known)
        )
        backdrop += known[..., None] * (colour - backdrop)
    unseen = smoothstep(cv2.dilate(gone, np.ones((3, 3), np.uint8)), *UNSEEN)
    below = head.texture[..., 1] - np.float32(CENTER[1])
    body_map = bodies.read(layout_input(coarse, gone, body, head, skin, male=male))
    visible_body = smoothstep(cv2.erode(body, np.ones((3, 3), np.uint8)), 0.5, 0.9) * (1 - unseen)
    continued = fill(coarse, np.asarray(visible_body * smoothstep(below, 40, 60), np.float32))
    # between cheek and ear grows hair, and below it is skin
    beside = np.asarray(visible_body * smoothstep(below, *BESIDE_EYES), np.float32)
    skin_beside, cloth = body_colours(coarse, beside, body_map, head, skin)
    bare = np.float32(bare_shoulders(coarse, beside, skin_beside, body_map, head))
    body_map = Body(body_map.skin + bare * body_map.cloth, (1 - bare) * body_map.cloth)
    told = smoothstep(body, 0.5, 0.9) * (1 - smoothstep(gone, *SEEN_BESIDE))
    covers, clothed = layers(body_map, head, size, male=male, seen=np.asarray(told, np.float32))
    if behind is not None:
        covers = covers * (1 - behind.known)
    lower = smoothstep(below, BELOW_BROWS - 6, BELOW_BROWS + 6)[..., None]
    scalp += lower * (skin_beside - scalp)

    full = (size, size)
    distance = enlarge(head.distance, full)
    low = enlarge(smoothstep(below, *LAYERS.below), full)
    inside = smoothstep(distance, -2, 2)
    # the skull goes over to the body below it
    inside = inside * (1 - low) + covers
    worn = (clothed * low)[..., None]
    person_guess = enlarge(scalp, full) * (1 - worn) + enlarge(cloth, full) * worn
    guess = enlarge(backdrop, full)
    guess += inside[..., None] * (person_guess - guess)
    shown, seen = (image + where[..., None] * (guess - image) for where in (erased, hidden))
    everywhere = (slice(0, size), slice(0, size))
    within = erased * smoothstep(distance, -1, 2)
    planes = [
        shown / GREY_LEVELS - 2,
        erased,
        np.clip(distance / DISTANCE_SCALE, -1.5, 1.5),
        enlarge(continued, full) / GREY_LEVELS - 2,
        person * (1 - erased),
        seen / GREY_LEVELS - 2,
        hidden,
        *(within * noise_on(head, between(*band), everywhere, moved) for band in GRAINS),
        covers,
        covers * clothed,
    ]
    return np.ascontiguousarray(np.dstack(planes).transpose(2, 0, 1), np.float32)


def keeps_ring(male: float) -> float:
    """How surely somebody who goes bald keeps a ring of hair, 0..1: women, who are shaved instead, keep none."""
    return float(smoothstep(np.asarray(male), *MEN))


def erase(hair: Floats, *spreads: int) -> list[Floats]:
    """How far each pixel is erased: hair and some pixels around it.

    Args:
        hair: (H, W) float32 in 0..1.
        spreads: so many pixels, in rising order.

    Returns:
        (H, W) float32 in 0..1 for each of the spreads.
    """
    # as bytes, which OpenCV dilates many times faster
    near, reached, erased = np.rint(255 * hair).astype(np.uint8), 0, []
    for spread in spreads:
        side = 2 * (spread - reached) + 1
        near = cv2.dilate(near, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
        reached = spread
        erased.append(np.asarray(cv2.LUT(cv2.GaussianBlur(near, (0, 0), 1.2), ERASED_BY_NEAR), np.float32))
    return erased


def continuation(
    image: Image, drawn: Floats, guess: Floats, *, erased: Floats, hidden: Floats, inside: Floats
) -> Floats:
    """What is added to a drawing so that it goes on from what is seen beside the hair, without a seam.

    Where the picture is seen and drawn anew, the broad difference between both is known. It is continued under the
    hair: skin's over the scalp, the backdrop's over the backdrop.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        drawn: (S, S, 3) float32 RGB, 0..255.
        guess: (S, S, 3) float32 RGB, 0..255, the first guess.
        erased: (S, S) float32 in 0..1, drawn anew.
        hidden: (S, S) float32 in 0..1, not seen, or beyond the camera's frame.
        inside: (S / 4, S / 4) float32 in 0..1, head and body.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = inside.shape[::-1]
    away = cv2.resize(image - drawn, size, interpolation=cv2.INTER_AREA)
    covered = cv2.resize(cv2.dilate(hidden, np.ones((3, 3), np.uint8)), size, interpolation=cv2.INTER_AREA)
    seen = smoothstep(cv2.resize(erased, size, interpolation=cv2.INTER_AREA), 0.3, 0.9) * (
        1 - smoothstep(covered, 0, 0.1)
    )
    # a strand that is left there differs much from what is drawn instead of it, and from the guess
    unlike = np.abs(cv2.resize(image - guess, size, interpolation=cv2.INTER_AREA)).max(2)
    odd = np.minimum(np.abs(away).max(2), unlike)
    seen *= 1 - smoothstep(odd, *STRANGE)
    filled = [fill(away, np.asarray(seen * part, np.float32)) for part in (inside, 1 - inside)]
    added = filled[1] + inside[..., None] * (filled[0] - filled[1])
    return enlarge(np.asarray(np.clip(added, -MOST_ADDED, MOST_ADDED), np.float32), (len(image), len(image)))


def inpaint_without_hair(
    network: Engine,
    bodies: BodyBehindHair,
    ear: Ear,
    model: ScalpModel,
    image: Image,
    *,
    hair: Floats,
    person: Floats,
    head: HeadMap,
    light: Floats,
    skin: Floats,
    male: float,
    backdrop: Backdrop | None = None,
    beyond: Floats | None = None,
) -> Inpainting:
    """Draw a head without any hair.

    Args:
        network: engine of `REMOVAL`.
        bodies: tells what body is behind the hair.
        ear: what is lent where hair hides the own ones.
        model: statistics of the scalp.
        image: (S, S, 3) uint8 RGB crop; S is a multiple of 32.
        hair: (S, S) float32 in 0..1, alpha of the hair.
        person: (M, M) float32, person probability over the crop.
        head: polar map of the crop.
        light: light coefficients, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.
        male: 0..1, how likely this is a man.
        backdrop: what was seen of it earlier: it is shown where it is known, and only the rest is drawn.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame and tells nothing; None for nowhere.

    Returns:
        The picture with all hair and its surroundings drawn anew; without hair the picture itself. What lies inside
        the skull moves with the head, and so do ears and neck.
    """
    full = (len(image), len(image))
    here = _own_hair_here(hair, head)
    hidden, erased = erase(here, COVER, SPREAD)
    beside = 1 - smoothstep(enlarge(head.distance, full), *BESIDE)
    if not erased.any():
        return Inpainting(image, 1 - beside, _scene_behind(image, 1 - beside, backdrop, beyond))
    given = network_input(
        model,
        bodies,
        image,
        erased=erased,
        hidden=hidden,
        person=enlarge(person, full),
        head=head,
        light=light,
        skin=skin,
        male=male,
        behind=backdrop,
        beyond=beyond,
    )
    guess = (given[GUESS].transpose(1, 2, 0) + 2) * GREY_LEVELS
    colours = _drawn(network, given, guess)
    unseen = hidden if beyond is None else np.maximum(hidden, beyond)
    low = smoothstep(-_above_brows(head), *LAYERS.below)
    covers = given[COVERS]
    inside = smoothstep(head.distance, -3, 3) * (1 - low)
    inside += cv2.resize(covers, inside.shape[::-1], interpolation=cv2.INTER_AREA)
    colours += continuation(image, colours, guess, erased=erased, hidden=unseen, inside=inside)
    colours = np.maximum(colours, 0)
    colours = skin_colours(colours, image, hidden=unseen, erased=erased, head=head)
    colours = without_mottles(colours, erased=erased)
    colours = plain_scalp(colours, erased=erased, head=head)
    head_and_body = (1 - beside) * (1 - enlarge(low, full)) + covers
    solid = np.maximum(head_and_body, enlarge(person, full) * (1 - hidden))
    wanted = (erased > 0) & (enlarge(head.distance, full) < UNDER_RIM) & (covers < 0.5)
    if beyond is not None:
        wanted &= beyond < 1
    # anew for each drawing, pieces would be others: in a video they boil
    seen = SeenBackdrop.of(
        image.astype(np.float32), _backdrop_seen(np.maximum(hidden, solid), beyond), wanted, textured=backdrop is None
    )
    colours = clean_rim(colours, image, erased=erased, head=head, seen=seen, beyond=beyond)
    grain = camera_grain(image, solid=solid, erased=erased, beyond=beyond)
    colours = backdrop_grain(colours, image, grain, solid=solid, erased=erased, head=head, seen=seen, beyond=beyond)
    beside_head = seen.instead_of(_without(colours, np.maximum(solid, unseen)), grain)
    colours = in_layers(
        colours, beside_head, guess, grain, hidden=unseen, covers=covers, worn=given[CLOTHED], head=head
    )
    colours = with_lent_ears(
        ear,
        colours,
        beside_head,
        hidden=unseen,
        erased=erased,
        person=enlarge(person, full),
        covers=covers,
        head=head,
        male=male,
    )
    colours = skin_relief(colours, image, hidden=unseen, erased=erased, head=head)
    colours = with_stubble(
        colours, image, hair=hair * (here > 0), erased=erased, head=head, amount=1 - keeps_ring(male)
    )
    if backdrop is not None:
        colours += (backdrop.known * beside)[..., None] * (backdrop.colour - colours)
    picture = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
    picture = np.where(erased[..., None] > 0, picture, image)
    # ears and neck move with the head, shoulders do not
    skin, above = covers - given[CLOTHED], enlarge(above_shoulders(head), full)
    moving = np.maximum(1 - beside, skin * above)
    # where a neck goes over to shoulders both show it
    hides = np.maximum(1 - beside, skin * smoothstep(above, 0.9, 1))
    return Inpainting(picture, moving, _scene_behind(picture, hides, backdrop, beyond))


def _drawn(network: Engine, given: Floats, guess: Floats) -> Floats:
    """What the network draws of the middle of a crop, as much as it takes, and the first guess around it."""
    size = given.shape[1]
    side = network.inputs[0].shape[-1] or size
    start = (size - side) // 2
    middle = slice(start, start + side), slice(start, start + side)
    part = np.ascontiguousarray(given[(slice(None), *middle)])
    drawn = network.run({"given": part[None]})["drawn"][0]
    colours = np.asarray((drawn.transpose(1, 2, 0) + 2) * np.float32(GREY_LEVELS), np.float32)
    if side == size:
        return colours
    to_edge = np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32)
    ramp = smoothstep(to_edge, *MIDDLE_ENDS)
    whole = np.array(guess, np.float32)
    whole[middle] += (ramp[:, None] * ramp)[..., None] * (colours - whole[middle])
    return whole


def _without(picture: Floats, taken: Floats) -> Floats:
    """A picture whose backdrop goes on over what is taken, as far as any is seen, (S, S, 3) float32 RGB."""
    coarse, free = (
        cv2.resize(each, None, fx=1 / COARSE, fy=1 / COARSE, interpolation=cv2.INTER_AREA)
        for each in (picture, 1 - taken)
    )
    weight = smoothstep(free, 0.5, 1)
    seen = float(weight.sum())
    filled = enlarge(fill(coarse, weight), taken.shape[::-1])
    return np.asarray(picture + np.float32(seen / (seen + ENOUGH_BACKDROP)) * (filled - picture), np.float32)


def _backdrop_seen(taken: Floats, beyond: Floats | None) -> NDArray[np.bool_]:
    """Where a backdrop is seen without what its head and hair leave around them, (S, S)."""
    near = (taken > FAINTLY_TAKEN).astype(np.uint8)
    seen = cv2.dilate(near, np.ones((2 * HALO + 1,) * 2, np.uint8)) == 0
    return seen if beyond is None else seen & (beyond < FAINTLY_TAKEN)


def lost_hair(
    *,
    hair: Floats,
    head: HeadMap,
    amount: float,
    sides: float = 0,
    strands: Floats | None = None,
    face: Floats | None = None,
    edge: Floats | None = None,
    hanging: float | None = None,
    beyond: Floats | None = None,
) -> tuple[Floats, Floats | None]:
    """Where hair is lost: the opacity of `inpaint_without_hair` over the picture, and where the picture is moved.

    Args:
        hair: (S, S) float32 in 0..1, alpha of the hair.
        head: polar map of the crop.
        amount: 0..1, how far the hairline has receded; at 1 no hair is left but at the sides.
        sides: 0..1, how much of short hair is kept around the ears.
        strands: (S, S) float32, unit noise that differs from strand to strand; None where they are not told apart.
        face: (M, M) float32 in 0..1, skin of the face and of ears that are seen; None where it is not known.
        edge: where the edge of the skull is drawn, from `models.embedded.drawn_edge`; None if not known.
        hanging: `models.embedded.hair_loss.hanging_share`, smoothed over time or not; None has that of `hair`.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S) float32 in 0..1; and (S, S, 2) float32, crop pixels (x, y) from each place to the one that is shown
        there under what is replaced, or None.
    """
    full = (len(hair), len(hair))
    here = _own_hair_here(hair, head)
    close, beside, above = erase(here, CLOSE, BEHIND, SPREAD)
    face = np.maximum(_inner_face(head), _seen_ears(head, face))
    inside = enlarge(smoothstep(head.distance, -4, 2) * (1 - face) * smoothstep(_above_brows(head), *ABOVE_EARS), full)
    beside += enlarge(face, full) * (close - beside)
    erased = beside + inside * (above - beside)
    box = box_of(erased > 0)
    if (amount >= 1 and sides == 0) or box is None:
        return erased, None
    coarse = cv2.resize(hair, head.distance.shape[::-1], interpolation=cv2.INTER_AREA)
    loss = lose_hair(head, coarse, amount=amount, sides=sides, edge=edge, hanging=hanging, box=box)
    shown, flow = shown_hair(hair, loss.flow, beyond)
    told = None if strands is None else strands[box]
    kept = shown[box] * covered(loss.density[box], told, loss.contrast)
    # what is pressed has its edge pressed too
    moved = cv2.magnitude(loss.flow[box][..., 0], loss.flow[box][..., 1])
    lying = cv2.GaussianBlur(cv2.dilate(smoothstep(moved, *LYING), np.ones((3, 3), np.uint8)), (0, 0), 2 * EDGE_OF_HAIR)
    kept += lying * (cv2.GaussianBlur(kept, (0, 0), EDGE_OF_HAIR) - kept)
    opacity = erased.copy()
    opacity[box] *= 1 - kept
    return opacity, flow


def _above_brows(head: HeadMap) -> Floats:
    return np.asarray(np.float32(CENTER[1]) - head.texture[..., 1], np.float32)


def _inner_face(head: HeadMap) -> Floats:
    """Brows and what lies below them, (S / 4, S / 4) float32 in 0..1.

    Brows and eyes move, and what is drawn only turns with the head; beside a strand over an eye, the eye is seen.
    """
    across = np.abs(head.texture[..., 0] - np.float32(CENTER[0]))
    return (1 - smoothstep(head.clear, *RAISED)) * (1 - smoothstep(across, 52, 60))


def _seen_ears(head: HeadMap, face: Floats | None) -> Floats:
    """Ears and cheeks that are seen, (S / 4, S / 4) float32 in 0..1: better than what is drawn."""
    if face is None:
        return np.zeros_like(head.distance)
    seen = cv2.resize(face, head.distance.shape[::-1], interpolation=cv2.INTER_AREA)
    return smoothstep(seen, *SEEN_FACE) * (1 - smoothstep(_above_brows(head), *EARS_END))


def continued(mask: Floats, beyond: Floats | None) -> Floats:
    """A mask (M, M) that goes on beyond the frame as it is at its edge, like the picture that is repeated there.

    Args:
        mask: (M, M) float32.
        beyond: (S, S) float32 in 0..1, what lies beyond; None for nowhere.
    """
    if beyond is None:
        return mask
    within = 1 - cv2.resize(beyond, mask.shape[::-1], interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(fill(np.dstack([mask] * 3), np.asarray(within, np.float32))[..., 0])


def _scene_behind(picture: Image, head: Floats, backdrop: Backdrop | None, beyond: Floats | None) -> Image:
    """The scene where the head is: as it was seen earlier, else filled from beside the head."""
    coarse, inside = (
        cv2.resize(each, None, fx=1 / COARSE, fy=1 / COARSE, interpolation=cv2.INTER_AREA) for each in (picture, head)
    )
    beside = np.asarray(1 - smoothstep(cv2.dilate(inside, np.ones((3, 3), np.uint8)), 0, 0.5), np.float32)
    if beyond is not None:
        beside *= 1 - cv2.resize(beyond, beside.shape[::-1], interpolation=cv2.INTER_AREA)
    filled = enlarge(fill(coarse.astype(np.float32), beside), head.shape)
    if backdrop is not None:
        filled += backdrop.known[..., None] * (backdrop.colour - filled)
    scene = picture + smoothstep(head, 0, 0.1)[..., None] * (filled - picture)
    return np.asarray(np.clip(scene + np.float32(0.5), 0, 255), np.uint8)


def _own_hair_here(hair: Floats, head: HeadMap) -> Floats:
    """How surely each pixel is hair of this head, faint hair too, from its alpha."""
    own = own_hair(cv2.resize(hair, head.distance.shape[::-1], interpolation=cv2.INTER_AREA), head)
    return smoothstep(hair, *FAINT) * enlarge(own, hair.shape[::-1])
