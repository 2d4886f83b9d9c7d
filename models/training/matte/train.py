"""`python -m models.training matte`: train the masks of the embedded pack at 256 px, hair as a matte.

Starts from a trunk of `python -m models.training segmenter`, which goes on learning slowly, and learns the refiner.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from models.embedded import EMBEDDED
from models.training.data import WORK, FaceSet, shared_folder
from models.training.hair.mattes import make_mattes
from models.training.matte.network import MatteNet, export, load_trunk
from models.training.matte.scenes import MatteComposer
from models.training.segmenter.train import Labels, Sample, learning_rate

log = logging.getLogger(__name__)

WEIGHTS = EMBEDDED / "segmenter.onnx"
ALPHA_WEIGHT, EDGE_WEIGHT, DICE_WEIGHT, STEADY_WEIGHT = 2.0, 3.0, 0.3, 4.0
MOST_SHIFT = 2
"""By how many pixels the second look at a picture is moved at most."""
NOISE = 8.0
"""Largest standard deviation of its noise, grey levels."""
SAVED_SECONDS = 120.0


def main(argv: list[str]) -> int:
    """Train, resume or only export; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m models.training matte", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--work", type=Path, default=WORK / "matte", help="folder for labels and checkpoints")
    parser.add_argument("--trunk", type=Path, help="ONNX file of `python -m models.training segmenter`, to start from")
    parser.add_argument("--steps", type=int, default=20000, help="length of the whole training")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--trunk-rate", type=float, default=0.15, help="the trunk's rate over the refiner's; 0: it stays")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long; run again to go on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--export-only", action="store_true")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.export_only:
        train(options)
    network = MatteNet()
    state = torch.load(options.work / "last.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["ema"])
    error = export(network, options.out)
    print(f"{options.out.name}: {options.out.stat().st_size} bytes, relative difference to torch {error:.1e}")
    return 0


def train(options: argparse.Namespace) -> None:
    """Train until `options.steps`, or for `options.minutes`; resumes from `options.work / "last.pt"`."""
    cv2.setNumThreads(1)
    faces = FaceSet.load(options.shared)
    rows = faces.split("train")
    mattes = make_mattes(faces, rows, options.shared / "teachers")
    composer = MatteComposer(faces, Labels.load(faces, options.work), mattes, rows)
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    network = MatteNet().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = MatteNet().to(device)
    path = options.work / "last.pt"
    state = torch.load(path, map_location=device, weights_only=True) if path.is_file() else None
    if state is None and options.trunk:
        load_trunk(network.trunk, options.trunk)
    average.load_state_dict(network.state_dict())
    trunk = list(network.trunk.parameters())
    refiner = [each for name, each in network.named_parameters() if not name.startswith("trunk.")]
    network.trunk.requires_grad_(options.trunk_rate > 0)
    groups = [{"params": refiner, "share": 1.0}, {"params": trunk, "share": options.trunk_rate}]
    optimiser = torch.optim.AdamW(groups, options.rate, weight_decay=1e-4)
    first = 0
    if state is not None:
        network.load_state_dict(state["network"])
        average.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        first = int(state["step"])
    network.train()
    # the statistics of a trunk from a file are folded into its weights
    network.trunk.eval()
    until, saved = time.monotonic() + 60 * options.minutes, time.monotonic()
    progress = tqdm(range(first, options.steps), initial=first, total=options.steps, desc="matte", mininterval=5)
    running, step = torch.zeros(5), first
    for step in progress:
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * learning_rate(step, options.steps, options.rate)
        rng = np.random.default_rng((options.seed, step))
        parts = losses(network, [composer.draw(rng) for _ in range(options.batch)], device, options.seed + step)
        optimiser.zero_grad(set_to_none=True)
        parts.sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(average, network, min(0.998, (1 + step) / (10 + step)))
        running = running + (parts.detach().cpu() - running) * (1.0 if step == first else 0.02)
        progress.set_postfix_str(" ".join(f"{float(value):.4f}" for value in running), refresh=False)
        if time.monotonic() > until:
            break
        if time.monotonic() > saved + SAVED_SECONDS:
            _save(path, network, average, optimiser, step + 1)
            saved = time.monotonic()
    _save(path, network, average, optimiser, min(step + 1, options.steps))


def losses(network: nn.Module, batch: list[Sample], device: torch.device, seed: int) -> Tensor:
    """(5,) weighted losses: cross entropy of all classes, overlap, alpha, its gradients, steadiness."""
    image = torch.from_numpy(np.stack([s.image for s in batch])).to(device).permute(0, 3, 1, 2).float() / 255
    target = torch.from_numpy(np.stack([s.target for s in batch])).to(device).permute(0, 3, 1, 2)
    weight = torch.from_numpy(np.stack([s.weight for s in batch])).to(device).permute(0, 3, 1, 2)
    # one picture a second time with other camera noise, a little moved: the masks must move with it
    pairs = max(1, len(batch) // 8)
    generator = torch.Generator().manual_seed(seed)
    strength = torch.rand(pairs, 1, 1, 1, generator=generator) * (NOISE / 255)
    noise = (torch.randn(image[:pairs].shape, generator=generator) * strength).to(device)
    y, x = (int(v) for v in torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (2,), generator=generator))
    again = (image[:pairs].roll((y, x), (2, 3)) + noise).clamp(0, 1)
    inputs = torch.cat([image, again]).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = network(inputs)
    logits = logits.float()
    logits, second = logits[: len(batch)], logits[len(batch) :]
    cross = functional.binary_cross_entropy_with_logits(logits, target, weight)
    found = torch.sigmoid(logits)
    overlap = (weight * found * target)[:, 1:].sum((2, 3))
    union = (weight * (found + target))[:, 1:].sum((2, 3))
    dice = (1 - (2 * overlap + 50) / (union + 50)).mean()
    hair, known = found[:, 0] - target[:, 0], weight[:, 0]
    alpha = (known * hair.abs()).mean()
    edges = 0.5 * (_steps(hair, known, 2) + _steps(hair, known, 1))
    inner = slice(2 * MOST_SHIFT, -2 * MOST_SHIFT)
    moved = torch.sigmoid(second).roll((-y, -x), (2, 3))[:, :, inner, inner]
    steady = functional.mse_loss(moved, found[:pairs, :, inner, inner].detach())
    weights = torch.tensor([1.0, DICE_WEIGHT, ALPHA_WEIGHT, EDGE_WEIGHT, STEADY_WEIGHT], device=device)
    return torch.stack([cross, dice, alpha, edges, steady]) * weights


def _steps(values: Tensor, known: Tensor, dim: int) -> Tensor:
    """Mean absolute difference between neighbours along a dimension of (N, H, W)."""
    length = values.shape[dim] - 1
    change = values.narrow(dim, 1, length) - values.narrow(dim, 0, length)
    return (change.abs() * torch.minimum(known.narrow(dim, 1, length), known.narrow(dim, 0, length))).mean()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - decay)
        else:
            slow.copy_(fast)


def _save(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    state: dict[str, Any] = {
        "network": network.state_dict(),
        "ema": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
