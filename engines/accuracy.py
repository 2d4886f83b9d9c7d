"""Whether an engine computes the same network: its outputs against an FP32 reference on the same inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from engines.base import Array, Engine, TensorSpec

RANDOM_SAMPLES = 3
SEED = 20260101


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far outputs may lie from the reference's.

    Attributes:
        relative_l2: norm of the difference over norm of the reference, per output.
        worst: largest difference of one element over the largest magnitude of the reference, per output.
    """

    relative_l2: float
    worst: float


# Rounding to 8 bits of mantissa (bf16) is 2^-9 per operation and adds up over tens of layers; measured engines of the
# embedded networks stay at a third of these.
TOLERANCES = {
    "f32": Tolerance(1e-4, 1e-3),
    "f16": Tolerance(1e-2, 5e-2),
    "bf16": Tolerance(3e-2, 1.5e-1),
    "int8": Tolerance(5e-2, 2e-1),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """The measured distance of an engine from its reference, the worst over all outputs.

    Attributes:
        relative_l2: as in `Tolerance`.
        worst: as in `Tolerance`.
        output: name of the output that was farthest off.
        samples: how many inputs it was measured on.
        real: how many of them the caller gave; the rest were drawn.
        tolerance: what was allowed.
    """

    relative_l2: float
    worst: float
    output: str
    samples: int
    real: int
    tolerance: Tolerance

    @property
    def holds(self) -> bool:
        # Written so that a NaN fails.
        return self.relative_l2 <= self.tolerance.relative_l2 and self.worst <= self.tolerance.worst

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**values, "tolerance": Tolerance(**values["tolerance"])})

    def __str__(self) -> str:
        verdict = "within" if self.holds else "outside"
        return (
            f"relative L2 {self.relative_l2:.2e} (allowed {self.tolerance.relative_l2:.0e}), worst element "
            f"{self.worst:.2e} (allowed {self.tolerance.worst:.0e}) at {self.output!r}: {verdict} tolerance"
        )


def compare(
    engine: Engine,
    reference: Engine,
    samples: Sequence[Mapping[str, Array]] = (),
    tolerance: Tolerance | None = None,
    drawn: int = RANDOM_SAMPLES,
) -> Parity:
    """Run both engines on drawn and given inputs and measure how far they are apart.

    Args:
        engine: the one to judge.
        reference: the same network in FP32.
        samples: real inputs.
        tolerance: what is allowed; by default that of the engine's precision.
        drawn: how many random inputs to add, always the same ones.
    """
    inputs = [*samples, *(draw(reference.inputs, SEED + index) for index in range(drawn))]
    difference: dict[str, list[float]] = {spec.name: [0.0, 0.0, 0.0, 0.0] for spec in reference.outputs}
    for values in inputs:
        want, have = reference.run(values), engine.run(values)
        for name, sums in difference.items():
            expected = want[name].astype(np.float64)
            if have[name].shape != expected.shape:  # it would be broadcast
                sums[0] = sums[2] = float("inf")
                continue
            error = have[name].astype(np.float64) - expected
            sums[0] += float(np.sum(error * error))
            sums[1] += float(np.sum(expected * expected))
            sums[2] = float(np.maximum(sums[2], np.max(np.abs(error), initial=0.0)))
            sums[3] = float(np.maximum(sums[3], np.max(np.abs(expected), initial=0.0)))
    distances = {
        name: (_ratio(np.sqrt(squares), np.sqrt(energy)), _ratio(worst, largest))
        for name, (squares, energy, worst, largest) in difference.items()
    }
    farthest = max(distances, key=lambda name: np.nan_to_num(distances[name][0], nan=np.inf))
    return Parity(
        relative_l2=float(np.max([distance[0] for distance in distances.values()])),
        worst=float(np.max([distance[1] for distance in distances.values()])),
        output=farthest,
        samples=len(inputs),
        real=len(samples),
        tolerance=tolerance or TOLERANCES[engine.precision],
    )


def draw(specs: Sequence[TensorSpec], seed: int, batch: int = 1) -> dict[str, Array]:
    """Random inputs of a network: floats over the range that its file tells, or else normal; bytes over their whole
    range; wider integers and booleans 0 or 1.

    Args:
        specs: what the network takes.
        seed: the same seed draws the same values.
        batch: size of a free first dimension.
    """
    generator = np.random.default_rng(seed)
    return {spec.name: _draw(generator, spec, spec.sized(batch)) for spec in specs}


def best_ms(engine: Engine, inputs: Mapping[str, Array], runs: int = 8) -> float:
    """The fastest of several calls in milliseconds, after two that are not counted: noise only ever adds."""
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        engine.run(inputs)
        times.append(time.perf_counter() - start)
    return min(times[2:]) * 1e3


def _draw(generator: np.random.Generator, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    dtype = spec.dtype
    if np.issubdtype(dtype, np.floating):
        if spec.range is not None:
            return generator.uniform(*spec.range, shape).astype(dtype)
        return generator.standard_normal(shape).astype(dtype)
    if dtype.itemsize == 1 and dtype != np.bool_:
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype=dtype.type, endpoint=True)
    return generator.integers(0, 2, shape).astype(dtype)


def _ratio(part: float, whole: float) -> float:
    """`part / whole`; a reference of only zeros wants zeros."""
    if whole > 0:
        return float(part / whole)
    return 0.0 if part == 0 else float("inf")
