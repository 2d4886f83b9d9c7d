import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.crops import Placement, Quad
from models.editor import Edit
from stream.blending import blend, border_feather, touched
from tests.stream.conftest import noise

SIZE = 64


def square(x: float, y: float, half: float, tilt: float = 0.0, size: int = SIZE) -> Placement:
    return Placement.of(Quad(np.array([x, y], np.float32), np.array([half, tilt], np.float32)), size)


def disc(radius: float = 20.0) -> Floats:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.clip(radius - np.hypot(x - SIZE / 2 + 0.5, y - SIZE / 2 + 0.5), 0, 1).astype(np.float32)


def reference(image: Image, edit: Edit) -> Image:
    """The formula of `Edit`, pixel by pixel, for a crop that covers the whole picture."""
    size = image.shape[0]
    mask = edit.mask * border_feather(size)
    k = np.zeros_like(mask) if edit.image is None else mask * (1 if edit.opacity is None else edit.opacity)
    camera = image.astype(np.float32)
    if edit.flow is not None:
        y, x = np.mgrid[:size, :size]
        u = np.clip(x + np.round(mask * edit.flow[..., 0]), 0, size - 1).astype(int)
        v = np.clip(y + np.round(mask * edit.flow[..., 1]), 0, size - 1).astype(int)
        camera = image[v, u].astype(np.float32)
    out = (1 - k)[..., None] * camera
    if edit.delta is not None:
        out += (mask - k)[..., None] * edit.delta[..., ::-1]
    if edit.image is not None:
        out += k[..., None] * edit.image[..., ::-1]
    return np.clip(np.round(out), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("parts", ["delta", "image", "opacity", "flow", "everything"])
def test_blend_follows_the_formula(parts: str) -> None:
    image, rng = noise(1, (SIZE, SIZE, 3)), np.random.default_rng(2)
    mask = (disc() > 0).astype(np.float32) if parts in {"flow", "everything"} else disc()
    delta = rng.normal(0, 30, (SIZE, SIZE, 3)).astype(np.float32) if parts in {"delta", "everything"} else None
    new = noise(3, (SIZE, SIZE, 3)) if parts in {"image", "opacity", "everything"} else None
    opacity = rng.random((SIZE, SIZE), np.float32) if parts in {"opacity", "everything"} else None
    flow = np.full((SIZE, SIZE, 2), (3, -2), np.float32) if parts in {"flow", "everything"} else None
    edit = Edit(mask=mask, image=new, opacity=opacity, delta=delta, flow=flow)
    out = image.copy()
    blend(image, out, edit, square(SIZE / 2, SIZE / 2, SIZE / 2))
    assert np.abs(out.astype(int) - reference(image, edit)).max() <= 1


@pytest.mark.parametrize("tilt", [0.0, 17.0])
def test_outside_the_mask_every_pixel_is_the_cameras(tilt: float) -> None:
    image = noise(4, (120, 160, 3))
    edit = Edit(
        mask=disc(18),
        image=noise(5, (SIZE, SIZE, 3)),
        opacity=np.full((SIZE, SIZE), 0.5, np.float32),
        delta=np.full((SIZE, SIZE, 3), 40, np.float32),
        flow=np.full((SIZE, SIZE, 2), 5, np.float32),
    )
    out = image.copy()
    region = blend(image, out, edit, square(80, 60, 45, tilt))
    y, x = np.mgrid[:120, :160]
    outside = np.hypot(x + 0.5 - 80, y + 0.5 - 60) > (18 + 2) / (SIZE / 2) * np.hypot(45, tilt)
    np.testing.assert_array_equal(out[outside], image[outside])
    changed = (out != image).any(2)
    assert changed.sum() > 500
    changed[region.slices] = False
    assert not changed.any()


def test_faces_partly_and_wholly_outside_the_frame() -> None:
    image = noise(6, (50, 70, 3))
    edit = Edit(mask=np.ones((SIZE, SIZE), np.float32), delta=np.full((SIZE, SIZE, 3), 90, np.float32))
    out = image.copy()
    assert not blend(image, out, edit, square(0, 0, 20)).empty
    assert (out[:10, :10] != image[:10, :10]).any()
    np.testing.assert_array_equal(out[25:], image[25:])
    for x, y in ((-500, -500), (900, 20)):
        again = image.copy()
        assert blend(image, again, edit, square(x, y, 20)).empty
        np.testing.assert_array_equal(again, image)


def test_an_empty_mask_changes_nothing() -> None:
    image = noise(7, (40, 40, 3))
    out = image.copy()
    edit = Edit(mask=np.zeros((SIZE, SIZE), np.float32), image=noise(8, (SIZE, SIZE, 3)))
    assert blend(image, out, edit, square(20, 20, 15)).empty
    np.testing.assert_array_equal(out, image)
    assert touched(np.zeros((SIZE, SIZE), np.float32), square(20, 20, 15), image.shape).empty


def test_an_occluder_keeps_the_cameras_pixels() -> None:
    image = noise(9, (SIZE, SIZE, 3))
    edit = Edit(mask=disc(), image=np.zeros((SIZE, SIZE, 3), np.uint8))
    keep = np.zeros((SIZE, SIZE), np.float32)
    keep[:, : SIZE // 2] = 1
    out = image.copy()
    blend(image, out, edit, square(SIZE / 2, SIZE / 2, SIZE / 2), keep)
    np.testing.assert_array_equal(out[:, : SIZE // 2], image[:, : SIZE // 2])
    assert (out[SIZE // 2, SIZE // 2 + 2] == 0).all()


def test_no_edit_ends_in_a_line_at_the_crops_border() -> None:
    feather = border_feather(SIZE)
    assert feather[0].max() < 0.02
    assert feather[SIZE // 2, SIZE // 2] == 1
    image = noise(10, (SIZE, SIZE, 3))
    out = image.copy()
    edit = Edit(mask=np.ones((SIZE, SIZE), np.float32), image=np.zeros((SIZE, SIZE, 3), np.uint8))
    blend(image, out, edit, square(SIZE / 2, SIZE / 2, SIZE / 2))
    np.testing.assert_array_equal(out[0], image[0])
    assert not out[SIZE // 2, SIZE // 2].any()


@pytest.mark.parametrize(("half", "tilt"), [(9.0, 4.0), (25.0, -11.0), (70.0, 30.0), (160.0, 90.0)])
def test_no_part_of_an_edit_is_left_out(half: float, tilt: float) -> None:
    image, mask = noise(6, (300, 400, 3)), np.zeros((SIZE, SIZE), np.float32)
    mask[12:15, 20:23] = mask[40, 44:50] = mask[30:50, 12] = 1
    delta = np.full((SIZE, SIZE, 3), 40, np.float32)
    place, out = square(190, 160, half, tilt), image.copy()
    region = blend(image, out, Edit(mask=mask, delta=delta), place)
    whole = cv2.warpAffine(
        mask * border_feather(SIZE) * 40,
        place.to_crop,
        (400, 300),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    wanted = np.clip(np.round(image + whole[..., None]), 0, 255)
    assert np.abs(out - wanted).max() <= 1
    assert not region.empty


def test_an_edit_of_another_size_than_its_crop_is_refused() -> None:
    image = noise(7, (100, 100, 3))
    with pytest.raises(ValueError, match="64 pixels"):
        blend(image, image.copy(), Edit(mask=disc()), square(50, 50, 40, size=2 * SIZE))


@pytest.mark.parametrize(("scale", "tilt"), [(0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 0.6)])
def test_what_a_flow_presses_together_is_the_mean_of_the_cameras_at_any_scale(scale: float, tilt: float) -> None:
    """Hair that is pressed to a skull had combs and steps of its strands at the outline."""
    size = 96
    side = int(scale * size)
    half = side / 2 * np.array([np.cos(tilt), np.sin(tilt)], np.float32)
    placement = square(side / 2, side / 2, float(half[0]), float(half[1]), size=size)
    image = noise(3, (side, side, 3))
    flow = np.zeros((size, size, 2), np.float32)
    flow[..., 0] = 2 * (np.arange(size, dtype=np.float32) - size / 2)
    out = image.copy()
    blend(image, out, Edit(mask=np.ones((size, size), np.float32), flow=flow), placement)
    # three times as far from the middle, along the crop's axis across
    to_crop = placement.to_crop
    y, x = np.mgrid[:side, :side].astype(np.float32)
    across = to_crop[0, 0] * x + to_crop[0, 1] * y + to_crop[0, 2] - (size / 2)
    unit = np.array([np.cos(tilt), np.sin(tilt)])
    shift = 2 * across * scale
    means = np.mean(
        [
            cv2.remap(
                image.astype(np.float32),
                (x + unit[0] * (shift + tap)).astype(np.float32),
                (y + unit[1] * (shift + tap)).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for tap in np.linspace(-1.2, 1.2, 9)
        ],
        axis=0,
    )
    part = np.s_[int(0.4 * side) : int(0.6 * side), int(0.4 * side) : int(0.6 * side)]
    assert np.sqrt(np.square(out[part] - means[part]).mean()) < 12
