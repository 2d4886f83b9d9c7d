"""How fast and how exact every usable engine runs networks here: `python -m engines.bench [FILES | --all]`.

The networks of a published editor on a GPU, with our engine and in PyTorch's eager FP32, without a checkpoint:
`python -m engines.bench --published e4e stylegan2-1024 --backend torch_cuda --eager --on-gpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engines import accuracy, backends, select
from engines.backends import REFERENCE
from engines.backends.cuda import CudaEngine
from engines.backends.cuda_device import load_torch
from engines.backends.torch_cuda import EAGER, TorchEager
from engines.base import Array, Backend, Engine, EngineError
from engines.cache import Cache
from engines.graph.flops import count_flop
from engines.networks import shipped_networks, write_published_networks
from engines.onnx_file import Network, open_network

# Engines take turns of this many calls, so that a slow moment of the machine slows all of them.
TURN = 4
# The peak is the best rate of a chain of square matrix products. This side fills the arithmetic units and still fits
# the caches, as the layers of real networks do.
PEAK_SIDE = 1024
PEAK_CHAIN = 4  # matrix products


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        backends: backends to measure.
        seconds: how long each engine is timed.
        threads: processor threads per call; None for the library's choice.
        cache: where compiled networks are kept.
        eager: whether to measure PyTorch's eager mode too.
        batch: rows of a call, for networks with a free batch.
        on_gpu: whether engines on a GPU are timed on tensors that stay there, without copies from and to the host.
    """

    backends: Sequence[Backend]
    seconds: float
    threads: int | None
    cache: Cache
    eager: bool = False
    batch: int = 1
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One network on one engine.

    Attributes:
        network: name of its file.
        backend: name of the backend.
        precision: what it computed in.
        batch: rows of a call.
        calls: number of timed calls.
        p50: median milliseconds of a call.
        p95: 95th percentile, in milliseconds.
        p99: 99th percentile, in milliseconds.
        processor: median processor milliseconds of a call, of all threads: with one thread (`--threads 1`) about what a
            core of its own takes, also while others use the machine.
        gflop: 1e9 operations in one call, see `engines.graph.flops.count_flop`.
        rate: GFLOP/s at the median.
        share: `rate` over the measured peak of this precision; None if none was measured.
        relative_l2: error against ONNX Runtime in FP32 on random inputs.
        worst: largest error of one element over the largest output.
    """

    network: str
    backend: str
    precision: str
    batch: int
    calls: int
    p50: float
    p95: float
    p99: float
    processor: float
    gflop: float
    rate: float
    share: float | None
    relative_l2: float
    worst: float


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _bench(options, Path(folder))
        except EngineError as error:
            print(error, file=sys.stderr)
            return 1


def _bench(options: argparse.Namespace, folder: Path) -> int:
    published = _published_networks(options, folder / "networks")
    paths = [*options.files, *(shipped_networks() if options.all or options.shipped else ()), *published]
    if not paths:
        print("no network given", file=sys.stderr)
        return 2
    settings = Settings(
        backends=_usable_backends(options.backend),
        seconds=options.seconds,
        threads=options.threads,
        cache=Cache(options.cache),
        eager=options.eager,
        batch=options.batch,
        on_gpu=options.on_gpu,
    )
    # Networks with random weights would evict useful entries from the user's cache.
    passing = replace(settings, cache=Cache(folder / "cache"))
    machine = describe_machine()
    for name, text in machine.items():
        print(f"{name}: {text}")
    before = measure_peaks(settings)
    overheads = measure_overheads(settings)
    for name, milliseconds in overheads.items():
        print(f"cost of a call of an empty network, {name}: {milliseconds:.3f} ms")
    rows = []
    for path in paths:
        rows += measure(open_network(path), passing if path in published else settings)
    # Measured twice: a peak from a slow moment of the machine would make every share too high.
    peaks = {name: max(rate, before[name]) for name, rate in measure_peaks(settings).items()}
    rows = [replace(row, share=row.rate / peaks[row.precision] if row.precision in peaks else None) for row in rows]
    for precision, rate in peaks.items():
        print(f"matrix product peak, {precision}: {rate:.0f} GFLOP/s")
    print(table(rows))
    if options.published:
        print(summary([row for row in rows if row.network in {path.name for path in published}]))
    if options.json:
        report = {"machine": machine, "peaks": peaks, "overheads_ms": overheads, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def measure(network: Network, settings: Settings) -> list[Row]:
    """Time a network on every backend and precision, in turns.

    Args:
        network: the ONNX file.
        settings: how to measure.
    """
    engines = _load_engines(network, settings)
    if settings.eager:
        targets = ["cpu", "cuda"] if load_torch().cuda.is_available() else ["cpu"]
        engines += [TorchEager(network, settings.threads, target) for target in targets]
    reference = REFERENCE.load(network, "f32", threads=settings.threads, cache=settings.cache)
    inputs = accuracy.draw(reference.inputs, accuracy.SEED, settings.batch)
    running = []
    for engine in engines:
        try:
            call = _call_of(engine, inputs, on_gpu=settings.on_gpu)
            call()
            running.append((engine, call))
        except EngineError as error:  # for example no memory for this batch; the other engines are still measured
            print(f"{network.name}: not measured with {engine.backend} in {engine.precision}: {error}", file=sys.stderr)
            engine.close()
    calls = [call for _, call in running]
    times: dict[int, list[tuple[float, float]]] = {index: [] for index in range(len(running))}
    while pending := [index for index, taken in times.items() if sum(wall for wall, _ in taken) < settings.seconds]:
        for index in pending:
            times[index] += [_seconds(calls[index]) for _ in range(TURN)]
    gflop = count_flop(network, settings.batch) / 1e9
    rows = []
    for index, (engine, _) in enumerate(running):
        milliseconds, processor = np.array(times[index]).T * 1e3
        p50, p95, p99 = (float(value) for value in np.percentile(milliseconds, (50, 95, 99)))
        distance = accuracy.compare(engine, reference)
        rows.append(
            Row(
                network=network.path.name,
                backend=engine.backend,
                precision=engine.precision,
                batch=settings.batch if reference.inputs[0].shape[0] is None else 1,
                calls=len(milliseconds),
                p50=p50,
                p95=p95,
                p99=p99,
                processor=float(np.median(processor)),
                gflop=gflop,
                rate=gflop / p50 * 1e3,
                share=None,
                relative_l2=distance.relative_l2,
                worst=distance.worst,
            )
        )
        engine.close()
    return rows


def measure_peaks(settings: Settings) -> dict[str, float]:
    """GFLOP/s of large matrix products per precision: the best backend's, from its fastest call."""
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        network = _write(Path(folder) / "matrix_products.onnx", _matrix_products())
        for engine in _load_engines(network, settings):
            inputs = accuracy.draw(engine.inputs, accuracy.SEED)
            runs = max(8, int(min(settings.seconds, 2.0) * 1e3 / max(accuracy.best_ms(engine, inputs, runs=2), 0.1)))
            rate = count_flop(network) / 1e6 / accuracy.best_ms(engine, inputs, runs)
            peaks[engine.precision] = max(rate, peaks.get(engine.precision, 0.0))
            engine.close()
    return peaks


def measure_overheads(settings: Settings) -> dict[str, float]:
    """Milliseconds of a call of a network with one tiny operator: the cost of our code and the library's."""
    overheads: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        network = _write(Path(folder) / "empty.onnx", _single_relu())
        for engine in _load_engines(network, settings):
            milliseconds = accuracy.best_ms(engine, accuracy.draw(engine.inputs, accuracy.SEED), runs=500)
            overheads[f"{engine.backend} {engine.precision}"] = milliseconds
            engine.close()
    return overheads


def describe_machine() -> dict[str, str]:
    """The system, and for each backend the device it uses or what is missing."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = {"system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {cores} cores"}
    for backend, usable, reason in select.available():
        rows[backend] = reason if usable else f"not usable: {reason}"
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| network | backend | precision | batch | p50 ms | p95 | p99 | GFLOP | GFLOP/s | of peak | error L2 | worst |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{row.share:.0%}" if row.share is not None else "-"
        lines.append(
            f"| {row.network} | {row.backend} | {row.precision} | {row.batch} | {row.p50:.2f} | {row.p95:.2f} "
            f"| {row.p99:.2f} | {row.gflop:.3f} | {row.rate:.0f} | {share} | {row.relative_l2:.1e} | {row.worst:.1e} |"
        )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> str:
    """The sum of all medians per engine that ran every network, and how many times faster than eager FP32 it is."""
    totals: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        engine = (row.backend, row.precision)
        totals[engine] = totals.get(engine, 0.0) + row.p50
        counts[engine] = counts.get(engine, 0) + 1
    networks = dict.fromkeys(row.network.removesuffix(".onnx") for row in rows)
    whole = {engine: total for engine, total in totals.items() if counts[engine] == len(networks)}
    eager = {backend: total for (backend, _), total in whole.items() if backend.startswith(EAGER)}
    slowest_first = sorted(whole.items(), key=lambda item: -item[1])
    lines = [f"together, {' + '.join(networks)}:"]
    for (backend, precision), total in slowest_first:
        faster = [f"{baseline / total:.1f} x {name}" for name, baseline in eager.items() if name != backend]
        lines.append(f"  {backend} {precision}: {', '.join([f'{total:.2f} ms', *faster])}")
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m engines.bench", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="ONNX files")
    parser.add_argument("--shipped", action="store_true", help="every network that ships with the project")
    parser.add_argument(
        "--all", action="store_true", help="these, and the published systems' at full size (takes minutes, torch, 8 GB)"
    )
    parser.add_argument("--light", action="store_true", help="with --all: leave out the largest")
    parser.add_argument("--published", nargs="+", default=[], metavar="NAME", help="only these published networks")
    parser.add_argument("--backend", default="auto", help="one backend only")
    parser.add_argument("--eager", action="store_true", help="compare with PyTorch in eager FP32 too")
    parser.add_argument("--on-gpu", action="store_true", help="time GPU engines without copies from and to the host")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each engine is timed (default 3)")
    parser.add_argument("--batch", type=int, default=1, help="rows of a call (default 1)")
    parser.add_argument("--threads", type=int, help="processor threads per call (default: the library's choice)")
    parser.add_argument("--cache", type=Path, help="folder of compiled networks (default: the user's)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args(arguments)


def _usable_backends(name: str) -> list[Backend]:
    usable = {row.backend for row in select.available() if row.usable}
    return [
        backend for backend in backends.known_backends() if backend.name in usable and name in ("auto", backend.name)
    ]


def _load_engines(network: Network, settings: Settings) -> list[Engine]:
    engines = []
    for backend in settings.backends:
        try:
            precisions = backend.precisions(network)
        except EngineError as error:
            print(f"{network.name}: not measured with {backend.name}: {error}", file=sys.stderr)
            continue
        for precision in precisions:
            try:
                engines.append(backend.load(network, precision, threads=settings.threads, cache=settings.cache))
            except EngineError as error:
                print(f"{network.name}: not measured with {backend.name} in {precision}: {error}", file=sys.stderr)
    return engines


def _published_networks(options: argparse.Namespace, folder: Path) -> list[Path]:
    """Published networks at full size.

    Raises:
        EngineError: they were asked for by name and cannot be written.
    """
    if not options.all and not options.published:
        return []
    try:
        return write_published_networks(folder, options.published, light=options.light)
    except EngineError as error:
        if options.published:
            raise
        print(f"the published networks are left out: {error}", file=sys.stderr)
        return []


def _call_of(engine: Engine, inputs: Mapping[str, Array], *, on_gpu: bool) -> Callable[[], object]:
    if on_gpu and isinstance(engine, CudaEngine | TorchEager):
        tensors = engine.to_device(inputs)
        return lambda: engine.run_tensors(tensors)
    return lambda: engine.run(inputs)


def _seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, worked = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - worked


def _write(path: Path, model: bytes) -> Network:
    path.write_bytes(model)
    return open_network(path)


def _matrix_products() -> bytes:
    generator = np.random.default_rng(accuracy.SEED)
    weights = generator.standard_normal((PEAK_CHAIN, PEAK_SIDE, PEAK_SIDE)) / np.sqrt(PEAK_SIDE)
    names = ["x", *(f"product{index}" for index in range(PEAK_CHAIN - 1)), "y"]
    nodes = [("MatMul", [names[i], f"weight{i}"], [names[i + 1]]) for i in range(PEAK_CHAIN)]
    shape = [PEAK_SIDE, PEAK_SIDE]
    return _model(nodes, shape, {f"weight{i}": weights[i].astype(np.float32) for i in range(PEAK_CHAIN)})


def _single_relu() -> bytes:
    return _model([("Relu", ["x"], ["y"])], [1, 4], {})


def _model(nodes: list[tuple[str, list[str], list[str]]], shape: list[int], weights: dict[str, np.ndarray]) -> bytes:
    """A serialized network from "x" to "y", both float32 of one shape."""
    graph = helper.make_graph(
        [helper.make_node(operator, sources, results) for operator, sources, results in nodes],
        "bench",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    sys.exit(main())
