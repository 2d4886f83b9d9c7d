"""What the commands share: flags made from the schemas of settings, and one way to print a refusal."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType
from typing import Any, Self

import av
import cv2
from pydantic import BaseModel

from engines.base import EngineError
from models import catalog
from models.catalog import UnknownEditor
from models.editor import NOT_MOVED, Controls
from models.entry import Entry
from models.face.detector import PackError
from models.face.pictures import PictureError
from stream.look import Look
from stream.mark.identity import KeyFileError, key_path, load_identity
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError, checked

TYPES: Mapping[str, Callable[[str], Any]] = {"number": float, "integer": int, "string": str}
"""What a flag's text becomes, by the type in the JSON schema."""


class CommandError(Exception):
    """A command cannot do what it was asked for; the message says why and what to do.

    Attributes:
        status: with which the command ends.
    """

    status = 1


class NothingEdited(CommandError):
    """A command did, or would do, nothing to any picture; the message says why."""

    status = 3

    @classmethod
    def by(cls, look: Look) -> Self:
        """Of a look that is idle, before any work."""
        advice = "; `--set age=+20` is one way" if look.idle == NOT_MOVED else ""
        return cls(f"nothing to edit: {look.idle}{advice}")


@contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop a command as Ctrl-C does, so that it keeps what was done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in taken:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(command: Callable[[], None]) -> int:
    """Run a command, and print its refusal on standard error.

    Returns:
        The exit status: 0, 1 after a refusal, or 3 when nothing was edited.
    """
    quiet_libraries()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: names need not fit the terminal
    try:
        command()
    except SettingsError as error:
        choices = f"; there are: {', '.join(map(str, error.allowed))}" if isinstance(error.allowed, list) else ""
        print(f"error: {error}{choices}", file=sys.stderr)
        return 1
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except (KeyFileError, PictureError, EngineError, PackError, UnknownEditor) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def quiet_libraries() -> None:
    """Keep OpenCV's and FFmpeg's own messages from the terminal: what matters is said in our words."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    av.logging.set_level(av.logging.PANIC)


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """A type for argparse: a number above 0."""

    def number(text: str) -> int | float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    number.__name__ = "number above 0"  # argparse: invalid number above 0 value: '-3'
    return number


def not_negative(text: str) -> int:
    """A type for argparse: a whole number from 0."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


not_negative.__name__ = "whole number from 0"


def add_settings(parser: argparse.ArgumentParser, leave_out: Collection[str] = ()) -> None:
    """Add a flag for each setting of a stream, and `--set NAME=VALUE` for the editor's controls.

    Args:
        parser: of the command.
        leave_out: settings that mean nothing to this command.
    """
    _add_flags(parser.add_argument_group("settings"), Settings, {"controls", "layers", "latent_lock", *leave_out})
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a control of the editor, or EDITOR.NAME=VALUE of a further one; repeatable",
    )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `load_runtime`."""
    _add_flags(parser.add_argument_group("engines"), RuntimeSettings, {"cache_dir"})


def patch_of(arguments: argparse.Namespace, entries: Mapping[str, Entry] = catalog.ENTRIES) -> dict[str, Any]:
    """The change of settings that the flags of `add_settings` ask for, for `Runtime.look`.

    Args:
        arguments: parsed.
        entries: the catalog.

    Raises:
        SettingsError: a control has no value.
    """
    given, layers = _given(arguments, Settings), dict[str, dict[str, Any]]()
    editor = given.get("editor", Settings().editor)
    for name, value in controls_of_pairs(arguments.set).items():
        layer, dot, control = name.rpartition(".")
        layers.setdefault(layer if dot else editor, {})[control] = value
    for name, controls in layers.items():
        if name in entries:
            layers[name] = meant(entries[name].controls(), controls)
    own = layers.pop(editor, {})
    others = {"layers": {name: {"controls": controls} for name, controls in layers.items()}} if layers else {}
    return {**given, **others, "controls": own}


def meant(model: type[Controls], given: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody means who names these controls one by one.

    Args:
        model: of the editor's controls.
        given: by name, as `controls_of_pairs` reads them. A negative whole number means the difference "-20" to a
            control that takes one.

    Returns:
        The controls with those that `Controls.completed` adds.
    """
    takes_difference = {
        name
        for name, schema in model.model_json_schema()["properties"].items()
        if any(shape.get("format") == "difference" for shape in schema.get("anyOf", ()))
    }
    values = {
        name: f"{value:+d}" if name in takes_difference and type(value) is int and value < 0 else value
        for name, value in given.items()
    }
    return model.completed(values)


def load_runtime(arguments: argparse.Namespace) -> Runtime:
    """Load the runtime that the flags of `add_runtime` ask for. Takes seconds.

    Raises:
        SettingsError: a flag is refused.
        EngineError, PackError: as of `Runtime.load`.
        KeyFileError: there is a key of this installation that cannot be used.
    """
    return Runtime.load(checked(RuntimeSettings, _given(arguments, RuntimeSettings)), load_identity(key_path()))


def controls_of_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """Controls from the command line: each "name=value", the value in JSON or a bare word.

    Raises:
        SettingsError: a pair has no "=".
    """
    controls: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"controls.{name}", "write it as name=value")
        try:
            controls[name] = json.loads(value)
        except json.JSONDecodeError:
            controls[name] = value
    return controls


def _add_flags(group: argparse._ArgumentGroup, model: type[BaseModel], leave_out: Collection[str]) -> None:
    """Add a flag for each field of a model. A flag that is not given is not in the namespace."""
    for name, schema in model.model_json_schema()["properties"].items():
        if name in leave_out:
            continue
        flag, help_text = f"--{name.replace('_', '-')}", _help_of(schema)
        shape = _shape_of(schema)
        if shape.get("type") == "boolean":
            on = schema.get("default") is True
            action = argparse.BooleanOptionalAction if on else "store_true"
            group.add_argument(flag, action=action, default=argparse.SUPPRESS, help=help_text)
        else:
            group.add_argument(
                flag,
                type=TYPES[shape["type"]],
                choices=shape.get("enum"),
                default=argparse.SUPPRESS,
                help=help_text,
                metavar=None if "enum" in shape else shape["type"].upper(),
            )


def _given(arguments: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in model.model_fields}


def _shape_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a field's schema that has its type: an optional field is one of two shapes, the other one null."""
    shapes = schema.get("anyOf", [schema])
    return next(shape for shape in shapes if shape.get("type") != "null")


def _help_of(schema: Mapping[str, Any]) -> str:
    words = (schema.get("description") or schema.get("title", "")).rstrip(".")
    default = schema.get("default")
    ending = f" (default: {default})" if default is not None and default is not False else ""
    return (words[:1].lower() + words[1:] + ending).replace("%", "%%")
