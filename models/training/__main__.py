"""`python -m models.training NAME ...` trains a network or fits boundaries; `--help` after the name for options."""

from __future__ import annotations

import sys

from models.parts import run_part

PARTS = (
    *("tracker", "segmenter", "editor", "hair", "bodies", "beards", "looks", "matte", "ageing"),
    *("pix2pix", "stargan", "boundary"),
)


def main(argv: list[str]) -> int:
    """Hand over to `models.training.<part>.train.main`.

    Args:
        argv: the part's name and its own options.

    Returns:
        The exit status.
    """
    return run_part("models.training", "models.training.{part}.train", PARTS, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
