import numpy as np

from models.pigment import pigmented

SKIN = np.log(np.float32([200, 160, 140]) + 16)


def hair():
    mask = np.zeros((32, 32), np.float32)
    mask[:16] = 1
    return mask


def test_grey_hair_turns_brown_and_keeps_its_strands():
    image = np.full((64, 64, 3), 170, np.uint8)
    image[:, ::4] = 200
    after = image + pigmented(image, hair(), SKIN, 1.0)
    top = after[4:20]
    assert top.mean() < 90
    assert (top[..., 0] > top[..., 2] + 10).all()
    assert top[:, ::4].mean() > top[:, 2::4].mean() + 3
    np.testing.assert_array_equal(after[48:], image[48:])


def test_dark_hair_and_none_at_all_stay():
    dark = np.full((64, 64, 3), 25, np.uint8)
    assert np.abs(pigmented(dark, hair(), SKIN, 1.0)).max() < 1
    grey = np.full((64, 64, 3), 170, np.uint8)
    assert not pigmented(grey, np.zeros((32, 32), np.float32), SKIN, 1.0).any()
    assert not pigmented(grey, hair(), SKIN, 0.0).any()
