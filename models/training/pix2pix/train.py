"""`python -m models.training pix2pix PAIRS/ --name NAME`: a translation of faces, and the editor that shows it live.

PAIRS/ holds folders A and B with pictures of equal names, or pictures with both halves side by side. For a live editor
they are faces cut out as the stream cuts them (`python -m stream.align PHOTO FACE.png`). A run that is stopped goes on
when it is started again; at its end the network is exported and the catalog has a row of that name.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.arrays import Image
from models.perceptual.vgg16 import Vgg16, load_vgg16
from models.published.pix2pix.conversion import write_unet
from models.published.pix2pix.network import UNet
from models.trained import FACTS, NAME, Facts, trained_folder
from models.training.data import WORK
from models.training.pix2pix.losses import (
    RECIPES,
    Patches,
    Recipe,
    adversary_loss,
    clip_weights,
    generator_loss,
)
from models.training.translation.loop import Clock, Plan, Run, initialise, pick_device, set_rate, to_picture, to_tensor
from models.training.translation.pictures import (
    LEAST,
    DataError,
    Faults,
    Pair,
    check_pairs,
    find_pairs,
    read_pair,
)
from models.weights.checkpoints import CheckpointError

SHOWN = 4
"""Pairs on a sheet."""
HELD_SHARE = 0.1
"""Share of the pairs that training never sees, at most 20; of fewer than 10 pairs none."""
MOST_HELD = 20


@dataclass(frozen=True, slots=True)
class Models:
    """What a run trains, and what it trains by."""

    recipe: Recipe
    generator: UNet
    critic: Patches
    of_generator: torch.optim.Optimizer
    of_critic: torch.optim.Optimizer
    vgg: Vgg16 | None


def main(argv: Sequence[str]) -> int:
    """Train, export, put into the catalog.

    Returns:
        0; 1 where the data or the folder is refused, the message says what is wrong.
    """
    options = parse(argv)
    try:
        if not re.fullmatch(NAME, options.name):
            raise DataError(f"a name is small letters, digits and -, not {options.name!r}")
        pairs = _pairs(options.pairs, skip=options.skip_bad)
        error = train(options, pairs)
    except (DataError, CheckpointError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(
        f"{options.name}: mean absolute difference {error:.4f} of 2; choose it in the page, or --editor {options.name}"
    )
    return 0


def train(options: argparse.Namespace, pairs: Sequence[Pair]) -> float:
    """Train on pairs and install the result.

    Returns:
        Mean absolute difference, see `learn`.
    """
    run, generator, error = learn(options, pairs)
    description = f"Trained on {len(pairs)} pairs, {run.done} steps."
    install(generator.cpu().eval(), options, RECIPES[options.preset].size, description)
    return error


def learn(options: argparse.Namespace, pairs: Sequence[Pair], clock: Clock = time.monotonic) -> tuple[Run, UNet, float]:
    """Train on pairs.

    Args:
        options: of the command, see `parse`.
        pairs: all of them; some are held out.
        clock: seconds, for `--minutes`.

    Returns:
        The run, the network, and the mean absolute difference on the held-out pairs, on the training's own where none
        is held out; pictures in [-1, 1].
    """
    recipe, device = RECIPES[options.preset], pick_device(options.device)
    torch.manual_seed(options.seed)
    held, shown = split(pairs)
    generator, critic = recipe.generator(options.width).to(device), Patches(options.width).to(device)
    initialise(generator)
    initialise(critic)
    rate = options.rate or recipe.rate
    optimisers = recipe.optimiser(generator, rate), recipe.optimiser(critic, rate)
    plan = Plan(options.steps, 60 * options.minutes, options.save_every, options.seed)
    parts = {"generator": generator, "critic": critic, "of_generator": optimisers[0], "of_critic": optimisers[1]}
    facts = {
        "preset": options.preset,
        "width": options.width,
        "rate": rate,
        "batch": options.batch,
        "pairs": len(pairs),
        "steps": options.steps,
    }
    work = options.work or WORK / "pix2pix" / options.name
    run = Run(work, facts, parts, device, options.precision)
    vgg = load_vgg16(options.vgg).to(device) if options.vgg else None
    if recipe.features and vgg is None:
        print("without --vgg the feature loss of this preset is left out", file=sys.stderr)

    models = Models(recipe, generator, critic, optimisers[0], optimisers[1], vgg)
    for step, (source, target) in run.batches(plan, partial(_batch, shown, recipe, options.batch), clock):
        set_rate(optimisers, rate, step / plan.steps)
        pixels = _step(run, models, source, target)
        if (step + 1) % plan.save_every == 0:
            run.done = step + 1
            run.save()
            sheet = run.sheet(_sheet(generator, held or shown, recipe, device))
            print(f"step {step + 1}/{plan.steps}: mean absolute difference {pixels:.4f}; {sheet}", flush=True)
    run.save()
    run.sheet(_sheet(generator, held or shown, recipe, device))
    error = measure(generator, held or shown, recipe, device)
    return run, generator, error


def split(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs that are held out, and those to train on."""
    count = min(int(len(pairs) * HELD_SHARE), MOST_HELD)
    places = set(np.linspace(0, len(pairs) - 1, count).astype(int).tolist()) if count else set()
    return [pair for place, pair in enumerate(pairs) if place in places], [
        pair for place, pair in enumerate(pairs) if place not in places
    ]


def measure(generator: UNet, pairs: Sequence[Pair], recipe: Recipe, device: torch.device) -> float:
    """Mean absolute difference between translations and targets, both in [-1, 1], without dropout."""
    errors = []
    with torch.inference_mode():
        for pair in pairs:
            source, target = (to_tensor([half]).to(device) for half in read_halves(pair, recipe))
            errors.append(float((generator(source) - target).abs().mean()))
    return float(np.mean(errors))


def install(generator: UNet, options: argparse.Namespace, size: int, description: str) -> None:
    """Export the network, and write what makes it an editor of the catalog."""
    folder = trained_folder(options.name)
    folder.mkdir(parents=True, exist_ok=True)
    write_unet(generator, folder)
    title = options.title or options.name.replace("-", " ").capitalize()
    facts = Facts(kind="pix2pix", title=title, description=description, size=size)
    (folder / FACTS).write_text(facts.model_dump_json(indent=1), encoding="utf-8")


def _step(run: Run, models: Models, source: Tensor, target: Tensor) -> float:
    recipe, generator, critic = models.recipe, models.generator, models.critic
    with run.autocast():
        drawn = generator(source, *_dropout(generator, source))
        loss = adversary_loss(recipe, critic(source, target), critic(source, drawn.detach()))
    run.descend(loss, models.of_critic)
    if recipe.adversary == "wasserstein":
        clip_weights(critic)
    _freeze(critic, frozen=True)
    with run.autocast():
        judged = critic(source, drawn)
    loss, pixels = generator_loss(recipe, judged, drawn, target, models.vgg)
    run.descend(loss, models.of_generator)
    _freeze(critic, frozen=False)
    return float(pixels)


def _dropout(generator: UNet, source: Tensor) -> list[Tensor]:
    """Units that are kept, 0 or 2 with equal chance, as the network takes them."""
    sides = [side * source.shape[-1] // generator.size for side in generator.dropouts]
    shapes = [(len(source), generator.channels, side, side) for side in sides]
    return [2.0 * torch.randint(0, 2, shape, device=source.device) for shape in shapes]


def _freeze(network: nn.Module, *, frozen: bool) -> None:
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)


def _batch(pairs: Sequence[Pair], recipe: Recipe, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    sources, targets = [], []
    for pair in random.choice(len(pairs), count):
        halves = read_pair(pairs[pair], recipe.jitter, input_right=recipe.input_right)
        top, left = random.integers(0, recipe.jitter - recipe.size + 1, 2)
        mirror = recipe.mirror and random.random() < 0.5
        cut = [half[top : top + recipe.size, left : left + recipe.size] for half in halves]
        source, target = [half[:, ::-1] for half in cut] if mirror else cut
        sources.append(source)
        targets.append(target)
    return to_tensor(sources), to_tensor(targets)


def read_halves(pair: Pair, recipe: Recipe) -> tuple[Image, Image]:
    """What is read and what is wanted, at the recipe's size, each (S, S, 3) uint8 RGB."""
    return read_pair(pair, recipe.size, input_right=recipe.input_right)


def _sheet(generator: UNet, pairs: Sequence[Pair], recipe: Recipe, device: torch.device) -> list[list[Image]]:
    """What is read, what is drawn, what is wanted."""
    rows = []
    for pair in pairs[:SHOWN]:
        source, target = read_halves(pair, recipe)
        with torch.inference_mode():
            drawn = generator(to_tensor([source]).to(device))[0]
        rows.append([source, to_picture(drawn), target])
    return rows


def _pairs(folder: Path, *, skip: bool) -> list[Pair]:
    faults = Faults()
    pairs = check_pairs(find_pairs(folder, faults), faults)
    if faults and not skip:
        raise DataError(f"{faults} (--skip-bad trains on the rest)")
    if faults:
        print(f"left out: {faults}", file=sys.stderr)
    if len(pairs) < LEAST:
        raise DataError(f"{folder} has {len(pairs)} usable pairs; at least {LEAST} are needed")
    return pairs


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="python -m models.training pix2pix", description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folders A and B, or pictures with both halves side by side")
    parser.add_argument("--name", required=True, help="what the editor is called in settings")
    parser.add_argument("--title", help="what the page calls it")
    parser.add_argument("--preset", choices=RECIPES, default="pix2pix", help="losses and size of the pictures")
    parser.add_argument("--vgg", type=Path, help="torchvision's vgg16-397923af.pth, for the preset couple")
    parser.add_argument("--steps", type=int, default=200_000, help="batches in all")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so many; a later run goes on")
    parser.add_argument("--batch", type=int, default=1, help="pairs in a batch")
    parser.add_argument(
        "--width", type=int, default=64, help="channels of the first layer; 64 is the published network"
    )
    parser.add_argument("--rate", type=float, help="of the optimisers; by default the preset's")
    parser.add_argument("--precision", choices=("f32", "bf16", "f16"), default="f32")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--work", type=Path, help="folder of checkpoints and sheets; by default .work/pix2pix/NAME")
    parser.add_argument("--save-every", type=int, default=500, help="steps between checkpoints and sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-bad", action="store_true", help="leave bad pairs out instead of refusing them all")
    return parser.parse_args(argv)
