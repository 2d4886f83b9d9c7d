"""The published systems, one folder each. A folder that is removed takes its system along.

A folder has `rows.py` (`entries()`, its rows of the catalog; light, without torch) and, where they apply,
`conversion.py` (`CONVERTERS`, its checkpoints as networks), `parity.py` (`CHECKS`, its golden files), `samples.py`
(`SAMPLES`, its networks at full size, to measure them; `Entry.frame` names those of a frame) and `sampling.py`
(`SAMPLERS`, its generators, to fit boundaries in). They are found by name.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Literal

from models.entry import Entry

Part = Literal["rows", "conversion", "parity", "samples", "sampling"]


def systems() -> list[str]:
    """Names of the folders, in alphabetical order."""
    return sorted(module.name for module in iter_modules(__path__) if module.ispkg)


def parts(part: Part) -> list[ModuleType]:
    """The modules of this name of all folders that have one."""
    names = (f"{__name__}.{system}.{part}" for system in systems())
    return [import_module(name) for name in names if find_spec(name)]


def entries() -> tuple[Entry, ...]:
    """The rows of all published editors."""
    return tuple(row for module in parts("rows") for row in module.entries())
