"""`python -m models.training.evaluate NAME ...` measures one part of the embedded pack and prints its table.

`python -m stream.evaluation` measures what needs a video.
"""

from __future__ import annotations

import sys

from models.parts import run_part

PARTS = ("segmenter", "editor", "hair", "ageing")


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
