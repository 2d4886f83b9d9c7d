"""Trains a small network for so many minutes and averages its weights; it goes on from its last checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.arrays import Floats

WARM_STEPS, EMA = 100, 0.998
REPORT_STEPS, CHECKPOINT_S = 50, 120


class AveragedTrainer:
    """A network and its state; read from the checkpoint if it is there.

    Args:
        network: what is trained.
        loss: of what the network makes of the first part of a batch, and the other parts.
        checkpoint: where the state is kept.
        rate: of AdamW; it rises for `WARM_STEPS` and falls to 0 in the last half of a run.
        decay: of its weights.
    """

    def __init__(
        self, network: nn.Module, loss: Callable[..., Tensor], checkpoint: Path, *, rate: float, decay: float
    ) -> None:
        self.network, self.checkpoint, self.steps = network, checkpoint, 0
        self._loss, self._rate = loss, rate
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
        if checkpoint.is_file():
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.steps = state["steps"]
            print(f"goes on at step {self.steps}", flush=True)

    def run(self, batches: Iterator[Sequence[Floats]], minutes: float) -> None:
        """Train for so many minutes."""
        start = saved = time.monotonic()
        mean = None
        first = self.steps
        while (spent := (time.monotonic() - start) / 60) < minutes:
            warm = min(1.0, (self.steps - first + 1) / WARM_STEPS)
            self.optimizer.param_groups[0]["lr"] = self._rate * warm * min(1.0, max(0.01, 2 * (1 - spent / minutes)))
            loss = self.step(next(batches))
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            if self.steps % REPORT_STEPS == 0:
                print(f"{spent:.1f} min, step {self.steps}: loss {mean:.4f}", flush=True)
            if time.monotonic() - saved > CHECKPOINT_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def step(self, batch: Sequence[Floats]) -> float:
        """One step of the network; the loss."""
        given, *rest = (torch.from_numpy(each) for each in batch)
        loss = self._loss(self.network(given), *rest)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        keep = min(EMA, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for old, now in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(now, 1 - keep)
                else:
                    old.copy_(now)
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        torch.save({name: each.state_dict() for name, each in self._parts().items()} | {"steps": self.steps}, part)
        part.replace(self.checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}
