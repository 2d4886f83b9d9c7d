"""`python -m models.training pix2pix PAIRS/ --name NAME`: a translation of faces, and the editor that shows it live.

PAIRS/ holds folders A and B with pictures of equal names, or pictures with both halves side by side. For a live editor
they are faces cut out as the stream cuts them (`python -m stream.align PHOTO FACE.png`). A run that is stopped goes on
when it is started again; at its end the network is exported and the catalog has a row of that name.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.arrays import Image
from models.perceptual.vgg16 import Vgg16, load_vgg16
from models.published.pix2pix.conversion import write_unet
from models.published.pix2pix.network import UNet
from models.training.pix2pix.losses import (
    RECIPES,
    Patches,
    Recipe,
    adversary_loss,
    clip_weights,
    generator_loss,
)
from models.training.translation.command import (
    add_run_options,
    install,
    plan_of,
    refuse_faults,
    run_command,
    start_run,
)
from models.training.translation.loop import (
    Adversaries,
    Clock,
    Run,
    Work,
    frozen,
    initialise,
    pick_device,
    to_picture,
    to_tensor,
)
from models.training.translation.pictures import (
    LEAST,
    DataError,
    Faults,
    Pair,
    check_pairs,
    digest_of,
    find_pairs,
    read_pair,
)

SHOWN = 4
"""Pairs on a sheet."""
HELD_SHARE = 0.1
"""Share of the pairs that training never sees, at most 20; of fewer than 10 pairs none."""
MOST_HELD = 20

Networks = Adversaries[UNet, Patches]


def main(argv: Sequence[str]) -> int:
    """Train, export, put into the catalog.

    Returns:
        0; 1 where the data or the folder is refused, the message says what is wrong.
    """
    return run_command(train, parse(argv))


def train(options: argparse.Namespace) -> str:
    """Train on the pairs of a folder and install the result.

    Returns:
        How far it is from the pairs, in words.
    """
    pairs = _pairs(options.pairs, skip=options.skip_bad)
    run, generator, error = learn(options, pairs)
    description = f"Trained on {len(pairs)} pairs, {run.done} steps."
    install(options, partial(write_unet, generator.cpu().eval()), kind="pix2pix", description=description)
    return f"mean absolute difference {error:.4f} of 2"


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
    networks = Adversaries(generator, critic, recipe.optimiser(generator, rate), recipe.optimiser(critic, rate))
    facts = {name: getattr(options, name) for name in ("preset", "width", "batch", "steps")}
    facts |= {"rate": rate, "pairs": digest_of(file for pair in pairs for file in (pair.source, pair.target))}
    run = start_run(options, "pix2pix", facts, networks.parts, device)
    vgg = load_vgg16(options.vgg).to(device) if options.vgg else None
    if recipe.features and vgg is None:
        print("without --vgg the feature loss of this preset is left out", file=sys.stderr)
    work = Work(
        load=partial(_batch, shown, recipe, options.batch),
        step=partial(_step, run, networks, (recipe, vgg)),
        measure="mean absolute difference",
        sheet=partial(_sheet, generator, held or shown, recipe, device),
        optimisers=(networks.of_generator, networks.of_critic),
        rate=rate,
    )
    run.train(plan_of(options), work, clock)
    return run, generator, measure(generator, held or shown, recipe, device)


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


def _step(
    run: Run, networks: Networks, losses: tuple[Recipe, Vgg16 | None], step: int, batch: tuple[Tensor, ...]
) -> float:
    recipe, vgg = losses
    generator, critic, (source, target) = networks.generator, networks.critic, batch
    with run.autocast():
        drawn = generator(source, *_dropout(generator, source))
        loss = adversary_loss(recipe, critic(source, target), critic(source, drawn.detach()))
    run.descend(loss, networks.of_critic)
    if recipe.adversary == "wasserstein":
        clip_weights(critic)
    with frozen(critic):
        with run.autocast():
            judged = critic(source, drawn)
        loss, pixels = generator_loss(recipe, judged, drawn, target, vgg)
        run.descend(loss, networks.of_generator)
    return float(pixels)


def _dropout(generator: UNet, source: Tensor) -> list[Tensor]:
    """Units that are kept, 0 or 2 with equal chance, as the network takes them."""
    sides = [side * source.shape[-1] // generator.size for side in generator.dropouts]
    shapes = [(len(source), generator.channels, side, side) for side in sides]
    return [2.0 * torch.randint(0, 2, shape, device=source.device) for shape in shapes]


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
    refuse_faults(faults, skip=skip)
    if len(pairs) < LEAST:
        raise DataError(f"{folder} has {len(pairs)} usable pairs; at least {LEAST} are needed")
    return pairs


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="python -m models.training pix2pix", description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, help="folders A and B, or pictures with both halves side by side")
    parser.add_argument("--preset", choices=RECIPES, default="pix2pix", help="losses and size of the pictures")
    parser.add_argument("--vgg", type=Path, help="torchvision's vgg16-397923af.pth, for the preset couple")
    add_run_options(parser, "pix2pix", batch=1, rate=None, save_every=500)
    return parser.parse_args(argv)
