import cv2
import numpy as np
import pytest

from models.editor import Masks
from stream.filters import ExponentialMean, OneEuro
from stream.flow import FlowCompensatedMean, PointFlow

POINTS = np.stack(np.meshgrid(np.linspace(90, 210, 12), np.linspace(60, 180, 12)), -1).reshape(-1, 2).astype(np.float32)


def textured(shift=(0.0, 0.0)):
    noise = np.random.default_rng(0).uniform(0, 255, (240, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    moved = cv2.warpAffine(
        smooth, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), (320, 240), borderMode=cv2.BORDER_REFLECT_101
    )
    return cv2.cvtColor(moved.astype(np.uint8), cv2.COLOR_GRAY2BGR)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.6, -0.4), (5.0, 3.0)])
def test_it_sees_how_a_face_moves(shift):
    moved = PointFlow()(textured(), textured(shift), POINTS)
    assert np.abs(moved - np.float32(shift)).mean() < 0.3


def test_it_sees_brows_rise_in_a_face_that_stays():
    rows, columns = np.mgrid[:240, :320].astype(np.float32)
    rise = 4 * np.exp(-(((rows - 84) / 14) ** 2))
    raised = cv2.remap(textured(), columns, rows + rise, cv2.INTER_LINEAR)
    moved = PointFlow()(textured(), raised, POINTS)
    wanted = -4 * np.exp(-(((POINTS[:, 1] - 84) / 14) ** 2))
    assert np.abs(moved[:, 1] - wanted).mean() < 0.3


def test_points_without_extent_do_not_move():
    image = textured()
    assert not PointFlow()(image, image, np.zeros((3, 2), np.float32)).any()


def test_noisy_points_of_a_moving_face_follow_it_and_are_steady():
    generator = np.random.default_rng(1)
    motion, smooth = PointFlow(), OneEuro(0.4, 3.0, 0.03)
    before, points, errors = None, None, []
    for frame in range(25):
        shift = np.float32([1.5 * frame, 0.5 * frame])
        image = textured(shift)
        moved = None if before is None else motion(before, image, points) / 200
        noisy = POINTS + shift + generator.normal(0, 2, POINTS.shape).astype(np.float32)
        points = smooth(noisy / 200, frame / 30, moved) * 200
        before = image
        errors.append((points - POINTS - shift).mean(0))
    jitter = np.abs(np.diff(errors[5:], axis=0)).mean()
    assert jitter < 0.15
    assert np.abs(errors[-1]).max() < 1


def test_a_jump_that_was_not_seen_is_followed_at_once():
    smooth = OneEuro(0.4, 3.0, 0.03)
    smooth(POINTS / 200, 0.0)
    jumped = (POINTS + 40) / 200
    np.testing.assert_array_equal(smooth(jumped, 1 / 30, np.zeros_like(POINTS)), jumped)


def masks_at(shift, noise=0.0, seed=0):
    plane = np.zeros((160, 160), np.float32)
    plane[40 + shift : 100 + shift, 30 + shift : 120 + shift] = 1
    plane += np.random.default_rng(seed).normal(0, noise, plane.shape).astype(np.float32)
    return Masks(plane, plane, plane, plane)


def test_masks_of_a_moving_picture_are_steady_and_do_not_lag():
    mean, still = FlowCompensatedMean(0.2, 0.06), ExponentialMean(0.2)
    for frame in range(12):
        picture = textured((2.0 * frame, 2.0 * frame))[:240, :240]
        masks = masks_at(round(2.0 * frame * 160 / 240), 0.2, frame)
        carried = mean(picture, masks, frame / 30).hair
        lagging = still(masks.hair, frame / 30)
    truth = masks_at(round(22 * 160 / 240)).hair
    assert np.abs(carried - truth).mean() < 0.7 * np.abs(masks.hair - truth).mean()
    assert np.abs(carried - truth).mean() < 0.7 * np.abs(lagging - truth).mean()


def test_what_is_in_front_is_seen_sooner_than_hair():
    mean = FlowCompensatedMean(0.2, 0.06)
    picture = textured()[:240, :240]
    nothing = np.zeros((160, 160), np.float32)
    mean(picture, Masks(nothing, nothing, nothing, nothing), 0.0)
    after = mean(picture, masks_at(0), 1 / 30)
    assert after.occluder.max() > 2 * after.hair.max()


def test_no_smoothing_gives_the_masks_as_they_are():
    masks = masks_at(0)
    assert FlowCompensatedMean(0.0, 0.0)(textured()[:240, :240], masks, 0.0) is masks
