"""Which backend and precision this machine runs a network with: the fastest that computes it correctly."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engines import accuracy
from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.openvino import OpenVino
from engines.backends.tensorrt import TensorRt
from engines.backends.torch2trt import Torch2Trt
from engines.backends.torch_cuda import TorchCuda
from engines.base import Array, Backend, BackendUnavailable, DeviceLost, Engine, EngineError, OutOfMemory
from engines.cache import Cache, Key
from engines.onnx_file import Network, open_network

log = logging.getLogger(__name__)

# In order of preference.
BACKENDS: tuple[Backend, ...] = (
    TensorRt("tensorrt"),
    Torch2Trt(),
    TensorRt("tensorrt_rtx"),
    TorchCuda(),
    OpenVino(),
    OnnxRuntime(),
)
REFERENCE = OnnxRuntime()

# A lower precision must be this much faster than the next to be worth its error.
WORTH_IT = 0.95
LONGEST_NOTE = 500  # characters; a library's refusal may name every node


class Availability(NamedTuple):
    """One row of `available()`.

    Attributes:
        backend: its name.
        usable: whether it runs here.
        reason: the device it would use, or what is missing.
    """

    backend: str
    usable: bool
    reason: str


def load(
    path: str | Path,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    cache_dir: Path | None = None,
    samples: Sequence[Mapping[str, Array]] = (),
    tolerance: accuracy.Tolerance | None = None,
) -> Engine:
    """Compile a network for this machine, or take it from the cache, once it is shown to compute what it should.

    Every engine but the FP32 reference itself is compared with ONNX Runtime in FP32 first; the verdict is remembered in
    the cache. Where several precisions pass, the fastest stays.

    Args:
        path: an ONNX file.
        backend: "auto" for the first of `BACKENDS` that works, or the name of one, whose absence is then an error.
        precision: "auto", or one of the backend's ("f32", "bf16", "f16", "int8"); one that fails its comparison is then
            an error. "auto" is FP32 for networks that ask for it, see `engines.onnx_file.PRECISE`.
        threads: processor threads one call may use; None for the library's choice.
        cache_dir: where compiled networks are kept; None for the user's cache folder.
        samples: real inputs for the comparison, besides random ones.
        tolerance: how far outputs may lie from the reference's; None for the usual of each precision, which suits
            pictures and masks (a network that gives positions in pixels wants a tighter one).

    Returns:
        The engine. Its `notes` say why better-placed choices were passed over.

    Raises:
        EngineError: the file is missing, cut or no network (the message names it and what mends it), or no backend
            computes it.
        BackendUnavailable: the named backend or precision cannot run here.
    """
    network = open_network(path)
    job = _Job(network, precision, threads, Cache(cache_dir), samples, tolerance)
    notes: list[str] = []
    for candidate in _candidates(backend):
        try:
            candidate.probe()
            engine = _fastest_correct(candidate, job, notes)
        except EngineError as error:
            if backend != "auto":
                raise
            if not isinstance(error, BackendUnavailable):
                log.warning("%s: %s; trying the next backend", network.name, error)
            notes.append(f"{candidate.name}: {error}")
            continue
        engine.notes = tuple(notes)
        log.info("%s: %s in %s on %s", network.name, engine.backend, engine.precision, engine.device)
        log.debug("%s: passed over: %s", network.name, "; ".join(notes) or "nothing")
        return engine
    raise EngineError(f"{network.path}: no backend runs this network here: " + "; ".join(notes))


def available() -> list[Availability]:
    """Every backend in order of preference, whether it is usable here, and the device or what is missing."""
    rows = []
    for backend in BACKENDS:
        try:
            rows.append(Availability(backend.name, True, backend.probe()))
        except BackendUnavailable as error:
            rows.append(Availability(backend.name, False, str(error)))
    return rows


@dataclass(frozen=True, slots=True)
class _Job:
    """What `load` was asked for, with the file opened."""

    network: Network
    precision: str
    threads: int | None
    cache: Cache
    samples: Sequence[Mapping[str, Array]]
    tolerance: accuracy.Tolerance | None

    def load(self, backend: Backend, precision: str) -> Engine:
        return backend.load(self.network, precision, threads=self.threads, cache=self.cache)


def _candidates(name: str) -> tuple[Backend, ...]:
    if name == "auto":
        return BACKENDS
    chosen = tuple(backend for backend in BACKENDS if backend.name == name)
    if not chosen:
        raise BackendUnavailable(f"unknown backend {name!r}; known: auto, {', '.join(b.name for b in BACKENDS)}")
    return chosen


def _fastest_correct(backend: Backend, job: _Job, notes: list[str]) -> Engine:
    wanted = _wanted(backend, job)
    key = _choice_key(backend, job, wanted)
    choice = job.cache.get(key, job.network.name)
    if choice is not None and choice.facts.get("precision") in wanted:
        engine = job.load(backend, choice.facts["precision"])
        if not engine.built:
            notes.extend(choice.facts.get("notes", []))
            return engine
        engine.close()  # what was judged is gone from the cache: another has to be judged
        job.cache.put(key, job.network.name, b"", {})
    passed: list[tuple[Engine, float]] = []
    rejected: list[str] = []
    measured: dict[str, object] = {}
    lasting = True
    for name in wanted:
        try:
            engine, verdict = _judged(backend, name, job)
        except EngineError as error:
            if job.precision != "auto" or isinstance(error, (BackendUnavailable, DeviceLost)):
                raise
            rejected.append(f"{backend.name} in {name}: {error}"[:LONGEST_NOTE])
            log.warning("%s: %s in %s: %s", job.network.name, backend.name, name, error)
            lasting = lasting and not isinstance(error, OutOfMemory)
            continue
        if not verdict.holds:
            rejected.append(f"{backend.name} in {name}: {verdict}")
            log.warning("%s: %s", job.network.name, rejected[-1])
            engine.close()
            continue
        alone = len(wanted) == 1 or backend.builds_long
        milliseconds = 0.0 if alone else accuracy.best_ms(engine, accuracy.draw(engine.inputs, accuracy.SEED))
        passed.append((engine, milliseconds))
        measured[name] = {"parity": verdict.to_json(), "ms": milliseconds}
        if backend.builds_long:
            break
    if not passed:
        raise EngineError(f"{job.network.path}: no precision is right; " + "; ".join(rejected))
    best = _fastest(passed)
    for engine, milliseconds in passed:
        if engine is not best:
            rejected.append(f"{backend.name} in {engine.precision}: {milliseconds:.2f} ms a call")
            engine.close()
    notes.extend(rejected)
    if lasting:  # what has no memory now may have some at the next start
        facts = {"precision": best.precision, "measured": measured, "notes": rejected}
        job.cache.put(key, job.network.name, b"", facts)
    return best


def _wanted(backend: Backend, job: _Job) -> tuple[str, ...]:
    """The precisions to try."""
    if job.precision != "auto":
        return (job.precision,)
    known = backend.precisions(job.network)
    return ("f32",) if job.network.precise and "f32" in known else known


def _judged(backend: Backend, precision: str, job: _Job) -> tuple[Engine, accuracy.Parity]:
    engine = job.load(backend, precision)
    try:
        return engine, _verdict(engine, job)
    except BaseException:
        engine.close()
        raise


def _fastest(passed: list[tuple[Engine, float]]) -> Engine:
    """The fastest; of two about equal the later, which is the more exact."""
    best, time = passed[0]
    for engine, ms in passed[1:]:
        if ms * WORTH_IT < time:
            best, time = engine, ms
    return best


def _verdict(engine: Engine, job: _Job) -> accuracy.Parity:
    if (engine.backend, engine.precision) == (REFERENCE.name, "f32"):
        return accuracy.Parity(0.0, 0.0, engine.outputs[0].name, 0, 0, accuracy.TOLERANCES["f32"])
    if engine.precision == "int8" and job.network.quantized is not None:
        return _int8_verdict(engine, job.network.quantized, job)
    with job.load(REFERENCE, "f32") as reference:
        return accuracy.compare(engine, reference, job.samples, job.tolerance)


def _int8_verdict(engine: Engine, quantized: Network, job: _Job) -> accuracy.Parity:
    """Whether this processor computes the int8 version as it is meant.

    What rounding costs was judged when the version was made, on real inputs: its ranges mean nothing for random ones.
    Given inputs are compared with FP32 all the same.
    """
    with REFERENCE.load_as_written(quantized, job.threads) as reference:
        kernels = accuracy.compare(engine, reference, (), job.tolerance)
    if not job.samples or not kernels.holds:
        return kernels
    with job.load(REFERENCE, "f32") as reference:
        return accuracy.compare(engine, reference, job.samples, job.tolerance, drawn=0)


def _choice_key(backend: Backend, job: _Job, precisions: tuple[str, ...]) -> Key:
    """The key of a remembered choice among precisions. A device in words includes version and processor or GPU."""
    return Key(
        network=job.network.sha256 + (f" and {quantized.sha256}" if (quantized := job.network.quantized) else ""),
        shapes=f"compared on {_digest(job.samples)}, {job.tolerance or 'usual tolerance'}",
        precision="choice",
        backend=backend.name,
        version=REFERENCE.probe(),
        device=backend.probe(),
        capability=" ".join(precisions),
        driver=f"{job.threads or 'all'} threads",
    )


def _digest(samples: Sequence[Mapping[str, Array]]) -> str:
    """Names the given inputs: others may lead to another choice."""
    digest = hashlib.sha256()
    for sample in samples:
        for name, value in sorted(sample.items()):
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return f"{len(samples)} given inputs {digest.hexdigest()[:16]}" if samples else "no given inputs"
