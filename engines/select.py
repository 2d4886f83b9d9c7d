"""Which backend and precision this machine runs a network with: the fastest that computes it correctly."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from engines import accuracy, backends
from engines.backends import REFERENCE
from engines.base import Backend, BackendUnavailable, DeviceLost, Engine, EngineError, OutOfMemory, Precision
from engines.cache import Cache, Key
from engines.onnx_file import REMEDY, Network, open_network

log = logging.getLogger(__name__)

# A lower precision is taken if it needs less than this share of the time of the next higher one.
WORTH_IT = 0.95
LONGEST_NOTE = 500  # characters; a library's message may name every node


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
    remedy: str = REMEDY,
) -> Engine:
    """Compile a network for this machine, or read it from the cache, and check that it computes correctly.

    Every engine except the FP32 reference itself is compared with ONNX Runtime in FP32. Among the precisions that pass,
    the fastest is chosen. The choice is remembered in the cache.

    Args:
        path: an ONNX file.
        backend: "auto" for the first known backend that works, or the name of one, whose absence is then an error.
        precision: "auto", or one of the backend's; one that fails its comparison is then an error. "auto" is FP32 for
            networks that ask for it, see `engines.onnx_file.PRECISE`.
        threads: processor threads one call may use; None for the library's choice.
        cache_dir: folder of compiled networks; None for the user's cache folder.
        remedy: what a user does about a damaged file, for error messages.

    Returns:
        The engine. Its `notes` say why faster choices were rejected.

    Raises:
        EngineError: the file is missing, truncated or no network (the message names it and the remedy), or no backend
            computes it correctly.
        BackendUnavailable: the named backend or precision cannot run here.
    """
    network = open_network(path, remedy)
    job = _Job(network, _checked_precision(precision), threads, Cache(cache_dir))
    notes: list[str] = []
    for candidate in _candidates(backend):
        try:
            candidate.probe()
            engine = _load_fastest_correct(candidate, job, notes)
        except EngineError as error:
            if backend != "auto":
                raise
            if not isinstance(error, BackendUnavailable):
                log.warning("%s: %s; trying the next backend", network.name, error)
            notes.append(f"{candidate.name}: {error}")
            continue
        engine.notes = tuple(notes)
        log.info("%s: %s in %s on %s", network.name, engine.backend, engine.precision, engine.device)
        log.debug("%s: rejected: %s", network.name, "; ".join(notes) or "nothing")
        return engine
    raise EngineError(f"{network.path}: no backend runs this network here: " + "; ".join(notes))


def available() -> list[Availability]:
    """Every backend in order of preference, whether it is usable here, and the device or what is missing."""
    rows = []
    for backend in backends.known_backends():
        try:
            rows.append(Availability(backend.name, True, backend.probe()))
        except BackendUnavailable as error:
            rows.append(Availability(backend.name, False, str(error)))
    return rows


@dataclass(frozen=True, slots=True)
class _Job:
    """The arguments of `load`, with the file opened; a `precision` of None is "auto"."""

    network: Network
    precision: Precision | None
    threads: int | None
    cache: Cache

    def load(self, backend: Backend, precision: Precision) -> Engine:
        return backend.load(self.network, precision, threads=self.threads, cache=self.cache)


def _candidates(name: str) -> tuple[Backend, ...]:
    known = backends.known_backends()
    if name == "auto":
        return known
    chosen = tuple(backend for backend in known if backend.name == name)
    if not chosen:
        raise BackendUnavailable(f"unknown backend {name!r}; known: auto, {', '.join(b.name for b in known)}")
    return chosen


def _load_fastest_correct(backend: Backend, job: _Job, notes: list[str]) -> Engine:
    wanted = _wanted_precisions(backend, job)
    key = _choice_key(backend, job, wanted)
    choice = job.cache.get(key, job.network.name)
    remembered = [name for name in wanted if choice is not None and choice.facts.get("precision") == name]
    if choice is not None and remembered:
        engine = job.load(backend, remembered[0])
        if not engine.built:
            notes.extend(choice.facts.get("notes", []))
            return engine
        engine.close()  # the engine that passed is gone from the cache; this one has not been compared
        job.cache.put(key, job.network.name, b"", {})
    passed: list[tuple[Engine, float]] = []
    rejected: list[str] = []
    measured: dict[str, object] = {}
    lasting = True
    for name in wanted:
        try:
            engine, parity = _load_and_compare(backend, name, job)
        except EngineError as error:
            if job.precision is not None or isinstance(error, (BackendUnavailable, DeviceLost)):
                raise
            rejected.append(f"{backend.name} in {name}: {error}"[:LONGEST_NOTE])
            log.warning("%s: %s in %s: %s", job.network.name, backend.name, name, error)
            lasting = lasting and not isinstance(error, OutOfMemory)
            continue
        if not parity.holds:
            rejected.append(f"{backend.name} in {name}: {parity}")
            log.warning("%s: %s", job.network.name, rejected[-1])
            engine.close()
            continue
        alone = len(wanted) == 1 or backend.builds_long
        milliseconds = 0.0 if alone else accuracy.best_ms(engine, accuracy.draw(engine.inputs, accuracy.SEED))
        passed.append((engine, milliseconds))
        measured[name] = {"parity": parity.to_json(), "ms": milliseconds}
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
    if lasting:  # the next start may have the memory that was missing now
        facts = {"precision": best.precision, "measured": measured, "notes": rejected}
        job.cache.put(key, job.network.name, b"", facts)
    return best


def _wanted_precisions(backend: Backend, job: _Job) -> tuple[Precision, ...]:
    if job.precision is not None:
        return (job.precision,)
    known = backend.precisions(job.network)
    return ("f32",) if job.network.precise and "f32" in known else known


def _checked_precision(name: str) -> Precision | None:
    if name == "auto":
        return None
    known: tuple[Precision, ...] = get_args(Precision)
    for precision in known:
        if precision == name:
            return precision
    raise BackendUnavailable(f"unknown precision {name!r}; known: auto, {', '.join(known)}")


def _load_and_compare(backend: Backend, precision: Precision, job: _Job) -> tuple[Engine, accuracy.Parity]:
    engine = job.load(backend, precision)
    try:
        if (engine.backend, engine.precision) == (REFERENCE.name, "f32"):
            return engine, accuracy.Parity(0.0, 0.0, engine.outputs[0].name, 0, accuracy.TOLERANCES["f32"])
        with job.load(REFERENCE, "f32") as reference:
            return engine, accuracy.compare(engine, reference)
    except BaseException as error:
        engine.close()
        if isinstance(error, EngineError) or not isinstance(error, Exception):
            raise
        raise EngineError(f"its comparison failed: {error!r}") from error  # a plug-in may raise anything


def _fastest(passed: list[tuple[Engine, float]]) -> Engine:
    """The fastest; of two with about the same time the later, which is more precise."""
    best, time = passed[0]
    for engine, ms in passed[1:]:
        if ms * WORTH_IT < time:
            best, time = engine, ms
    return best


def _choice_key(backend: Backend, job: _Job, precisions: tuple[Precision, ...]) -> Key:
    """The key of a remembered choice among precisions."""
    return Key(
        network=job.network.sha256,
        shapes=f"compared on {accuracy.RANDOM_SAMPLES} random inputs",
        precision="choice",
        backend=backend.name,
        version=REFERENCE.fingerprint(),
        device=backend.fingerprint(),
        capability=" ".join(precisions),
        driver=f"{job.threads or 'all'} threads",
    )
