"""Compile networks for this machine before they are needed: `python -m engines.build [FILES | --all]`.

Prints each network's backend and precision, why others were rejected, and, if it was built again, which part of its key
changed. With `--for`, TensorRT for RTX builds for GPUs of other machines.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engines import select
from engines.backends.tensorrt_build import build, load_library
from engines.base import EngineError, Precision
from engines.cache import write_whole
from engines.networks import shipped_networks
from engines.onnx_file import open_network


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.list:
        for backend, usable, reason in select.available():
            print(f"{backend}: {'' if usable else 'not usable: '}{reason}")
        return 0
    paths = shipped_networks() if options.all else options.files
    if not paths:
        print("no network given", file=sys.stderr)
        return 2
    failures = 0
    for path in paths:
        try:
            _build_for(path, options) if options.capability else _build_here(path, options)
        except EngineError as error:
            print(error, file=sys.stderr)
            failures += 1
    return 1 if failures else 0


def _build_here(path: Path, options: argparse.Namespace) -> None:
    start = time.perf_counter()
    engine = select.load(path, backend=options.backend, precision=options.precision, cache_dir=options.cache)
    with engine:
        print(f"{path.name}: {engine.backend} in {engine.precision}, ready after {time.perf_counter() - start:.1f} s")


def _build_for(path: Path, options: argparse.Namespace) -> None:
    library = load_library("tensorrt_rtx")
    precision: Precision = "f32" if options.precision == "f32" else "f16"
    for capability in options.capability:
        built = build(library, open_network(path), precision, capabilities=[capability])
        target = options.out / f"{path.stem}.sm{capability.replace('.', '')}.{precision}.plan"
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            write_whole(target, [built.plan])
        except OSError as error:
            raise EngineError(f"{target}: not written: {error.strerror or error}") from error
        print(f"{target}: {len(built.plan)} bytes, tensorrt_rtx {library.__version__}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.build", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="ONNX files")
    parser.add_argument("--all", action="store_true", help="every network that ships with the project")
    parser.add_argument("--list", action="store_true", help="list the backends and what is missing, and build nothing")
    parser.add_argument("--backend", default="auto", help="one backend only")
    parser.add_argument("--precision", default="auto", help="f32, bf16 or f16 (default: the fastest that is right)")
    parser.add_argument("--cache", type=Path, help="folder of compiled networks (default: the user's)")
    parser.add_argument("--for", dest="capability", nargs="+", metavar="X.Y", help="CUDA compute capabilities")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for what --for builds (default: this one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
