"""Write a trained head's ageing as ONNX, and what a run of it costs here."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from engines.select import load as load_engine
from models.training.ageing.evaluate import latest, load_network
from models.training.ageing.networks import CONDITIONS, PLANES, HeadAger
from models.training.data import WORK
from models.training.editor.export import export_network

CROP = 320
"""Side of the editor's crop."""
RUNS = 20


def export_head_ager(network: HeadAger, path: Path) -> None:
    """Write planes (N, 9, 320, 320) and conditions (N, 4) -> change (N, 3, 320, 320), see `HeadAger.forward`."""
    generator = torch.Generator().manual_seed(0)
    planes = torch.rand(1, PLANES, CROP, CROP, generator=generator)
    conditions = torch.tensor([[0.5, -0.8, 1.0, 1.8]])
    assert conditions.shape[1] == CONDITIONS
    export_network(network, {"planes": planes, "conditions": conditions}, ["change"], path)


def milliseconds(path: Path, precision: str) -> float:
    """Median time of a run on one thread, by the OpenVINO backend."""
    engine = load_engine(path, backend="openvino", precision=precision, threads=1)
    inputs = {
        "planes": np.random.default_rng(0).random((1, PLANES, CROP, CROP), np.float32),
        "conditions": np.array([[0.5, -0.8, 1.0, 1.8]], np.float32),
    }
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        engine.run(inputs)
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


def main(argv: list[str]) -> int:
    """Export a checkpoint, or a small state, and print the times."""
    parser = argparse.ArgumentParser(prog="python -m models.training.ageing.export", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: the trainer's, or the small state it starts from")
    parser.add_argument("--out", type=Path, default=WORK / "ageing" / "head_ager.onnx")
    parser.add_argument("--precision", action="append", help="time this precision, e.g. f32, bf16; may be repeated")
    options = parser.parse_args(argv)
    export_head_ager(load_network(options.checkpoint or latest()), options.out)
    for precision in options.precision or ["f32"]:
        print(f"{options.out.name} {precision}: {milliseconds(options.out, precision):.1f} ms")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
