"""`python -m stream.mark COMMAND ...`: read marks, and what belongs to them."""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {"detect": "stream.mark.detect", "key": "stream.mark.identity", "sign": "stream.mark.manifests"}


def main(argv: list[str]) -> int:
    """Hand over to the module of a command.

    Args:
        argv: the command's name and its own options.

    Returns:
        The exit status.
    """
    if not argv or argv[0] not in COMMANDS:
        print(f"usage: python -m stream.mark {{{','.join(COMMANDS)}}} [options]", file=sys.stderr)
        return 2
    return int(import_module(COMMANDS[argv[0]]).main(argv[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
