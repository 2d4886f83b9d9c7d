"""Networks that the project around the engines provides to `engines.bench` and `engines.build`.

The table `[tool.latentcam.networks]` of the project's pyproject.toml names one function per kind as "module:function",
so that the engines import no models.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.base import EngineError

PROJECT_FILE = Path(__file__).resolve().parent.parent / "pyproject.toml"


def shipped_networks() -> list[Path]:
    """The ONNX files that ship with the project.

    Raises:
        EngineError: the project names none.
    """
    return list(_provider("shipped")())


def write_published_networks(folder: Path, names: Sequence[str] = (), *, light: bool = False) -> list[Path]:
    """Write published networks at full size as ONNX files.

    Args:
        folder: where to write; it is created.
        names: those to write; empty for all.
        light: leave out the largest if `names` is empty.

    Returns:
        The files, in the order of `names`.

    Raises:
        EngineError: a name is unknown, the project provides none, or a package that writes them is missing.
    """
    try:
        return list(_provider("published")(folder, names, light=light))
    except LookupError as error:
        raise EngineError(f"the published networks cannot be written: {error.args[0]}") from error


def _provider(kind: str) -> Callable[..., Any]:
    try:
        table = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["tool"]["latentcam"]["networks"]
        module, function = table[kind].split(":")
    except (OSError, KeyError, ValueError) as error:
        raise EngineError(f"no {kind} networks: {PROJECT_FILE} does not name what provides them ({error!r})") from error
    try:
        provider: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise EngineError(f"no {kind} networks: {error.name or error} is not installed") from error
    return provider
