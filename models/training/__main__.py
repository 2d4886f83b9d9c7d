"""`python -m models.training NAME ...` trains one embedded network; `--help` after the name for its options."""

from __future__ import annotations

import sys
from importlib import import_module

PARTS = ("tracker", "segmenter", "editor", "hair", "ageing")


def main(argv: list[str]) -> int:
    """Hand over to `models.training.<part>.train.main`.

    Args:
        argv: the part's name and its own options.

    Returns:
        The exit status.
    """
    if not argv or argv[0] not in PARTS:
        print(f"usage: python -m models.training {{{','.join(PARTS)}}} [options]", file=sys.stderr)
        return 2
    part = import_module(f"models.training.{argv[0]}.train")
    return int(part.main(argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
