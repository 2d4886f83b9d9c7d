"""What the commands that train translators share: options, refusals, the run, the row of the catalog."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from models import catalog
from models.editor import title_of
from models.trained import FACTS, NAME, Facts, trained_folder
from models.training.data import WORK
from models.training.translation.loop import Plan, Run
from models.training.translation.pictures import DataError, Faults
from models.weights.checkpoints import CheckpointError


def add_run_options(
    parser: argparse.ArgumentParser, kind: str, *, batch: int, rate: float | None, save_every: int
) -> None:
    """Add the options of every training.

    Args:
        parser: of the command.
        kind: name of the trainer.
        batch: default pictures in a batch.
        rate: default of the optimisers; None where a preset has one.
        save_every: default steps between checkpoints.
    """
    add = parser.add_argument
    add("--name", required=True, help="what the editor is called in settings")
    add("--title", help="what the page calls it")
    add("--steps", type=int, default=200_000, help="batches in all")
    add("--minutes", type=float, default=0, help="stop after so many; a later run goes on")
    add("--batch", type=int, default=batch, help="pictures in a batch")
    add("--width", type=int, default=64, help="channels of the first layers; 64 is the published network")
    add("--rate", type=float, default=rate, help="of the optimisers, for the first half of the steps")
    add("--precision", choices=("f32", "bf16", "f16"), default="f32", help="of the networks' products")
    add("--device", default="auto", help="auto, cpu, cuda")
    add("--work", type=Path, help=f"folder of checkpoints and sheets; by default .work/{kind}/NAME")
    add("--save-every", type=int, default=save_every, help="steps between checkpoints and sheets")
    add("--seed", type=int, default=0, help="of weights and batches")
    add("--skip-bad", action="store_true", help="train without bad pictures and rows instead of refusing all")


def run_command(train: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """Train an editor and say how it went.

    Args:
        train: trains, installs, and returns a line about the result.
        options: with those of `add_run_options`.

    Returns:
        0; 1 where the name, the data or the folder is refused, the message says what is wrong.
    """
    try:
        require_name(options.name)
        result = train(options)
    except (DataError, CheckpointError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(f"{options.name}: {result}; start the server again and choose it in the page, or --editor {options.name}")
    return 0


def require_name(name: str) -> None:
    """Refuse names that no folder can have, or that another editor has.

    Raises:
        DataError: says what is wrong with it.
    """
    if not re.fullmatch(NAME, name):
        raise DataError(f"a name is small letters, digits and -, not {name!r}")
    if name in catalog.ENTRIES and not (trained_folder(name) / FACTS).is_file():
        raise DataError(f"there is an editor called {name} already")


def refuse_faults(faults: Faults, *, skip: bool) -> None:
    """Refuse bad data, or say what is left out.

    Raises:
        DataError: there are faults, and they are not to be skipped.
    """
    if faults and not skip:
        raise DataError(f"{faults} (--skip-bad trains on the rest)")
    if faults:
        print(f"left out: {faults}", file=sys.stderr)


def plan_of(options: argparse.Namespace) -> Plan:
    """How long the options want to train."""
    return Plan(options.steps, 60 * options.minutes, options.save_every, options.seed)


def start_run(
    options: argparse.Namespace, kind: str, facts: Mapping[str, Any], parts: Mapping[str, Any], device: torch.device
) -> Run:
    """A run in the folder that the options name, going on from what it holds.

    Raises:
        CheckpointError: see `Run`.
    """
    return Run(options.work or WORK / kind / options.name, facts, parts, device, options.precision)


def install(options: argparse.Namespace, write: Callable[[Path], object], **facts: Any) -> None:
    """Put an editor into the catalog.

    Args:
        options: its name and title.
        write: writes its networks into a folder.
        facts: of `models.trained.Facts`, but for the title.
    """
    folder = trained_folder(options.name)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)
    written = Facts(title=options.title or title_of(options.name), **facts)
    (folder / FACTS).write_text(written.model_dump_json(indent=1), encoding="utf-8")
