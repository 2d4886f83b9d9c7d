"""The controls of the embedded editor, one module each. Their fields stand on the page in the order of the modules."""

from __future__ import annotations

from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules

from models.embedded.control import Control


def find_controls() -> tuple[type[Control], ...]:
    """The controls of all modules of this package, in the order of the modules' names."""
    modules = [import_module(f"{__name__}.{name}") for name in sorted(module.name for module in iter_modules(__path__))]
    return tuple(
        member
        for module in modules
        for _, member in getmembers(module, isclass)
        if issubclass(member, Control) and member.__module__ == module.__name__
    )
