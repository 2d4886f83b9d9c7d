"""`python -m models.training looks`: train the network that draws hair of another look; export it.

Training stops after a time budget and goes on from its last checkpoint when it is started again. Checkpoints are in
`.work/looks`; without one it begins with the committed weights (`START`). `--export DIR` writes the averaged network as
ONNX.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.hair_look import HAIR_LOOK, LOOKS, MIDDLE, PLANES
from models.embedded.strands import FILTER
from models.face.imaging import LUMINANCE
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.export import export_network
from models.training.hair.train import drawn_ahead
from models.training.looks.networks import WIDER, HairLookNet, LookCritic, widened
from models.training.looks.portraits import read_beards, read_portraits, with_hair
from models.training.looks.scenes import RECIPE, LookSample, LookScenes, beard_colours, draw_batch
from models.training.precision import autocast

CHECKPOINT = WORK / "looks" / "looks.pt"
START = Path(__file__).with_name("looks.pt")
"""Averaged weights after 12,075 steps of eight pictures, float16; the critic begins anew."""
CROP = 320
"""Side of the editor's crop."""
REPORT_STEPS, CHECKPOINT_S = 25, 120
RIM = 6
"""Pixels along the rim of a picture where a moved one shows what was not in it."""


@dataclass(frozen=True, slots=True)
class LookPlan:
    """Sizes of a step and weights of its losses. Differences are of RGB / 64.

    Attributes:
        pairs, journeys: examples of a step.
        window: side of the part of a picture that is used.
        rate, critic_rate: learning rates, which rise for `warm` steps.
        warm: those steps.
        average: decay of the weights' moving average.
        alone: steps of the network before the critic joins, in which the critic only learns.
        gradients, broad: weights of the error of gradients and of means of 8 x 8 pixels, in pairs.
        matching: weight of the difference of the critic's features, in pairs.
        fooled: weight of the critic's verdict.
        level, colour: weights of the errors of how light and how coloured hair is on average, in journeys.
        still: weight of the change of what is beside hair, in journeys.
        steady: weight of what differs in a next frame, in journeys.
        noise: the most noise of the camera in it, grey levels.
        moved: how far it has moved at most, pixels along each axis.
        turned, scaled: by how much it is turned and scaled at most, radians and shares.
        edge: how much harder or softer the edge of hair is in it, log of alpha's exponent.
        spare: such errors that cost nothing, log units.
        penalty, penalty_steps: weight of the critic's squared gradient (R1, Mescheder et al. 2018), taken every so many
            steps.
        wrong: share of the critic's fakes that are photographs under the look of another.
    """

    pairs: int = 4
    journeys: int = 4
    window: int = 208
    rate: float = 6e-4
    critic_rate: float = 6e-4
    warm: int = 100
    average: float = 0.997
    alone: int = 300
    gradients: float = 0.9
    broad: float = 1.0
    matching: float = 0.15
    fooled: float = 0.15
    level: float = 1.0
    colour: float = 1.0
    still: float = 0.5
    steady: float = 1.0
    noise: float = 3.0
    moved: float = 1.5
    turned: float = 0.01
    scaled: float = 0.01
    edge: float = 0.15
    spare: float = 0.06
    penalty: float = 4.0
    penalty_steps: int = 8
    wrong: float = 0.3


PLAN = LookPlan()


def main(argv: list[str]) -> int:
    """Train, or export.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m models.training looks", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="threads that draw pictures beside the training")
    parser.add_argument("--minutes", type=float, default=60, help="time budget of this run")
    parser.add_argument("--decay", type=float, default=0, help="minutes at the end in which the rate falls to 0")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--export", type=Path, help="write the checkpoint's network into this folder, and stop")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    if options.export:
        network = HairLookNet()
        network.load_state_dict(torch.load(options.checkpoint, map_location="cpu", weights_only=True)["average"])
        given = {"given": torch.rand(1, PLANES, CROP, CROP), "looks": torch.rand(1, LOOKS)}
        export_network(network, given, ["change"], options.export / HAIR_LOOK, half=True, free_size=True)
        return 0
    draw = drawer(FaceSet.load(options.shared))
    with closing(drawn_ahead(draw, options.workers)) as batches:
        Trainer(torch.device(options.device), options.checkpoint, START).run(batches, options.minutes, options.decay)
    return 0


def drawer(faces: FaceSet) -> Callable[[np.random.Generator], LookSample]:
    """What draws the pictures of a step: of heads of hair, and now and then of beards."""
    hair, beards = read_portraits(faces), read_beards(faces)
    heads = with_hair(faces, hair, faces.split("train"))
    print(f"{len(heads)} heads of hair, {len(beards.rows)} beards", flush=True)
    of_hair = LookScenes(faces, hair, heads, faces.labels["hair_colour"])
    of_beards = LookScenes(faces, beards, np.arange(len(beards.rows)), beard_colours(faces, beards))

    def draw(rng: np.random.Generator) -> LookSample:
        scenes = of_beards if rng.random() < RECIPE.beards else of_hair
        return draw_batch(scenes, PLAN.pairs, PLAN.journeys, PLAN.window, rng)

    return draw


class LookTensors(NamedTuple):
    """The parts of a `LookSample` on a device."""

    given: Tensor
    looks: Tensor
    truth: Tensor
    alpha: Tensor
    own: Tensor
    paired: Tensor


class Trainer:
    """The networks and their state; read from the checkpoint if it is there.

    Args:
        device: where they run.
        checkpoint: where the state is kept.
        start: weights of the network to begin with where there is no checkpoint; None for none.
    """

    def __init__(self, device: torch.device, checkpoint: Path, start: Path | None = None) -> None:
        self.device, self.checkpoint, self.steps = device, checkpoint, 0
        self.network, self.critic = HairLookNet().to(device), LookCritic().to(device)
        if start is not None and not checkpoint.is_file():
            self.network.load_state_dict(torch.load(start, map_location=device, weights_only=True))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), PLAN.rate, betas=(0.5, 0.99))
        self.critic_optimizer = torch.optim.AdamW(self.critic.parameters(), PLAN.critic_rate, betas=(0.5, 0.99))
        if checkpoint.is_file():
            state = torch.load(checkpoint, map_location=device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.steps = state["steps"]
            print(f"goes on at step {self.steps}", flush=True)
        for network in (self.network, self.critic):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, batches: Iterator[LookSample], minutes: float, decay: float) -> None:
        """Train for so many minutes; in the last `decay` of them the rate falls to 0."""
        start = saved = time.monotonic()
        means: dict[str, float] = {}
        first = self.steps
        while (spent := (time.monotonic() - start) / 60) < minutes:
            rate = min(1.0, (self.steps - first + 1) / PLAN.warm)
            if decay:
                rate *= min(1.0, max(0.02, (minutes - spent) / decay))
            self.optimizer.param_groups[0]["lr"] = PLAN.rate * rate
            self.critic_optimizer.param_groups[0]["lr"] = PLAN.critic_rate * rate
            for name, value in self.step(next(batches)).items():
                means[name] = value if name not in means else 0.98 * means[name] + 0.02 * value
            if self.steps % REPORT_STEPS == 0:
                listed = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(f"{spent:.1f} min, step {self.steps}: {listed}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self, batch: LookSample) -> dict[str, float]:
        """One step of both networks; the losses by name."""
        shown = LookTensors(*(torch.from_numpy(part).to(self.device) for part in batch))
        looks, truth, alpha, own, paired = shown[1:]
        given = shown.given.contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            change = self.network(given, looks)
        drawn = given[:, :3] + change.float()
        pairs = paired[:, :, None, None]
        inside = widened(given[:, 3:4], WIDER)
        area = (inside * pairs).sum() * 3 + 1
        error = (drawn - truth) * inside * pairs
        absolute = error.abs().sum() / area
        across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
        gradients = (across.abs().sum() + down.abs().sum()) / area
        broad = functional.avg_pool2d(error, 8).abs().sum() * 64 / area
        loss = absolute + PLAN.gradients * gradients + PLAN.broad * broad
        level, colour = self._mean_look(drawn, given[:, 3:4], looks)
        journeys = (1 - paired).sum().clamp(min=1)
        far = ((1 - paired) * (level + colour)).sum() / journeys
        beside = (1 - functional.max_pool2d(given[:, 3:4], 3, 1, 1)) * inside * (1 - pairs)
        glow = (change.float().abs() * beside).sum() / (3 * beside.sum() + 1)
        loss = loss + far + PLAN.still * glow
        flicker = self._flicker(given, looks, change.float(), journeys=PLAN.journeys)
        loss = loss + PLAN.steady * flicker

        told = self._teach(drawn.detach(), shown)
        values = {
            "absolute": absolute * 64,
            "gradients": gradients * 64,
            "look": far,
            "glow": glow * 64,
            "flicker": flicker * 64,
            "critic": told,
        }
        if self.steps > PLAN.alone:
            self.critic.requires_grad_(False)
            with autocast(self.device):
                features, verdicts = self.critic(drawn, given[:, 3:4], looks)
                with torch.no_grad():
                    wanted, _ = self.critic(truth, alpha, own)
            self.critic.requires_grad_(True)
            matching = torch.stack(
                [
                    ((a.float() - b.float()).abs() * pairs).mean() / ((b.float().abs() * pairs).mean() + 1e-3)
                    for a, b in zip(features[1:], wanted[1:], strict=True)
                ]
            ).mean()
            fooled = _mean_verdict([functional.softplus(-each.float()) for each in verdicts], given[:, 3:4])
            loss = loss + PLAN.matching * matching + PLAN.fooled * fooled
            values |= {"matching": matching, "fooled": fooled}
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        with torch.no_grad():
            keep = min(PLAN.average, (1 + self.steps) / (10 + self.steps))
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        return {name: float(value.detach()) for name, value in values.items()}

    def _teach(self, drawn: Tensor, shown: LookTensors) -> Tensor:
        """One step of the critic; its loss without the penalty."""
        given, looks, truth, alpha, own, _ = shown
        hair = given[:, 3:4]
        # a photograph under a look that is not its own, if that differs
        other = torch.roll(own, 1, 0)
        differs = ((other - own)[:, 3:6].abs().sum(1) > 0.5).float()[:, None, None, None]
        with autocast(self.device):
            _, real = self.critic(truth, alpha, own)
            _, fake = self.critic(drawn, hair, looks)
            _, wrong = self.critic(truth, alpha, other)
        told = _mean_verdict([functional.softplus(-each.float()) for each in real], alpha)
        told = told + (1 - PLAN.wrong) * _mean_verdict([functional.softplus(each.float()) for each in fake], hair)
        told = told + PLAN.wrong * _mean_verdict([functional.softplus(each.float()) for each in wrong], alpha * differs)
        taught = told
        if self.steps % PLAN.penalty_steps == 0:
            seen = truth[:3].detach().clone().requires_grad_(True)
            _, verdicts = self.critic(seen, alpha[:3], own[:3])
            total = _mean_verdict(verdicts, alpha[:3]) * len(seen)
            (gradient,) = torch.autograd.grad(total, seen, create_graph=True)
            taught = taught + PLAN.penalty * PLAN.penalty_steps / 2 * gradient.square().sum((1, 2, 3)).mean()
        self.critic_optimizer.zero_grad(set_to_none=True)
        taught.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()
        return told

    def _flicker(self, given: Tensor, looks: Tensor, change: Tensor, *, journeys: int) -> Tensor:
        """How much what is drawn of the last pictures of a batch differs in the next frame.

        The picture has moved a little, has turned and come nearer, has other noise and hair with a harder or softer
        edge; what is drawn of it shall be what was drawn before, moved alike.
        """
        shown = given[-journeys:]
        side, device = shown.shape[-1], shown.device
        turn, size = self._uniform(journeys, PLAN.turned), 1 + self._uniform(journeys, PLAN.scaled)
        across, down = (self._uniform(journeys, 2 * PLAN.moved / side) for _ in range(2))
        rows = torch.stack([size * turn.cos(), -size * turn.sin(), across], -1)
        motion = torch.stack([rows, torch.stack([size * turn.sin(), size * turn.cos(), down], -1)], 1)
        grid = functional.affine_grid(motion, [journeys, 1, side, side], align_corners=False)
        after = functional.grid_sample(
            torch.cat([shown, change[-journeys:]], 1), grid, "bicubic", "border", align_corners=False
        )
        colours, hair, wanted = after[:, :3], after[:, 3:4].clamp(0, 1), after[:, 4:]
        sigma = torch.rand(journeys, 1, 1, 1, device=device) * (PLAN.noise / 64)
        fine = torch.randn(journeys, 1, side, side, device=device)
        blocks = torch.randn(journeys, 3, side // 4, side // 4, device=device)
        noise = fine + functional.interpolate(blocks, scale_factor=4.0, mode="bilinear")
        edge = hair.clamp(min=1e-4) ** self._uniform(journeys, PLAN.edge).exp()[:, None, None, None]
        moved = torch.cat([colours + sigma * noise, edge], 1).contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            again = self.network(moved, looks[-journeys:])
        inner = torch.zeros_like(hair)
        inner[..., RIM:-RIM, RIM:-RIM] = 1
        return ((again.float() - wanted).abs() * inner).sum() / (3 * (hair * inner).sum() + 1)

    def _uniform(self, number: int, most: float) -> Tensor:
        """So many values of -most..most, (number,)."""
        return (torch.rand(number, device=self.device) * 2 - 1) * most

    def _mean_look(self, drawn: Tensor, alpha: Tensor, looks: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of level and colour of the drawn hair beyond what costs nothing, (B, 1) each."""
        weight = (alpha > 0.9).float()
        total = weight.sum((2, 3)) + 1
        rgb = ((drawn + 2) * 64).clamp(min=1)
        luminance = (rgb * torch.tensor(LUMINANCE, device=rgb.device)[:, None, None]).sum(1, keepdim=True)
        level = (torch.log(luminance + FILTER.offset) * weight).sum((2, 3)) / total
        red, green, blue = torch.chunk(((rgb * weight).sum((2, 3)) / total).clamp(min=1).log(), 3, 1)
        off = (level - MIDDLE - looks[:, 3:4]).abs()
        cast = (red - green - looks[:, 4:5]).abs() + (blue - green - looks[:, 5:6]).abs()
        return (
            PLAN.level * functional.relu(off - PLAN.spare),
            PLAN.colour * functional.relu(cast - PLAN.spare),
        )

    def save(self) -> None:
        """Write the checkpoint."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        state: dict[str, Any] = {name: each.state_dict() for name, each in self._parts().items()}
        torch.save({**state, "steps": self.steps}, part)
        part.replace(self.checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "average": self.average,
            "critic": self.critic,
            "optimizer": self.optimizer,
            "critic_optimizer": self.critic_optimizer,
        }


def _mean_verdict(verdicts: list[Tensor], hair: Tensor) -> Tensor:
    """Mean over the sizes of patches of what a critic says, by how much of each patch is hair."""
    means = []
    for each in verdicts:
        weight = functional.adaptive_avg_pool2d(hair, (each.shape[-2], each.shape[-1]))
        means.append((each * weight).sum() / (weight.sum() + 1e-3))
    return torch.stack(means).mean()
