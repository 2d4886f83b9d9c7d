import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.editor import Crop, Masks
from models.embedded.strands import look_of
from models.face.eye_frame import eye_places
from stream.filters import ExponentialMean, OneEuro
from stream.flow import FlowCompensatedMean, PointFlow, SteadyLight
from tests.models.hair_looks import shipped_look

POINTS = np.stack(np.meshgrid(np.linspace(90, 210, 12), np.linspace(60, 180, 12)), -1).reshape(-1, 2).astype(np.float32)


def textured(shift: tuple[float, float] = (0.0, 0.0)) -> Image:
    noise = np.random.default_rng(0).uniform(0, 255, (240, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    moved = cv2.warpAffine(
        smooth,
        np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32),
        (320, 240),
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(cv2.cvtColor(moved.astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.6, -0.4), (5.0, 3.0)])
def test_it_sees_how_a_face_moves(shift: tuple[float, float]) -> None:
    moved = PointFlow()(textured(), textured(shift), POINTS)
    assert np.abs(moved - np.array(shift, np.float32)).mean() < 0.3


def test_it_sees_brows_rise_in_a_face_that_stays() -> None:
    rows, columns = np.mgrid[:240, :320].astype(np.float32)
    rise = 4 * np.exp(-(((rows - 84) / 14) ** 2))
    raised = np.asarray(cv2.remap(textured(), columns, rows + rise, cv2.INTER_LINEAR), np.uint8)
    moved = PointFlow()(textured(), raised, POINTS)
    wanted = -4 * np.exp(-(((POINTS[:, 1] - 84) / 14) ** 2))
    assert np.abs(moved[:, 1] - wanted).mean() < 0.3


def test_fine_motion_within_a_face_is_seen() -> None:
    """Folds and lids move over a few pixels; at 96 pixels the mesh would be half as far off again."""
    rows, columns = np.mgrid[:240, :320].astype(np.float32)
    wave = 1.5 * np.sin(columns / 16)
    bent = np.asarray(cv2.remap(textured(), columns, rows + wave, cv2.INTER_LINEAR), np.uint8)
    moved = PointFlow()(textured(), bent, POINTS)
    assert np.abs(moved[:, 1] + 1.5 * np.sin(POINTS[:, 0] / 16)).mean() < 0.16


def test_points_without_extent_do_not_move() -> None:
    image = textured()
    assert not PointFlow()(image, image, np.zeros((3, 2), np.float32)).any()


def test_noisy_points_of_a_moving_face_follow_it_and_are_steady() -> None:
    generator = np.random.default_rng(1)
    motion, smooth = PointFlow(), OneEuro(0.4, 3.0, 0.03)
    before: Image | None = None
    points, unit, errors = POINTS, np.float32(200), []
    for frame in range(25):
        shift = np.array([1.5 * frame, 0.5 * frame], np.float32)
        image = textured((1.5 * frame, 0.5 * frame))
        moved = None if before is None else motion(before, image, points) / unit
        noisy = POINTS + shift + generator.normal(0, 2, POINTS.shape).astype(np.float32)
        points = smooth(noisy / unit, frame / 30, moved) * unit
        before = image
        errors.append((points - POINTS - shift).mean(0))
    jitter = np.abs(np.diff(errors[5:], axis=0)).mean()
    assert jitter < 0.15
    assert np.abs(errors[-1]).max() < 1


def test_a_jump_that_was_not_seen_is_followed_at_once() -> None:
    smooth = OneEuro(0.4, 3.0, 0.03)
    unit = np.float32(200)
    smooth(POINTS / unit, 0.0)
    jumped = (POINTS + np.float32(40)) / unit
    np.testing.assert_array_equal(smooth(jumped, 1 / 30, np.zeros_like(POINTS)), jumped)


def masks_at(shift: int, noise: float = 0.0, seed: int = 0) -> Masks:
    plane = np.zeros((160, 160), np.float32)
    plane[40 + shift : 100 + shift, 30 + shift : 120 + shift] = 1
    plane += np.random.default_rng(seed).normal(0, noise, plane.shape).astype(np.float32)
    return Masks(plane, plane, plane, plane)


def test_masks_of_a_moving_picture_are_steady_and_do_not_lag() -> None:
    mean, still = FlowCompensatedMean(0.2, 0.06), ExponentialMean(0.2)
    for frame in range(12):
        picture = textured((2.0 * frame, 2.0 * frame))[:240, :240]
        masks = masks_at(round(2.0 * frame * 160 / 240), 0.2, frame)
        carried = mean(picture, masks, frame / 30).hair
        lagging = still(masks.hair, frame / 30)
    truth = masks_at(round(22 * 160 / 240)).hair
    assert np.abs(carried - truth).mean() < 0.7 * np.abs(masks.hair - truth).mean()
    assert np.abs(carried - truth).mean() < 0.7 * np.abs(lagging - truth).mean()


def test_what_is_in_front_is_seen_sooner_than_hair() -> None:
    mean = FlowCompensatedMean(0.2, 0.06)
    picture = textured()[:240, :240]
    nothing = np.zeros((160, 160), np.float32)
    mean(picture, Masks(nothing, nothing, nothing, nothing), 0.0)
    after = mean(picture, masks_at(0), 1 / 30)
    assert after.occluder.max() > 2 * after.hair.max()


def test_no_smoothing_gives_the_masks_as_they_are() -> None:
    masks = masks_at(0)
    assert FlowCompensatedMean(0.0, 0.0)(textured()[:240, :240], masks, 0.0) is masks


EYES = np.array([[88, 110], [152, 110], [120, 140], [100, 165], [140, 165]], np.float32)


@pytest.mark.parametrize("speed", [0.0, 1.5, 4.0])
def test_a_surface_sticks_to_what_moves_and_not_to_the_eyes(speed: float) -> None:
    """What moves under resting eyes takes its places along; at rest they are those of the eyes."""
    steady = SteadyLight()
    frames = 12
    for frame in range(frames):
        surface = steady(textured((speed * frame, 0.0))[:, 40:280], EYES, frame / 30).surface
    rest = eye_places(EYES, 240, 60)
    moved = (surface - rest)[20:-20, 20:-20, 0] * 64
    assert surface.shape == (60, 60, 2)
    assert surface.dtype == np.float32
    assert np.abs(moved + speed * (frames - 1)).mean() < 0.25 * speed * frames + 0.2


def test_a_surface_returns_to_the_eyes() -> None:
    steady = SteadyLight()
    still = textured()[:, 40:280]
    steady(still, EYES, 0.0)
    away = steady(still, EYES + np.array([9, 0], np.float32), 1 / 30).surface
    later = steady(still, EYES + np.array([9, 0], np.float32), 30.0).surface
    rest = eye_places(EYES + np.array([9, 0], np.float32), 240, 60)
    assert np.abs(away - rest).mean() > 0.05
    assert np.abs(later - rest).mean() < 0.01


@pytest.mark.parametrize(("speed", "most"), [(0.0, 0.6), (1.5, 1.05), (6.0, 1.05)])
def test_steady_light_has_less_noise_and_does_not_lag(speed: float, most: float) -> None:
    generator = np.random.default_rng(2)
    steady, noise, errors = SteadyLight(), [], []
    for frame in range(12):
        clean = textured((speed * frame, 0.0))[:, 40:280]
        noisy = np.clip(clean + generator.normal(0, 4, clean.shape[:2])[..., None], 0, 255).astype(np.uint8)
        light = steady(noisy, EYES, frame / 30).light
        noise.append(np.abs(noisy[..., 0].astype(np.float32) - clean[..., 0])[30:-30, 30:-30].mean())
        errors.append(np.abs(light - clean[..., 0])[30:-30, 30:-30].mean())
    assert np.mean(errors[6:]) < most * np.mean(noise[6:])


def test_steady_light_shows_a_cut_at_once() -> None:
    steady = SteadyLight()
    dark, bright = np.full((64, 64, 3), 40, np.uint8), np.full((64, 64, 3), 180, np.uint8)
    steady(dark, EYES, 0.0)
    np.testing.assert_allclose(steady(bright, EYES, 0.03).light, 180, atol=1)


def test_noise_of_dark_hair_is_not_amplified_when_it_is_bleached() -> None:
    """A still head of dark hair under camera noise: the dyed one may flicker at most a little more."""
    generator = np.random.default_rng(0)
    steady, weight = SteadyLight(), np.ones((64, 64), np.float32)
    now, blond = look_of(np.array([30, 30, 30], np.float32)), look_of(np.array([180, 150, 110], np.float32))
    skin = np.array([190, 150, 130], np.float32)
    before, after = [], []
    for frame in range(24):
        noisy = np.clip(30 + generator.normal(0, 2, (64, 64, 3)), 0, 255).astype(np.uint8)
        crop = Crop(noisy, np.zeros((5, 2), np.float32), steady_light=steady(noisy, EYES, frame / 30).light)
        before.append(noisy.astype(np.float32).mean(2))
        change = shipped_look().change(crop, weight, now=now, wanted=blond, skin=skin)
        after.append((noisy + change).mean(2))
    flickers = [float(np.abs(np.diff(np.stack(series[12:]), axis=0)).mean()) for series in (before, after)]
    assert flickers[1] < 1.3 * flickers[0]


def test_what_a_hand_took_along_returns_soon() -> None:
    steady = SteadyLight()
    still = textured()[:, 40:280]
    far, near = np.array([100, 0], np.float32), np.array([12, 0], np.float32)
    left = []
    for shift in (far, near):
        steady(still, EYES - shift, 0.0)
        for k in range(1, 51):
            surface = steady(still, EYES, k / 25).surface
        left.append(float(np.abs(surface - eye_places(EYES, 240, 60)).mean() / (np.abs(shift).max() / 64)))
    assert left[0] < 0.5
    assert left[1] > 0.7
