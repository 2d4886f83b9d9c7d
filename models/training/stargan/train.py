"""`python -m models.training stargan IMAGES/ LABELS.csv --name NAME`: translation by labels, and its live editor.

One set of labelled pictures, or two (`--second IMAGES2/ LABELS2.csv`): a mask behind the label then tells the network
which set a label is of, as in the paper. For a live editor the pictures are faces cut out as CelebA's. A run that is
stopped goes on when it is started again; at its end the catalog has a row of that name.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.arrays import Image
from models.editor import Controls
from models.face.pictures import read_file
from models.published.stargan.network import Discriminator, Generator, LabelReader
from models.trained import FACTS, NAME, Facts, trained_folder
from models.training.data import WORK
from models.training.stargan.losses import CRITIC_STEPS, PENALTY, critic_loss, generator_loss, gradient_penalty
from models.training.translation.loop import Plan, Run, pick_device, set_rate, to_picture, to_tensor
from models.training.translation.pictures import (
    DataError,
    Faults,
    LabelledSet,
    read_labelled,
    require_classes,
    sized,
)
from models.weights.checkpoints import CheckpointError
from models.weights.export import random_picture, write_network

MIRROR = 0.5
SHOWN = 4
"""Faces on a sheet."""


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


@dataclass(frozen=True, slots=True)
class Models:
    """What a run trains."""

    generator: Generator
    critic: Discriminator
    of_generator: torch.optim.Optimizer
    of_critic: torch.optim.Optimizer


def main(argv: Sequence[str]) -> int:
    """Train, export, put into the catalog.

    Returns:
        0; 1 where the data or the folder is refused, the message says what is wrong.
    """
    options = _parser().parse_args(argv)
    try:
        if not re.fullmatch(NAME, options.name):
            raise DataError(f"a name is small letters, digits and -, not {options.name!r}")
        if options.size % 4 or options.size >> options.halvings < 1:
            raise DataError(f"--size is a multiple of 4 and at least {1 << options.halvings}, not {options.size}")
        train(options, _sets(options))
    except (DataError, CheckpointError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(f"choose {options.name} in the page, or --editor {options.name}")
    return 0


def train(options: argparse.Namespace, sets: Sets) -> Generator:
    """Train on labelled sets and install the result.

    Returns:
        The generator, on the CPU.
    """
    device = pick_device(options.device)
    torch.manual_seed(options.seed)
    generator = Generator(sets.size, options.width, options.blocks).to(device)
    critic = Discriminator(options.size, sets.labels, options.width, options.halvings).to(device)
    optimisers = tuple(
        torch.optim.Adam(network.parameters(), options.rate, betas=(0.5, 0.999)) for network in (generator, critic)
    )
    plan = Plan(options.steps, 60 * options.minutes, options.save_every, options.seed)
    parts = {"generator": generator, "critic": critic, "of_generator": optimisers[0], "of_critic": optimisers[1]}
    facts = {name: getattr(options, name) for name in ("size", "width", "blocks", "halvings", "rate", "batch", "steps")}
    facts |= {"labels": [list(part.names) for part in sets.data], "pictures": [len(part.files) for part in sets.data]}
    run = Run(options.work or WORK / "stargan" / options.name, facts, parts, device, options.precision)
    load = partial(_batch, sets, options.size, options.batch)
    models = Models(generator, critic, *optimisers)
    for step, (which, image, own, wanted) in run.batches(plan, load):
        set_rate(optimisers, options.rate, step / plan.steps)
        back = _step(run, sets, models, (int(which), image, own, wanted))
        if (step + 1) % plan.save_every == 0:
            run.done = step + 1
            run.save()
            sheet = run.sheet(_sheet(generator, sets, options.size, device))
            print(f"step {step + 1}/{plan.steps}: there and back {back:.4f}; {sheet}", flush=True)
    run.save()
    run.sheet(_sheet(generator, sets, options.size, device))
    install(generator.cpu().eval(), critic.cpu().eval(), options, sets)
    return generator


def install(generator: Generator, critic: Discriminator, options: argparse.Namespace, sets: Sets) -> None:
    """Export both networks, and write what makes them an editor of the catalog."""
    folder = trained_folder(options.name)
    folder.mkdir(parents=True, exist_ok=True)
    picture = random_picture(options.size)
    write_network(
        generator, {"image": picture, "label": torch.rand(1, sets.size)}, ["translated"], folder / "generator.onnx"
    )
    write_network(LabelReader(critic), {"image": picture}, ["label"], folder / "labels.onnx")
    names = [tuple(control_name(name) for name in part.names) for part in sets.data]
    facts = Facts(
        kind="stargan",
        title=options.title or options.name.replace("-", " ").capitalize(),
        description=f"Trained on {sum(len(part.files) for part in sets.data)} pictures.",
        size=options.size,
        labels=tuple(names),
        exclusive=tuple(tuple(map(control_name, group)) for group in sets.exclusive),
        shares=tuple(float(share) for part in sets.data for share in part.labels.mean(0)),
    )
    (folder / FACTS).write_text(facts.model_dump_json(indent=1), encoding="utf-8")


def control_name(label: str) -> str:
    """The name of a label's control: the label, or one that no attribute of `Controls` has ("neutral")."""
    return f"{label}_face" if hasattr(Controls, label) else label


def _step(run: Run, sets: Sets, models: Models, batch: tuple[int, Tensor, Tensor, Tensor]) -> float:
    """One step of the critic, and of the generator every `CRITIC_STEPS` steps."""
    generator, critic, (which, image, own, wanted) = models.generator, models.critic, batch
    exclusive, (first, end) = sets.data[which].exclusive, sets.span(which)
    with run.autocast():
        with torch.no_grad():
            drawn = generator(image, sets.code(which, wanted))
        judged, logits = critic(image)
        of_drawn, _ = critic(drawn)
    share = torch.rand(len(image), 1, 1, 1, device=image.device)
    loss = critic_loss((judged, logits[:, first:end]), of_drawn, own, exclusive=exclusive)
    run.descend(loss + PENALTY * gradient_penalty(critic, image, drawn, share), models.of_critic)
    if (run.done + 1) % CRITIC_STEPS:
        return float("nan")
    for parameter in critic.parameters():
        parameter.requires_grad_(False)
    codes = sets.code(which, own), sets.code(which, wanted)
    with run.autocast():
        loss, back = generator_loss((generator, critic), image, codes, (wanted, (first, end)), exclusive=exclusive)
    run.descend(loss, models.of_generator)
    for parameter in critic.parameters():
        parameter.requires_grad_(True)
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
    chosen = [part.split(",") for part in (options.chosen, options.chosen_second) if part] or [[]]
    for number, (folder, table) in enumerate(sources):
        data.append(read_labelled(folder, table, faults, chosen[number] if number < len(chosen) else []))
    if faults and not options.skip_bad:
        raise DataError(f"{faults} (--skip-bad trains on the rest)")
    if faults:
        print(f"left out: {faults}", file=sys.stderr)
    for part in data:
        require_classes(part)
    names = [name for part in data for name in part.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"both sets have labels called {', '.join(twice)}: rename those of one")
    groups = [tuple(group.split(",")) for group in options.exclusive]
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
    parser.add_argument("--name", required=True, help="what the editor is called in settings")
    parser.add_argument("--title", help="what the page calls it")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures")
    parser.add_argument("--steps", type=int, default=200_000, help="steps of the critic in all")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so many; a later run goes on")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=int, default=64, help="channels of the first layers")
    parser.add_argument("--blocks", type=int, default=6, help="residual blocks of the generator")
    parser.add_argument("--halvings", type=int, default=6, help="of the critic")
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--precision", choices=("f32", "bf16", "f16"), default="f32")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--work", type=Path, help="folder of checkpoints and sheets; by default .work/stargan/NAME")
    parser.add_argument("--save-every", type=int, default=1000, help="steps between checkpoints and sheets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip-bad", action="store_true", help="leave bad pictures and rows out")
    return parser
