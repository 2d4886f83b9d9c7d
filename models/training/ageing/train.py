"""Train the head's ageing: the way back to photographs, then beside critics that know what an age looks like.

Targets are always photographs. A first pair's input is a portrait that the embedded editor made young or old; later
the network's own outputs take the editor's place (back-translation, Sennrich et al. 2016), so that what it takes away
is what it learns to bring. Where no photograph says what a face looks like at an age, two critics and the reader do.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engines.graph.onnx_module import OnnxModule
from models.embedded import EMBEDDED
from models.embedded.attributes import READER, read_tables
from models.face.texture_space import FaceSpace
from models.training.ageing.guides import Guides
from models.training.ageing.networks import AgeCritic, HeadAger, conditions_of, label_of
from models.training.ageing.plan import Plan
from models.training.ageing.prepare import prepare
from models.training.ageing.samples import RELIEF, WHOLE, Sample, Samples
from models.training.ageing.views import batch_of, edges, fine, unwrap, vary, wrong_age
from models.training.data import SIZE, WORK, FaceSet, shared_folder
from models.training.editor.networks import READER_SIZE
from models.training.precision import autocast

CHECKPOINT = "head_ager.pt"
START = Path(__file__).with_name(CHECKPOINT)
"""Where a training that has no checkpoint starts: the small state of the last one."""
SAVE_SECONDS = 180
REPORT_STEPS = 20
CURVE = 0.97
"""Decay of the reported losses."""
State = dict[str, Any]
Module = TypeVar("Module", bound=nn.Module)


def main(argv: list[str]) -> int:
    """Train, or go on from the checkpoint, for so many minutes."""
    parser = argparse.ArgumentParser(prog="python -m models.training ageing", description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK / "ageing", help="folder of caches and checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="processor threads torch may use")
    parser.add_argument("--workers", type=int, default=0, help="threads that draw examples, e.g. 12 beside a GPU")
    parser.add_argument("--minutes", type=float, default=60, help="time for this run")
    parser.add_argument("--pairs", type=int, help="paired examples of a step, e.g. 32 on a GPU")
    parser.add_argument("--journeys", type=int, help="unpaired examples of a step")
    parser.add_argument("--export", type=Path, help="write the checkpoint's averaged network and critics there, small")
    options = parser.parse_args(argv)
    if options.export:
        export_state(options.work / CHECKPOINT, options.export)
        return 0
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    faces = FaceSet.load(shared_folder())
    space = FaceSpace.from_tables(read_tables(EMBEDDED))
    prepared = prepare(faces, options.work)
    guides = Guides(faces, space, prepared.masks, options.work / "relief.npy")
    samples = Samples(faces, prepared, space, guides)
    given = {name: getattr(options, name) for name in ("pairs", "journeys") if getattr(options, name)}
    if not (options.work / CHECKPOINT).is_file():
        shutil.copyfile(START, options.work / CHECKPOINT)
    trainer = Trainer(
        samples, replace(Plan(), **given), torch.device(options.device), options.work / CHECKPOINT, options.workers
    )
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    trainer.run(options.minutes)
    return 0


class Trainer:
    """The networks, their optimisers and what the network drew of late.

    Args:
        samples: draws the examples.
        plan: sizes and weights.
        device: what to train on.
        checkpoint: where the state is kept; training goes on from it.
        workers: threads that draw the examples of the next step; 0 draws them in between, which repeats exactly.
    """

    def __init__(self, samples: Samples, plan: Plan, device: torch.device, checkpoint: Path, workers: int = 0) -> None:
        torch.manual_seed(0)
        self._samples = samples
        self._plan = plan
        self._device = device
        self._checkpoint = checkpoint
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead: list[list[Future[Sample]]] = []
        self.network = _placed(HeadAger(), device)
        self.critics = _placed(
            nn.ModuleDict({"head": AgeCritic(5), "skin": AgeCritic(3, (32, 64, 96, 128), first=1)}), device
        )
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=get_ema_multi_avg_fn(plan.average),  # type: ignore[no-untyped-call]
        )
        self._reader: nn.Module = OnnxModule(onnx.load(str(EMBEDDED / READER))).to(device).requires_grad_(False)
        self._optimiser = torch.optim.AdamW(self.network.parameters(), plan.rate, betas=(0.9, 0.99))
        self._critic_optimiser = torch.optim.AdamW(self.critics.parameters(), plan.critic_rate, betas=(0.5, 0.99))
        self._parts: dict[str, Any] = {
            "network": self.network,
            "critics": self.critics,
            "average": self.average,
            "optimiser": self._optimiser,
            "critic_optimiser": self._critic_optimiser,
        }
        self._stopped = False
        self.step, self.taught, self.seconds = 0, 0, 0.0
        self.losses: dict[str, float] = {}
        self.memory: list[Sample] = []
        if checkpoint.is_file():
            self.load(torch.load(checkpoint, map_location=device, weights_only=True))
        self._generator = np.random.default_rng(self.step)

    def load(self, state: State) -> None:
        """Take up a saved state, or one that `export_state` made small; what it does not hold stays as it is."""
        for name, part in self._parts.items():
            if name in state:
                part.load_state_dict(state[name])
        if "network" not in state and "average" in state:
            self.network.load_state_dict(self.average.module.state_dict())
        self.step, self.taught = int(state.get("step", 0)), int(state.get("taught", 0))
        self.seconds = float(state.get("seconds", 0.0))
        for optimiser, rate in ((self._optimiser, self._plan.rate), (self._critic_optimiser, self._plan.critic_rate)):
            for group in optimiser.param_groups:
                group["lr"] = rate

    def save(self) -> None:
        """Write the state, all or nothing."""
        state: State = {name: part.state_dict() for name, part in self._parts.items()}
        part = self._checkpoint.with_suffix(".part")
        torch.save({**state, **self._progress()}, part)
        part.replace(self._checkpoint)

    def _progress(self) -> State:
        return {"step": self.step, "taught": self.taught, "seconds": self.seconds, "plan": asdict(self._plan)}

    def stop(self) -> None:
        """Let `run` save and return after the step that it is in."""
        self._stopped = True

    def run(self, minutes: float) -> None:
        """Train for so many minutes and save every few of them."""
        begun = saved = last = time.monotonic()
        while not self._stopped and time.monotonic() - begun < minutes * 60:
            for name, value in self.one_step().items():
                self.losses[name] = CURVE * self.losses.get(name, value) + (1 - CURVE) * value
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if self.step % REPORT_STEPS == 0:
                text = " ".join(f"{name} {value:.4f}" for name, value in self.losses.items())
                print(f"{time.strftime('%H:%M')} {self.seconds / 60:.1f} min step {self.step} {text}", flush=True)
            if now - saved > SAVE_SECONDS:
                saved = now
                self.save()
        self.save()

    def one_step(self) -> dict[str, float]:
        """Draw a batch, teach the critics, teach the network; returns the losses by name."""
        plan = self._plan
        paired, journeys, real = self._draw()
        adversarial = bool(journeys)
        batch = batch_of([*paired, *journeys], self._device)
        cut = len(paired)
        with autocast(self._device):
            change = self.network(batch["planes"], conditions_of(batch["male"], batch["source"], batch["target"]))
        drawn = batch["planes"][:, :3] + change.float()
        weight = 1 + 2 * torch.maximum(batch["planes"][:, 3:4], batch["planes"][:, 4:5])
        error = ((drawn - batch["photograph"]) * weight)[:cut]
        near, uneven = error.abs().mean(), edges(error)
        loss = near + plan.gradient * uneven
        measured = {"near": float(near.detach()), "edges": float(uneven.detach())}
        if adversarial:
            hinted, said = self._hint(batch, drawn, cut)
            loss = loss + hinted
            measured |= said
        if adversarial and self.step % plan.critics_every == 0:
            self.critics.requires_grad_(True)
            measured["critics"] = self._teach_critics(batch_of(real, self._device), batch, drawn.detach())
            self.taught += 1
            if self.taught > plan.critics_alone:
                self.critics.requires_grad_(False)
                judged, said = self._judge(batch, drawn, cut)
                loss = loss + judged
                measured |= said
        rate = plan.rate * min(1.0, (self.step + 1) / 50)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self._optimiser.step()
        self.average.update_parameters(self.network)
        self._remember(journeys, drawn[cut:].detach())
        self.step += 1
        return measured

    def _draw(self) -> tuple[list[Sample], list[Sample], list[Sample]]:
        """Pairs, journeys and photographs of a step; with workers, those of the next one are begun at once."""
        if self._pool is None:
            return tuple([make(self._generator) for make in makes] for makes in self._makers())  # type: ignore[return-value]
        ahead = self._ahead or self._begin()
        self._ahead = self._begin()
        return tuple([each.result() for each in futures] for futures in ahead)  # type: ignore[return-value]

    def _begin(self) -> list[list[Future[Sample]]]:
        assert self._pool is not None
        seeds = self._generator.spawn(sum(len(makes) for makes in self._makers()))
        return [[self._pool.submit(make, seeds.pop()) for make in makes] for makes in self._makers()]

    def _makers(self) -> list[list[Callable[[np.random.Generator], Sample]]]:
        """What draws each example of a step: pairs, journeys, photographs."""
        plan = self._plan
        if self.step < plan.alone:
            return [[self._pair] * plan.pairs, [], []]
        count = plan.pairs + plan.journeys
        return [[self._pair] * plan.pairs, [self._samples.journey] * plan.journeys, [self._samples.real] * count]

    def _pair(self, generator: np.random.Generator) -> Sample:
        plan = self._plan
        if self.step >= plan.rounds_from and len(self.memory) > 16 and generator.random() < plan.own_inputs:
            return self.memory[int(generator.integers(len(self.memory)))]
        return self._samples.pair(generator)

    def _remember(self, journeys: list[Sample], drawn: Tensor) -> None:
        """Keep what the network drew as inputs of pairs: from the age that was wanted back to the photograph."""
        for sample, picture in zip(journeys, drawn.clamp(-2, 2).cpu().numpy(), strict=True):
            planes = sample.planes.copy()
            planes[:3] = picture
            planes[8] = 0
            photograph = sample.planes[:3]
            back = replace(sample, planes=planes, photograph=photograph, source=sample.target, target=sample.own)
            self.memory.append(back)
        del self.memory[: -self._plan.remembered]

    def _teach_critics(self, real: dict[str, Tensor], batch: dict[str, Tensor], drawn: Tensor) -> float:
        plan, generator = self._plan, self._generator
        with autocast(self._device):
            loss = torch.zeros((), device=self._device)
            # A pair's photograph is as real as any; a journey's is real under its own age.
            true_label = label_of(real["male"], real["own"])
            wrong_label = label_of(real["male"], wrong_age(real["own"], generator))
            asked = label_of(batch["male"], batch["target"])
            for views_real, views_fake, name in self._views(real, real["photograph"], batch, drawn):
                critic = self.critics[name]
                weight = plan.skin if name == "skin" else 1.0
                _, real_said = critic(torch.cat([views_real, views_real]), torch.cat([true_label, wrong_label]))
                _, fake_said = critic(views_fake, asked)
                count = len(views_real)
                for said, fake in zip(real_said, fake_said, strict=True):
                    right, wrong = said[:count].float(), said[count:].float()
                    loss = loss + weight * (
                        functional.relu(1 - right).mean()
                        + plan.fake * functional.relu(1 + fake.float()).mean()
                        + plan.wrong_age * functional.relu(1 + wrong).mean()
                    )
        self._critic_optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._critic_optimiser.step()
        return float(loss.detach())

    def _judge(self, batch: dict[str, Tensor], drawn: Tensor, cut: int) -> tuple[Tensor, dict[str, float]]:
        """What the critics say of the drawn; pairs are compared with their photographs besides."""
        plan = self._plan
        label = label_of(batch["male"], batch["target"])
        fooled_pair = fooled = likeness = torch.zeros((), device=self._device)
        with autocast(self._device):
            for real, fake, name in self._views(batch, batch["photograph"], batch, drawn):
                critic, weight = self.critics[name], plan.skin if name == "skin" else 1.0
                features, said = critic(fake, label)
                with torch.no_grad():
                    wanted, _ = critic(real[:cut], label[:cut])
                for a, b in zip(features, wanted, strict=True):
                    likeness = likeness + weight * (a[:cut].float() - b.float()).abs().mean() / len(features)
                for verdict in said:
                    fooled_pair = fooled_pair - weight * verdict[:cut].float().mean()
                    fooled = fooled - weight * verdict[cut:].float().mean()
        loss = plan.features * likeness + plan.fooled_pair * fooled_pair + plan.fooled * fooled
        named = {"features": likeness, "fooled_pair": fooled_pair, "fooled": fooled}
        return loss, {name: float(value.detach()) for name, value in named.items()}

    def _hint(self, batch: dict[str, Tensor], drawn: Tensor, cut: int) -> tuple[Tensor, dict[str, float]]:
        """What is known of journeys without a photograph: the age that the reader shall read, hints, what stays."""
        plan = self._plan
        journey = {name: value[cut:] for name, value in batch.items()}
        result, seen = drawn[cut:], journey["planes"]
        years = (self._read_age(result, journey["head"]) - journey["target"] / 100).abs().mean()
        shift = functional.avg_pool2d((result - seen[:, :3]) * (1 - seen[:, 3:4]), 32).abs().mean()
        beside = (1 - torch.maximum(seen[:, 3:4], seen[:, 4:5]).clamp(0, 1)) * (result - seen[:, :3])
        still = beside.abs().mean()
        away = result - journey["photograph"]
        skin = seen[:, 4:5] * (1 - seen[:, 3:4])
        found = (fine(away).abs() * skin).sum((1, 2, 3)) / (1 + skin.sum((1, 2, 3)))
        relief = found @ (journey["hint"] == RELIEF).float() / len(away)
        whole = away.abs().mean((1, 2, 3)) @ (journey["hint"] == WHOLE).float() / len(away)
        loss = plan.age * years + plan.calm * shift + plan.still * still + plan.relief * relief + plan.whole * whole
        named = {"years": 100 * years, "still": still, "relief": relief, "whole": whole}
        return loss, {name: float(value.detach()) for name, value in named.items()}

    def _views(
        self, real: dict[str, Tensor], photographs: Tensor, fake: dict[str, Tensor], drawn: Tensor
    ) -> list[tuple[Tensor, Tensor, str]]:
        """What each critic sees of the real and of the drawn, varied alike (Zhao et al. 2020, DiffAugment)."""
        generator = self._generator
        views = []
        for name in ("head", "skin"):
            pair = []
            for batch, pictures in ((real, photographs), (fake, drawn)):
                if name == "head":
                    view = torch.cat([pictures, batch["planes"][:, 3:5]], 1)
                else:
                    view = unwrap(pictures, batch["nodes"])
                pair.append(vary(view, generator))
            views.append((pair[0], pair[1], name))
        return views

    def _read_age(self, pictures: Tensor, head: Tensor) -> Tensor:
        """The reader's age of varied views, (B,) centuries, differentiable."""
        generator = self._generator
        moved = head + torch.from_numpy(generator.normal(0, 1, head.shape).astype(np.float32)).to(head) * torch.tensor(
            [0.02, 0.02, 2.5], device=head.device
        )
        axis = torch.arange(READER_SIZE, dtype=torch.float32, device=head.device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        places = torch.stack([x, y, torch.ones_like(x)], -1) @ moved[:, None].transpose(-1, -2)
        view = functional.grid_sample(
            pictures, places * (2 / (SIZE - 1)) - 1, mode="bilinear", padding_mode="border", align_corners=True
        )
        if generator.random() < 0.5:
            view = view.flip(-1)
        gain = torch.from_numpy(generator.uniform(0.85, 1.1, (len(view), 1, 1, 1)).astype(np.float32)).to(view)
        noise = torch.from_numpy(generator.normal(0, 4, tuple(view.shape)).astype(np.float32)).to(view)
        shown = ((view + 2) * 64 * gain + noise).clamp(0, 255)
        return self._reader(shown)[0][:, 0]


def export_state(checkpoint: Path, out: Path) -> None:
    """Write what training can go on from, small: the averaged network and the critics in half precision.

    Args:
        checkpoint: what `Trainer.save` wrote.
        out: the file; copied to the checkpoint's place, training goes on from it.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    small = {
        name: {key: value.half() if value.is_floating_point() else value for key, value in state[name].items()}
        for name in ("average", "critics")
    }
    part = out.with_suffix(".part")
    torch.save({**small, "step": state["step"], "taught": state["taught"], "seconds": state["seconds"]}, part)
    part.replace(out)


def _placed(module: Module, device: torch.device) -> Module:
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
