"""The overlay's message: what it says, and how large it can be."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import pytest

from models.crops import Placement, Quad
from models.editor import Masks
from signaling.overlay import LONGEST, overlay_message, pack_points
from stream.frame import Drawn, Face, Output, Trace
from stream.overlay import MOST_FACES, MOST_LINES, MOST_POINTS

SIZE = (640, 480)


def face(id: int, mesh: bool = True) -> Face:
    points = np.random.default_rng(id).uniform(100, 300, (478, 2)).astype(np.float32)
    return Face(id, np.array([100, 100, 300 + id, 300], np.float32), points[:5], points if mesh else None, 1.0)


def drawn(mask: np.ndarray) -> Drawn:
    quad = Quad(np.array([200, 200], np.float32), np.array([100, 0], np.float32))
    parts = mask.astype(np.float32)
    return Drawn(parts, Placement.of(quad, len(mask)), None, Masks(parts, parts, parts * 0, parts))


def output(faces: tuple[Face, ...], layers: dict[int, list[Drawn]]) -> Output:
    trace = Trace({"track": 1.234, "render": 5.0}, detected=True)
    return Output(np.zeros((480, 640, 3), np.uint8), faces, frozenset(layers), (), trace, drawn=layers)


def unpacked(points: str) -> np.ndarray:
    return (np.frombuffer(b64decode(points), "<u2").reshape(-1, 2) / 65535 * 3 - 1) * SIZE


def test_it_has_mesh_crop_and_outlines_in_the_frame() -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    message = overlay_message(output((face(1), face(2, mesh=False)), {1: [drawn(mask)]}), SIZE)
    assert message.stages == {"track": 1.23, "render": 5.0}
    assert message.detected
    other, one = message.faces  # the larger one comes first
    assert (other.id, other.edited, other.mesh, other.quad, other.outlines) == (2, False, "", "", [])
    assert (one.id, one.edited) == (1, True)
    mesh = face(1).mesh
    assert mesh is not None
    np.testing.assert_allclose(unpacked(one.mesh), mesh, atol=0.02)
    np.testing.assert_allclose(unpacked(one.quad), [[100, 100], [100, 300], [300, 300], [300, 100]], atol=0.02)
    assert [line.mask for line in one.outlines] == ["edit", "hair", "face"]
    edge = unpacked(one.outlines[0].points)
    np.testing.assert_allclose([edge.min(0), edge.max(0)], [[151, 151], [248, 248]], atol=0.2)


def test_its_size_is_bounded_whatever_the_picture() -> None:
    ragged = np.random.default_rng(0).random((160, 160)) > 0.5
    blobs = np.zeros((160, 160), bool)
    for y in range(0, 160, 12):
        blobs[y : y + 6] = ragged[y]
    faces = tuple(face(id) for id in range(1, 9))
    message = overlay_message(output(faces, {each.id: [drawn(ragged), drawn(blobs | ragged)] for each in faces}), SIZE)
    assert [each.id for each in message.faces] == [8, 7, 6, 5][:MOST_FACES]
    assert len(message.model_dump_json()) < LONGEST
    points = 478 + 4 + 4 * MOST_LINES * MOST_POINTS  # of four bytes each, and base64 makes four characters of three
    assert MOST_FACES * points * 16 / 3 + 4096 < LONGEST, "and the largest there can be"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9, -1e9])
def test_points_off_the_picture_are_numbers(value: float) -> None:
    points = unpacked(pack_points(np.full((2, 2), value, np.float32), SIZE))
    assert (points >= -np.array(SIZE) - 1).all()
    assert (points <= 2 * np.array(SIZE) + 1).all()
