"""Train the reader: what a head looks like now, so that the edit is the way from there to the target."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.face_space import FaceSpace
from models.head_space import HEAD_SIZE, head_picture
from models.training.data import FaceSet
from models.training.degrade import degrade
from models.training.editor_networks import ATTRIBUTES, Reader

Floats = NDArray[np.float32]

LOGITS = (1, 4, 5)
"""Attributes read as logits: male, glasses, hat."""
WEIGHTS = torch.tensor([6.0, 0.4, 1.5, 1.5, 0.3, 0.3, 0.6, 0.6])
BATCH = 64
RATE = 2e-3
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


def train_reader(faces: FaceSet, space: FaceSpace, folder: Path, device: torch.device, epochs: int = 40) -> Reader:
    """Train, or resume from `folder`, and return the averaged network in evaluation mode."""
    generator = np.random.default_rng(0)
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
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    steps = epochs * len(rows) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.1)
    checkpoint = folder / "reader.pt"
    done = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        done = int(state["done"])
    begun = time.monotonic()
    for step in range(done, steps):
        chosen = generator.choice(rows, BATCH, p=balance)
        pictures = np.stack([_view(faces, space, int(row), generator) for row in chosen])
        network.train()
        with torch.autocast(device.type, torch.bfloat16):
            read = network(_planes(pictures, device))
        loss = reader_loss(read.float(), torch.from_numpy(wanted[chosen]).to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
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
                "schedule": schedule.state_dict(),
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


def _view(faces: FaceSet, space: FaceSpace, row: int, generator: np.random.Generator | None) -> NDArray[np.uint8]:
    fit = space.fit(faces.mesh[row])
    if generator is None:
        return head_picture(faces.images[row], fit, HEAD_SIZE)
    turn = generator.normal(0, 0.05)
    scale = np.exp(generator.normal(0, 0.04))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    picture = head_picture(faces.images[row], fit, HEAD_SIZE, matrix, generator.normal(0, 4, 2))
    if generator.random() < 0.5:
        picture = picture[:, ::-1]
    return degrade(picture, generator)


def _balance(faces: FaceSet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    age, bald, grey = (np.nan_to_num(faces.labels[name][rows]) for name in ("age", "baldness", "hair_grey"))
    histogram, edges = np.histogram(age, bins=np.arange(0, 101, 10))
    weight = 1 / np.sqrt(np.maximum(histogram, 1))[np.clip(np.digitize(age, edges) - 1, 0, len(histogram) - 1)]
    weight = weight * (1 + 2 * (bald > 0.3)) * (1 + (grey > 0.5))
    return np.asarray(weight / weight.sum())


def _planes(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).to(device).float()
