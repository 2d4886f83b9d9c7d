"""`python -m models.training bodies`: train the network that tells what body is behind hair; export it.

Short-haired people lie under other people's long hair, so that what is behind it is known; long-haired people as
well, judged where they are seen. Checkpoints are in `.work/hair`.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.arrays import Floats, Rows
from models.embedded.body_behind_hair import (
    BACKDROP,
    BODY_NETWORK,
    CLOTH,
    FINER,
    PLANES,
    SKIN,
    layout_input,
    within_oval,
)
from models.embedded.removal import SIZE, erase
from models.embedded.scalp import COARSE, HeadMap
from models.face.imaging import smoothstep
from models.training.averaged import AveragedTrainer
from models.training.bodies.labels import body_labels
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.export import export_network
from models.training.hair.scenes import LONG_ROWS, Scenes, cover_of
from models.training.hair.train import drawn_ahead, training_scenes

CHECKPOINT = WORK / "hair" / "bodies.pt"
SIDE = SIZE // COARSE
RATE, DECAY = 1e-3, 0.02
PLACE_ACROSS = 10
"""Input plane that changes its sign in a mirror."""


@dataclass(frozen=True, slots=True)
class BodyRecipe:
    """How training pictures are drawn.

    Attributes:
        women: how many times as often short-haired women are drawn.
        long_target: share of pictures of long-haired people.
        long_share: share of the hair laid over people that is long.
        seen: weight of what is seen, beside that of what is hidden.
        holes: share of pictures whose person is read with holes below the face, as segmenters read bare shoulders.
        hole_cells: cells across in which holes are drawn.
        hole: noise over which there is one.
        beside: distances from the face, pixels, over which one may be.
        low: rows of the texture square over which one may be.
    """

    women: float = 8.0
    long_target: float = 0.25
    long_share: float = 0.85
    seen: float = 0.15
    holes: float = 0.4
    hole_cells: tuple[int, int] = (3, 9)
    hole: tuple[float, float] = (0.5, 0.8)
    beside: tuple[float, float] = (2.0, 10.0)
    low: tuple[float, float] = (90.0, 130.0)


RECIPE = BodyRecipe()


class BodySample(NamedTuple):
    """One training picture.

    Attributes:
        given: (13, 64, 64) float32, the input of the network.
        shares: (3, 128, 128) float32 in 0..1, of backdrop, skin and cloth.
        weight: (128, 128) float32, how much each pixel counts.
    """

    given: Floats
    shares: Floats
    weight: Floats


class Layout(nn.Module):
    """A U-Net (Ronneberger et al. 2015): input of `layout_input` -> logits of the layers at twice its resolution.

    Args:
        widths: channels by level, the finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (24, 40, 64, 80, 96)) -> None:
        super().__init__()
        self.enter = nn.Sequential(_convolution(PLANES, widths[0]), _convolution(widths[0], widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b)) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(_convolution(a + b, b) for a, b in pairwise(widths[::-1]))
        self.leave = nn.Conv2d(widths[0], 3 * FINER**2, 3, padding=1)

    def forward(self, given: Tensor) -> Tensor:
        """Tell the layout.

        Args:
            given: (B, 13, H, W) float32.

        Returns:
            (B, 3, 2 H, 2 W) float32 logits.
        """
        x = self.enter(given)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, skip.shape[-2:], mode="nearest"), skip], 1))
        return functional.pixel_shuffle(self.leave(x), FINER)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class Bodies:
    """Draws training pictures.

    Args:
        faces: the portraits.
        scenes: lays hair over them.
        short, long_hair: rows of those who are drawn.
        labels: what each of them shows.
    """

    def __init__(
        self, faces: FaceSet, scenes: Scenes, short: Rows, long_hair: Rows, labels: dict[int, NDArray[np.uint8]]
    ) -> None:
        self._faces, self._scenes, self._labels = faces, scenes, labels
        self._short, self._long = short, long_hair
        often = np.where(faces.labels["sex"][short] == "F", RECIPE.women, 1.0)
        self._often = often / often.sum()

    def draw(self, rng: np.random.Generator) -> BodySample:
        """A new picture."""
        hidden_too = rng.random() < RECIPE.long_target
        target = int(rng.choice(self._long)) if hidden_too else int(rng.choice(self._short, p=self._often))
        alpha, foreground = self._scenes.random_hair(rng, long_hair=rng.random() < RECIPE.long_share)
        return self.compose(target, alpha, foreground, rng)

    def compose(self, target: int, alpha: Floats, foreground: Floats, rng: np.random.Generator | None) -> BodySample:
        """Lay hair over a portrait.

        Args:
            target: row of the portrait.
            alpha: (256, 256) float32 in 0..1, the hair.
            foreground: (256, 256, 3) float32 RGB, its colours.
            rng: for margins, light and noise; None for none.
        """
        laid = self._scenes.lay(target, alpha, foreground, self._faces.mask("hair", target), rng=rng)
        (hidden,) = erase(laid.read, cover_of(rng))
        beyond = np.zeros_like(hidden) if laid.beyond is None else laid.beyond
        gone = np.maximum(hidden, beyond)
        coarse, gone_coarse, person = (
            cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for each in (laid.shown.astype(np.float32), gone, laid.person)
        )
        head, _, skin = self._scenes.geometry(target)
        if rng is not None and rng.random() < RECIPE.holes:
            person = with_holes(person, head, rng)
        given = layout_input(coarse, gone_coarse, person, head, skin, male=self._scenes.male(target))
        given[:3] = (given[:3] + 2 * given[3]) * laid.gain[:, None, None] - 2 * given[3]
        label = self._labels[target][laid.rows][:, laid.columns]
        side = SIDE * FINER
        shares = [
            cv2.resize((label == kind).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
            for kind in (BACKDROP, SKIN, CLOTH)
        ]
        unseen, out = (cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (hidden, beyond))
        weight = sum(shares) * (RECIPE.seen + (1 - RECIPE.seen) * unseen) * (1 - out)
        stack = np.stack(shares)
        if rng is not None and rng.random() < 0.5:
            given, stack, weight = given[..., ::-1].copy(), stack[..., ::-1].copy(), weight[..., ::-1].copy()
            given[PLACE_ACROSS] *= -1
        return BodySample(given, stack, np.asarray(weight, np.float32))


def with_holes(person: Floats, head: HeadMap, rng: np.random.Generator) -> Floats:
    """A person of which some places below the face are missed, (H, W) float32 in 0..1."""
    cells = int(rng.integers(*RECIPE.hole_cells, endpoint=True))
    noise = rng.random((cells, cells)).astype(np.float32)
    holes = cv2.resize(noise, person.shape[::-1], interpolation=cv2.INTER_CUBIC)
    missed = smoothstep(holes, *RECIPE.hole) * np.float32(rng.uniform(0.4, 1))
    missed *= smoothstep(-within_oval(head), *RECIPE.beside) * smoothstep(head.texture[..., 1], *RECIPE.low)
    return np.asarray(person * (1 - missed), np.float32)


def draw_batch(bodies: Bodies, count: int, rng: np.random.Generator) -> BodySample:
    """Pictures of a step, stacked along a first axis."""
    return BodySample(*(np.stack(part) for part in zip(*(bodies.draw(rng) for _ in range(count)), strict=True)))


def layout_loss(logits: Tensor, shares: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy by weight."""
    lost = -(shares * functional.log_softmax(logits, 1)).sum(1)
    return (lost * weight).sum() / (weight.sum() + 1)


class Trainer(AveragedTrainer):
    """The network and its state; read from the checkpoint if it is there."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(Layout(), layout_loss, checkpoint, rate=RATE, decay=DECAY)


def main(argv: list[str]) -> int:
    """Train, or export.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training bodies", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="threads that draw pictures beside the training")
    parser.add_argument("--minutes", type=float, default=30, help="time budget of this run")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--mattes", type=int, default=1500, help="portraits whose hair is used, at most")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--export", type=Path, help="write the checkpoint's network into this folder, and stop")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    if options.export:
        network = Layout()
        network.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True)["average"])
        given = {"given": torch.rand(1, PLANES, 80, 80)}
        export_network(network, given, ["layout"], options.export / BODY_NETWORK, half=True, free_size=True)
        return 0
    faces = FaceSet.load(options.shared)
    scenes = training_scenes(faces, options.shared, options.mattes)
    short, long_hair = choose_bodies(faces, faces.split("train"))
    labels = body_labels(faces, np.concatenate([short, long_hair]))
    bodies = Bodies(faces, scenes, short, long_hair, labels)
    print(f"{len(short)} short-haired, {len(long_hair)} women with long hair", flush=True)
    with closing(drawn_ahead(partial(draw_batch, bodies, options.batch), options.workers)) as batches:
        Trainer(options.checkpoint).run(batches, options.minutes)
    return 0


def choose_bodies(faces: FaceSet, rows: Rows) -> tuple[Rows, Rows]:
    """Rows of people whose neck and shoulders are seen, and of women whose are seen in part."""
    labels = faces.labels
    plain = rows[
        (labels["age"][rows] > 12)
        & (np.abs(labels["yaw"][rows]) < 40)
        & (labels["hat"][rows] != 1)
        & (labels["outside_fraction"][rows] < 0.1)
    ]
    low = np.array([faces.mask("hair", int(row))[LONG_ROWS].mean() for row in plain])
    return plain[low < 0.015], plain[(low >= 0.015) & (labels["sex"][plain] == "F")]
