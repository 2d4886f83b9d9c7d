"""`python -m models.training matte`: train the matte of hair and export it.

Training stops after a time budget and goes on from its last checkpoint when it is started again. Checkpoints are in
`.work/matte`; without one it begins with the committed weights (`START`). `--export DIR` writes the averaged network as
ONNX, which hair dye runs.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.matte import COARSE
from models.face.segmenter import Segmenter
from models.training.data import WORK, FaceSet, shared_folder
from models.training.hair.train import read_mattes
from models.training.matte.network import MatteNet, export
from models.training.matte.scenes import Scenes
from models.training.precision import autocast

CHECKPOINT = WORK / "matte" / "matte.pt"
START = Path(__file__).with_name("matte.pt")
"""Averaged weights after 4,312 steps of 6 pictures, float16. After 25,200 more the error of alpha is 0.017 in place of
0.018, and hair in rare colours is missed: they are not used.
"""
CHECKPOINT_S = 120
REPORT_STEPS = 25
EMA = 0.998
RATE = 2.5e-3
WARM_STEPS = 100
GRADIENTS, COMPOSITION, BROAD, STEADY = 0.6, 2.0, 0.5, 0.6
"""Weights beside the absolute error of alpha: its gradients, the error of the composed colours, means of 8x8 pixels,
the change between two looks at one picture.
"""
SOFT = 3.0
"""How much more an error weighs where hair is mixed with something else."""
BAND = 5
"""Pixels by which that place is widened."""
MOST_SHIFT = 2
"""By how many pixels the second look at a picture is moved at most."""
NOISE = 8 / 255
"""Largest standard deviation of the noise by which two looks differ."""
WAVER, WAVER_CELLS = 0.08, 24
"""Standard deviation by which the reading of half-sure pixels differs between two looks, and its cells along a side."""


def main(argv: list[str]) -> int:
    """Train.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training matte", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=60, help="time budget of this run")
    parser.add_argument("--decay", type=float, default=0, help="minutes at the end in which the rate falls to 0")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--mattes", type=int, default=1500, help="portraits whose hair is used, at most")
    parser.add_argument("--export", type=Path, help="write the checkpoint's network into this folder, and stop")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.export:
        network = MatteNet()
        network.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True)["average"])
        export(network, options.export)
        return 0
    faces = FaceSet.load(options.shared)
    segmenter = Segmenter(load_engine(EMBEDDED / "segmenter.onnx", backend="openvino", precision="f32", threads=1))
    mattes = read_mattes(faces, options.shared, options.mattes)
    scenes = Scenes(faces, mattes, faces.split("train"), segmenter=segmenter)
    Trainer(torch.device(options.device), options.checkpoint).run(scenes, options.minutes, options.decay, options.batch)
    return 0


class Trainer:
    """The network and its state.

    Args:
        device: where it runs.
        checkpoint: where the state is kept; read if it is there.
    """

    def __init__(self, device: torch.device, checkpoint: Path) -> None:
        self.device, self.checkpoint = device, checkpoint
        start = {name: each.float() for name, each in torch.load(START, map_location="cpu", weights_only=True).items()}
        self.network = MatteNet()
        self.network.load_state_dict(start)
        self.network = self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=1e-4)
        self.steps = 0
        if checkpoint.is_file():
            state = torch.load(checkpoint, map_location=device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.steps = state["steps"]
            print(f"goes on at step {self.steps}", flush=True)

    def run(self, scenes: Scenes, minutes: float, decay: float, batch: int) -> None:
        """Train for a while.

        Args:
            scenes: the pictures.
            minutes: how long.
            decay: minutes at the end in which the rate falls to 0.
            batch: pictures a step; a third of them is looked at twice.
        """
        rng = np.random.default_rng(time.time_ns())
        start = saved = time.monotonic()
        means: dict[str, float] = {}
        first = self.steps
        while (spent := (time.monotonic() - start) / 60) < minutes:
            rate = min(1.0, (self.steps - first + 1) / WARM_STEPS)
            if decay:
                rate *= min(1.0, max(0.02, (minutes - spent) / decay))
            self.optimizer.param_groups[0]["lr"] = RATE * rate
            samples = [scenes.draw(rng) for _ in range(batch)]
            parts = [torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*samples, strict=True)]
            for name, value in self.step(*parts).items():
                means[name] = value if name not in means else 0.98 * means[name] + 0.02 * value
            if self.steps % REPORT_STEPS == 0:
                listed = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(f"{spent:.1f} min, step {self.steps}: {listed}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self, given: Tensor, truth: Tensor, judged: Tensor, contrast: Tensor) -> dict[str, float]:
        """One step; the losses by name. Arguments are `Sample`'s fields, batched."""
        count, pairs = len(given), max(1, len(given) // 3)
        y, x = (int(value) for value in torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (2,)))
        inputs = torch.cat([given, _second_look(given[:pairs]).roll((y, x), (2, 3))])
        with autocast(self.device):
            logits = self.network(inputs.contiguous(memory_format=torch.channels_last))
        alpha = torch.sigmoid(logits.float())
        alpha, again = alpha[:count], alpha[count:].roll((-y, -x), (2, 3))

        mixed = ((truth > 0.02) & (truth < 0.98)).float()
        weight = judged * (1 + SOFT * functional.max_pool2d(mixed, BAND, 1, BAND // 2))
        error = alpha - truth
        area = weight.sum() + 1
        absolute = (weight * error.abs()).sum() / area
        composition = (weight * contrast * error.abs()).sum() / area
        across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
        gradients = ((weight[..., 1:] * across.abs()).sum() + (weight[..., 1:, :] * down.abs()).sum()) / area
        broad = functional.avg_pool2d(judged * error, 8).abs().mean()
        inner = slice(2 * MOST_SHIFT, -2 * MOST_SHIFT)
        steady = (again - alpha[:pairs].detach())[:, :, inner, inner].abs().mean()
        loss = absolute + COMPOSITION * composition + GRADIENTS * gradients + BROAD * broad + STEADY * steady
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self._follow()
        values = {
            "plain": (judged * error.abs()).sum() / (judged.sum() + 1),
            "coarse": (judged * (given[:, COARSE : COARSE + 1] - truth).abs()).sum() / (judged.sum() + 1),
            "absolute": absolute,
            "composition": composition,
            "gradients": gradients,
            "steady": steady,
        }
        return {name: float(value.detach()) for name, value in values.items()}

    def save(self) -> None:
        """Write the checkpoint."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        state: dict[str, Any] = {name: each.state_dict() for name, each in self._parts().items()}
        torch.save({**state, "steps": self.steps}, part)
        part.replace(self.checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(EMA, (1 + self.steps) / (10 + self.steps))
        for mean, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def _second_look(given: Tensor) -> Tensor:
    """The same pictures with other noise, and a reading that wavers."""
    strength = NOISE * torch.rand(len(given), 1, 1, 1, device=given.device)
    picture = (given[:, :COARSE] + strength * torch.randn_like(given[:, :COARSE])).clamp(0, 1)
    coarse = given[:, COARSE : COARSE + 1]
    field = torch.randn(len(given), 1, WAVER_CELLS, WAVER_CELLS, device=given.device) * WAVER
    field = functional.interpolate(field, coarse.shape[2:], mode="bicubic", align_corners=False)
    return torch.cat([picture, (coarse + 4 * field * coarse * (1 - coarse)).clamp(0, 1)], 1)
