"""A drawing that was carried to a frame in which the head shows another outline."""

from __future__ import annotations

import cv2
import numpy as np

from models.editor import Inpainting
from models.embedded.carried_head import STEADY, bent_to_skull
from models.embedded.scalp import HeadMap
from models.face.imaging import smoothstep

EDGE = (-9.0, -4.0)
SCENE, SKIN = 30, 200


def drawn(head: HeadMap, further: float) -> Inpainting:
    """A bright head before a dark scene that ends so many crop pixels outside of the skull."""
    size = 4 * len(head.distance)
    weight = cv2.resize(smoothstep(head.distance + np.float32(further), *EDGE), (size, size))
    image = np.repeat((SCENE + (SKIN - SCENE) * weight)[..., None], 3, axis=2).astype(np.uint8)
    return Inpainting(image, weight, np.full((size, size, 3), SCENE, np.uint8))


def crown(head: HeadMap, shown: Inpainting) -> float:
    """Mean distance of the drawn outline from the skull, above the brows, crop pixels."""
    size = len(shown.image)
    distance = cv2.resize(head.distance, (size, size))
    above = cv2.resize(head.texture[..., 1], (size, size)) < 10
    edge = (np.abs(shown.image[..., 0].astype(int) - (SCENE + SKIN) // 2) < 25) & above
    return float(distance[edge].mean())


def test_a_head_that_is_too_small_or_too_large_ends_where_the_skull_does(head: HeadMap) -> None:
    usual = crown(head, drawn(head, 0))
    for further in (-8.0, 8.0):
        carried = drawn(head, further)
        assert abs(crown(head, carried) - usual) > 6
        assert abs(crown(head, bent_to_skull(carried, head, EDGE)) - usual) < STEADY + 1.5


def test_a_still_head_is_shown_as_it_was_drawn(head: HeadMap) -> None:
    """Readings of the outline differ from frame to frame."""
    carried = drawn(head, 0.4 * STEADY)
    assert bent_to_skull(carried, head, EDGE) is carried


def test_the_scene_stays(head: HeadMap) -> None:
    carried = drawn(head, -8.0)
    shown = bent_to_skull(carried, head, EDGE)
    assert shown.behind.tobytes() == carried.behind.tobytes()
    assert (shown.image[cv2.resize(head.distance, shown.head.shape) < -30] == SCENE).all()


def test_below_the_brows_nothing_is_bent(head: HeadMap) -> None:
    """Ears are no skull, and where a neck goes over to a collar a line of the scene was seen."""
    carried = drawn(head, -8.0)
    size = len(carried.image)
    weight = carried.head.copy()
    below = cv2.resize(head.texture[..., 1], (size, size)) > 60
    weight[below] = 0.5
    with_neck = Inpainting(np.where(below[..., None], np.uint8(90), carried.image), weight, carried.behind)
    shown = bent_to_skull(with_neck, head, EDGE)
    assert not np.array_equal(shown.image, with_neck.image)
    assert (shown.image[below] == 90).all()


def test_ears_that_were_drawn_do_not_bend_a_still_head(head: HeadMap) -> None:
    carried = drawn(head, 0.0)
    size = len(carried.image)
    low = cv2.resize(head.texture[..., 1], (size, size)) > 54
    wide = Inpainting(carried.image, np.where(low, np.float32(1), carried.head), carried.behind)
    assert bent_to_skull(wide, head, EDGE) is wide
