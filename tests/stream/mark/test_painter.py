"""The mark in frames: inside of the edit and nowhere else, where the warp brings the face, and read back from there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.crops import Placement, Quad
from models.embedded import EMBEDDED
from models.face.texture_space import FaceSpace
from stream.frame import Drawn
from stream.mark.geometry import unwrap, window_of
from stream.mark.painter import EditedFace, MarkPainter, ReadLandmarks, moved_mesh
from stream.mark.payload import Statement
from stream.mark.square import Evidence

STATEMENT = Statement(frozenset({"age"}), 77)
CROP = 320


def mesh_at(side: float, centre: tuple[float, float] = (320, 240), degrees: float = 0.0) -> Floats:
    """The mean face, `side` pixels high, turned in the picture."""
    mean = FaceSpace.load(EMBEDDED / "editor_tables.npz").mean
    home = (mean - mean.mean(0)) * (side / float(np.ptp(mean, axis=0).max()))
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.vstack([home @ rotation.T + centre, np.zeros((10, 2))]).astype(np.float32)


def picture(seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 40, (480, 640)).astype(np.float32), (0, 0), 3)
    return np.clip(140 + grain[..., None] + rng.normal(0, 2, (480, 640, 3)), 0, 255).astype(np.uint8)


def layer(mask: Floats, side: float = 400, flow: Floats | None = None) -> Drawn:
    quad = Quad(np.array([320, 240], np.float32), np.array([side / 2, 0], np.float32))
    return Drawn(mask, Placement.of(quad, CROP), flow)


def landmarks_of(mesh: Floats) -> ReadLandmarks:
    """A landmark network that sees a face where it is."""
    return lambda image, region: (mesh, 1.0)


def painted(image: Image, mesh: Floats, *drawn: Drawn, painter: MarkPainter | None = None) -> Image:
    out = image.copy()
    (painter or MarkPainter(landmarks_of(mesh))).paint(out, EditedFace(0, mesh, drawn), STATEMENT, 0.0)
    return out


def read(image: Image, mesh: Floats) -> Statement | None:
    window = window_of(mesh, image.shape)
    assert window is not None
    evidence = Evidence()
    evidence.add(unwrap(image, window))
    return evidence.verdict().statement


@pytest.mark.parametrize(("side", "degrees"), [(110, 0), (170, 20), (320, -35), (420, 180)])
def test_the_mark_is_read_where_the_face_is(side: float, degrees: float) -> None:
    mesh = mesh_at(side, degrees=degrees)
    out = painted(picture(), mesh, layer(np.ones((CROP, CROP), np.float32), side=470))
    assert read(out, mesh) == STATEMENT
    assert read(picture(), mesh) is None


@pytest.mark.parametrize("side", [120, 260, 440])
def test_no_pixel_outside_of_the_edit_is_touched(side: float) -> None:
    rng = np.random.default_rng(3)
    blobs = (cv2.GaussianBlur(rng.normal(0, 1, (CROP, CROP)).astype(np.float32), (0, 0), 12) > 0).astype(np.float32)
    mask = blobs * (rng.random((CROP, CROP)) > 0.002)
    drawn = layer(mask)
    image = picture()
    out = painted(image, mesh_at(side), drawn)
    reached = cv2.warpAffine(mask, drawn.placement.to_crop, (640, 480), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    np.testing.assert_array_equal(out[reached == 0], image[reached == 0])
    assert painted(image, mesh_at(side), layer(np.zeros((CROP, CROP), np.float32))).tobytes() == image.tobytes()


def test_most_of_an_edited_face_is_marked() -> None:
    image = picture()
    out = painted(image, mesh_at(260), layer(np.ones((CROP, CROP), np.float32)))
    changed = (out != image).any(2)
    assert changed.sum() > 20_000
    error = (out[changed].astype(np.float32) - image[changed]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 42.5


def test_points_follow_the_warp() -> None:
    flow = np.zeros((CROP, CROP, 2), np.float32)
    flow[..., 0] = 8  # the crop shows what was 8 of its pixels further right
    mask = np.full((CROP, CROP), 0.5, np.float32)
    mesh = mesh_at(200)
    moved = moved_mesh(mesh[:468], layer(mask, flow=flow))
    np.testing.assert_allclose(moved, mesh[:468] - np.array([0.5 * 8 * 400 / CROP, 0]), atol=1e-3)


def test_a_still_face_is_marked_the_same_way_in_every_frame() -> None:
    mesh = mesh_at(200)
    painter = MarkPainter(landmarks_of(mesh))
    whole = layer(np.ones((CROP, CROP), np.float32))
    noisy = [np.clip(picture().astype(np.int16) + seed, 0, 255).astype(np.uint8) for seed in (0, 1, 0)]
    marks = [painted(image, mesh, whole, painter=painter).astype(np.int16) - image for image in noisy]
    assert np.abs(marks[0] - marks[1]).mean() < 0.1
    np.testing.assert_array_equal(marks[0], marks[2])


@pytest.mark.parametrize("mesh", [mesh_at(8), mesh_at(200) * 0, mesh_at(200) + 5000, mesh_at(200) * np.float32(np.nan)])
def test_a_face_that_cannot_be_marked_is_left(mesh: Floats) -> None:
    image = picture()
    assert painted(image, mesh, layer(np.ones((CROP, CROP), np.float32))).tobytes() == image.tobytes()


def test_a_face_at_the_edge_of_the_frame_is_no_fault() -> None:
    for centre in ((0, 0), (640, 480), (320, -60), (-40, 240)):
        painted(picture(), mesh_at(220, centre), layer(np.ones((CROP, CROP), np.float32), side=1500))
