import numpy as np
import pytest

from stream.face_edit import SMOOTHING
from stream.filters import ExponentialMean, OneEuro

FPS = 30


def test_a_still_point_is_steadied() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1e-3, (300, 1, 2)).astype(np.float32)
    smooth = OneEuro(1.0, SMOOTHING.quad_beta)
    out = np.array([smooth(value, k / FPS) for k, value in enumerate(raw)])
    assert np.diff(out[30:], axis=0).std() < 0.4 * np.diff(raw[30:], axis=0).std()


def test_a_moving_point_lags_less_than_a_frame() -> None:
    speed = 0.5
    smooth = OneEuro(1.0, SMOOTHING.quad_beta)
    lag = 0.0
    for k in range(60):
        position = np.array([[speed * k / FPS, 0]], np.float32)
        lag = float(position[0, 0] - smooth(position, k / FPS)[0, 0])
    assert 0 < lag < speed / FPS


def test_the_first_sample_and_a_repeated_time_pass_through() -> None:
    smooth = OneEuro(1.0, 1.0)
    first = np.array([[1.0, 2.0]], np.float32)
    np.testing.assert_array_equal(smooth(first, 5.0), first)
    np.testing.assert_array_equal(smooth(first + 1, 5.0), first)


def test_zero_cutoff_turns_smoothing_off() -> None:
    smooth = OneEuro(0.0, 0.0)
    for k in range(3):
        value = np.array([[float(k), 0.0]], np.float32)
        np.testing.assert_array_equal(smooth(value, k / FPS), value)


def test_smoothing_does_not_depend_on_the_frame_rate() -> None:
    ends = []
    for fps in (15, 60):
        mean = ExponentialMean(0.5)
        mean(np.zeros(1, np.float32), 0.0)
        for k in range(1, fps + 1):
            value = mean(np.ones(1, np.float32), k / fps)
        ends.append(float(value[0]))
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)
    assert ends[0] == pytest.approx(1 - np.exp(-2), abs=1e-3)


def test_time_running_backwards_does_not_break_the_mean() -> None:
    mean = ExponentialMean(0.5)
    mean(np.zeros(2, np.float32), 10.0)
    assert np.isfinite(mean(np.ones(2, np.float32), 9.0)).all()


def test_what_lasts_is_averaged_for_longer_and_begins_with_a_plain_mean() -> None:
    """A first sample that is off is outweighed by the next ones; from then on a lasting number moves slowly."""
    mean = ExponentialMean(0.1, {1: 4.0})
    mean(np.array([1.0, 1.0], np.float32), 0.0)
    for k in range(1, 5):
        value = mean(np.zeros(2, np.float32), k / 25)
    assert value[1] == pytest.approx(0.2, abs=1e-6)
    assert value[0] == pytest.approx(np.exp(-1.6), abs=1e-3)
    for k in range(5, 400):
        mean(np.zeros(2, np.float32), k / 25)
    value = mean(np.ones(2, np.float32), 400 / 25)
    assert value[1] == pytest.approx(1 - np.exp(-0.04 / 4), rel=0.05)
    assert value[0] > 0.3


def test_a_frame_that_is_shown_again_changes_no_mean() -> None:
    mean = ExponentialMean(0.1, {0: 4.0})
    mean(np.zeros(1, np.float32), 0.0)
    first = mean(np.ones(1, np.float32), 0.04)
    np.testing.assert_array_equal(mean(np.zeros(1, np.float32), 0.04), first)
