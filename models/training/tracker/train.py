"""`python -m models.training tracker`: train the face detector and the landmark network from scratch and export them.

Training stops after a time budget and goes on from its last checkpoint when it is started again; a larger `--minutes`
continues a finished run. Checkpoints are in `.work/tracker`, the networks go to `models/embedded/tracker`.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from tqdm import tqdm

from engines.onnx_file import PRECISE
from models.arrays import Image
from models.embedded import TRACKER
from models.training.data import WORK, FaceSet, shared_folder
from models.training.precision import autocast
from models.training.scenes import backgrounds
from models.training.scenes.portraits import Portraits
from models.training.scenes.views import with_views
from models.training.tracker.detector import STRIDES, Detector, DetectorSamples, detector_loss
from models.training.tracker.landmarks import CROP, LandmarkNet, LandmarkSamples, landmark_loss, linear_spread
from models.training.tracker.scenes import SceneSamples

CHECKPOINTS = WORK / "tracker"
STOCK = 700
STOCK_SIZE = 384
STOCK_RENEWED_S = 240
"""How often part of the backgrounds is replaced by new ones, in seconds of training."""
CHECKPOINT_S = 120
STAGES = ("landmarks", "detector", "export")

Losses = dict[str, Tensor]


def main(argv: list[str]) -> int:
    """Train and export.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training tracker", description=__doc__)
    parser.add_argument("--stage", choices=STAGES, help="only this stage; default: all")
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=40, help="time budget of each network")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    device = torch.device(options.device)
    stages: tuple[str, ...] = STAGES if options.stage is None else (options.stage,)
    if stages != ("export",):
        faces = FaceSet.load(options.shared)
        portraits = with_views(Portraits.of(faces, faces.split("train")), options.shared, CHECKPOINTS).balanced()
    if "landmarks" in stages:
        train_landmarks(portraits, device, options.minutes, options.batch)
    if "detector" in stages:
        train_detector(portraits, device, options.minutes, options.batch)
    if "export" in stages:
        export(CHECKPOINTS, TRACKER)
    return 0


def train_landmarks(portraits: Portraits, device: torch.device, minutes: float, batch: int) -> None:
    """Train the landmark network into `.work/tracker/landmarks.pt`."""
    rng = np.random.default_rng(time.time_ns())
    stock = backgrounds.pool(rng, STOCK, STOCK_SIZE, portraits)
    samples = LandmarkSamples(portraits, stock, rng)
    network = LandmarkNet(linear_spread(samples))

    def step(model: nn.Module) -> Losses:
        assert isinstance(model, LandmarkNet)
        return landmark_loss(model, samples.batch(batch), device)

    renew = partial(refresh, rng, stock, portraits)
    fit(network, step, path=CHECKPOINTS / "landmarks.pt", device=device, minutes=minutes, renew=renew)


def train_detector(portraits: Portraits, device: torch.device, minutes: float, batch: int) -> None:
    """Train the detector into `.work/tracker/detector.pt`."""
    rng = np.random.default_rng(time.time_ns())
    stock = backgrounds.pool(rng, STOCK, STOCK_SIZE, portraits)
    samples = DetectorSamples(SceneSamples(portraits, stock, rng))

    def step(model: nn.Module) -> Losses:
        assert isinstance(model, Detector)
        return detector_loss(model, samples.batch(max(4, batch // 2)), device)

    renew = partial(refresh, rng, stock, portraits)
    fit(Detector(), step, path=CHECKPOINTS / "detector.pt", device=device, minutes=minutes, renew=renew)


def refresh(rng: np.random.Generator, stock: Image, portraits: Portraits, portion: float = 0.1) -> None:
    """Replace part of the stock of backgrounds in place."""
    for index in rng.choice(len(stock), int(len(stock) * portion), replace=False):
        stock[index] = backgrounds.background(rng, stock.shape[1], portraits)


def fit(
    network: nn.Module,
    step: Callable[[nn.Module], Losses],
    *,
    path: Path,
    device: torch.device,
    minutes: float,
    renew: Callable[[], None],
    peak_rate: float = 2e-3,
) -> None:
    """Train with AdamW and a one-cycle cosine over the time budget; the average of the weights is what counts.

    Args:
        network: changed in place.
        step: makes a batch and returns the losses; `total` is minimised.
        path: the checkpoint, read if it exists and written every few minutes.
        device: where to train; in bfloat16 where it is fast.
        minutes: time budget, counting the time of earlier runs of the same checkpoint.
        renew: called every now and then between steps.
        peak_rate: the highest learning rate.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=peak_rate, fused=True
    )
    done_s, steps = 0.0, 0
    if path.is_file():
        state = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done_s, steps = float(state["seconds"]), int(state["steps"])
    budget_s = minutes * 60
    network.train()
    saved, renewed, shown = done_s, done_s, dict[str, float]()
    with tqdm(total=round(budget_s), initial=round(done_s), unit="s", desc=path.stem, mininterval=5) as bar:
        while done_s < budget_s:
            start = time.monotonic()
            rate = peak_rate * _schedule(done_s / budget_s, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with autocast(device):
                losses = step(network)
            optimizer.zero_grad(set_to_none=True)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            steps += 1
            _follow(average, network, min(0.999, (steps + 1) / (steps + 20)))
            for name, loss in losses.items():
                shown[name] = 0.98 * shown.get(name, loss.item()) + 0.02 * loss.item()
            if done_s - renewed > STOCK_RENEWED_S:
                renew()
                renewed = done_s
            done_s += time.monotonic() - start
            bar.update(round(done_s) - bar.n)
            bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()}, steps=steps, refresh=False)
            if done_s - saved > CHECKPOINT_S or done_s >= budget_s:
                state = {
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "seconds": done_s,
                    "steps": steps,
                }
                save(path, state)
                saved = done_s


def _schedule(progress: float, steps: int) -> float:
    """Linear warm-up over 100 steps, then a cosine down to 1 %."""
    return min(1.0, (steps + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that `fit` goes on from; an interrupted write leaves the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def export(checkpoints: Path, folder: Path) -> None:
    """Write every trained network of `checkpoints` to `folder` as ONNX, checked against torch.

    Args:
        checkpoints: holds `landmarks.pt` and `detector.pt`; one that is missing is skipped.
        folder: where `landmarks.onnx` and `detector.onnx` go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (checkpoints / "landmarks.pt").is_file():
        network = LandmarkNet()
        network.load_state_dict(_averaged(checkpoints / "landmarks.pt"))
        write(network, folder / "landmarks.onnx", (CROP, CROP), ["points"], {0: "batch"}, precise=True)
    if (checkpoints / "detector.pt").is_file():
        detector = Detector()
        detector.load_state_dict(_averaged(checkpoints / "detector.pt"))
        names = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES]
        write(detector, folder / "detector.onnx", (320, 320), names, {0: "batch", 2: "height", 3: "width"})


def write(
    network: nn.Module,
    path: Path,
    size: tuple[int, int],
    outputs: list[str],
    axes: dict[int, str],
    *,
    precise: bool = False,
) -> None:
    """Export one network and compare it with torch on random input.

    Args:
        network: as trained.
        path: the ONNX file, replaced only by one that agrees.
        size: height and width of the example input.
        outputs: names of the outputs.
        axes: dynamic axes of the input.
        precise: whether the file asks engines for FP32.

    Raises:
        ValueError: ONNX Runtime and torch differ by more than 1e-3.
    """
    network.eval()
    part = path.with_suffix(".part")
    example = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        network,
        (example,),
        str(part),
        input_names=["input"],
        output_names=outputs,
        dynamic_axes={"input": axes, **{name: _free_rows(name) for name in outputs}},
        opset_version=17,
        dynamo=False,
    )
    if precise:
        model = onnx.load(str(part))
        model.metadata_props.add(key=PRECISE, value="1")
        onnx.save(model, str(part))
    onnx.checker.check_model(str(part), full_check=True)
    session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = network(example)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    worst = max(
        float(np.abs(found - want.numpy()).max())
        for found, want in zip(session.run(outputs, {"input": example.numpy()}), wanted, strict=True)
    )
    if not worst < 1e-3:
        part.unlink()
        raise ValueError(f"{path.name}: ONNX Runtime and torch differ by {worst:.2g}")
    part.replace(path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, differs from torch by {worst:.1g}")


def _free_rows(output: str) -> dict[int, str]:
    """The detector's outputs have as many rows as the picture has anchors; the landmarks vary in the batch alone."""
    return {0: "batch"} if output == "points" else {0: "batch", 1: f"anchors_{output}"}


def _averaged(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["average"]
    return state
