"""Train the ager on the factory's pairs: first to agree with them, then to look like them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.arrays import Floats
from models.embedded.skin import BROWS_SPARED
from models.face.canvas import visible
from models.face.texture_space import SIZE
from models.training.editor.networks import Ager, Critic
from models.training.editor.pairs import PairFactory, Pairs, smooth_hidden
from models.training.precision import autocast
from models.training.scenes.degrade import jpeg, reduce, relight

BATCH = 8
RATE, LATE_RATE, CRITIC_RATE = 4e-4, 2e-4, 2e-3
"""Learning rates: before and beside the critic, and the critic's, which must keep ahead."""
AVERAGE = 0.998
AGREE_SHARE = 0.3
"""Share of the training before the critic joins."""
BROAD_WEIGHT, FINE_WEIGHT, FINE_WEIGHT_LATE = 15.0, 20.0, 1.0
"""Weights of the errors of the blurred and of the whole folds; the latter makes room for the critic."""
CRITIC_WEIGHT, FEATURE_WEIGHT = 0.2, 0.4
BROAD_SIGMA = 6.0
"""What is finer than this, in texture pixels, is one donor's own and cannot be foreseen: the critic's matter."""
PRIOR_FOLDS, PRIOR_RAISED = 0.75, 0.7
"""How much of the common folds the learned prior starts with; of their raised part."""
SAVE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Sample:
    """One training example, all (..., 192, 192) float32.

    Attributes:
        texture: (3, ...) RGB, 0..255.
        covered: (1, ...) what hides the skin.
        male: (1,) 0 or 1.
        folds: (1, ...) wanted change of log light.
        weights: (1, ...) where it is drawn.
    """

    texture: Floats
    covered: Floats
    male: Floats
    folds: Floats
    weights: Floats


def new_ager(common: Floats, brows: Floats) -> Ager:
    """An untrained ager, which draws the folds that the old share.

    Args:
        common: (2, 192, 192), the folds that old women and old men share.
        brows: (192, 192), the eyebrows, which get no folds.
    """
    network = Ager(SIZE)
    lines = PRIOR_FOLDS * np.where(common > 0, PRIOR_RAISED * common, common) * (1 - BROWS_SPARED * brows)
    with torch.no_grad():
        network.prior.copy_(torch.from_numpy(lines[:, None].astype(np.float32)))
    return network


class Samples:
    """Draws training examples.

    Args:
        factory: what composes the pairs.
        pairs: the accepted ones.
    """

    def __init__(self, factory: PairFactory, pairs: Pairs) -> None:
        self._factory = factory
        self._donors: dict[int, list[int]] = {}
        for face, donor in zip(pairs.face.tolist(), pairs.donor.tolist(), strict=True):
            if factory.lends(donor):
                self._donors.setdefault(face, []).append(donor)
        self._faces = np.array(sorted(self._donors))
        labels = factory.faces.labels
        dark = labels["skin_L"][self._faces] < 50
        female = labels["sex"][self._faces] == "F"
        weight = (1 + 1.0 * dark) * (1 + 0.5 * female)
        self._chance = weight / weight.sum()
        self._masks = {int(face): self._mask(int(face)) for face in self._faces}

    def draw(self, generator: np.random.Generator) -> Sample:
        """One example: a face, degraded as a webcam would, moved as a tracker would, and what becomes of it."""
        face = int(generator.choice(self._faces, p=self._chance))
        folds = self._factory.folds(int(generator.choice(self._donors[face])))
        stack = np.dstack([folds, self._masks[face].astype(np.float32) / np.float32(255)])
        texture = self._factory.textures[face]
        if generator.random() < 0.5:
            texture, stack = texture[:, ::-1], stack[:, ::-1]
        where = _jitter(generator)
        texture = cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        stack = cv2.remap(np.ascontiguousarray(stack), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = relight(texture.astype(np.float32), generator)
        if generator.random() < 0.35:
            factor = generator.uniform(1.0, 2.2)
            picture = reduce(picture, factor)
            stack[..., 0] = reduce(np.ascontiguousarray(stack[..., 0]), factor)
        if generator.random() < 0.5:
            picture += generator.normal(0, generator.uniform(1, 7), picture.shape).astype(np.float32)
        noisy = np.clip(picture, 0, 255).astype(np.uint8)
        if generator.random() < 0.3:
            noisy = jpeg(noisy, int(generator.integers(45, 92)))
        planes = stack.transpose(2, 0, 1).astype(np.float32)
        male = self._factory.faces.labels["sex"][face] == "M"
        return Sample(
            texture=noisy.transpose(2, 0, 1).astype(np.float32),
            covered=planes[1:2],
            male=np.array([male], np.float32),
            folds=planes[:1],
            weights=planes[2:],
        )

    def _mask(self, face: int) -> NDArray[np.uint8]:
        """What hides a face's skin and where change is drawn, (192, 192, 2) uint8 x 255."""
        factory = self._factory
        hidden = factory.hidden(face)
        area = factory.canvas.skin * visible(factory.space.fit(factory.faces.mesh[face])) * (1 - smooth_hidden(hidden))
        return np.round(np.dstack([hidden, area]) * 255).astype(np.uint8)


def train_ager(
    factory: PairFactory, pairs: Pairs, network: Ager, folder: Path, device: torch.device, *, minutes: float
) -> Ager:
    """Train for so many minutes of work, resuming from `folder`, and return the averaged network in evaluation mode."""
    torch.manual_seed(0)
    samples = Samples(factory, pairs)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    critic = Critic().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=(0.5, 0.99), weight_decay=1e-4)
    critic_optimiser = torch.optim.AdamW(critic.parameters(), CRITIC_RATE, betas=(0.5, 0.99))
    parts = {
        "network": network,
        "critic": critic,
        "average": average,
        "optimiser": optimiser,
        "critic_optimiser": critic_optimiser,
    }
    checkpoint = folder / "ager.pt"
    worked, step = 0.0, 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        worked, step = float(state["worked"]), int(state["step"])
    generator = np.random.default_rng(step)
    begun, saved = time.monotonic() - worked, time.monotonic()
    losses: dict[str, float] = {}
    while (worked := time.monotonic() - begun) < minutes * 60:
        done = worked / (minutes * 60)
        adversarial = done > AGREE_SHARE
        for group, rate in ((optimiser, LATE_RATE if adversarial else RATE), (critic_optimiser, CRITIC_RATE)):
            group.param_groups[0]["lr"] = rate * min(1.0, step / 100 + 0.05) * min(1.0, (1.02 - done) / 0.4)
        batch = _batch([samples.draw(generator) for _ in range(BATCH)], device)
        parts_of_loss = _step(
            batch,
            network=network,
            critic=critic,
            optimiser=optimiser,
            critic_optimiser=critic_optimiser,
            adversarial=adversarial,
        )
        average.update_parameters(network)
        for name, value in parts_of_loss.items():
            losses[name] = 0.98 * losses.get(name, value) + 0.02 * value
        step += 1
        if step % 50 == 0:
            text = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
            print(f"ager {done:.0%} step {step} {text}", flush=True)
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            _save(checkpoint, parts, worked, step)
    _save(checkpoint, parts, worked, step)
    result = average.module
    assert isinstance(result, Ager)
    return result.eval()


def _step(
    batch: dict[str, Tensor],
    *,
    network: Ager,
    critic: Critic,
    optimiser: torch.optim.Optimizer,
    critic_optimiser: torch.optim.Optimizer,
    adversarial: bool,
) -> dict[str, float]:
    texture, covered, weights = batch["texture"], batch["covered"], batch["weights"]
    with autocast(texture.device):
        folds = network(texture, covered, batch["male"])
    drawn, wanted = folds.float() * weights, batch["folds"] * weights
    error = drawn - wanted
    broad = _blur(error, BROAD_SIGMA).abs().mean()
    fine = error.abs().mean()
    loss = BROAD_WEIGHT * broad + (FINE_WEIGHT_LATE if adversarial else FINE_WEIGHT) * fine
    measured = {"broad": float(broad.detach()), "fine": float(fine.detach())}
    if adversarial:
        with autocast(texture.device):
            real, fake = critic(texture, wanted, covered)[-1], critic(texture, drawn.detach(), covered)[-1]
        verdict = functional.relu(1 - real.float()).mean() + functional.relu(1 + fake.float()).mean()
        critic_optimiser.zero_grad(set_to_none=True)
        verdict.backward()  # type: ignore[no-untyped-call]
        critic_optimiser.step()
        critic.requires_grad_(False)
        with autocast(texture.device):
            judged = critic(texture, drawn, covered)
            with torch.no_grad():
                liked = critic(texture, wanted, covered)
        critic.requires_grad_(True)
        likeness = torch.stack(
            [(a.float() - b.float()).abs().mean() for a, b in zip(judged[:-1], liked[:-1], strict=True)]
        ).mean()
        fooled = -judged[-1].float().mean()
        loss = loss + CRITIC_WEIGHT * fooled + FEATURE_WEIGHT * likeness
        measured |= {"critic": float(verdict.detach()), "features": float(likeness.detach())}
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return measured


def _blur(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur, at a quarter of the size."""
    sigma /= 4
    radius = int(3 * sigma)
    axis = torch.arange(-radius, radius + 1, dtype=torch.float32, device=x.device)
    kernel = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = functional.conv2d(functional.avg_pool2d(x, 4), kernel, padding=(0, radius), groups=x.shape[1])
    return functional.conv2d(x, kernel.transpose(2, 3), padding=(radius, 0), groups=x.shape[1])


def _batch(samples: list[Sample], device: torch.device) -> dict[str, Tensor]:
    names = ("texture", "covered", "male", "folds", "weights")
    stacked = {name: torch.from_numpy(np.stack([getattr(sample, name) for sample in samples])) for name in names}
    return {
        name: value.to(device, memory_format=torch.channels_last) if value.ndim == 4 else value.to(device)
        for name, value in stacked.items()
    }


def _jitter(generator: np.random.Generator) -> Floats:
    """Where to sample for a face whose mesh was found a little off: a small affine map and a smooth wobble."""
    axis = np.arange(SIZE, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    middle = (SIZE - 1) / 2
    matrix = np.eye(2) + generator.normal(0, 0.015, (2, 2))
    wobble = generator.normal(0, 1.0, (5, 5, 2)).astype(np.float32)
    smooth = cv2.resize(wobble, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    moved = (grid - middle) @ matrix.T.astype(np.float32) + middle + generator.normal(0, 1.0, 2) + smooth
    return np.asarray(moved, np.float32)


def _save(path: Path, parts: dict[str, torch.nn.Module | torch.optim.Optimizer], worked: float, step: int) -> None:
    part = path.with_suffix(".part")
    state = {name: value.state_dict() for name, value in parts.items()}
    torch.save({**state, "worked": worked, "step": step}, part)
    part.replace(path)
