"""`python -m models.training stargan IMAGES/ LABELS.csv --name NAME`: translation by labels, and its live editor.

One set of labelled pictures, or two (`--second IMAGES2/ LABELS2.csv`): a mask behind the label then tells the network
which set a label is of, as in the paper. For a live editor the pictures are faces cut out as CelebA's. A run that is
stopped goes on when it is started again; at its end the catalog has a row of that name.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.arrays import Image
from models.editor import Controls
from models.face.pictures import read_file
from models.published.stargan.network import Discriminator, Generator, LabelReader
from models.training.stargan.losses import CRITIC_STEPS, PENALTY, critic_loss, generator_loss, gradient_penalty
from models.training.translation.command import (
    add_run_options,
    at_least,
    install,
    plan_of,
    refuse_faults,
    run_command,
    start_run,
)
from models.training.translation.loop import Adversaries, Run, Work, frozen, pick_device, to_picture, to_tensor
from models.training.translation.pictures import (
    DataError,
    Faults,
    LabelledSet,
    digest_of,
    read_labelled,
    require_classes,
    sized,
)
from models.weights.export import random_picture, write_network

MIRROR = 0.5
SHOWN = 4
"""Faces on a sheet."""

Networks = Adversaries[Generator, Discriminator]


@dataclass(frozen=True, slots=True)
class Sets:
    """One or two labelled sets, and where their labels lie among the generator's.

    Attributes:
        data: the sets.
        exclusive: groups of labels of which one holds at a time, by name.
    """

    data: tuple[LabelledSet, ...]
    exclusive: tuple[tuple[str, ...], ...]

    @property
    def labels(self) -> int:
        """How many labels there are in all."""
        return sum(len(part.names) for part in self.data)

    @property
    def size(self) -> int:
        """Length of the generator's label: with two sets, the mask behind it."""
        return self.labels + (len(self.data) if len(self.data) > 1 else 0)

    def span(self, which: int) -> tuple[int, int]:
        """[first, end) of the labels of one set."""
        first = sum(len(part.names) for part in self.data[:which])
        return first, first + len(self.data[which].names)

    def code(self, which: int, labels: Tensor) -> Tensor:
        """Labels (N, L) of one set as the generator takes them, (N, size)."""
        code = torch.zeros(len(labels), self.size, device=labels.device)
        first, end = self.span(which)
        code[:, first:end] = labels
        if len(self.data) > 1:
            code[:, self.labels + which] = 1
        return code


def main(argv: Sequence[str]) -> int:
    """Train, export, put into the catalog.

    Returns:
        0; 1 where the data or the folder is refused, the message says what is wrong.
    """
    return run_command(train, _parser().parse_args(argv))


def train(options: argparse.Namespace) -> str:
    """Train on labelled sets and install the result.

    Returns:
        How long it was trained, in words.
    """
    if options.size % 4 or options.size >> options.halvings < 1:
        raise DataError(f"--size is a multiple of 4 and at least {1 << options.halvings}, not {options.size}")
    sets, device = _sets(options), pick_device(options.device)
    torch.manual_seed(options.seed)
    generator = Generator(sets.size, options.width, options.blocks).to(device)
    critic = Discriminator(options.size, sets.labels, options.width, options.halvings).to(device)
    optimisers = [
        torch.optim.Adam(network.parameters(), options.rate, betas=(0.5, 0.999)) for network in (generator, critic)
    ]
    networks = Adversaries(generator, critic, *optimisers)
    facts = {name: getattr(options, name) for name in ("size", "width", "blocks", "halvings", "rate", "batch", "steps")}
    facts |= {
        "labels": [[*part.names, sha256(part.labels.tobytes()).hexdigest()] for part in sets.data],
        "pictures": [digest_of(part.files) for part in sets.data],
    }
    run = start_run(options, "stargan", facts, networks.parts, device)
    work = Work(
        load=partial(_batch, sets, options.size, options.batch),
        step=partial(_step, run, sets, networks),
        measure="there and back",
        sheet=partial(_sheet, generator, sets, options.size, device),
        optimisers=(networks.of_generator, networks.of_critic),
        rate=options.rate,
    )
    run.train(plan_of(options), work)
    generator.cpu().eval()
    critic.cpu().eval()
    install(
        options,
        partial(_write, networks, sets, options.size),
        kind="stargan",
        description=f"Trained on {sum(len(part.files) for part in sets.data)} pictures, {run.done} steps.",
        labels=tuple(tuple(control_name(name) for name in part.names) for part in sets.data),
        exclusive=tuple(tuple(map(control_name, group)) for group in sets.exclusive),
        shares=tuple(float(share) for part in sets.data for share in part.labels.mean(0)),
    )
    return f"{run.done} steps"


def _write(networks: Networks, sets: Sets, size: int, folder: Path) -> None:
    """Export both networks."""
    picture = random_picture(size)
    example = {"image": picture, "label": torch.rand(1, sets.size)}
    write_network(networks.generator, example, ["translated"], folder / "generator.onnx")
    write_network(LabelReader(networks.critic), {"image": picture}, ["label"], folder / "labels.onnx")


def control_name(label: str) -> str:
    """The name of a label's control: the label, or one that no attribute of `Controls` has ("neutral")."""
    return f"{label}_face" if hasattr(Controls, label) else label


def _step(run: Run, sets: Sets, networks: Networks, step: int, batch: tuple[Tensor, ...]) -> float | None:
    """One step of the critic, and of the generator every `CRITIC_STEPS` steps; its way there and back."""
    generator, critic, (place, image, own, wanted) = networks.generator, networks.critic, batch
    which = int(place)
    exclusive, (first, end) = sets.data[which].exclusive, sets.span(which)
    with run.autocast():
        with torch.no_grad():
            drawn = generator(image, sets.code(which, wanted))
        judged, logits = critic(image)
        of_drawn, _ = critic(drawn)
    share = torch.rand(len(image), 1, 1, 1, device=image.device)
    loss = critic_loss((judged, logits[:, first:end]), of_drawn, own, exclusive=exclusive)
    run.descend(loss + PENALTY * gradient_penalty(critic, image, drawn, share), networks.of_critic)
    if (step + 1) % CRITIC_STEPS:
        return None
    codes = sets.code(which, own), sets.code(which, wanted)
    with frozen(critic):
        with run.autocast():
            loss, back = generator_loss((generator, critic), image, codes, (wanted, (first, end)), exclusive=exclusive)
        run.descend(loss, networks.of_generator)
    return float(back)


def _batch(sets: Sets, size: int, count: int, random: np.random.Generator) -> tuple[Tensor, ...]:
    """Which set, pictures, their labels, and the labels of others among them: targets are drawn from the data."""
    which = int(random.integers(len(sets.data)))
    data = sets.data[which]
    chosen = random.choice(len(data.files), count)
    pictures = [_picture(data.files[place], size) for place in chosen]
    pictures = [each[:, ::-1] if random.random() < MIRROR else each for each in pictures]
    own = torch.from_numpy(data.labels[chosen])
    wanted = torch.from_numpy(data.labels[random.choice(len(data.files), count)])
    return torch.tensor(which), to_tensor(pictures), own, wanted


def _picture(path: Path, size: int) -> Image:
    return sized(read_file(path), size)


def _sheet(generator: Generator, sets: Sets, size: int, device: torch.device) -> list[list[Image]]:
    """A face, and what every label of its set makes of it."""
    rows = []
    most = max(len(part.names) for part in sets.data)
    for which, data in enumerate(sets.data):
        for file, own in list(zip(data.files, data.labels, strict=True))[:SHOWN]:
            row = [_picture(file, size)]
            for place in range(len(data.names)):
                label = torch.from_numpy(np.zeros_like(own) if data.exclusive else own.copy())[None].to(device)
                label[0, place] = 1 if data.exclusive else 1 - label[0, place]
                with torch.inference_mode():
                    drawn = generator(to_tensor([row[0]]).to(device), sets.code(which, label))[0]
                row.append(to_picture(drawn))
            rows.append(row + [np.zeros_like(row[0])] * (most + 1 - len(row)))
    return rows


def _sets(options: argparse.Namespace) -> Sets:
    sources = [(options.images, options.labels)] + ([tuple(options.second)] if options.second else [])
    data, faults = [], Faults()
    for (folder, table), chosen in zip(sources, (options.chosen, options.chosen_second), strict=False):
        data.append(read_labelled(folder, table, faults, chosen.split(",") if chosen else []))
        unused = Faults()
        for name in data[-1].unlabelled:
            unused.add(f"without a row in {table}", name)
        if unused:
            print(f"not used: {unused}", file=sys.stderr)
    refuse_faults(faults, skip=options.skip_bad)
    for part in data:
        require_classes(part)
    names = [name for part in data for name in part.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"both sets have labels called {', '.join(twice)}: rename those of one")
    groups = [tuple(name.strip().lower() for name in group.split(",")) for group in options.exclusive]
    groups += [part.names for part in data if part.exclusive and not any(set(g) & set(part.names) for g in groups)]
    for group in groups:
        places = [names.index(name) for name in group if name in names]
        if len(places) < len(group) or places != list(range(places[0], places[0] + len(places))):
            raise DataError(f"--exclusive names labels that stand side by side in the table, not {', '.join(group)}")
    return Sets(tuple(data), tuple(groups))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training stargan", description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder of pictures")
    parser.add_argument("labels", type=Path, help="CSV: file name, then a column of 0 and 1 per label")
    parser.add_argument(
        "--second", type=Path, nargs=2, metavar=("IMAGES", "LABELS"), help="a second set, of other labels"
    )
    parser.add_argument("--chosen", default="", metavar="A,B", help="columns to use; by default all")
    parser.add_argument("--chosen-second", default="", metavar="A,B", help="the same of the second table")
    parser.add_argument(
        "--exclusive", action="append", default=[], metavar="A,B,C", help="labels of which one holds at a time"
    )
    parser.add_argument("--size", type=int, default=128, help="side of the pictures")
    parser.add_argument("--blocks", type=at_least(0), default=6, help="residual blocks of the generator")
    parser.add_argument("--halvings", type=at_least(1), default=6, help="of the critic")
    add_run_options(parser, "stargan", batch=16, rate=1e-4, save_every=1000)
    return parser
