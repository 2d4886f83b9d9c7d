"""The training of hair removal goes on where it stopped, and draws its pictures ahead."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.embedded.removal import CHANNELS, ERASED

torch = pytest.importorskip("torch")

from models.training.hair.networks import Critic, Removal  # noqa: E402
from models.training.hair.scenes import Sample  # noqa: E402
from models.training.hair.train import (  # noqa: E402
    RING_START,
    START,
    Trainer,
    draw_batch,
    drawn_ahead,
    load_partly,
    windowed,
)

SIDE = 64


def sample(rng: np.random.Generator, side: int = SIDE) -> Sample:
    given = rng.random((CHANNELS, side, side), np.float32)
    return Sample(given, rng.random((3, side, side), np.float32), np.ones((1, side, side), np.float32))


def stacked(rng: np.random.Generator) -> Sample:
    return Sample(*(part[None] for part in sample(rng)))


def weight(trainer: Trainer) -> Any:
    return trainer.removal.state_dict()["enter.0.weight"].clone()


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = Trainer(torch.device("cpu"), tmp_path / "removal.pt", None)
    before = weight(first)
    said = first.step(*(torch.from_numpy(part) for part in stacked(np.random.default_rng(0))))
    first.save()
    assert not torch.equal(before, weight(first))
    assert set(said) == {"absolute", "gradients", "critic"}
    second = Trainer(torch.device("cpu"), tmp_path / "removal.pt", None)
    assert second.steps == 1
    assert second.taught == 1
    assert torch.equal(weight(first), weight(second))


def test_a_run_takes_batches_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "step", lambda self, *batch: {"absolute": float(batch[0].mean())})
    trainer = Trainer(torch.device("cpu"), tmp_path / "removal.pt", None)
    taken = 0

    def batches() -> itertools.chain[Sample]:
        nonlocal taken
        taken += 1
        return itertools.chain([stacked(np.random.default_rng(0))] * 3)

    with pytest.raises(StopIteration):
        trainer.run(batches(), minutes=5, decay=0)
    assert taken == 1
    trainer.run(batches(), minutes=0, decay=0)
    assert (tmp_path / "removal.pt").is_file()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_is_drawn_differs_each_time(workers: int) -> None:
    drawn = drawn_ahead(lambda rng: rng.integers(1 << 60), workers)
    assert len({next(drawn) for _ in range(6)}) == 6
    drawn.close()


def test_workers_draw_before_they_are_asked() -> None:
    begun, places = threading.Event(), []

    def draw(rng: np.random.Generator) -> int:
        places.append(threading.current_thread())
        if len(places) > 1:
            begun.set()
        return 0

    drawn = drawn_ahead(draw, 1)
    next(drawn)
    assert begun.wait(5)
    drawn.close()
    assert threading.current_thread() not in places


def test_a_fault_of_a_worker_is_raised_where_it_is_asked() -> None:
    def draw(rng: np.random.Generator) -> int:
        raise RuntimeError("no scene")

    drawn = drawn_ahead(draw, 1)
    with pytest.raises(RuntimeError, match="no scene"):
        next(drawn)


def test_a_batch_has_as_many_windows_as_asked_and_no_two_alike() -> None:
    batch = draw_batch(lambda rng: sample(rng, 256), 3, SIDE, np.random.default_rng(0))
    assert [part.shape for part in batch] == [(3, count, SIDE, SIDE) for count in (CHANNELS, 3, 1)]
    assert not np.array_equal(batch.truth[0], batch.truth[1])


def test_a_window_is_the_same_part_of_every_plane() -> None:
    whole = sample(np.random.default_rng(0), 256)
    whole.truth[0] = np.arange(256 * 256).reshape(256, 256)
    part = windowed(whole, SIDE, np.random.default_rng(1))
    assert [each.shape[-2:] for each in part] == [(SIDE, SIDE)] * 3
    y, x = divmod(int(part.truth[0, 0, 0]), 256)
    assert np.array_equal(whole.given[:, y : y + SIDE, x : x + SIDE], part.given)


def test_a_new_critic_passes_on_what_it_sees() -> None:
    """With PyTorch's own first weights a fifth level hears a thirtieth of the first, and learns nothing of faces."""
    torch.manual_seed(0)
    features, verdicts = Critic()(torch.randn(2, 5, 128, 128))
    strengths = [float(each.detach().std()) for each in features]
    assert min(strengths) > 0.5 * max(strengths)
    assert all(0.2 < float(each.detach().std()) < 2 for each in verdicts)


def test_the_critic_learns(tmp_path: Path) -> None:
    """And with its penalty, which is taken every few steps."""
    torch.manual_seed(0)
    trainer = Trainer(torch.device("cpu"), tmp_path / "removal.pt", None)
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    generator = np.random.default_rng(1)
    told = []
    for _ in range(40):
        given = np.zeros((4, CHANNELS, SIDE, SIDE), np.float32)
        given[:, ERASED] = 1
        # photographs have grain, and what an untrained network draws has none
        truth = generator.normal(0, 0.3, (4, 3, SIDE, SIDE)).astype(np.float32)
        judged = np.ones((4, 1, SIDE, SIDE), np.float32)
        said = trainer.step(*(torch.from_numpy(part) for part in (given, truth, judged)))
        told.append(said["critic"])
    assert told[0] > 1
    # its rate is high: a verdict may leap back for some steps
    assert np.mean(np.sort(told[-15:])[:5]) < 0.45


@pytest.mark.parametrize("start", [START, RING_START])
def test_a_training_begins_with_weights_that_fit(start: Path) -> None:
    network = Removal()
    load_partly(network, torch.load(start, map_location="cpu", weights_only=True))
    assert any(bool((part != 0).any()) for part in network.leave.parameters())
