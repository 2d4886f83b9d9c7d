"""A training run that can be stopped: batches by the number of the step, checkpoints, sheets of samples."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.arrays import Image
from models.training.translation.pictures import DataError
from models.weights.checkpoints import CheckpointError, read

Precision = Literal["f32", "bf16", "f16"]
AHEAD = 4
"""Batches that are read while the network trains."""
PACE_SECONDS = 30.0
"""Between two lines about how fast a run is."""
SHEET_CELL = 192
"""Side of a picture on a sheet in pixels."""

Clock = Callable[[], float]
Load = Callable[[np.random.Generator], tuple[Tensor, ...]]
"""Draws one batch."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often.

    Attributes:
        steps: in all.
        seconds: of this run; 0 for no bound. A later run goes on.
        save_every: steps between checkpoints and sheets.
        seed: of batches and weights.
    """

    steps: int
    seconds: float = 0.0
    save_every: int = 500
    seed: int = 0


G = TypeVar("G", bound=nn.Module)
C = TypeVar("C", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Adversaries(Generic[G, C]):
    """A generator and its critic, each with its optimiser."""

    generator: G
    critic: C
    of_generator: torch.optim.Optimizer
    of_critic: torch.optim.Optimizer

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds of them, by name."""
        return {
            "generator": self.generator,
            "critic": self.critic,
            "of_generator": self.of_generator,
            "of_critic": self.of_critic,
        }


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does.

    Attributes:
        load: draws a batch.
        step: trains on the number of a step and its batch, from 0; returns what is worth telling, None where nothing
            is.
        measure: what that is, in words.
        sheet: draws the rows of a sheet of samples, each some pictures.
        optimisers: whose rate falls in the second half.
        rate: their rate in the first half.
    """

    load: Load
    step: Callable[[int, tuple[Tensor, ...]], float | None]
    measure: str
    sheet: Callable[[], list[list[Image]]]
    optimisers: tuple[torch.optim.Optimizer, ...]
    rate: float


class Pace:
    """How fast a run is, said every `PACE_SECONDS`: a processor may take days for what a GPU does in an hour.

    Args:
        done: steps at its start.
        steps: in all.
        clock: seconds.
    """

    def __init__(self, done: int, steps: int, clock: Clock) -> None:
        self._first, self._steps, self._clock = done, steps, clock
        self._begun = self._told = clock()

    def line(self, done: int) -> str:
        """Seconds a step and the time that is left, in words; "" where it was said a short time ago."""
        now = self._clock()
        if now - self._told < PACE_SECONDS:
            return ""
        self._told = now
        each = (now - self._begun) / (done - self._first)
        minutes = each * (self._steps - done) / 60
        left = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
        return f"{each:.2f} s a step, about {left} to the last one"


class Run:
    """Networks and optimisers that are kept in one file.

    Args:
        folder: where `checkpoint.pt` and the sheets lie.
        facts: what the run depends on; a checkpoint of other facts is refused.
        parts: everything with a `state_dict`, by name.
        device: where the networks are.
        precision: of their products; sums and weights stay in FP32.

    Raises:
        CheckpointError: the folder holds a run of something else, or a damaged file.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        parts: Mapping[str, Any],
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.folder, self.facts, self.device = folder, dict(facts), device
        self._precision: Precision = precision
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "f16")
        self._parts = {**parts, "scaler": self.scaler}
        self.done = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def autocast(self) -> torch.autocast:
        """The context in which networks run forwards."""
        dtype = torch.float16 if self._precision == "f16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self._precision != "f32")

    def descend(self, loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
        """One step down a loss."""
        optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimiser)
        self.scaler.update()

    def train(self, plan: Plan, work: Work, clock: Clock = time.monotonic) -> None:
        """Take every step that is left, until the plan's end or its time is up; keep checkpoints and sheets.

        Args:
            plan: how long.
            work: what to do.
            clock: seconds, of which the plan has so many.

        Raises:
            SystemExit: SIGINT (Ctrl-C) or SIGTERM came; the step was ended and the checkpoint is written.
        """
        if self.done >= plan.steps:
            print(f"all {plan.steps} steps were taken in {self.folder} before", flush=True)
        said = float("nan")
        pace = Pace(self.done, plan.steps, clock)
        with _signals() as stopped:
            for step, batch in self._batches(plan, work.load, clock):
                set_rate(work.optimisers, work.rate, step / plan.steps)
                found = work.step(step, batch)
                said = said if found is None else found
                self.done = step + 1
                if stopped:
                    break
                if self.done % plan.save_every == 0:
                    self.save()
                    sheet = self.sheet(work.sheet())
                    print(f"step {self.done}/{plan.steps}: {work.measure} {said:.4f}; {sheet}", flush=True)
                elif words := pace.line(self.done):
                    print(f"step {self.done}/{plan.steps}: {work.measure} {said:.4f}; {words}", flush=True)
            self.save()
        if stopped:
            print(f"stopped after step {self.done}/{plan.steps}; the same command goes on", flush=True)
            raise SystemExit(128 + stopped[0])
        self.sheet(work.sheet())

    def _batches(self, plan: Plan, load: Load, clock: Clock) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """Number and batch of every step that is left.

        The batch of a step depends on its number and the seed alone, so a run that was stopped sees the same ones.
        """
        begun = clock()

        def batch(step: int) -> tuple[Tensor, ...]:
            return load(np.random.default_rng((plan.seed, step)))

        with ThreadPoolExecutor(1) as reader:
            ahead = {step: reader.submit(batch, step) for step in range(self.done, min(self.done + AHEAD, plan.steps))}
            for step in range(self.done, plan.steps):
                if plan.seconds and clock() - begun > plan.seconds:
                    break
                now = ahead.pop(step).result()
                if step + AHEAD < plan.steps:
                    ahead[step + AHEAD] = reader.submit(batch, step + AHEAD)
                yield step, tuple(part.to(self.device, non_blocking=True) for part in now)
            for waiting in ahead.values():
                waiting.cancel()

    def save(self) -> None:
        """Write the checkpoint, as a whole file."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        part = self.folder / "checkpoint.part"
        torch.save({"facts": self.facts, "done": self.done, **state}, part)
        part.replace(self.folder / "checkpoint.pt")

    def sheet(self, rows: list[list[Image]]) -> Path:
        """Write a sheet of samples, one row a face, under the number of the step."""
        path = self.folder / f"samples_{self.done:07}.jpg"
        cells = [np.hstack([cv2.resize(each, (SHEET_CELL, SHEET_CELL)) for each in row]) for row in rows]
        cv2.imwrite(str(path), np.vstack(cells)[..., ::-1])
        return path

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        state = read(path)
        if not isinstance(state, dict) or state.get("facts") != self.facts:
            had = state.get("facts", {}) if isinstance(state, dict) else {}
            differ = ", ".join(name for name in self.facts if had.get(name) != self.facts[name]) or "another kind"
            raise CheckpointError(
                f"{path} is of a run of other {differ}: name another folder with --work, or remove it"
            )
        for name, part in self._parts.items():
            if part is not self.scaler or state[name]:  # a scaler that was off has no state
                part.load_state_dict(state[name])
        self.done = int(state["done"])


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals to stop that came; a second one does what it did before. Outside the main thread none is caught."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """A network that what is descended meanwhile leaves as it is."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def set_rate(optimisers: Iterable[torch.optim.Optimizer], rate: float, done: float) -> None:
    """Set the rate of a step: constant for the first half of a run, then falling linearly to 0.

    Args:
        optimisers: of the run.
        rate: at its start.
        done: share of the run that is behind.
    """
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - done))


def to_tensor(images: list[Image]) -> Tensor:
    """(N, S, S, 3) uint8 RGB as (N, 3, S, S) float32 in [-1, 1]."""
    planes: NDArray[np.uint8] = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float() / 127.5 - 1


def to_picture(planes: Tensor) -> Image:
    """(3, S, S) in [-1, 1] as (S, S, 3) uint8 RGB."""
    scaled = ((planes.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).numpy())


def pick_device(name: str) -> torch.device:
    """A device by name, or the GPU where there is one.

    Raises:
        DataError: there is no such device, or it is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise DataError(f"a device is auto, cpu or cuda, not {name!r}")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DataError(f"no GPU {name} that PyTorch can use is here: --device cpu")
    return device


def initialise(network: nn.Module, spread: float = 0.02) -> None:
    """Draw the weights of convolutions from N(0, spread), those of norms from N(1, spread) (Isola et al. 2017)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, spread)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, spread)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
