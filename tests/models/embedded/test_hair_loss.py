from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.drawn_edge import EDGE, drawn_edge
from models.embedded.hair_loss import LOSS, covered, lose_hair, shown_hair
from models.embedded.removal import lost_hair
from models.embedded.scalp import CENTER, HeadMap, ScalpModel, head_map, outline_features, texture_scale
from models.face.texture_space import FaceSpace

SIZE = 320
BULK = 22.0
"""How far the hair of `head_of_hair` stands out, texture pixels."""


@pytest.fixture(scope="module")
def tables() -> dict[str, NDArray[Any]]:
    with np.load(EMBEDDED / TABLES) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def head(tables: dict[str, NDArray[Any]]) -> HeadMap:
    space = FaceSpace.from_tables(tables)
    fit = space.fit(space.mean + np.array([64, 88], np.float32))
    return head_map(fit, ScalpModel.from_tables(tables).radii(outline_features(fit)), SIZE)


@pytest.fixture(scope="module")
def hair(head: HeadMap) -> Floats:
    """Short hair that stands out all around, down to the ears."""
    reach = head.distance / np.float32(texture_scale(head))
    above = CENTER[1] - head.texture[..., 1]
    return ((reach > -BULK) & (head.radius > 0.62) & (above > -10)).astype(np.float32)


def at(head: HeadMap, values: Floats, angle: float, inside: float) -> float:
    """A value at an angle from the crown, so many texture pixels within the outline."""
    reach, angles = (cv2.resize(each, (SIZE, SIZE)) for each in (head.distance, head.angle))
    far = ((angles - np.pi / 2 - angle) * 60) ** 2 + (reach / np.float32(texture_scale(head)) - inside) ** 2
    return float(values.ravel()[far.argmin()])


def full(values: Floats) -> Floats:
    """At the crop's own size."""
    return np.asarray(cv2.resize(values, (SIZE, SIZE)), np.float32)


def test_nothing_is_lost_at_0(head: HeadMap, hair: Floats) -> None:
    loss = lose_hair(head, hair, amount=0)
    assert covered(loss.density[full(hair) > 0], None, loss.contrast).min() > 0.999
    assert not loss.flow.any()


def test_temples_go_before_the_front_and_sides_last(head: HeadMap, hair: Floats) -> None:
    early, late = (lose_hair(head, hair, amount=amount).density for amount in (0.3, LOSS.ring))
    assert at(head, early, 0.65, 25) < 0.6 < at(head, early, 0, 25)
    assert at(head, late, 0, 3) < 0.1
    assert at(head, late, 1.5, 3) > 0.9


def test_on_both_sides_the_same_is_lost(head: HeadMap, hair: Floats) -> None:
    loss = lose_hair(head, hair, amount=0.5)
    for angle in (0.4, 0.9, 1.4):
        assert at(head, loss.density, angle, 8) == pytest.approx(at(head, loss.density, -angle, 8), abs=0.12)


def test_hair_only_gets_less(head: HeadMap, hair: Floats) -> None:
    left = [np.minimum(lose_hair(head, hair, amount=amount).density, 1) for amount in np.linspace(0, 1, 11)]
    assert all((after <= before + 1e-5).all() for before, after in pairwise(left))
    assert left[-1].max() == 0


def test_hair_that_is_left_lies_on_the_skull(head: HeadMap, hair: Floats) -> None:
    """Cut off where it ended, what stood out looked like horns."""
    loss = lose_hair(head, hair, amount=LOSS.ring)
    scale = texture_scale(head)
    whole = full(hair)
    shown, flow = shown_hair(whole, loss.flow)
    shown *= covered(loss.density, None, loss.contrast)
    reach = full(head.distance) / scale
    angle = np.abs(full(head.angle) - np.pi / 2)
    beside = (angle > 0.85) & (angle < 1.0)
    before, after = (
        (beside & (reach < -1) & (each > 0.5)).sum() / (beside & (np.abs(reach) < 1)).sum() * 2
        for each in (whole, whole * shown)
    )
    assert before > 0.8 * BULK
    assert after < 0.5 * before
    # it comes from further out, along the ray
    assert (beside & (np.abs(flow).sum(2) > 2)).sum() > 40
    there = beside & (np.abs(flow).sum(2) > 2)
    up = flow[..., 1][there]
    assert (up < 0).all()
    assert (np.sign(flow[..., 0][there]) == np.sign(np.argwhere(there)[:, 1] - np.argwhere(beside)[:, 1].mean())).all()


def test_hair_beside_the_ears_has_no_wings(head: HeadMap, hair: Floats) -> None:
    """Thick hair that stood out beside the ears and lay on the skull above them looked like a pair of horns."""
    loss = lose_hair(head, hair, amount=LOSS.ring, edge=np.zeros_like(hair))
    whole = full(hair)
    shown, _ = shown_hair(whole, loss.flow)
    seen = whole * shown * covered(loss.density, None, loss.contrast) > 0.5
    angle, reach = np.abs(full(head.angle) - np.pi / 2), full(head.distance) / texture_scale(head)
    above = full(head.texture[..., 1]) < CENTER[1] - 2
    outlines = [-reach[seen & above & (np.abs(angle - at_angle) < 0.04)].min() for at_angle in (1.05, 1.2, 1.35)]
    assert all(0 < after - before < 7 for before, after in pairwise(outlines))
    assert outlines[0] < 0.7 * BULK


def test_nothing_is_left_in_the_air_above_a_bald_crown(head: HeadMap, hair: Floats) -> None:
    loss = lose_hair(head, hair, amount=LOSS.ring)
    for angle in (-0.3, 0.0, 0.3):
        for out in (-6, -12, -20):
            assert at(head, loss.density, angle, out) < 0.01


def test_the_edge_of_a_bald_crown_is_no_dark_line(head: HeadMap, hair: Floats) -> None:
    """A ring that does not reach in is not seen as a rim of hair behind the crown."""
    density = lose_hair(head, hair, amount=LOSS.ring).density
    edge = np.array([at(head, density, angle, 4) for angle in (0, 0.3, 0.5)], np.float32)
    assert covered(edge, None, LOSS.contrast).max() < 0.3
    assert at(head, density, 1.15, 4) > 0.9


def test_pressed_hair_has_no_cut_edge(head: HeadMap, hair: Floats) -> None:
    """Its edge is as wide as that of hair that stands out, though it lies on less room."""
    soft = cv2.GaussianBlur(full(hair), (0, 0), 1.0)
    opacity, flow = lost_hair(hair=soft, head=head, amount=1.0, sides=1.0)
    assert flow is not None
    moved = cv2.magnitude(flow[..., 0], flow[..., 1]) > 2
    slope = cv2.magnitude(*(cv2.Sobel(opacity, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0)))
    assert moved.any()
    assert slope[moved].max() < 0.36


def test_what_looks_like_hair_further_out_is_not_pulled_in(head: HeadMap, hair: Floats) -> None:
    reach = head.distance / np.float32(texture_scale(head))
    leaves = hair.copy()
    leaves[(reach < -BULK - 12) & (reach > -BULK - 16) & (head.texture[..., 1] < 20)] = 1
    with_leaves, without = (lose_hair(head, each, amount=LOSS.ring) for each in (leaves, hair))
    np.testing.assert_allclose(with_leaves.flow, without.flow, atol=1e-4)


def test_short_hair_keeps_a_ring_and_long_hair_goes(head: HeadMap, hair: Floats) -> None:
    ring = lose_hair(head, hair, amount=1, sides=1)
    np.testing.assert_allclose(ring.density, lose_hair(head, hair, amount=LOSS.ring).density, atol=1e-5)
    half = lose_hair(head, hair, amount=1, sides=0.5).density
    assert at(head, half, 1.5, 3) < at(head, ring.density, 1.5, 3)
    assert at(head, half, 1.5, 3) > 0.05
    reach = head.distance / np.float32(texture_scale(head))
    long = hair.copy()
    long[(reach < 5) & (reach > -45) & (head.texture[..., 1] > 0) & (head.texture[..., 1] < 190)] = 1
    assert lose_hair(head, long, amount=1, sides=1, hanging=0.0).density.max() > 0.5
    assert lose_hair(head, hair, amount=1, sides=1, hanging=1.0).density.max() == 0
    assert lose_hair(head, long, amount=1, sides=1).density.max() == 0
    hanging = (full(long) > 0.9) & (full(head.texture[..., 1]) > 120)
    assert lose_hair(head, long, amount=LOSS.ring).density[hanging].min() > 0.9


def test_half_the_strands_cover_more_than_half_of_all() -> None:
    density = np.array([0, 0.04, 0.25, 0.5, 1, 2.7], np.float32)
    shares = covered(density, None, LOSS.contrast)
    assert shares[0] == 0
    assert (np.diff(shares) >= 0).all()
    assert shares[3] > 0.75
    np.testing.assert_allclose(shares[4:], 1, atol=1e-3)
    thick, thin = (covered(density, np.full_like(density, noise), 1.0) for noise in (1.5, -1.5))
    assert (thick[1:4] > 1.5 * thin[1:4]).all()
    np.testing.assert_allclose(thin[-1], 1, atol=1e-3)


def test_strands_tell_where_skin_shows(head: HeadMap, hair: Floats) -> None:
    whole = full(hair)
    strands = np.random.default_rng(2).standard_normal((SIZE, SIZE)).astype(np.float32)
    opacity, _ = lost_hair(hair=whole, head=head, amount=0.5, strands=strands)
    even, _ = lost_hair(hair=whole, head=head, amount=0.5)
    half = (even > 0.3) & (even < 0.7)
    assert half.sum() > 500
    assert np.corrcoef(strands[half], opacity[half])[0, 1] < -0.7


def test_noise_in_the_picture_hardly_moves_the_hair(head: HeadMap, hair: Floats) -> None:
    generator = np.random.default_rng(0)
    results = []
    for _ in range(4):
        alpha = np.clip(full(hair) + generator.normal(0, 0.02, (SIZE, SIZE)), 0, 1).astype(np.float32)
        opacity, flow = lost_hair(hair=alpha, head=head, amount=0.5)
        assert flow is not None
        results.append((opacity, flow))
    opacities, flows = (np.stack(each) for each in zip(*results, strict=True))
    assert opacities.std(0)[full(hair) > 0].mean() < 0.01
    assert np.quantile(flows.std(0), 0.99) < 0.1


def test_every_step_of_the_way_is_small(head: HeadMap, hair: Floats) -> None:
    amounts = np.linspace(0, 1, 41)
    shown = [lost_hair(hair=full(hair), head=head, amount=float(amount))[0] for amount in amounts]
    steps = [float(np.abs(after - before).sum()) for before, after in pairwise(shown)]
    assert max(steps) < 0.15 * shown[-1].sum()
    # and it begins early
    assert shown[6].sum() > 0.01 * shown[-1].sum()


def test_hair_that_is_not_moved_is_the_cameras(hair: Floats) -> None:
    whole = full(hair)
    shown, flow = shown_hair(whole, np.zeros((SIZE, SIZE, 2), np.float32))
    assert shown.min() == 1
    assert not flow.any()


def test_the_outline_has_no_steps(head: HeadMap, hair: Floats) -> None:
    """On the coarse grid it had, four pixels wide."""
    loss = lose_hair(head, hair, amount=LOSS.ring, edge=np.zeros_like(hair))
    assert loss.density.shape == (SIZE, SIZE)
    angles, reach = full(head.angle) - np.pi / 2, full(head.distance) / np.float32(texture_scale(head))
    ray = (np.abs(angles - 1.25) < 0.03) & (reach < -1) & (reach > -5)
    further = cv2.magnitude(loss.flow[..., 0], loss.flow[..., 1])[ray] / -reach[ray]
    assert further.mean() > 0.3
    assert further.std() < 0.2 * further.mean()


def test_hair_behind_the_temples_stays_with_the_crown(head: HeadMap, hair: Floats) -> None:
    """It went with the temples, and left a tuft on the crown."""
    density = lose_hair(head, hair, amount=0.45).density
    assert all(at(head, density, angle, -8) > 1 for angle in (0.0, 0.3, 0.62, 0.9))
    assert at(head, density, 0.62, 10) < 0.5 * at(head, density, 0.0, 10)


def test_thin_hair_has_little_volume(head: HeadMap, hair: Floats) -> None:
    """Hair that stood as high as before over a bare forehead had a flat top."""
    whole = full(hair)
    above = (np.abs(full(head.angle) - np.pi / 2) < 0.3) & (full(head.distance) < 0)
    volumes = []
    for amount in (0.0, 0.3, 0.45, 0.55):
        loss = lose_hair(head, hair, amount=amount)
        shown, _ = shown_hair(whole, loss.flow)
        volumes.append(float((whole * shown * covered(loss.density, None, loss.contrast))[above].sum()))
    assert all(after < 0.9 * before for before, after in pairwise(volumes))


def cut_off(head: HeadMap, above: int = 12) -> tuple[Floats, int]:
    """What lies beyond a frame that cuts the hair so many rows above the skull, and its first row."""
    row = int((full(head.distance)[:, SIZE // 2] > 0).argmax()) - above
    beyond = np.zeros((SIZE, SIZE), np.float32)
    beyond[:row] = 1
    return beyond, row


def test_nothing_is_fetched_from_beyond_the_frame(head: HeadMap, hair: Floats) -> None:
    """Repeated there, the edge of the frame showed as streaks in the hair."""
    beyond, row = cut_off(head)
    loss = lose_hair(head, hair, amount=0.4)
    shown, flow = shown_hair(full(hair), loss.flow, beyond)
    rows = np.arange(SIZE, dtype=np.float32)[:, None]
    fetched = (rows + loss.flow[..., 1] < row - 2) & (beyond == 0)
    assert fetched.sum() > 100
    assert not ((rows + flow[..., 1] < row - 2) & (beyond == 0)).any()
    # hair that goes on beyond it is no hole
    crown = np.abs(full(head.angle) - np.pi / 2) < 0.2
    there = full(head.distance) - cv2.magnitude(loss.flow[..., 0], loss.flow[..., 1]) > 6 - BULK * texture_scale(head)
    assert (fetched & crown & there).sum() > 20
    assert shown[fetched & crown & there].min() > 0.8


def test_what_only_may_go_on_beyond_the_frame_is_not_shown(head: HeadMap, hair: Floats) -> None:
    beyond, row = cut_off(head)
    loss = lose_hair(head, hair, amount=0.4)
    shown, _ = shown_hair(full(hair) * (1 - 0.6 * beyond), loss.flow, beyond)
    moved = np.hypot(loss.flow[..., 0], loss.flow[..., 1]) > 2
    fetched = moved & (np.arange(SIZE)[:, None] + loss.flow[..., 1] < row - 4) & (beyond == 0)
    assert fetched.sum() > 50
    assert shown[fetched].max() < 0.1


def scene(head: HeadMap, within: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A head whose edge is drawn so many crop pixels within the outline, and the scene behind it."""
    behind = np.full((SIZE, SIZE, 3), (60, 90, 170), np.uint8)
    drawn = np.where((full(head.distance) > within)[..., None], np.array((210, 160, 130), np.uint8), behind)
    return drawn, behind


@pytest.mark.parametrize("within", [-1.0, 1.0, 4.0, 7.0])
def test_the_edge_of_a_drawn_skull_is_found(head: HeadMap, within: float) -> None:
    """Hair that stands on another outline than the skull's floats beside it, or leaves a pale rim."""
    edge = drawn_edge(head, *scene(head, within))
    above = head.texture[..., 1] < CENTER[1] - 20
    # rather too far out: beside hair, skin that is left bare looks like the rim of a cap
    off = edge[above & (np.abs(head.distance) < 8)] - within
    assert off.min() > -2.5
    assert off.max() < 2


def test_where_the_scene_looks_like_skin_the_edge_is_the_usual_one(head: HeadMap) -> None:
    drawn, _ = scene(head, 8)
    edge = drawn_edge(head, drawn, drawn)
    np.testing.assert_allclose(edge, EDGE.usual, atol=1e-4)


def test_a_smaller_skull_takes_its_hair_with_it(head: HeadMap, hair: Floats) -> None:
    edges = [np.full_like(hair, within) for within in (0.0, 8.0)]
    flows = (lose_hair(head, hair, amount=LOSS.ring, edge=edge).flow for edge in edges)
    wide, narrow = (at(head, cv2.magnitude(flow[..., 0], flow[..., 1]), 1.25, -2) for flow in flows)
    assert narrow > wide + 2
