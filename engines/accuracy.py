"""Whether an engine computes the network correctly: its outputs against an FP32 reference on the same inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engines.base import Array, Engine, Precision, TensorSpec

RANDOM_SAMPLES = 3  # inputs of a comparison
SEED = 20260101  # of the first one; the others follow


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest allowed error of each output.

    Attributes:
        relative_l2: L2 norm of the difference over the L2 norm of the reference.
        worst: largest difference of one element over the largest magnitude of the reference.
    """

    relative_l2: float
    worst: float


# bf16 has 8 bits of mantissa: each operation rounds by up to 2^-9, and the error grows over tens of layers. The engines
# of the networks that ship with the project were measured at a third of these.
TOLERANCES: dict[Precision, Tolerance] = {
    "f32": Tolerance(1e-4, 1e-3),
    "f16": Tolerance(1e-2, 5e-2),
    "bf16": Tolerance(3e-2, 1.5e-1),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """The measured error of an engine, the largest over all outputs.

    Attributes:
        relative_l2: as in `Tolerance`.
        worst: as in `Tolerance`.
        output: name of the output with the largest relative L2 error.
        samples: number of inputs it was measured on.
        tolerance: the allowed error.
    """

    relative_l2: float
    worst: float
    output: str
    samples: int
    tolerance: Tolerance

    @property
    def holds(self) -> bool:
        # Written so that a NaN fails.
        return self.relative_l2 <= self.tolerance.relative_l2 and self.worst <= self.tolerance.worst

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        verdict = "within" if self.holds else "outside"
        return (
            f"relative L2 {self.relative_l2:.2e} (allowed {self.tolerance.relative_l2:.0e}), worst element "
            f"{self.worst:.2e} (allowed {self.tolerance.worst:.0e}) at {self.output!r}: {verdict} tolerance"
        )


def compare(engine: Engine, reference: Engine, samples: int = RANDOM_SAMPLES) -> Parity:
    """Run both engines on random inputs and measure the error of the first.

    Args:
        engine: the engine to judge.
        reference: the same network in FP32.
        samples: number of random inputs, the same in every call.
    """
    inputs = [draw(reference.inputs, SEED + index) for index in range(samples)]
    difference: dict[str, list[float]] = {spec.name: [0.0, 0.0, 0.0, 0.0] for spec in reference.outputs}
    for values in inputs:
        want, have = reference.run(values), engine.run(values)
        for name, sums in difference.items():
            expected = want[name].astype(np.float64)
            if have[name].shape != expected.shape:  # subtracting would broadcast
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
        tolerance=TOLERANCES[engine.precision],
    )


def draw(specs: Sequence[TensorSpec], seed: int, batch: int = 1) -> dict[str, Array]:
    """Random inputs of a network.

    Floats are uniform over the range that the file records, or standard normal without one. Bytes are uniform over
    their whole range. Wider integers and booleans are 0 or 1.

    Args:
        specs: the network's inputs.
        seed: the same seed gives the same values.
        batch: size of a free first dimension.

    Returns:
        One array per input, by name, of the spec's dtype and shape.
    """
    generator = np.random.default_rng(seed)
    return {spec.name: _draw(generator, spec, spec.sized(batch)) for spec in specs}


def best_ms(engine: Engine, inputs: Mapping[str, Array], runs: int = 8) -> float:
    """Milliseconds of the fastest of `runs` calls, after two uncounted ones. Noise only makes a call slower."""
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
    """`part / whole`. If `whole` is 0: 0 for a `part` of 0, else infinity."""
    if whole > 0:
        return float(part / whole)
    return 0.0 if part == 0 else float("inf")
