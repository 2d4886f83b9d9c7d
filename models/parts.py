"""Commands made of parts: `python -m PROGRAM PART ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module


def run_part(program: str, module: str, parts: Sequence[str], argv: Sequence[str]) -> int:
    """Import one part and hand over to its `main(argv)`.

    Args:
        program: the command's own module, for its usage.
        module: name of a part's module, with "{part}" in it.
        parts: names of the parts.
        argv: the part's name and its own options.

    Returns:
        The exit status; 2 where no part is named, after the usage on standard error.
    """
    if not argv or argv[0] not in parts:
        print(f"usage: python -m {program} {{{','.join(parts)}}} [options]", file=sys.stderr)
        return 2
    return int(import_module(module.format(part=argv[0])).main(argv[1:]) or 0)
