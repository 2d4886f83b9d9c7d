"""`python -m tests.fuzz NAME --seconds N`: mutated inputs for one parser of strangers' bytes; `--list` names them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import harness


def main(argv: Sequence[str]) -> int:
    """Fuzz one target.

    Returns:
        0, or 1 where an input is at fault; it is saved and named.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutated inputs for one parser.")
    parser.add_argument("name", nargs="?", choices=harness.names(), help="the target")
    parser.add_argument("--list", action="store_true", help="print the targets' names")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="number of the random sequence (%(default)d)")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for inputs at fault (%(default)s)")
    parser.add_argument("--input", type=Path, help="try this one input only")
    options = parser.parse_args(argv)
    if options.list:
        print(*harness.names(), sep="\n")
        return 0
    if options.name is None:
        parser.error("name a target, or --list")
    given = [options.input.read_bytes()] if options.input else []
    run = harness.run(options.name, options.seconds, options.seed, given)
    if run.fault is None:
        print(f"{options.name}: {run.calls} inputs, no fault")
        return 0
    print(run.fault.output, file=sys.stderr)
    saved = options.input or run.fault.save(options.out, options.name)
    print(f"{options.name}: {run.fault.reason} at input {run.calls}: {saved}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
