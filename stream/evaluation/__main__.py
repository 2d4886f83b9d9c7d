"""`python -m stream.evaluation NAME ...` measures one part of the video pipeline and prints its table."""

from __future__ import annotations

import sys

from models.parts import run_part

PARTS = ("tracker", "flicker", "mark")


def main(argv: list[str]) -> int:
    """Hand over to `stream.evaluation.<part>.main`.

    Args:
        argv: the part's name and its own options.

    Returns:
        The exit status.
    """
    return run_part("stream.evaluation", "stream.evaluation.{part}", PARTS, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
