"""What the commands that train translators share: options, refusals, the run, the row of the catalog."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from models import catalog
from models.editor import title_of
from models.face.pictures import PictureError
from models.trained import FACTS, NAME, Facts, trained_folder
from models.training.data import WORK
from models.training.translation.loop import Plan, Run
from models.training.translation.pictures import DataError, Faults
from models.weights.checkpoints import CheckpointError

STOPPED = 130
"""Exit status of a command that Ctrl+C ended."""


def at_least(least: int) -> Callable[[str], int]:
    """What reads a whole number of an option, and refuses one below `least`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is below {least}")
        return value

    return read


def above_zero(text: str) -> float:
    """Read a number of an option that is finite and above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def not_negative(text: str) -> float:
    """Read a number of an option that is finite and not below 0."""
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


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
    add("--steps", type=at_least(1), default=200_000, help="batches in all")
    add("--minutes", type=not_negative, default=0, help="stop after so many; a later run goes on")
    add("--batch", type=at_least(1), default=batch, help="pictures in a batch")
    add("--width", type=at_least(1), default=64, help="channels of the first layers; 64 is the published network")
    add("--rate", type=above_zero, default=rate, help="of the optimisers, for the first half of the steps")
    add("--precision", choices=("f32", "bf16", "f16"), default="f32", help="of the networks' products")
    add("--device", default="auto", help="auto, cpu, cuda")
    add("--work", type=Path, help=f"folder of checkpoints and sheets; by default .work/{kind}/NAME")
    add("--save-every", type=at_least(1), default=save_every, help="steps between checkpoints and sheets")
    add("--seed", type=at_least(0), default=0, help="of weights and batches")
    add("--skip-bad", action="store_true", help="train without bad pictures and rows instead of refusing all")


def run_command(train: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """Train an editor and say how it went.

    Args:
        train: trains, installs, and returns a line about the result.
        options: with those of `add_run_options`.

    Returns:
        0; 1 where the name, the data or the folder is refused, the message says what is wrong; 130 where Ctrl+C came
        before or after the training itself, which ends by `SystemExit` then.
    """
    try:
        require_name(options.name)
        result = train(options)
    except (DataError, CheckpointError, PictureError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"error: {fault.filename or options.work or WORK}: {fault.strerror or fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return STOPPED
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
