"""`python -m models.training segmenter`: train the mask network of the embedded pack, write `segmenter.onnx`.

A small U-Net (Ronneberger et al. 2015) reads one aligned face crop and gives four soft masks: hair, face skin,
occluder, person. Hair and person labels come from `masks.npz`, the person's sharpened along the picture's own edges
(guided filter, He et al. 2010); face skin is the mesh's oval, ears and scalp where skin shows; occluders are composed
(`occluders.py`), so their labels are exact.
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
from models.training.precision import autocast
from models.training.segmenter.network import SegmenterNet, export
from models.training.segmenter.samples import Composer, Labels, Sample

log = logging.getLogger(__name__)

STEADY_WEIGHT = 4.0
MOST_SHIFT = 2
"""By how many pixels the second look at a picture is moved at most."""
WEIGHTS = EMBEDDED / "segmenter.onnx"


def main(argv: list[str]) -> int:
    """Train, resume or only export; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m models.training segmenter", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/")
    parser.add_argument("--work", type=Path, default=WORK / "segmenter", help="folder for labels and checkpoints")
    parser.add_argument("--steps", type=int, default=12000, help="length of the whole training")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
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
    network = SegmenterNet()
    state = torch.load(options.work / "last.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["ema"])
    error = export(network, options.out)
    print(f"{options.out.name}: {options.out.stat().st_size} bytes, relative difference to torch {error:.1e}")
    return 0


def train(options: argparse.Namespace) -> None:
    """Train until `options.steps`, or for `options.minutes`; resumes from `options.work / "last.pt"`."""
    cv2.setNumThreads(1)
    faces = FaceSet.load(options.shared)
    labels = Labels.load(faces, options.work)
    composer = Composer(faces, labels, faces.split("train"))
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    network = SegmenterNet().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = SegmenterNet().to(device)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=1e-4)
    path = options.work / "last.pt"
    first = 0
    if path.is_file():
        state = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        first = int(state["step"])
    until = time.monotonic() + 60 * options.minutes
    progress = tqdm(range(first, options.steps), initial=first, total=options.steps, desc="segmenter", mininterval=5)
    running, step = 0.0, first
    saved = time.monotonic()
    for step in progress:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options.steps, options.rate)
        rng = np.random.default_rng((options.seed, step))
        batch = [composer.draw(rng) for _ in range(options.batch)]
        loss = _loss(network, batch, device, options.seed + step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(average, network, min(0.998, (1 + step) / (10 + step)))
        running = 0.98 * running + 0.02 * float(loss.detach()) if step > first else float(loss.detach())
        progress.set_postfix(loss=f"{running:.4f}", refresh=False)
        if time.monotonic() > until:
            break
        if time.monotonic() > saved + 90:
            _save(path, network, average, optimiser, step + 1)
            saved = time.monotonic()
    _save(path, network, average, optimiser, min(step + 1, options.steps))


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 100 steps, then a cosine to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / 100)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))


def _loss(network: nn.Module, batch: list[Sample], device: torch.device, seed: int) -> Tensor:
    image = torch.from_numpy(np.stack([s.image for s in batch])).to(device).permute(0, 3, 1, 2).float() / 255
    target = torch.from_numpy(np.stack([s.target for s in batch])).to(device).permute(0, 3, 1, 2)
    weight = torch.from_numpy(np.stack([s.weight for s in batch])).to(device).permute(0, 3, 1, 2)
    # the same pictures a second time with other camera noise, a little moved: the masks must move with them
    pairs = max(1, len(batch) // 8)
    generator = torch.Generator().manual_seed(seed)
    strength = torch.rand(pairs, 1, 1, 1, generator=generator) * (8 / 255)
    noise = (torch.randn(image[:pairs].shape, generator=generator) * strength).to(device)
    y, x = (int(v) for v in torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (2,), generator=generator))
    again = (image[:pairs].roll((y, x), (2, 3)) + noise).clamp(0, 1)
    inputs = torch.cat([image, again]).contiguous(memory_format=torch.channels_last)
    with autocast(device):
        logits = network(inputs)
    logits = logits.float()
    logits, second = logits[: len(batch)], logits[len(batch) :]
    cross = functional.binary_cross_entropy_with_logits(logits, target, weight)
    found = torch.sigmoid(logits)
    overlap = (weight * found * target).sum((2, 3))
    union = (weight * (found + target)).sum((2, 3))
    dice = (1 - (2 * overlap + 20) / (union + 20)).mean()
    inner = slice(2 * MOST_SHIFT, -2 * MOST_SHIFT)
    moved = torch.sigmoid(second).roll((-y, -x), (2, 3))[:, :, inner, inner]
    steady = functional.mse_loss(moved, found[:pairs, :, inner, inner].detach())
    return cross + 0.3 * dice + STEADY_WEIGHT * steady


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
