"""`python -m models.training hair`: train the removal of hair, or with `--ring` that of all but a ring; export it.

Training stops after a time budget and goes on from its last checkpoint when it is started again. Checkpoints are in
`.work/hair`; without one it begins with the committed weights (`START`). `--export DIR` writes the network as ONNX,
which the embedded editor runs at `bald`.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.base import Engine
from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.body_behind_hair import BODY_NETWORK, BodyBehindHair
from models.embedded.matte import MATTE, HairMatte
from models.embedded.removal import CHANNELS, ERASED, HIDDEN, REMOVAL, SIZE
from models.embedded.scalp import ScalpModel
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.export import export_network
from models.training.hair.mattes import MATTES, Mattes, make_mattes
from models.training.hair.networks import Critic, Removal
from models.training.hair.scenes import Sample, Scenes, choose_people
from models.training.precision import autocast

Drawn = TypeVar("Drawn")
RING = "hair_ring.onnx"
"""The network of rings, which is no part of the editor."""
CHECKPOINT = WORK / "hair" / "removal.pt"
RING_CHECKPOINT = WORK / "hair" / "ring.pt"
START = Path(__file__).with_name("removal.pt")
"""Averaged weights after 41,369 steps of 6 pictures, float16; the last 16,521 on shaved heads, of these the last 11,830
with a critic that learns, and of these the last 4,350 with what is told of bodies.
"""
RING_START = Path(__file__).with_name("ring.pt")
"""The same of the network of rings after 4,025 steps that begin with those, the first 550 on rings as they are."""
CHECKPOINT_S = 120
CROP = 320
"""Side of the editor's crop, which the exported network takes."""
REPORT_STEPS = 25
EMA = 0.997
RATE, CRITIC_RATE = 3e-4, 6e-4
WARM_STEPS = 100
CRITIC_ALONE = 300
"""First steps of a critic, in which it only learns."""
GRADIENTS, BROAD, MATCHING, CRITIC = 0.7, 2.0, 0.1, 0.15
"""Weights beside the absolute error: gradients, means of 8x8 pixels, the critic's features but its finest (relative to
those of the photograph), its verdict.
"""
PENALTY, PENALTY_STEPS = 4.0, 8
"""Weight of the penalty of the critic's gradient, which is taken every so many steps (Karras et al. 2020)."""
COARSE, UNSEEN = 4, 0.1
"""Pixels over whose means what was hidden is compared, and the weight of single ones: the very pores of a scalp that
nobody sees cannot be guessed, and who is to guess them draws none.
"""


def main(argv: list[str]) -> int:
    """Train.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training hair", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the networks that are trained")
    parser.add_argument("--workers", type=int, default=0, help="threads that draw pictures beside the training")
    parser.add_argument("--minutes", type=float, default=60, help="time budget of this run")
    parser.add_argument("--decay", type=float, default=0, help="minutes at the end in which the rate falls to 0")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--window", type=int, default=SIZE, help="side of the part of each picture that is trained on")
    parser.add_argument("--ring", action="store_true", help="train the network that draws rings of hair")
    parser.add_argument("--checkpoint", type=Path, help="by default that of the network in `.work/hair`")
    parser.add_argument("--start", type=Path, help="weights to begin with, where there is no checkpoint")
    parser.add_argument("--save-start", type=Path, help="write the checkpoint's averaged weights as float16, and stop")
    parser.add_argument("--mattes", type=int, default=1500, help="portraits whose hair is used, at most")
    parser.add_argument("--export", type=Path, help="write the checkpoint's network into this folder, and stop")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    name = RING if options.ring else REMOVAL
    checkpoint = options.checkpoint or (RING_CHECKPOINT if options.ring else CHECKPOINT)
    if options.save_start:
        average = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
        torch.save({name: value.half() for name, value in average.items()}, options.save_start)
        return 0
    if options.export:
        network = Removal()
        network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["average"])
        given = {"given": torch.rand(1, CHANNELS, CROP, CROP)}
        export_network(network, given, ["drawn"], options.export / name, half=True)
        return 0
    scenes = training_scenes(FaceSet.load(options.shared), options.shared, options.mattes)
    draw = scenes.draw_for_rings if options.ring else scenes.draw
    start = options.start or (RING_START if options.ring else START)
    trainer = Trainer(torch.device(options.device), checkpoint, start)
    with closing(drawn_ahead(partial(draw_batch, draw, options.batch, options.window), options.workers)) as batches:
        trainer.run(batches, options.minutes, options.decay)
    return 0


def training_scenes(faces: FaceSet, shared: Path, count: int) -> Scenes:
    """Scenes of the training portraits; mattes are made where they are missing."""
    mattes = read_mattes(faces, shared, count)
    tables = read_tables(EMBEDDED)
    people = choose_people(faces, mattes, faces.split("train"))
    bald = f"{len(people.bald)} bald, {len(people.shaved)} of them shaved"
    print(f"{bald}, {len(people.short)} short-haired, {len(mattes.rows)} mattes", flush=True)
    segmenter, matte = (_network(name) for name in ("segmenter.onnx", MATTE))
    # who is trained to tell bodies needs none
    bodies = BodyBehindHair(_network(BODY_NETWORK)) if (EMBEDDED / BODY_NETWORK).is_file() else None
    return Scenes(
        faces,
        mattes,
        people,
        FaceSpace.from_tables(tables),
        ScalpModel.from_tables(tables),
        bodies=bodies,
        segmenter=Segmenter(segmenter),
        matte=HairMatte(matte),
    )


def _network(name: str) -> Engine:
    return load_engine(EMBEDDED / name, backend="openvino", precision="f32", threads=1)


def read_mattes(faces: FaceSet, shared: Path, count: int) -> Mattes:
    """Hair of training portraits, `count` at most; it is made where it is missing.

    Args:
        faces: the portraits.
        shared: folder with `teachers/`.
        count: portraits that are tried.
    """
    rows, labels = faces.split("train"), faces.labels
    baldness = np.nan_to_num(labels["baldness"], nan=-1.0)
    haired = rows[(baldness[rows] >= 0) & (baldness[rows] < 0.3) & (np.nan_to_num(labels["hair_area"])[rows] > 0.1)]
    haired = np.random.default_rng(0).permutation(haired[(labels["hat"][haired] != 1)])[:count]
    return make_mattes(faces, np.sort(haired), shared / "teachers", MATTES)


class Trainer:
    """The networks and their state.

    Args:
        device: where they run.
        checkpoint: where the state is kept; read if it is there.
        start: weights of a removal network to begin with; further input channels begin at 0.
    """

    def __init__(self, device: torch.device, checkpoint: Path, start: Path | None) -> None:
        self.device, self.checkpoint = device, checkpoint
        self.removal, self.critic = Removal().to(device), Critic().to(device)
        for network in (self.removal, self.critic):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps, self.taught = 0, 0
        if start is not None:
            load_partly(self.removal, torch.load(start, map_location=device, weights_only=True))
        self.average = copy.deepcopy(self.removal).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.removal.parameters(), RATE, betas=(0.5, 0.99))
        self.critic_optimizer = torch.optim.AdamW(self.critic.parameters(), CRITIC_RATE, betas=(0.5, 0.99))
        if checkpoint.is_file():
            state = torch.load(checkpoint, map_location=device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.steps, self.taught = state["steps"], state["taught"]
            print(f"goes on at step {self.steps}", flush=True)

    def run(self, batches: Iterator[Sample], minutes: float, decay: float) -> None:
        """Train for a while.

        Args:
            batches: pictures of a step, stacked, as of `draw_batch`.
            minutes: how long.
            decay: minutes at the end in which the rate falls to 0.
        """
        start = saved = time.monotonic()
        means: dict[str, float] = {}
        first = self.steps
        while (spent := (time.monotonic() - start) / 60) < minutes:
            rate = min(1.0, (self.steps - first + 1) / WARM_STEPS)
            if decay:
                rate *= min(1.0, max(0.02, (minutes - spent) / decay))
            for optimizer, full in ((self.optimizer, RATE), (self.critic_optimizer, CRITIC_RATE)):
                optimizer.param_groups[0]["lr"] = full * rate
            given, truth, judged = (
                torch.from_numpy(part).to(self.device, memory_format=torch.channels_last) for part in next(batches)
            )
            for name, value in self.step(given, truth, judged).items():
                means[name] = value if name not in means else 0.98 * means[name] + 0.02 * value
            if self.steps % REPORT_STEPS == 0:
                listed = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(f"{spent:.1f} min, step {self.steps}: {listed}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self, given: Tensor, truth: Tensor, judged: Tensor) -> dict[str, float]:
        """One step of both networks; the losses by name."""
        with autocast(self.device):
            drawn = self.removal(given)
        drawn = drawn.float()
        # where nothing is judged both are the same, so that the critic sees no difference there
        mixed = truth + (drawn - truth) * judged
        error = mixed - truth
        area = judged.sum() * 3 + 1
        weighed = error * (1 - (1 - UNSEEN) * given[:, HIDDEN : HIDDEN + 1])
        means = functional.avg_pool2d(error, COARSE).abs().sum() * COARSE**2
        absolute = (weighed.abs().sum() + (1 - UNSEEN) * means) / area
        across, down = weighed[..., 1:] - weighed[..., :-1], weighed[..., 1:, :] - weighed[..., :-1, :]
        gradients = (across.abs().sum() + down.abs().sum()) / area
        broad = functional.avg_pool2d(error, 8).abs().sum() * 64 / area
        loss = absolute + GRADIENTS * gradients + BROAD * broad

        beside = torch.cat([given[:, ERASED : ERASED + 1], judged], 1)
        with autocast(self.device):
            _, real = self.critic(torch.cat([truth, beside], 1))
            _, fake = self.critic(torch.cat([mixed.detach(), beside], 1))
        told = _where_judged([functional.softplus(-each.float()) for each in real], judged) + _where_judged(
            [functional.softplus(each.float()) for each in fake], judged
        )
        taught = told
        if self.taught % PENALTY_STEPS == 0:
            taught = told + PENALTY * PENALTY_STEPS / 2 * self._penalty(truth[:2], beside[:2], judged[:2])
        self.critic_optimizer.zero_grad(set_to_none=True)
        taught.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()
        self.taught += 1

        values = {"absolute": absolute * 64, "gradients": gradients * 64, "critic": told}
        if self.taught > CRITIC_ALONE:
            self.critic.requires_grad_(False)
            with autocast(self.device):
                features, fake = self.critic(torch.cat([mixed, beside], 1))
                with torch.no_grad():
                    wanted, _ = self.critic(torch.cat([truth, beside], 1))
            self.critic.requires_grad_(True)
            matching = torch.stack(
                [
                    (a.float() - b.float()).abs().mean() / (b.float().abs().mean() * judged.mean() + 1e-3)
                    for a, b in zip(features[1:], wanted[1:], strict=True)
                ]
            ).mean()
            fooled = _where_judged([functional.softplus(-each.float()) for each in fake], judged)
            loss = loss + MATCHING * matching + CRITIC * fooled
            values |= {"matching": matching, "fooled": fooled}
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.removal.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        with torch.no_grad():
            keep = min(EMA, (1 + self.steps) / (10 + self.steps))
            for mean, now in zip(self.average.parameters(), self.removal.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return {name: float(value.detach()) for name, value in values.items()}

    def _penalty(self, truth: Tensor, beside: Tensor, judged: Tensor) -> Tensor:
        """R1 (Mescheder et al. 2018): the squared gradient of the verdicts on photographs by their pixels."""
        truth = truth.detach().clone().requires_grad_(True)
        _, real = self.critic(torch.cat([truth, beside], 1))
        total = _where_judged(real, judged) * len(truth)
        (gradient,) = torch.autograd.grad(total, truth, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()

    def save(self) -> None:
        """Write the checkpoint."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        state: dict[str, Any] = {name: each.state_dict() for name, each in self._parts().items()}
        torch.save({**state, "steps": self.steps, "taught": self.taught}, part)
        part.replace(self.checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {
            "removal": self.removal,
            "average": self.average,
            "critic": self.critic,
            "optimizer": self.optimizer,
            "critic_optimizer": self.critic_optimizer,
        }


def _where_judged(verdicts: list[Tensor], judged: Tensor) -> Tensor:
    """Mean over the sizes of patches of what a critic says, by how much of each patch is judged."""
    means = []
    for each in verdicts:
        weight = functional.adaptive_avg_pool2d(judged, (each.shape[-2], each.shape[-1])) + 0.02
        means.append((each * weight).mean() / weight.mean())
    return torch.stack(means).mean()


def draw_batch(
    draw: Callable[[np.random.Generator], Sample], count: int, window: int, rng: np.random.Generator
) -> Sample:
    """Pictures of a step, stacked along a first axis.

    Args:
        draw: draws one.
        count: how many.
        window: side of the part of each picture that is used, a multiple of 32.
        rng: chance.
    """
    samples = [windowed(draw(rng), window, rng) for _ in range(count)]
    return Sample(*(np.stack(part) for part in zip(*samples, strict=True)))


def drawn_ahead(draw: Callable[[np.random.Generator], Drawn], workers: int) -> Generator[Drawn]:
    """What `draw` makes, without end; with workers, what is asked for next is drawn while the last is used.

    Args:
        draw: makes one from a generator of its own; thread-safe where there are several workers.
        workers: threads; 0 draws where it is asked for.
    """
    generator = np.random.default_rng(time.time_ns())
    if workers == 0:
        while True:
            yield draw(generator)
    pool = ThreadPoolExecutor(workers)
    try:
        ahead = deque(pool.submit(draw, child) for child in generator.spawn(2 * workers))
        while True:
            drawn = ahead.popleft().result()
            ahead.append(pool.submit(draw, generator.spawn(1)[0]))
            yield drawn
    finally:
        pool.shutdown(cancel_futures=True)


def windowed(sample: Sample, side: int, rng: np.random.Generator) -> Sample:
    """A square part of a picture, anywhere."""
    y, x = rng.integers(0, SIZE - side + 1, 2)
    return Sample(*(part[:, y : y + side, x : x + side] for part in sample))


def load_partly(network: Removal, state: dict[str, Tensor]) -> None:
    """Take weights of an older removal network in the order of its parameters; missing input channels begin at 0."""
    own = network.state_dict()
    if len(own) != len(state):
        raise ValueError(f"these weights have {len(state)} parts, the network has {len(own)}")
    for (name, want), have in zip(own.items(), state.values(), strict=True):
        if want.shape == have.shape:
            want.copy_(have.float())
        elif name == "enter.0.weight" and have.shape[1] < want.shape[1]:
            want.zero_()
            want[:, : have.shape[1]] = have.float()
        elif name.startswith("leave.") and len(have) < len(want):
            want[: len(have)] = have.float()
        else:
            raise ValueError(f"{name}: {tuple(have.shape)} does not fit {tuple(want.shape)}")
    network.load_state_dict(own)
