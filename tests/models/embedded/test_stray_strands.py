"""Strands that the matte misses go with the hair beside them; textures, kept hair and people stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.scalp import HeadMap, ScalpModel, head_map, outline_features
from models.embedded.stray_strands import stray_strands
from models.face.texture_space import FaceSpace

SIZE = 320
PLAIN = np.array([150, 150, 155], np.float32)


@pytest.fixture(scope="module")
def head() -> HeadMap:
    tables = read_tables(EMBEDDED)
    space = FaceSpace.from_tables(tables)
    fit = space.fit(space.mean + np.array([64, 100], np.float32))
    return head_map(fit, ScalpModel.from_tables(tables).radii(outline_features(fit)), SIZE)


@pytest.fixture(scope="module")
def gone(head: HeadMap) -> Floats:
    """A cap of hair that is removed, 20 pixels beyond the skull."""
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    return ((distance > -20) & (distance < 25) & (np.arange(SIZE)[:, None] < 140)).astype(np.float32)


def scene(texture: float = 0.0) -> Image:
    noise = np.random.default_rng(0).normal(0, 1, (SIZE, SIZE, 1))
    grown = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (SIZE, SIZE)), (0, 0), 3.0)[..., None] * 10
    return np.clip(PLAIN + noise + texture * grown, 0, 255).astype(np.uint8)


def strand(head: HeadMap) -> Floats:
    """A thin line beside the hair, where its distance from the skull is 25 pixels."""
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    line = (np.abs(distance + 25) < 1.2) & (np.abs(np.arange(SIZE) - SIZE // 2) < 25) & (np.arange(SIZE)[:, None] < 120)
    return line.astype(np.float32)


def due(head: HeadMap, gone: Floats, image: Image, hair: Floats | None = None, person: float = 0.0) -> Floats:
    clean = np.broadcast_to(PLAIN, image.shape).astype(np.uint8)
    return stray_strands(
        image,
        clean,
        opacity=gone,
        hair=gone if hair is None else hair,
        person=np.full((64, 64), person, np.float32),
        head=head,
    )


def with_strand(image: Image, line: Floats) -> Image:
    return np.asarray(np.where(line[..., None] > 0, np.uint8(50), image), np.uint8)


def test_a_strand_beside_hair_that_is_gone_goes_too(head: HeadMap, gone: Floats) -> None:
    line = strand(head)
    found = due(head, gone, with_strand(scene(), line)) - gone
    assert line.sum() > 50
    assert found[line > 0].mean() > 0.7
    far = cv2.dilate(line, np.ones((9, 9), np.uint8)) == 0
    assert found[far].mean() < 0.01
    np.testing.assert_array_equal(due(head, gone, scene()) > 0.5, gone > 0.5)


def test_a_texture_is_no_strand(head: HeadMap, gone: Floats) -> None:
    line = strand(head)
    rough = due(head, gone, with_strand(scene(20.0), line)) - gone
    assert np.abs(rough).max() == 0


def test_strands_of_hair_that_is_kept_stay(head: HeadMap, gone: Floats) -> None:
    line = strand(head)
    kept = np.maximum(gone, cv2.dilate(line, np.ones((5, 5), np.uint8)))
    found = due(head, gone, with_strand(scene(), line), hair=kept)
    assert found[(line > 0) & (gone == 0)].max() < 0.1


def test_a_person_beside_it_stays(head: HeadMap, gone: Floats) -> None:
    found = due(head, gone, with_strand(scene(), strand(head)), person=1.0)
    np.testing.assert_array_equal(found, gone)


def test_where_nothing_is_gone_nothing_goes(head: HeadMap) -> None:
    nothing = np.zeros((SIZE, SIZE), np.float32)
    assert not due(head, nothing, with_strand(scene(), strand(head))).any()
