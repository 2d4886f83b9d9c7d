"""`python -m models.training beards`: train the network that tells beards; export it.

Beards that rules find in sharp portraits are what it shall see in soft, dim and compressed ones. Checkpoints are in
`.work/beards`. `--export DIR` writes the averaged network as ONNX.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.select import load as load_engine
from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.beard_alpha import BEARD_NETWORK, PLANES, SIDE, network_input, window
from models.face.segmenter import Segmenter
from models.training.apply import portrait_crop
from models.training.averaged import AveragedTrainer
from models.training.beards.labels import Bearded, bearded
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.export import export_network
from models.training.hair.train import drawn_ahead
from models.training.scenes.webcam import degrade
from models.training.segmenter.network import ConvBlock, ResidualBlock

CHECKPOINT = WORK / "beards" / "beards.pt"
RATE, DECAY = 2e-3, 0.01
GRADIENTS = 0.3
"""Weight of the error of gradients, beside cross entropy."""


@dataclass(frozen=True, slots=True)
class BeardRecipe:
    """How training pictures are drawn.

    Attributes:
        found, alike: shares of pictures with a beard, and with what rules take for one.
        clean: share of pictures that are not degraded.
        shift, turn, grow: how far the window is moved, shares of the distance of the eyes, turned, radians, and
            enlarged at most.
    """

    found: float = 0.5
    alike: float = 0.25
    clean: float = 0.2
    shift: float = 0.06
    turn: float = 0.06
    grow: float = 0.08


RECIPE = BeardRecipe()


class BeardSample(NamedTuple):
    """One training picture.

    Attributes:
        given: (5, 96, 96) float32, the input of the network.
        alpha: (1, 96, 96) float32 in 0..1, the beard.
    """

    given: Floats
    alpha: Floats


class BeardNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) on space-to-depth pixels: input of `network_input` -> logits of the beard.

    Args:
        widths: channels by level, the finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (20, 32, 56, 80)) -> None:
        super().__init__()
        self.enter = nn.Sequential(ConvBlock(4 * PLANES, widths[0]), ConvBlock(widths[0], widths[0]))
        self.down = nn.ModuleList(nn.Sequential(ConvBlock(a, b, 2), ResidualBlock(b)) for a, b in pairwise(widths))
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths[::-1]))
        self.up = nn.ModuleList(ConvBlock(b, b) for b in widths[-2::-1])
        self.leave = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, given: Tensor) -> Tensor:
        """Logits.

        Args:
            given: (B, 5, H, W) float32 in 0..1; H and W are multiples of 16.

        Returns:
            (B, 1, H, W).
        """
        x = self.enter(functional.pixel_unshuffle(given * 2 - 1, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for reduce, up, skip in zip(self.reduce, self.up, reversed(skips), strict=True):
            x = up(skip + functional.interpolate(reduce(x), scale_factor=2.0, mode="nearest"))
        return functional.pixel_shuffle(self.leave(x), 2)


class Deployed(nn.Module):
    """`BeardNet` as it is exported: alpha in 0..1."""

    def __init__(self, network: BeardNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Tensor) -> Tensor:
        return torch.sigmoid(self.network(given))


class Beards:
    """Draws training pictures.

    Args:
        faces: the portraits.
        segmenter: reads their masks.
        known: whose beards are known.
    """

    def __init__(self, faces: FaceSet, segmenter: Segmenter, known: Bearded) -> None:
        self._faces, self._segmenter, self._known = faces, segmenter, known
        self._found = np.array(sorted(known.found))

    def draw(self, rng: np.random.Generator) -> BeardSample:
        """A new picture."""
        kind = rng.random()
        if kind < RECIPE.found:
            rows = self._found
        else:
            rows = self._known.alike if kind < RECIPE.found + RECIPE.alike else self._known.bare
        return self.sample(int(rng.choice(rows)), rng)

    def sample(self, row: int, rng: np.random.Generator | None) -> BeardSample:
        """A portrait as the network sees it.

        Args:
            row: of the portrait.
            rng: for its quality and its place; None leaves both.
        """
        faces = self._faces
        crop = portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], self._segmenter)
        beard = self._known.found.get(row, np.zeros(crop.image.shape[:2], np.uint8))
        if rng is not None:
            if rng.random() >= RECIPE.clean:
                image = degrade(rng, crop.image)
                crop = replace(crop, image=image, masks=self._segmenter.read(image))
            crop = replace(crop, points5=_moved(crop.points5, rng))
        to_crop = window(crop)
        given = network_input(crop, to_crop)
        flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
        alpha = cv2.warpAffine(cv2.blur(beard, (3, 3)), to_crop, (SIDE, SIDE), flags=flags).astype(np.float32) / 255
        sample = BeardSample(given, alpha[None].astype(np.float32))
        if rng is not None and rng.random() < 0.5:
            sample = BeardSample(*(np.ascontiguousarray(each[..., ::-1]) for each in sample))
        return sample


def _moved(points5: Floats, rng: np.random.Generator) -> Floats:
    """Eyes that are read a little beside where they are."""
    middle, apart = points5[:2].mean(0), points5[1] - points5[0]
    turn, grow = rng.uniform(-RECIPE.turn, RECIPE.turn), 1 + rng.uniform(-RECIPE.grow, RECIPE.grow)
    half = apart @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * (grow / 2)
    shift = rng.uniform(-RECIPE.shift, RECIPE.shift, 2) * float(np.hypot(*apart))
    moved = points5.copy()
    moved[:2] = middle + shift + np.stack([-half, half])
    return moved


def draw_batch(beards: Beards, count: int, rng: np.random.Generator) -> BeardSample:
    """Pictures of a step, stacked along a first axis."""
    return BeardSample(*(np.stack(part) for part in zip(*(beards.draw(rng) for _ in range(count)), strict=True)))


def beard_loss(logits: Tensor, alpha: Tensor) -> Tensor:
    """Cross entropy, and the absolute error of gradients."""
    error = torch.sigmoid(logits) - alpha
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    entropy = functional.binary_cross_entropy_with_logits(logits, alpha)
    return entropy + GRADIENTS * (across.abs().mean() + down.abs().mean())


class Trainer(AveragedTrainer):
    """The network and its state; read from the checkpoint if it is there."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(BeardNet(), beard_loss, checkpoint, rate=RATE, decay=DECAY)


def main(argv: list[str]) -> int:
    """Train, or export.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training beards", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="threads that draw pictures beside the training")
    parser.add_argument("--minutes", type=float, default=30, help="time budget of this run")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--export", type=Path, help="write the checkpoint's network into this folder, and stop")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    if options.export:
        network = BeardNet()
        network.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True)["average"])
        given = {"given": torch.rand(1, PLANES, SIDE, SIDE)}
        export_network(Deployed(network), given, ["alpha"], options.export / BEARD_NETWORK, half=True)
        return 0
    faces = FaceSet.load(options.shared)
    segmenter = Segmenter(load_engine(EMBEDDED / "segmenter.onnx", backend="openvino", precision="f32", threads=1))
    known = bearded(faces, faces.split("train"), segmenter)
    print(f"{len(known.found)} with a beard, {len(known.alike)} alike, {len(known.bare)} without", flush=True)
    beards = Beards(faces, segmenter, known)
    with closing(drawn_ahead(partial(draw_batch, beards, options.batch), options.workers)) as batches:
        Trainer(options.checkpoint).run(batches, options.minutes)
    return 0
