"""Boundaries that were fitted on this machine, as editors find them: one .npz a slider, in a folder per editor."""

from __future__ import annotations

from pathlib import Path

from models.editor import title_of
from models.entry import weights_folder

WITHOUT = "_without_"
"""Between what a conditional boundary changes and what it is held off, in its name."""

REACH = 3.0
"""Lengths of a fitted boundary at its slider's ends. Its length is one standard deviation of the samples along it."""


def boundaries_folder(editor: str) -> Path:
    """Where the boundaries of one editor lie."""
    return weights_folder() / editor / "boundaries"


def fitted_boundaries(editor: str) -> dict[str, Path]:
    """Name of the control -> file, by name; files whose names are no identifiers are left out."""
    return {path.stem: path for path in sorted(boundaries_folder(editor).glob("*.npz")) if path.stem.isidentifier()}


def boundaries_stamp(editor: str) -> tuple[tuple[str, int], ...]:
    """Changes whenever a boundary of the editor comes, goes or is written anew."""
    return tuple((name, path.stat().st_mtime_ns) for name, path in fitted_boundaries(editor).items())


def slider_title(name: str) -> str:
    """What the page calls a fitted boundary: "bald_without_age_sex" is "Bald without age, sex".

    >>> slider_title("grey_hair")
    'Grey hair'
    """
    changes, _, held = name.partition(WITHOUT)
    shown = title_of(changes)
    return f"{shown} without {held.replace('_', ', ')}" if held else shown
