from pathlib import Path

import numpy as np
import pytest

from models.arrays import Floats
from models.crops import (
    CELEBA_POINTS5,
    CropSpec,
    Placement,
    Quad,
    beyond_frame,
    celeba_quad,
    cut,
    cut_placed,
    ffhq_quad,
    points5_of,
    quad_of,
    to_crop,
)
from stream.frame import Face


def turned(points: Floats, degrees: float, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> Floats:
    a = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (points @ matrix.T + np.array(shift)).astype(np.float32)


FIVE = np.array([[100, 110], [156, 110], [128, 150], [105, 180], [151, 180]], np.float32)


def test_ffhq_quad_by_hand() -> None:
    quad = ffhq_quad(FIVE)
    # eyes 56 apart, mouth 70 below: 1.8 x 70 = 126 beats 2 x 56 = 112; the centre is a tenth of the way down.
    np.testing.assert_allclose(quad.centre, [128, 117], atol=1e-4)
    np.testing.assert_allclose(quad.axis, [126, 0], atol=1e-3)
    assert ffhq_quad(FIVE, 2.2).side == pytest.approx(2 * 154, abs=1e-3)


@pytest.mark.parametrize("degrees", [-40, 15, 90, 180])
def test_quads_turn_and_scale_with_the_face(degrees: float) -> None:
    for make in (ffhq_quad, celeba_quad):
        upright, other = make(FIVE), make(turned(FIVE, degrees, 1.7, (30, -20)))
        np.testing.assert_allclose(other.corners(), turned(upright.corners(), degrees, 1.7, (30, -20)), atol=0.01)


def test_celeba_quad_of_the_mean_face_is_its_centre_square() -> None:
    quad = celeba_quad(CELEBA_POINTS5)
    np.testing.assert_allclose(quad.corners(), [[0, 0], [0, 178], [178, 178], [178, 0]], atol=1e-3)


def test_crop_and_frame_maps_are_inverse() -> None:
    quad = Quad(np.array([60, 50], np.float32), np.array([30, 11], np.float32))
    placement = Placement.of(quad, 128)
    there, back = placement.to_frame, placement.to_crop
    points = np.random.default_rng(0).uniform(0, 128, (20, 2)).astype(np.float32)
    frame = points @ there[:, :2].T + there[:, 2]
    np.testing.assert_allclose(frame @ back[:, :2].T + back[:, 2], points, atol=1e-3)
    # continuous coordinates: the quad's corners are the crop's outer edges
    np.testing.assert_allclose(to_crop(quad.corners(), quad, 128), [[0, 0], [0, 128], [128, 128], [128, 0]], atol=1e-3)


def test_cutting_a_whole_number_square_copies_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    quad = Quad(np.array([26, 36], np.float32), np.array([16, 0], np.float32))
    np.testing.assert_array_equal(cut(image, quad, 32), image[20:52, 10:42])


def test_pixel_centres_map_to_pixel_centres_at_other_scales() -> None:
    quad = Quad(np.array([32, 32], np.float32), np.array([32, 0], np.float32))
    for size, first in ((64, 0.0), (32, 0.5), (128, -0.25)):
        np.testing.assert_allclose(Placement.of(quad, size).to_frame[:, 2], [first, first], atol=1e-6)


def test_a_large_face_is_averaged_not_subsampled() -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, ::2] = 200
    quad = Quad(np.array([128, 128], np.float32), np.array([128, 0], np.float32))
    assert np.abs(cut(image, quad, 64).astype(int) - 100).max() <= 1


def test_a_quad_outside_the_frame_is_still_a_picture() -> None:
    image = np.full((1, 1, 3), 9, np.uint8)
    quad = Quad(np.array([-50, 300], np.float32), np.array([40, 3], np.float32))
    assert (cut(image, quad, 16) == 9).all()


def test_beyond_the_edge_a_crop_mirrors_or_repeats_the_picture() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    placement = Placement.of(Quad(np.array([10, 14], np.float32), np.array([16, 0], np.float32)), 32)
    mirrored, repeated = cut_placed(image, placement), cut_placed(image, placement, "repeated")
    beyond = beyond_frame(placement, (40, 50))
    assert beyond is not None
    np.testing.assert_array_equal(np.flatnonzero(beyond[10]), np.arange(6))  # columns -6..-1 of the frame
    np.testing.assert_array_equal(np.flatnonzero(beyond[:, 10]), np.arange(2))
    np.testing.assert_array_equal(mirrored[2:, 6:], repeated[2:, 6:])
    np.testing.assert_array_equal(repeated[2:, :6], np.repeat(repeated[2:, 6:7], 6, 1))
    np.testing.assert_array_equal(mirrored[2:, :6], mirrored[2:, 12:6:-1])


def test_nothing_of_a_crop_within_the_frame_is_beyond_it() -> None:
    placement = Placement.of(Quad(np.array([25, 20], np.float32), np.array([14, 5], np.float32)), 32)
    assert beyond_frame(placement, (40, 50)) is None


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_landmarks_without_extent_are_refused(value: float) -> None:
    five = np.full((5, 2), value, np.float32)
    face = Face(0, np.zeros(4, np.float32), five, None, 1.0)
    for convention in ("ffhq", "celeba", "box"):
        if np.isnan(value) and convention == "box":
            continue
        with pytest.raises(ValueError, match="no extent"):
            quad_of(face, CropSpec(convention, 64))


def test_our_quad_is_the_one_the_training_faces_were_cut_with(shared: Path) -> None:
    mesh = np.load(shared / "faces" / "landmarks.npz")["mesh"][:200].astype(np.float32)
    for one in mesh:
        quad = ffhq_quad(points5_of(one))
        np.testing.assert_allclose(quad.corners(), [[0, 0], [0, 256], [256, 256], [256, 0]], atol=0.6)


@pytest.mark.parametrize("across", [1, 2, 3, 4])
def test_averaging_does_not_move_the_picture(across: int) -> None:
    y, x = np.mgrid[:400, :500].astype(np.float32)
    image = np.dstack([x * 0.4, y * 0.5, (x + y) * 0.2]).astype(np.float32)
    quad = Quad(np.array([230.0, 190.0], np.float32), np.array([20.0 * across, 6.0], np.float32))
    found = cut(image, quad, 40)  # type: ignore[arg-type]  # float tells fractions of a level
    matrix = Placement.of(quad, 40).to_frame
    v, u = np.mgrid[:40, :40]
    where = np.stack([u, v, np.ones_like(u)], -1) @ matrix.T
    np.testing.assert_allclose(found[..., 0], where[..., 0] * 0.4, atol=0.05)
    np.testing.assert_allclose(found[..., 1], where[..., 1] * 0.5, atol=0.05)
