"""The last touch on a drawn bald head: the outline, the grain of skin and of the backdrop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded.backdrop_texture import SeenBackdrop
from models.embedded.finish import (
    FINISH,
    backdrop_grain,
    camera_grain,
    clean_rim,
    plain_scalp,
    skin_colours,
    skin_relief,
    without_mottles,
)
from models.embedded.scalp import CENTER, COARSE, HeadMap
from tests.models.embedded.test_edge_blur import sharp

SIZE = 320
SKIN, BACKDROP = (200.0, 150.0, 120.0), (40.0, 90.0, 200.0)


@pytest.fixture(scope="module")
def distance(head: HeadMap) -> Floats:
    return np.asarray(cv2.resize(head.distance, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def drawn(distance: Floats, grown: float = 0.0) -> Floats:
    """A head of flat skin before a flat backdrop, `grown` pixels larger than the skull."""
    return np.where((distance > -grown)[..., None], np.array(SKIN), np.array(BACKDROP)).astype(np.float32)


def upper(distance: Floats) -> np.ndarray:
    """Where the skull's outline is drawn anew: well above the brows."""
    return (np.arange(SIZE)[:, None] < 110) & (np.abs(distance) < 30)


def grained(
    colours: Floats,
    image: Image,
    *,
    solid: Floats,
    erased: Floats,
    head: HeadMap,
    seen: SeenBackdrop | None = None,
    beyond: Floats | None,
) -> Floats:
    """`backdrop_grain` with the grain of that camera."""
    grain = camera_grain(image, solid=solid, erased=erased, beyond=beyond)
    return backdrop_grain(colours, image, grain, solid=solid, erased=erased, head=head, seen=seen, beyond=beyond)


def test_a_halo_around_the_skull_goes(head: HeadMap, distance: Floats) -> None:
    clean = drawn(distance)
    halo = clean + 60 * np.exp(-((distance / 3) ** 2))[..., None]
    finished = clean_rim(halo, sharp(), erased=np.ones_like(distance), head=head)
    outside, within = upper(distance) & (distance < -2), upper(distance) & (np.abs(distance) < FINISH.kept)
    assert np.abs(finished - clean)[outside].mean() < 0.25 * np.abs(halo - clean)[outside].mean()
    assert np.abs(finished - clean)[within].mean() < 0.8 * np.abs(halo - clean)[within].mean()


def test_hair_beside_a_bald_crown_reaches_the_outline(head: HeadMap, distance: Floats) -> None:
    """What is drawn wider than an edge is trusted: the head is hair there, and no halo."""
    ringed = drawn(distance)
    ringed[(distance > 0) & (distance < 9)] = (70, 60, 55)
    finished = clean_rim(ringed, sharp(), erased=np.ones_like(distance), head=head)
    ring = upper(distance) & (distance > 4) & (distance < 8)
    assert np.abs(finished - ringed)[ring].mean() < 5


def test_blocks_on_a_scalp_go_and_its_shading_and_what_is_below_the_brows_stay(head: HeadMap, distance: Floats) -> None:
    shade = 1 + 0.3 * np.linspace(-1, 1, SIZE, dtype=np.float32)[None, :, None]
    smooth = drawn(distance) * shade
    blocks = smooth.copy()
    rows, columns = np.indices((SIZE, SIZE))
    dark = (rows // 6 + columns // 6) % 4 == 0
    blocks[dark] *= 0.4
    finished = plain_scalp(blocks, erased=np.ones_like(distance), head=head)
    scalp = upper(distance) & (distance > 10) & (rows < 90)
    before, after = (np.abs(np.log(each / smooth)[scalp]).std() for each in (blocks, finished))
    assert after < 0.35 * before
    plain = plain_scalp(smooth, erased=np.ones_like(distance), head=head)
    assert np.abs(plain / smooth - 1)[scalp].max() < 0.06
    # a brow that passes over the drawing stays, raised or not
    low = cv2.resize(head.clear, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) < FINISH.clear - 1
    across = np.abs(cv2.resize(head.texture, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., 0] - CENTER[0])
    low &= across < FINISH.temples[0] - 1
    assert low.any()
    assert np.array_equal(finished[low], blocks[low])


def test_temples_that_are_drawn_have_no_scraps(head: HeadMap, distance: Floats) -> None:
    smooth = drawn(distance)
    across = np.abs(cv2.resize(head.texture, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., 0] - CENTER[0])
    temples = (across > FINISH.temples[1] + 1) & (distance > FINISH.inner[1] + 1)
    assert temples.any()
    scraps = smooth.copy()
    scraps[:, ::5] *= 0.4
    finished = plain_scalp(scraps, erased=np.ones_like(distance), head=head)
    before, after = (np.log(each / smooth)[temples].std() for each in (scraps, finished))
    assert after < 0.35 * before


def test_a_scalp_is_no_redder_than_the_face(head: HeadMap, distance: Floats) -> None:
    image = drawn(distance).astype(np.uint8)
    erased = ((distance > 4) & (np.arange(SIZE)[:, None] < 90)).astype(np.float32)
    red = drawn(distance)
    red[erased > 0] = (220.0, 60.0, 50.0)
    finished = skin_colours(red, image, hidden=erased, erased=erased, head=head)
    redder = (finished - red)[..., 0]
    assert redder[erased > 0].max() < -60
    assert (finished[..., 0] - finished[..., 1])[erased > 0].max() < 1.2 * (SKIN[0] - SKIN[1])
    assert not redder[erased == 0].any()
    flat = drawn(distance)
    assert np.array_equal(skin_colours(flat, image, hidden=erased, erased=erased, head=head), flat)


def test_a_skull_has_no_corners(head: HeadMap, distance: Floats) -> None:
    """A drawing that stands out in one direction, as a strand that was left does, moves the outline little there."""
    picture = drawn(distance)
    crown = np.abs(np.arange(SIZE) - SIZE // 2) < 8
    picture[(distance > -12) & crown] = SKIN
    finished = clean_rim(picture, sharp(), erased=np.ones_like(distance), head=head)
    left_over = upper(distance) & crown & (distance < -5) & (distance > -10)
    assert np.abs(finished - np.array(BACKDROP, np.float32))[left_over].mean() < 5


def test_the_outline_stays_where_it_was_drawn(head: HeadMap, distance: Floats) -> None:
    larger = drawn(distance, grown=4)
    finished = clean_rim(larger, sharp(), erased=np.ones_like(distance), head=head)
    kept = (distance < 0) & (distance > -2.5) & upper(distance)
    assert np.abs(finished - larger)[kept].mean() < 20
    gone = (distance < -6) & upper(distance)
    assert np.abs(finished - larger)[gone].mean() < 5


def test_what_is_not_erased_stays(head: HeadMap, distance: Floats) -> None:
    picture = drawn(distance)
    nothing = np.zeros_like(distance)
    image = picture.astype(np.uint8)
    assert np.array_equal(clean_rim(picture, image, erased=nothing, head=head), picture)
    assert np.array_equal(skin_relief(picture, image, hidden=nothing, erased=nothing, head=head), picture)
    assert np.array_equal(grained(picture, image, solid=nothing, erased=nothing, head=head, beyond=None), picture)


def grainy(distance: Floats, strength: float) -> Image:
    noise = np.random.default_rng(1).normal(0, strength, distance.shape)[..., None]
    return np.clip(drawn(distance) * (1 + cv2.GaussianBlur(noise, (0, 0), 0.8)[..., None]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("strength", [0.03, 0.06])
def test_a_smooth_scalp_gets_the_grain_of_the_forehead(head: HeadMap, distance: Floats, strength: float) -> None:
    image, smooth = grainy(distance, strength), drawn(distance)
    scalp = (distance > 12) & (np.arange(SIZE)[:, None] < 100)
    erased = scalp.astype(np.float32)
    finished = skin_relief(smooth, image, hidden=erased, erased=erased, head=head)

    def fine(picture: Floats) -> float:
        return float((picture - cv2.GaussianBlur(picture, (0, 0), 2.0))[cv2.erode(erased, np.ones((7, 7))) > 0].std())

    assert 0.5 < fine(finished) / fine(image.astype(np.float32)) < 1.5


def test_the_grain_is_always_the_same(head: HeadMap, distance: Floats) -> None:
    """New noise in every picture would flicker on a still head."""
    image, smooth = grainy(distance, 0.05), drawn(distance)
    erased = ((distance > 0) & (np.arange(SIZE)[:, None] < 100)).astype(np.float32)
    first, second = (skin_relief(smooth, image, hidden=erased, erased=erased, head=head) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.abs(first - smooth).max() > 1


def before_a_wall(distance: Floats, noise: float) -> Image:
    random = np.random.default_rng(2).normal(0, noise, distance.shape)[..., None]
    return np.clip(drawn(distance) + random * (distance < 0)[..., None], 0, 255).astype(np.uint8)


def beside_the_head(distance: Floats) -> tuple[Floats, Floats]:
    """Where the backdrop is drawn, and where head and body are."""
    erased = ((distance < -2) & (distance > -25) & (np.arange(SIZE)[:, None] < 120)).astype(np.float32)
    return erased, (distance > -2).astype(np.float32)


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_a_drawn_backdrop_gets_the_grain_of_the_camera(head: HeadMap, distance: Floats, noise: float) -> None:
    image, smooth = before_a_wall(distance, noise), drawn(distance)
    erased, solid = beside_the_head(distance)
    finished = grained(smooth, image, solid=solid, erased=erased, head=head, beyond=None)
    inside = (cv2.erode(erased, np.ones((5, 5))) > 0) & (np.arange(SIZE)[:, None] > 30)
    fine = finished - cv2.GaussianBlur(finished, (0, 0), 3.0)
    assert 0.5 * noise < fine[inside].mean(-1).std() < 1.3 * noise
    np.testing.assert_array_equal(finished[solid == 1], smooth[solid == 1])


def test_the_halo_around_hair_leaves_no_ghost_of_it(head: HeadMap, distance: Floats) -> None:
    """Sharpening puts a bright line around hair; what is drawn beside it is not to repeat that."""
    erased, solid = beside_the_head(distance)
    image = before_a_wall(distance, 1.0)
    image[(distance < -28) & (distance > -32)] = (80, 130, 240)
    finished = grained(drawn(distance), image, solid=solid, erased=erased, head=head, beyond=None)
    inside = (cv2.erode(erased, np.ones((5, 5))) > 0) & (np.arange(SIZE)[:, None] > 30)
    assert np.abs(cv2.GaussianBlur(finished, (0, 0), 1.5) - drawn(distance))[inside].max() < 4


def test_what_lies_beyond_the_frame_lends_no_texture(head: HeadMap, distance: Floats) -> None:
    beyond = np.zeros_like(distance)
    beyond[:, :60] = 1
    erased = ((distance < -2) & (distance > -25)).astype(np.float32)
    solid = (distance > -2).astype(np.float32)
    answers = []
    for value in (0, 255):
        image = drawn(distance).astype(np.uint8)
        image[:, :58:2] = value
        answers.append(grained(drawn(distance), image, solid=solid, erased=erased, head=head, beyond=beyond))
    assert np.abs(answers[0] - answers[1]).max() < 1


def test_a_drawing_is_smoothed_between_its_edges(distance: Floats) -> None:
    clean = drawn(distance)
    mottled = clean + np.random.default_rng(3).normal(0, 8, clean.shape).astype(np.float32)
    erased = (np.arange(SIZE)[:, None] < 100).astype(np.float32) * np.ones_like(distance)
    finished = without_mottles(mottled, erased=erased)
    above = np.arange(SIZE) < 95
    assert np.abs(finished - clean)[above].mean() < 0.5 * np.abs(mottled - clean)[above].mean()
    edge = (np.abs(distance) < 3) & (np.arange(SIZE)[:, None] < 95)
    assert np.abs(finished - clean)[edge].mean() < 8
    assert np.array_equal(finished[105:], mottled[105:])


def test_a_drawn_backdrop_is_as_colourful_as_the_one_that_is_seen(head: HeadMap, distance: Floats) -> None:
    image = drawn(distance).astype(np.uint8)
    orange = drawn(distance)
    erased = ((distance < -4) & (distance > -25) & (np.arange(SIZE)[:, None] < 120)).astype(np.float32)
    orange[erased > 0] = (250, 120, 40)
    solid = (distance > -4).astype(np.float32)
    finished = grained(orange, image, solid=solid, erased=erased, head=head, beyond=None)
    away = finished - finished[..., 1:2]
    assert away[erased > 0][:, 0].max() <= BACKDROP[0] - BACKDROP[1] + 25
    assert away[erased > 0][:, 2].min() >= BACKDROP[2] - BACKDROP[1] - 25


def test_ears_keep_their_colour_before_a_grey_backdrop(head: HeadMap, distance: Floats) -> None:
    """The backdrop alone is no more colourful than what is seen: ears, jaw and neck are drawn below the brows."""
    below = cv2.resize(head.texture[..., 1], (SIZE, SIZE)) - CENTER[1]
    image = np.where((distance > -2)[..., None], np.array(SKIN), np.full(3, 128.0)).astype(np.uint8)
    colours = image.astype(np.float32)
    beside = (distance < -4) & (distance > -25)
    colours[beside] = SKIN
    solid = (distance > -4).astype(np.float32)
    finished = grained(colours, image, solid=solid, erased=beside.astype(np.float32), head=head, beyond=None)
    ears = beside & (below > 14) & (below < 60)
    assert np.abs(finished - colours)[ears].mean() < 6
    above = beside & (below < -30)
    assert np.abs(finished - finished[..., 1:2])[above].mean() < 6


def test_a_raised_brow_leaves_no_ghost_on_the_scalp(head: HeadMap, distance: Floats) -> None:
    picture = drawn(distance)
    rows, columns = np.indices(distance.shape)
    forehead = (head.clear > FINISH.clear).repeat(COARSE, 0).repeat(COARSE, 1) & (rows > 92)
    raised = forehead & (rows > np.nonzero(forehead)[0].max() - 8) & (columns % 9 < 5)
    image = picture.astype(np.uint8)
    image[raised] = (70, 50, 40)
    erased = ((distance > 8) & (rows < 84)).astype(np.float32)
    finished = [
        skin_relief(picture, each, hidden=erased, erased=erased, head=head)
        for each in (picture.astype(np.uint8), image)
    ]
    assert raised.any()
    assert np.abs(finished[1] - finished[0]).max() < 4


def test_the_outline_is_as_soft_as_what_the_camera_sees(head: HeadMap, distance: Floats) -> None:
    def width(image: Image) -> float:
        finished = clean_rim(drawn(distance), image, erased=np.ones_like(distance), head=head)
        share = (finished[..., 0] - BACKDROP[0]) / (SKIN[0] - BACKDROP[0])
        between = upper(distance) & (share > 0.1) & (share < 0.9)
        return float(np.abs(distance[between]).max())

    assert 1.6 * width(sharp()) < width(sharp(1.6)) < FINISH.edge[1] + 1


def test_pieces_of_a_backdrop_are_shown_up_to_the_skull(head: HeadMap, distance: Floats) -> None:
    """Between a skull and the margin around it no fog is left."""
    fog, image = drawn(distance), sharp()
    green, whole = np.full((SIZE, SIZE, 3), (30, 160, 40), np.float32), np.ones((SIZE, SIZE), np.float32)
    seen = SeenBackdrop(fog, np.zeros_like(whole), green, whole)
    erased = ((distance < 20) & (distance > -40)).astype(np.float32)
    solid = (distance > -7).astype(np.float32)
    finished = clean_rim(fog, image, erased=erased, head=head, seen=seen)
    finished = grained(finished, image, solid=solid, erased=erased, head=head, seen=seen, beyond=None)
    beside = upper(distance) & (distance < -2.5) & (distance > -35)
    assert np.abs(finished - green)[beside].max() < 2
    within = upper(distance) & (distance > 3)
    assert np.abs(finished - fog)[within].mean() < 2
