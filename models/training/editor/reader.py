"""Train the reader: what a head looks like now, so that the edit is the way from there to the target."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.arrays import Floats
from models.embedded.attributes import ATTRIBUTES
from models.face.head_space import HEAD_SIZE, head_picture
from models.face.texture_space import FaceSpace
from models.training.data import FaceSet
from models.training.editor.networks import Reader
from models.training.precision import autocast
from models.training.scenes.degrade import degrade

LOGITS = (1, 4, 5)
"""Attributes read as logits: male, glasses, hat."""
WEIGHTS = torch.tensor([6.0, 0.4, 1.5, 1.5, 0.3, 0.3, 0.6, 0.6])
BATCH = 64
RATES = (2e-3, 1e-3)
"""Highest learning rates of the first round and of the second, whose views are darker and poorer."""
POOR = 1.7
"""Strength of the second round's degradations."""
DIM_SHARE, DIM = 0.3, (0.15, 0.7)
"""Share of the second round's views that are dimmed before the noise, and to what fraction of the light."""
AVERAGE = 0.995
"""Decay of the weights' moving average."""


def targets(faces: FaceSet) -> Floats:
    """What the reader should say of each portrait, (N, 8) float32, NaN where it is unknown."""
    labels = faces.labels
    grey = np.where(labels["baldness"] > 0.9, np.nan, labels["hair_grey"])
    columns = {
        "age": labels["age"] / 100,
        "male": (labels["sex"] == "M").astype(np.float32),
        "bald": np.where(labels["age"] < 16, np.nan, labels["baldness"]),
        "grey": grey,
        "glasses": labels["glasses"],
        "hat": labels["hat"],
        "smile": labels["smile"],
        "skin": labels["skin_L"] / 100,
    }
    return np.stack([columns[name] for name in ATTRIBUTES], 1).astype(np.float32)


def train_reader(
    faces: FaceSet, space: FaceSpace, folder: Path, device: torch.device, epochs: tuple[int, int] = (30, 22)
) -> Reader:
    """Train, or resume from `folder`, and return the averaged network in evaluation mode.

    Args:
        faces: the portraits.
        space: the texture square, which places the head.
        folder: where `reader.pt` is kept.
        device: what to train on.
        epochs: length of the first round, mild views, and of the second, dim and poor ones.
    """
    torch.manual_seed(0)
    rows = faces.split("train")
    wanted = targets(faces)
    balance = _balance(faces, rows)
    network = Reader().to(device)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimiser = torch.optim.AdamW(network.parameters(), RATES[0], weight_decay=0.05)
    first, steps = (count * len(rows) // BATCH for count in (epochs[0], sum(epochs)))
    checkpoint = folder / "reader.pt"
    done = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        done = int(state["done"])
    generator = np.random.default_rng(done)
    begun = time.monotonic()
    for step in range(done, steps):
        late = step >= first
        share = (step - first) / (steps - first) if late else step / first
        for group in optimiser.param_groups:
            group["lr"] = RATES[late] * min(1.0, share / 0.1 + 0.04) * 0.5 * (1 + math.cos(math.pi * share))
        chosen = generator.choice(rows, BATCH, p=balance)
        pictures = np.stack([_view(faces, space, int(row), generator, poor=late) for row in chosen])
        network.train()
        with autocast(device):
            read = network(_planes(pictures, device))
        loss = reader_loss(read.float(), torch.from_numpy(wanted[chosen]).to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        average.update_parameters(network)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            average.eval()
            print(
                f"reader {step + 1}/{steps} loss {loss.item():.3f} {describe(average, faces, space, device)}", end=" "
            )
            print(f"{time.monotonic() - begun:.0f} s", flush=True)
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "done": step + 1,
            }
            torch.save(state, checkpoint)
    result = average.module
    assert isinstance(result, Reader)
    return result.eval()


def reader_loss(read: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of the measured attributes, cross entropy of the flags, unknown targets left out."""
    known = ~torch.isnan(wanted)
    wanted = torch.where(known, wanted, torch.zeros_like(wanted))
    error = (read - wanted).abs()
    flags = list(LOGITS)
    error[:, flags] = functional.binary_cross_entropy_with_logits(read[:, flags], wanted[:, flags], reduction="none")
    return (error * known * WEIGHTS.to(read.device)).sum() / len(read)


def describe(network: torch.nn.Module, faces: FaceSet, space: FaceSpace, device: torch.device) -> str:
    """Mean absolute errors (flags: share of wrong ones) on `val`, as text."""
    rows = faces.split("val")
    pictures = np.stack([_view(faces, space, int(row), None) for row in rows])
    with torch.no_grad():
        read = network(_planes(pictures, device)).float().cpu().numpy()
    wanted = targets(faces)[rows]
    read[:, list(LOGITS)] = read[:, list(LOGITS)] > 0
    errors = np.nanmean(np.abs(read - wanted), 0)
    return " ".join(f"{name} {error:.3f}" for name, error in zip(ATTRIBUTES, errors, strict=True))


def _view(
    faces: FaceSet, space: FaceSpace, row: int, generator: np.random.Generator | None, *, poor: bool = False
) -> NDArray[np.uint8]:
    fit = space.fit(faces.mesh[row])
    if generator is None:
        return head_picture(faces.images[row], fit, HEAD_SIZE)
    turn = generator.normal(0, 0.05)
    scale = np.exp(generator.normal(0, 0.04))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    picture = head_picture(faces.images[row], fit, HEAD_SIZE, matrix, generator.normal(0, 4, 2))
    if generator.random() < 0.5:
        picture = picture[:, ::-1]
    if not poor:
        return degrade(picture, generator)
    if generator.random() < DIM_SHARE:
        picture = np.asarray(picture * generator.uniform(*DIM), np.uint8)
    return degrade(picture, generator, POOR)


def _balance(faces: FaceSet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    age, bald, grey = (np.nan_to_num(faces.labels[name][rows]) for name in ("age", "baldness", "hair_grey"))
    histogram, edges = np.histogram(age, bins=np.arange(0, 101, 10))
    weight = 1 / np.sqrt(np.maximum(histogram, 1))[np.clip(np.digitize(age, edges) - 1, 0, len(histogram) - 1)]
    weight = weight * (1 + 2 * (bald > 0.3)) * (1 + (grey > 0.5))
    return np.asarray(weight / weight.sum())


def _planes(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).to(device).float()
