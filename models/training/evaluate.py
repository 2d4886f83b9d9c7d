"""`python -m models.training.evaluate NAME ...` measures a trainer or a part of the embedded pack.

`python -m stream.evaluation` measures what needs a video.
"""

from __future__ import annotations

import sys

from models.parts import run_part

PARTS = ("segmenter", "editor", "hair", "ageing", "pix2pix")


def main(argv: list[str]) -> int:
    """Hand over to `models.training.<part>.evaluate.main`.

    Args:
        argv: the part's name and its own options.

    Returns:
        The exit status.
    """
    return run_part("models.training.evaluate", "models.training.{part}.evaluate", PARTS, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
