from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.scalp import (
    HeadMap,
    ScalpModel,
    around_skin,
    head_map,
    outline_features,
    skin_tone,
    with_back_of_head,
    within_hair,
)
from models.face.imaging import fill, smoothstep
from models.face.texture_space import YAW_MODE, FaceSpace, Fit

SIZE = 320
SKIN = (200, 150, 120)
HAIR = (30, 20, 15)


@pytest.fixture(scope="module")
def tables() -> dict[str, NDArray[Any]]:
    with np.load(EMBEDDED / TABLES) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def model(tables: dict[str, NDArray[Any]]) -> ScalpModel:
    return ScalpModel.from_tables(tables)


@pytest.fixture(scope="module")
def fit(tables: dict[str, NDArray[Any]]) -> Fit:
    space = FaceSpace.from_tables(tables)
    return space.fit(space.mean + np.array([64, 88], np.float32))


@pytest.fixture(scope="module")
def head(model: ScalpModel, fit: Fit) -> HeadMap:
    return head_map(fit, model.radii(outline_features(fit)), SIZE)


def test_a_skull_never_leaps_as_the_hair_over_it_gets_thinner(tables: dict[str, NDArray[Any]]) -> None:
    space, model = FaceSpace.from_tables(tables), ScalpModel.from_tables(tables)
    fit = space.fit(space.mean + np.array([64, 88], np.float32))
    radii = model.radii(outline_features(fit))
    radius, top = cv2.resize(head_map(fit, radii, SIZE).radius, (SIZE, SIZE)), len(radii) // 2
    ends = np.arange(1.1, 0.6, -0.02)
    kept = [within_hair(radii, fit, (radius < end).astype(np.float32), SIZE)[top] / radii[top] for end in ends]
    assert kept[0] > 0.98
    assert np.abs(np.diff(kept)).max() < 0.04
    assert np.diff(kept).max() < 0.01


def test_skin_that_is_seen_lies_within_the_skull_but_for_ears(model: ScalpModel, fit: Fit) -> None:
    """The far temple of a turned head stood out of its skull as a horn."""
    radii = model.radii(outline_features(fit))
    head = head_map(fit, radii, SIZE)
    radius, angle = (cv2.resize(each, (SIZE, SIZE)) for each in (head.radius, np.degrees(head.angle)))
    temple = (radius < 1.12) & (angle > 145) & (angle < 160)
    ears = (radius < 1.12) & (angle < 4)
    wider = around_skin(radii, fit, ((radius < 0.9) | temple | ears).astype(np.float32), SIZE) / radii
    angles = np.linspace(0, 180, len(radii))
    assert wider[(angles > 148) & (angles < 157)].min() > 1.06
    assert np.abs(wider[(angles < 105) & (angles > 10)] - 1).max() < 0.01
    assert wider[0] < 1.01
    above = np.diff(wider[(angles > 100) & (angles < 152)])
    assert above.min() > -0.001
    assert above.max() < 0.035, "a corner above the temple"
    other = (radius > 1.25) & (radius < 1.6) & (angle > 60) & (angle < 120)
    beside = around_skin(radii, fit, ((radius < 0.9) | other).astype(np.float32), SIZE)
    assert np.abs(beside / radii - 1).max() < 0.01, "the face of somebody else is none of it"
    assert around_skin(radii, fit, np.ones((SIZE, SIZE), np.float32), SIZE).max() <= 1.21 * radii.max(), "bounded"


def test_light_and_tone_are_those_of_the_visible_skin(model: ScalpModel) -> None:
    rows, columns = np.mgrid[:192, :192].astype(np.float32)
    lit = np.array(SKIN, np.float32) * (0.7 + 0.4 * columns / 191)[..., None]
    texture = lit.astype(np.uint8)
    hidden = (rows < 48).astype(np.float32)
    fringed = np.where(hidden[..., None] > 0, np.array(HAIR, np.uint8), texture)
    seen = model.light(texture)
    np.testing.assert_allclose(model.light(fringed, hidden), seen, atol=0.6)
    assert np.abs(model.light(fringed) - seen).max() > 1
    np.testing.assert_allclose(skin_tone(fringed, hidden), skin_tone(texture, np.zeros_like(hidden)), atol=0.01)


def test_fill_keeps_what_is_known_and_spreads_it() -> None:
    picture = np.zeros((40, 40, 3), np.float32)
    picture[:, :10] = 100
    weight = np.zeros((40, 40), np.float32)
    weight[:, :10] = 1
    filled = fill(picture, weight)
    np.testing.assert_allclose(filled[:, :10], 100, atol=1e-3)
    np.testing.assert_allclose(filled, 100, atol=1)


def test_smoothstep_ends() -> None:
    np.testing.assert_allclose(smoothstep(np.array([-1, 0, 0.5, 1, 2]), 0, 1), [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("turned", [2.5, -2.5])
def test_the_back_of_a_turned_head_reaches_out_to_its_short_hair(model: ScalpModel, fit: Fit, turned: float) -> None:
    modes = fit.modes.copy()
    modes[YAW_MODE] = turned
    fit = replace(fit, modes=modes)
    radii = model.radii(outline_features(fit))
    away = cv2.resize(head_map(fit, radii, SIZE).radius, (SIZE, SIZE))
    rows = np.arange(SIZE)[:, None]
    cap = ((away < 1.3) & (rows < 150)).astype(np.float32)
    wider = with_back_of_head(radii, fit, cap, SIZE) / radii
    if turned < 0:
        wider = wider[::-1]
    assert wider[len(wider) // 6] > 1.1
    assert wider[-len(wider) // 6] == pytest.approx(1, abs=0.02)
    assert np.abs(np.diff(wider)).max() < 0.05
    bald = np.zeros_like(cap)
    assert np.array_equal(with_back_of_head(radii, fit, bald, SIZE), radii), "no hair says nothing"
    long_hair = (away < 3).astype(np.float32)
    assert np.array_equal(with_back_of_head(radii, fit, long_hair, SIZE), radii), "tells nothing"


def test_a_broad_head_that_looks_straight_on_is_broad_at_both_sides(model: ScalpModel, fit: Fit) -> None:
    """Short hair that stands out by far more than it does at sides tells a larger skull than the statistics do."""
    modes = fit.modes.copy()
    modes[YAW_MODE] = 0
    fit = replace(fit, modes=modes)
    radii = model.radii(outline_features(fit))
    away = cv2.resize(head_map(fit, radii, SIZE).radius, (SIZE, SIZE))
    rows = np.arange(SIZE)[:, None]
    thick, thin = (((away < reach) & (rows < 150)).astype(np.float32) for reach in (1.32, 1.1))
    wider = with_back_of_head(radii, fit, thick, SIZE) / radii
    side = len(wider) // 6
    assert 1.03 < wider[side] < 1.15
    assert wider[side] == pytest.approx(wider[-side], abs=0.03)
    assert wider[len(wider) // 2] == pytest.approx(1, abs=0.03), "hair may be tall at the crown"
    assert np.abs(with_back_of_head(radii, fit, thin, SIZE) / radii - 1).max() < 0.01


def test_the_back_of_a_turning_head_comes_gradually(model: ScalpModel, fit: Fit) -> None:
    wider = []
    for yaw in np.linspace(-2.5, 2.5, 21):
        modes = fit.modes.copy()
        modes[YAW_MODE] = yaw
        turned = replace(fit, modes=modes)
        radii = model.radii(outline_features(turned))
        cap = (cv2.resize(head_map(turned, radii, SIZE).radius, (SIZE, SIZE)) < 1.3) & (np.arange(SIZE)[:, None] < 150)
        wider.append(with_back_of_head(radii, turned, cap.astype(np.float32), SIZE) / radii)
    assert np.abs(np.diff(wider, axis=0)).max() < 0.06


def test_tall_hair_on_a_turned_head_makes_no_peak(model: ScalpModel, fit: Fit) -> None:
    modes = fit.modes.copy()
    modes[YAW_MODE] = 2.5
    fit = replace(fit, modes=modes)
    radii = model.radii(outline_features(fit))
    away = cv2.resize(head_map(fit, radii, SIZE).radius, (SIZE, SIZE))
    rows = np.arange(SIZE)[:, None]
    taller = 1.2 + 0.3 * np.clip((120 - rows) / 100, 0, 1)
    wider = with_back_of_head(radii, fit, ((away < taller) & (rows < 150)).astype(np.float32), SIZE) / radii
    degrees = np.linspace(0, 180, len(radii))
    assert (np.diff(wider[degrees > 25]) < 0.01).all()


def test_the_outline_of_a_head_that_looks_straight_on_stays(model: ScalpModel, fit: Fit) -> None:
    radii = model.radii(outline_features(fit))
    assert np.array_equal(with_back_of_head(radii, fit, np.zeros((SIZE, SIZE), np.float32), SIZE), radii)
