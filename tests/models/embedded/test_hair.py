"""Hair dye: neutral by default, on the colour asked for, with the hair's own structure, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.editor import Crop, Edit, Editor, Masks
from models.embedded.hair import LENGTH, PRESETS, HairControls, custom_lab
from tests.models.editing import delta_of, rendered
from tests.models.matting import coarse_hair

SIZE, SIDE = 256, 160
POINTS5 = np.array([[100, 130], [156, 130], [128, 160], [108, 190], [148, 190]], np.float32)


def portrait(lightness: float, occluded: bool = False) -> Crop:
    """A head of streaky hair with one highlight over a skin-coloured face, and its true masks."""
    rng = np.random.default_rng(3)
    lab = np.zeros((SIZE, SIZE, 3), np.float32)
    lab[...] = (85, 0, 0)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    hair = (np.hypot(rows - 120, columns - 128) < 90) & (np.hypot(rows - 165, columns - 128) > 62) & (rows < 180)
    face = (np.hypot(rows - 165, columns - 128) <= 62) & (rows < 240)
    streaks = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), sigmaX=1.5, sigmaY=25)
    lab[hair] = np.stack([lightness + streaks / streaks.std() * 5, 4 + 0 * streaks, 6 + 0 * streaks], -1)[hair]
    lab[40:50, 110:150, 0] = np.minimum(lightness + 45, 97)
    lab[face] = (65, 14, 18)
    image = np.clip(
        cv2.cvtColor(np.clip(lab, (0, -100, -100), (100, 100, 100)).astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1
    )
    hand = np.zeros((SIZE, SIZE), np.float32)
    if occluded:
        hand[:, 150:] = 1

    def small(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)

    masks = Masks(small(hair), small(face), small(hand), small(hair | face))
    return Crop((image * 255).round().astype(np.uint8), POINTS5, None, masks)


def bald() -> Crop:
    crop = portrait(20)
    assert crop.masks is not None
    none = np.zeros_like(crop.masks.hair)
    return Crop(crop.image, crop.points5, None, Masks(none, crop.masks.face, none, crop.masks.person))


def dye(crop: Crop, **controls: object) -> Edit:
    editor = coarse_hair()
    latent = editor.encode(crop, editor.Controls())
    return rendered(editor, crop, latent, HairControls(**controls))


def dyed_lab(crop: Crop, edit: Edit) -> np.ndarray:
    assert edit.delta is not None
    image = np.clip(crop.image + edit.mask[..., None] * edit.delta, 0, 255).astype(np.float32) / 255
    return cv2.cvtColor(image, cv2.COLOR_RGB2LAB)


def inner_hair(crop: Crop) -> np.ndarray:
    assert crop.masks is not None
    solid = cv2.erode(crop.masks.hair, np.ones((9, 9), np.uint8))
    return cv2.resize(solid, (SIZE, SIZE)) > 0.95


def test_is_an_editor_that_asks_for_masks() -> None:
    assert isinstance(coarse_hair(), Editor)
    with pytest.raises(ValueError, match="masks"):
        coarse_hair().encode(Crop(np.zeros((8, 8, 3), np.uint8), POINTS5), HairControls())


@pytest.mark.parametrize("colour", [*PRESETS, "custom"])
def test_no_amount_is_neutral_whatever_the_colour(colour: str) -> None:
    assert not HairControls(colour=colour).neutral()
    assert HairControls(colour=colour, amount=0).idle() == "Amount is 0"
    assert not HairControls(colour=colour, amount=0.01).neutral()
    assert dye(portrait(20), colour=colour, amount=0).mask.max() == 0


@pytest.mark.parametrize(
    ("controls", "why"),
    [
        ({}, "no control is moved"),
        ({"amount": 0.5}, "Amount changes nothing until Hair colour is set"),
        ({"custom": "#112233"}, "nothing that changes the picture is set"),
        ({"colour": "red"}, ""),
    ],
)
def test_a_look_that_dyes_nothing_says_why(controls: dict[str, object], why: str) -> None:
    assert HairControls(**controls).idle() == why


def test_an_own_colour_moves_the_choice() -> None:
    assert HairControls.completed({"custom": "#112233"}) == {"custom": "#112233", "colour": "custom"}
    assert HairControls.completed({"custom": "#112233", "colour": "red"})["colour"] == "red"
    assert HairControls.completed({"gone": 1}) == {"gone": 1}


@pytest.mark.parametrize("bad", [{"amount": 1.1}, {"colour": "green"}, {"custom": "blue"}, {"custom": "#12345"}])
def test_other_controls_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        HairControls(**bad)


@pytest.mark.parametrize("lightness", [12.0, 35.0, 70.0])
@pytest.mark.parametrize("colour", list(PRESETS))
def test_the_median_becomes_the_colour(lightness: float, colour: str) -> None:
    crop = portrait(lightness)
    median = np.median(dyed_lab(crop, dye(crop, colour=colour, amount=1.0))[inner_hair(crop)], axis=0)
    # roots of bleached hair stay darker, so lightness may fall a little short
    assert abs(median[0] - PRESETS[colour][0]) < 6
    assert np.hypot(*(median[1:] - PRESETS[colour][1:])) < 6


def test_own_colour() -> None:
    crop = portrait(20)
    median = np.median(
        dyed_lab(crop, dye(crop, colour="custom", custom="#2a6fd6", amount=1.0))[inner_hair(crop)], axis=0
    )
    assert median[2] < -40


@pytest.mark.parametrize(("lightness", "colour"), [(12.0, "blond"), (12.0, "white"), (70.0, "black"), (45.0, "red")])
def test_strands_and_highlights_stay(lightness: float, colour: str) -> None:
    crop = portrait(lightness)
    where = inner_hair(crop)
    before = cv2.cvtColor(crop.image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    after = dyed_lab(crop, dye(crop, colour=colour, amount=1.0))[..., 0]
    where[:60] = False
    order = [np.argsort(np.argsort(values[where])).astype(np.float64) for values in (before, after)]
    assert np.atleast_2d(np.corrcoef(np.stack(order)))[0, 1] > 0.85
    assert after[where].std() > 0.3 * before[where].std()  # L* of black hair varies less
    # the highlight stays the brightest part of the hair
    assert after[45, 130] > np.percentile(after[where], 90)


def test_half_the_amount_lies_between() -> None:
    crop = portrait(12)
    light = [
        np.median(dyed_lab(crop, dye(crop, colour="blond", amount=amount))[inner_hair(crop)][:, 0])
        for amount in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert np.all(np.diff(light) > 5)


def test_face_background_and_border_are_untouched() -> None:
    edit = dye(portrait(12), colour="white", amount=1.0)
    assert edit.mask[165:235, 100:156].max() < 0.02
    assert edit.mask[250:, :].max() < 0.02
    assert edit.mask[[0, -1]].max() == edit.mask[:, [0, -1]].max() == 0
    assert edit.mask[60:95, 120:136].min() > 0.9


def test_occluders_keep_the_cameras_pixels() -> None:
    edit = dye(portrait(12, occluded=True), colour="white", amount=1.0)
    assert edit.mask[:, 156:].max() == 0
    assert edit.mask[70:90, 110:130].min() > 0.9


def test_bald_heads_are_left_alone() -> None:
    editor, crop = coarse_hair(), bald()
    latent = editor.encode(crop, editor.Controls())
    assert not latent.any()
    assert dye(crop, colour="red", amount=1.0).mask.max() == 0


def test_smoothed_statistics_of_another_frame_are_safe() -> None:
    """Latents are smoothed over time: they need not belong to the crop they are rendered on."""
    editor, crop = coarse_hair(), portrait(12)
    brows = [0.4, 20, 16, 12, 60, 50, 40]
    latent = np.array([5.5, 0.01, 0.01, 0.5, 1.2, 2, 1.0, 1.3, 0.8, 0.7, 0.3, 0.8, 0.6, 0.5, *brows], np.float32)
    assert latent.shape == (LENGTH,)
    edit = rendered(editor, crop, latent, HairControls(colour="black", amount=1.0))
    assert edit.delta is not None
    assert np.isfinite(edit.delta).all()
    assert np.isfinite(edit.mask).all()
    edit = rendered(editor, bald(), latent, HairControls(colour="black", amount=1.0))
    assert edit.mask.max() == 0


def test_hair_that_was_seen_at_times_is_dyed_like_that_which_was_seen_always() -> None:
    """Averaged with nothing, the look of hair goes to 0, which is black: dye would glow where hair comes and goes."""
    editor, crop = coarse_hair(), portrait(20)
    latent, controls = editor.encode(crop, editor.Controls()), HairControls(colour="blond", amount=0.7, brows=False)
    always, at_times = (delta_of(rendered(editor, crop, latent * np.float32(share), controls)) for share in (1, 0.3))
    np.testing.assert_allclose(at_times, always, atol=0.2)
    for share in (0.01, 0.03, 0.049, 0.06):
        hardly = rendered(editor, crop, latent * np.float32(share), controls)
        assert hardly.mask.max() < 0.1
        assert np.abs(delta_of(hardly)).max() <= np.abs(always).max() + 1


def test_a_photo_gives_the_colour_of_its_hair() -> None:
    colour = "#b5651d"
    side = 64
    y, x = np.mgrid[:side, :side]
    hair = ((y < 24) & (x > 12) & (x < 52)).astype(np.float32)
    nothing = np.zeros((side, side), np.float32)
    image = np.full((256, 256, 3), 128, np.uint8)
    image[:96, 52:208] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    points = np.array([[100, 120], [156, 120], [128, 150], [105, 180], [151, 180]], np.float32)
    photo = Crop(image, points, masks=Masks(hair, nothing, nothing, hair))
    controls = HairControls(**coarse_hair().read_photo(photo))
    assert (controls.colour, controls.amount) == ("custom", 1.0)
    assert np.abs(np.subtract(custom_lab(controls.custom), custom_lab(colour))).max() < 1.5
    with pytest.raises(ValueError, match="no hair"):
        coarse_hair().read_photo(Crop(image, points, masks=Masks(nothing, nothing, nothing, nothing)))


def test_single_strands_come_between_and_the_first_step_changes_little() -> None:
    """Dye of one hue, as smooth as dark hair looks, is a wig's; but a slider does not jump."""
    crop = portrait(35)
    where = inner_hair(crop)
    whole, first = (dye(crop, colour="brown", amount=amount) for amount in (1.0, 0.02))
    light = dyed_lab(crop, whole)[..., 0]
    plain = cv2.cvtColor(crop.image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    ranks = [np.argsort(np.argsort(each[where])).astype(float) for each in (plain, light)]
    assert np.corrcoef(np.stack(ranks))[0, 1] < 0.99
    assert first.delta is not None
    assert whole.delta is not None
    assert np.abs(first.delta[where]).mean() < 3.5


def test_an_earring_before_the_hair_keeps_its_colour() -> None:
    crop = portrait(20)
    crop.image[60:72, 120:140] = (240, 200, 40)
    edit = dye(crop, colour="black")
    assert edit.delta is not None
    changed = np.abs(edit.mask[..., None] * edit.delta)
    assert changed[63:69, 124:136].max() < 12


def test_a_beard_is_dyed_where_that_is_asked_for() -> None:
    crop = portrait(20)
    chin = np.s_[195:215, 118:138]
    stays, follows = (dye(crop, colour="red", beard=beard) for beard in (False, True))
    assert stays.mask[chin].max() == 0
    assert follows.mask[chin].min() > 0.9
    assert np.abs(delta_of(follows)[chin]).mean() > 5
