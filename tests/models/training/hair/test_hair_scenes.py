"""What is the truth of hair removal: heads without hair, and what is seen beside hair."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.matte import HairMatte
from models.embedded.removal import ERASED, HIDDEN, SEEN
from models.embedded.scalp import CENTER, ScalpModel
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.data import MASK_SIZE, SIZE, FaceSet
from models.training.hair.mattes import Mattes
from models.training.hair.rings import darkened, ring_core
from models.training.hair.scenes import Scenes, choose_people
from tests.models.bodies import no_body

SHAVED, RINGED, SHORT, LONG = range(4)
RING = slice(60, 130), slice(20, 44)
"""Where the one with a ring has hair."""
CROWN = slice(30, 60)
"""Rows in which the short-haired have hair, over all columns."""


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    space = FaceSpace.from_tables(read_tables(EMBEDDED))
    mesh = np.zeros((4, 478, 2), np.float32)
    mesh[:, :468] = space.mean + np.array([32, 40], np.float32)
    points5 = np.stack(
        [mesh[:, [33, 133]].mean(1), mesh[:, [263, 362]].mean(1), mesh[:, 1], mesh[:, 61], mesh[:, 291]], 1
    )
    hair = np.zeros((4, MASK_SIZE, MASK_SIZE), np.uint8)
    hair[RINGED][tuple(slice(part.start // 2, part.stop // 2) for part in RING)] = 255
    hair[SHORT, CROWN.start // 2 : CROWN.stop // 2] = 255
    hair[LONG, 15:120] = 255
    labels = {name: np.zeros(4, np.float32) for name in ("yaw", "hat", "outside_fraction")}
    labels |= {
        "sex": np.array(["M", "M", "F", "F"]),
        "age": np.full(4, 40, np.float32),
        "baldness": np.array([1, 0.8, 0, 0], np.float32),
    }
    images = np.full((4, SIZE, SIZE, 3), 150, np.uint8)
    return FaceSet(images, mesh, np.asarray(points5, np.float32), hair, np.full_like(hair, 255), labels)


@pytest.fixture(scope="module")
def scenes(faces: FaceSet) -> Scenes:
    alpha = np.zeros((1, SIZE, SIZE), np.uint8)
    mattes = Mattes(np.array([LONG]), alpha, np.zeros((*alpha.shape, 3), np.uint8))
    people = choose_people(faces, mattes, np.arange(4))
    tables = read_tables(EMBEDDED)
    nobody = cast(Segmenter, None), cast(HairMatte, None)  # nothing is read where nothing is random
    return Scenes(
        faces,
        mattes,
        people,
        FaceSpace.from_tables(tables),
        ScalpModel.from_tables(tables),
        bodies=no_body(),
        segmenter=nobody[0],
        matte=nobody[1],
    )


def judged(scenes: Scenes, row: int, alpha: Floats, own: Floats) -> tuple[Floats, Floats]:
    """What is judged and the input, where hair of `alpha` lies over a portrait."""
    sample = scenes.compose(row, alpha, np.zeros((SIZE, SIZE, 3), np.float32), own)
    return sample.judged[0], sample.given


def test_a_ring_of_hair_is_not_shaved(faces: FaceSet) -> None:
    mattes = Mattes(np.array([LONG]), np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1, 3), np.uint8))
    people = choose_people(faces, mattes, np.arange(4))
    assert people.bald.tolist() == [SHAVED, RINGED]
    assert people.shaved.tolist() == [SHAVED]
    assert people.short.tolist() == [SHORT]
    assert people.long_hair.tolist() == [LONG]


def test_hair_that_a_bald_head_has_is_no_truth_and_a_shaved_head_is(faces: FaceSet, scenes: Scenes) -> None:
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[10:140, 10:246] = 1
    ring, given = judged(scenes, RINGED, alpha, faces.mask("hair", RINGED))
    bare, _ = judged(scenes, SHAVED, alpha, np.zeros_like(alpha))
    assert given[HIDDEN][RING].min() > 0.9
    assert ring[RING].max() < 0.05
    # hair so short that no reader finds it grows beside
    assert ring[RING[0], 46:52].max() < 0.05
    assert bare[RING].min() > 0.95
    assert ring[80, 200] > 0.95


def test_what_is_seen_beside_own_hair_is_true(faces: FaceSet, scenes: Scenes) -> None:
    """Ears below short hair teach that what is seen stays."""
    truth, given = judged(scenes, SHORT, np.zeros((SIZE, SIZE), np.float32), faces.mask("hair", SHORT))
    seen = (given[HIDDEN] < 0.02) & (given[ERASED] > 0.5)
    rows = np.flatnonzero(seen[:, SIZE // 2] & (np.arange(SIZE) > CROWN.stop))
    # the nearest that is not hidden, within what is not judged where it is
    assert rows[0] <= CROWN.stop + 6
    assert truth[rows[0] + 1].min() > 0.4
    assert truth[CROWN].max() < 0.05


def test_hair_of_its_own_is_told_of_all_but_the_shaved(
    faces: FaceSet, scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, float] = {}

    def compose(target: int, alpha: Floats, foreground: Floats, own: Floats, *_: object, **__: object) -> None:
        told[target] = float(own.mean())

    monkeypatch.setattr(scenes, "compose", compose)
    rng = np.random.default_rng(0)
    for _ in range(60):
        scenes.draw(rng)
    assert set(told) == {SHAVED, RINGED, SHORT}
    assert told[SHAVED] == 0
    assert told[RINGED] == pytest.approx(float(faces.mask("hair", RINGED).mean()))
    assert told[SHORT] > 0


def test_all_of_a_ring_but_its_core_is_to_be_drawn(faces: FaceSet, scenes: Scenes) -> None:
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[10:140, 10:246] = 1
    core = np.zeros_like(alpha)
    core[60:100, 20:50] = 1
    sample = scenes.compose(RINGED, alpha, np.zeros((SIZE, SIZE, 3), np.float32), faces.mask("hair", RINGED), core)
    within = np.s_[70:90, 28:42]
    assert sample.given[HIDDEN][within].max() < 0.05
    assert sample.given[HIDDEN][80, 80:200].min() > 0.9
    np.testing.assert_allclose(sample.given[SEEN][(slice(None), *within)], 150 / 64 - 2, atol=0.02)
    np.testing.assert_array_equal(sample.judged[0], sample.given[ERASED])
    assert sample.judged[0][80, 80:200].min() > 0.95


def test_a_ring_with_more_pigment_is_darker_and_browner_and_skin_stays() -> None:
    picture, hair = np.full((SIZE, SIZE, 3), 170, np.float32), np.zeros((SIZE, SIZE), np.float32)
    hair[20:60, 20:60] = 1
    dark = darkened(picture, hair, 1.2)
    np.testing.assert_allclose(dark[100, 100], 170, atol=1e-3)
    assert 30 < dark[30, 30, 1] < 60
    assert dark[30, 30, 0] > dark[30, 30, 1] > dark[30, 30, 2]
    assert darkened(np.zeros_like(picture), hair, 3).min() == 0


def test_the_core_of_a_ring_is_at_the_sides_and_smaller_with_an_inset(scenes: Scenes) -> None:
    head = scenes.geometry(RINGED)[0]
    core, less = (ring_core(head, inset=inset) for inset in ((0.0, 0.0), (4.0, 12.0)))
    distance, angle = (cv2.resize(each, (SIZE, SIZE)) for each in (head.distance, np.abs(head.angle - np.pi / 2)))
    above = cv2.resize(head.texture[..., 1], (SIZE, SIZE)) < CENTER[1]
    side, crown = above & (np.abs(distance - 8) < 3) & (angle > 1.4), (np.abs(distance - 8) < 3) & (angle < 0.6)
    assert core[side].mean() > 0.95
    assert not core[crown].any()
    assert (less <= core + 1e-6).all()
    assert less.sum() < 0.95 * core.sum()
