"""Strands that the matte misses go with the hair beside them, and a drawing ends softly; the rest stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.beside_hair import replaced_beside
from models.embedded.scalp import HeadMap, ScalpModel, head_map, outline_features
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
    return replaced_beside(
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
    found, without = due(head, gone, with_strand(scene(), line)), due(head, gone, scene())
    assert line.sum() > 50
    assert found[line > 0].mean() > 0.7
    assert without[line > 0].mean() < 0.5
    far = cv2.dilate(line, np.ones((9, 9), np.uint8)) == 0
    assert (found - without)[far].mean() < 0.001


def test_a_texture_is_no_strand(head: HeadMap, gone: Floats) -> None:
    line = strand(head)
    rough = due(head, gone, with_strand(scene(20.0), line)) - due(head, gone, scene(20.0))
    assert rough.max() < 0.02
    beside = cv2.dilate(gone, np.ones((9, 9), np.uint8)) > gone
    assert (due(head, gone, scene(20.0)) - gone)[beside].mean() < 0.1 < (due(head, gone, scene()) - gone)[beside].mean()


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


def halo(head: HeadMap, gone: Floats) -> Image:
    """A wall that is some levels lighter beside the hair, as photographs that were sharpened show it."""
    away = cv2.distanceTransform((gone < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    lighter = 7 * np.exp(-away / 12)[..., None]
    return np.clip(PLAIN + lighter, 0, 255).astype(np.uint8)


def steps_upwards(head: HeadMap, opacity: Floats, image: Image) -> Floats:
    """Largest difference between neighbouring rows above the head, at each column of its crown, of what is shown."""
    shown = image + opacity[..., None] * (PLAIN - image)
    crown = slice(SIZE // 2 - 20, SIZE // 2 + 20)
    distance = cv2.resize(head.distance, (SIZE, SIZE))[:, crown]
    steps = np.abs(np.diff(shown[:, crown, 1], axis=0)) * (distance[1:] < -12)
    return np.asarray(steps.max(0), np.float32)


def test_a_drawing_passes_over_softly_to_the_halo_around_the_hair(head: HeadMap, gone: Floats) -> None:
    image = halo(head, gone)
    assert np.median(steps_upwards(head, gone, image)) > 4
    opacity = due(head, gone, image)
    assert np.median(steps_upwards(head, opacity, image)) < 2
    assert (opacity >= gone).all()


def test_a_drawing_ends_where_something_else_begins(head: HeadMap, gone: Floats) -> None:
    """A dark frame beside the hair is no halo."""
    frame = halo(head, gone)
    frame[gone < 0.5] = 40
    np.testing.assert_allclose(due(head, gone, frame)[gone < 0.5], 0, atol=0.05)


def test_the_passage_falls_off_beside_dark_hair_that_is_gone(head: HeadMap, gone: Floats) -> None:
    image = halo(head, gone)
    image[gone > 0.5] = (30, 25, 20)
    opacity = due(head, gone, image)
    away = cv2.distanceTransform((gone < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    crown = (np.abs(np.arange(SIZE) - SIZE // 2) < 20)[None] & (cv2.resize(head.distance, (SIZE, SIZE)) < -12)
    rings = [float(np.median(opacity[crown & (np.abs(away - d) < 0.6)])) for d in (1, 3, 5, 7, 9)]
    assert rings == sorted(rings, reverse=True)
    assert rings[0] > 0.85
    assert rings[-1] < 0.15
