"""Pictures to networks and back, and the mask of a drawn head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.editor import Crop, Masks
from models.published.drawing import border_fade, head_mask, redrawn, to_delta, to_image, to_network
from tests.models.translators import face_crop


def test_pictures_survive_the_way_to_a_network_and_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    tensor = to_network(image)
    assert tensor.shape == (1, 3, 8, 8)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert tensor[0, 2, 3, 4] == pytest.approx(image[3, 4, 2] / 127.5 - 1)
    np.testing.assert_array_equal(to_image(tensor[0]), image)


def test_what_is_out_of_range_is_clipped() -> None:
    picture = np.array([-1.5, -1.0, 0.0, 1.0, 3.0], np.float32)[None, None].repeat(3, 0)
    assert to_image(picture)[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_differences_are_on_the_scale_of_pictures() -> None:
    assert to_delta(np.full((3, 1, 1), 2.0, np.float32)).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("masks", [False, True])
def test_the_head_is_inside_and_the_border_is_not(masks: bool) -> None:
    crop = face_crop(128, masks)
    mask = head_mask(crop)
    assert mask.shape == (128, 128)
    assert mask.dtype == np.float32
    assert mask[70, 64] == pytest.approx(1)
    assert mask[64, 2] == 0
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert abs(np.diff(mask[:, 64:], axis=0)).max() < 0.4, "feathered, away from what is in front"
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()


def test_what_is_in_front_stays_the_cameras() -> None:
    crop = face_crop(128)
    assert crop.masks is not None
    bare = replace(crop, masks=replace(crop.masks, occluder=np.zeros_like(crop.masks.occluder)))
    # the drawn occluder lies over the lower left of the face
    assert head_mask(bare)[90, 46] > 0.9
    assert head_mask(crop)[90, 46] < 0.1


def test_no_seam_between_hair_and_face() -> None:
    ramp = np.clip(np.linspace(-3, 4, 64, dtype=np.float32), 0, 1)[:, None].repeat(64, 1)
    nothing = np.zeros((64, 64), np.float32)
    crop = Crop(np.zeros((64, 64, 3), np.uint8), face_crop(64).points5, masks=Masks(1 - ramp, ramp, nothing, nothing))
    assert head_mask(crop)[8:-8, 8:-8].min() > 0.98


def test_an_ellipse_turns_with_the_head() -> None:
    crop = face_crop(128, masks=False)
    turned = Crop(crop.image, crop.points5[:, ::-1].copy() * np.array([1, 1], np.float32))
    np.testing.assert_allclose(head_mask(turned), head_mask(crop).T, atol=0.02)


def test_redrawing_adds_a_difference_or_replaces() -> None:
    own, wanted = np.zeros((3, 4, 4), np.float32), np.full((3, 4, 4), 0.5, np.float32)
    mask = np.ones((4, 4), np.float32)
    added = redrawn(own, wanted, mask, 0)
    assert added.image is None
    assert added.delta is not None
    assert added.delta[0, 0, 0] == pytest.approx(63.75)
    shown = redrawn(own, wanted, mask, 0.25)
    assert shown.image is not None
    assert shown.opacity is not None
    assert shown.opacity[0, 0] == 0.25
    assert shown.image[0, 0, 0] == 191


def test_the_fade_is_symmetric() -> None:
    fade = border_fade(50)
    assert fade[25, 25] == 1
    np.testing.assert_array_equal(fade, fade[::-1, ::-1])
    np.testing.assert_array_equal(fade, fade.T)
