from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from engines import accuracy
from engines.accuracy import Tolerance, compare, draw
from engines.base import Array, Engine, TensorSpec

FLOAT = np.dtype(np.float32)


class Scaled(Engine):
    """Returns its input times a factor, with one element of the second output off by an amount."""

    backend, precision = "test", "f16"
    inputs = (TensorSpec("x", (None, 4), FLOAT),)
    outputs = (TensorSpec("y", (None, 4), FLOAT), TensorSpec("z", (None, 4), FLOAT))

    def __init__(self, factor: float = 1.0, off: float = 0.0) -> None:
        self.factor, self.off = factor, off

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        z = inputs["x"].copy()
        z[0, 0] += self.off
        return {"y": inputs["x"] * np.float32(self.factor), "z": z}


def test_equal_engines_are_at_distance_zero() -> None:
    verdict = compare(Scaled(), Scaled())
    assert (verdict.relative_l2, verdict.worst) == (0, 0)
    assert verdict.holds


def test_relative_l2_is_of_the_worst_output() -> None:
    verdict = compare(Scaled(1.01), Scaled())
    assert verdict.relative_l2 == pytest.approx(0.01, rel=1e-3)
    assert verdict.output == "y"


def test_worst_element_is_relative_to_the_largest() -> None:
    verdict = compare(Scaled(off=5.0), Scaled(), samples=3)
    largest = max(float(abs(draw(Scaled.inputs, accuracy.SEED + index)["x"]).max()) for index in range(3))
    assert verdict.worst == pytest.approx(5.0 / largest)
    assert (verdict.samples, verdict.output) == (3, "z")
    assert not verdict.holds


@pytest.mark.parametrize(
    ("factor", "holds"), [(1.0009, True), (1.0011, False), (float("nan"), False), (float("inf"), False)]
)
def test_the_tolerance_of_the_precision_decides(monkeypatch: pytest.MonkeyPatch, factor: Any, holds: Any) -> None:
    monkeypatch.setitem(accuracy.TOLERANCES, "f16", Tolerance(1e-3, 1))
    parity = compare(Scaled(factor), Scaled())
    assert parity.holds is holds
    assert ("outside" in str(parity)) is not holds


def test_another_shape_is_infinitely_far() -> None:
    class Cut(Scaled):
        def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            return {name: value[:, :1] for name, value in super()._run(inputs).items()}

    verdict = compare(Cut(), Scaled())
    assert (verdict.relative_l2, verdict.worst) == (float("inf"), float("inf"))
    assert not verdict.holds


def test_zeros_want_zeros() -> None:
    zero = Scaled(0.0)
    assert compare(zero, zero).relative_l2 == 0
    assert compare(Scaled(1e-9), zero).relative_l2 == float("inf")


def test_drawn_inputs_fit_and_repeat() -> None:
    specs = (
        TensorSpec("f", (None, 3, 8), np.dtype(np.float16)),
        TensorSpec("b", (64,), np.dtype(np.uint8)),
        TensorSpec("i", (64,), np.dtype(np.int64)),
        TensorSpec("t", (64,), np.dtype(np.bool_)),
    )
    first, second, other = draw(specs, 1, batch=2), draw(specs, 1, batch=2), draw(specs, 2, batch=2)
    assert all(spec.accepts(first[spec.name]) for spec in specs)
    assert first["f"].shape == (2, 3, 8)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["f"], other["f"])
    assert first["b"].max() > 200
    assert set(first["i"]) == {0, 1}
