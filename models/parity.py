"""`python -m models.parity DIR [SYSTEM ...]`: do our networks give the reference implementations' numbers?

Prints the relative L2 of every stored array and exits 1 if one is over its tolerance, unchecked, or without a check.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from models import published
from models.weights.golden import Comparison, Golden, GoldenError

Check = Callable[[Golden], Iterator[Comparison]]


CHECKS: Mapping[str, Check] = {
    pattern: check for module in published.parts("parity") for pattern, check in module.CHECKS.items()
}
"""By a pattern of the name of the golden file, in lower case. No two patterns fit the same name.

A check builds the network from `golden.state()`, in the sizes that the shapes have, runs it on `golden.input(...)` and
yields one comparison per stored array. What it compares follows the names of the arrays, so that other labels, ages,
rounds and sizes need no new check.
"""


def check_of(system: str) -> Check | None:
    """The check for a golden file of this name; None where there is none."""
    return next((check for pattern, check in CHECKS.items() if re.fullmatch(pattern, system.lower())), None)


def check(golden: Golden) -> Iterator[Comparison]:
    """Compare one system.

    Args:
        golden: its tensors and outputs.

    Yields:
        One comparison per figure, then an infinite one for every stored array that the check did not use.

    Raises:
        GoldenError: there is no check for this system.
    """
    compare = check_of(golden.system)
    if compare is None:
        raise GoldenError(f"{golden.system}: no check of this name (known: {', '.join(CHECKS)})")
    with torch.inference_mode():
        yield from compare(golden)
    for name in golden.names:
        if name not in golden.read:
            yield Comparison(f"{name} (not checked)", float("inf"))


def main(argv: Sequence[str]) -> int:
    """Run the checks of a folder and print a table.

    Returns:
        0 when every figure is within its tolerance, 1 when not, 2 when there is nothing to check.
    """
    parser = argparse.ArgumentParser(prog="python -m models.parity", description=__doc__.splitlines()[2])
    parser.add_argument("folder", type=Path, help="folder with <system>.npz, keys/<system>.tsv and a README")
    parser.add_argument("systems", nargs="*", help="only these systems")
    parser.add_argument("--keys", type=Path, help="folder of the rules, if not FOLDER/keys")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    files = [
        file for file in sorted(options.folder.glob("*.npz")) if not options.systems or file.stem in options.systems
    ]
    unknown = sorted(set(options.systems) - {file.stem for file in files})
    if unknown:
        print(f"{options.folder}: no golden files of {', '.join(unknown)}", file=sys.stderr)
        return 2
    if not files:
        print(f"{options.folder}: no golden files (*.npz) of these systems", file=sys.stderr)
        return 2
    failed = [file.stem for file in files if not _report(file, options.keys)]
    print(
        f"{len(files) - len(failed)} of {len(files)} systems match" + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _report(file: Path, keys: Path | None) -> bool:
    started = time.perf_counter()
    passed = True
    compared = 0
    worst = 0.0
    print(file.stem)
    try:
        golden = Golden.load(file, keys)
        print(f"  weights and inputs of seed {golden.seed}")
        for comparison in check(golden):
            if comparison.absent:
                print(f"  {comparison.name:34} not in the file")
                continue
            compared += 1
            passed &= comparison.passed
            worst = max(worst, comparison.error)
            verdict = "" if comparison.passed else "  OVER"
            print(
                f"  {comparison.name:34} {comparison.error:9.2e}  (<= {comparison.tolerance:.0e}){verdict}", flush=True
            )
    except Exception as error:  # whatever is wrong with one file, the others are still to be told of
        print(f"  {type(error).__name__}: {error}")
        return False
    if not compared:
        print("  nothing in this file could be compared")
        return False
    print(
        f"  -> {'match' if passed else 'NO MATCH'}, worst {worst:.2e}, {time.perf_counter() - started:.1f} s",
        flush=True,
    )
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
