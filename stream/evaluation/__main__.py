"""`python -m stream.evaluation NAME ...` measures one part of the video pipeline and prints its table."""

from __future__ import annotations

import sys
from importlib import import_module

PARTS = ("tracker", "flicker", "mark")


def main(argv: list[str]) -> int:
    """Hand over to `stream.evaluation.<part>.main`.

    Args:
        argv: the part's name and its own options.

    Returns:
        The exit status.
    """
    if not argv or argv[0] not in PARTS:
        print(f"usage: python -m stream.evaluation {{{','.join(PARTS)}}} [options]", file=sys.stderr)
        return 2
    part = import_module(f"stream.evaluation.{argv[0]}")
    return int(part.main(argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
