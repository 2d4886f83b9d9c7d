"""`python -m models.figures count|speeds`: what published networks at full size cost, as the gallery tells it.

`count [NAME ...]` counts operations and bytes of networks, by default all of `models.full_size`.
`speeds REPORT.json --where "..."` takes medians from a report of `python -m engines.bench --published ... --json`;
with `--processor` those of processor time, which hold on a busy machine (measure with `--threads 1`).
Both keep the figures of the other networks and machines.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

FILE = Path(__file__).with_name("figures.json")
LIGHT_GFLOP, LIGHT_MB = 100.0, 200.0
"""What a network for `--light` has at most."""


class Figures(BaseModel):
    """Of one network.

    Attributes:
        gflop: 1e9 operations of a call, two per multiply-add of every convolution and matrix product.
        megabytes: of its numbers in FP32.
        ms: median milliseconds of a call, by backend, precision, kind of time and machine in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gflop: float
    megabytes: float
    ms: Mapping[str, float] = {}


_TABLE = TypeAdapter(dict[str, Figures])


@cache
def known() -> Mapping[str, Figures]:
    """The figures by the names of `models.full_size.NETWORKS`."""
    return _TABLE.validate_json(FILE.read_bytes())


def is_light(name: str) -> bool:
    """Whether a network is counted, and small."""
    figures = known().get(name)
    return figures is not None and figures.gflop <= LIGHT_GFLOP and figures.megabytes <= LIGHT_MB


def gflop_of(networks: Sequence[str]) -> float:
    """1e9 operations of one call of each; 0 where one was not counted."""
    figures = [known().get(name) for name in networks]
    return sum(each.gflop for each in figures if each) if all(figures) else 0.0


def speeds_of(networks: Sequence[str]) -> dict[str, float]:
    """Milliseconds of one call of each after the other, by where all of them were measured."""
    figures = [known().get(name) for name in networks]
    if not networks or not all(figures):
        return {}
    measured = [each.ms for each in figures if each]
    everywhere = [where for where in measured[0] if all(where in ms for ms in measured)]
    return {where: sum(ms[where] for ms in measured) for where in everywhere}


def count(name: str) -> Figures:
    """Count a network without computing anything; needs torch.

    Raises:
        LookupError: there is no network of that name.
    """
    import torch  # heavy, and a server does without  # noqa: PLC0415
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    networks = import_module("models.full_size").NETWORKS
    if name not in networks:
        raise LookupError(f"there is no {name}; there are {', '.join(networks)}")
    with torch.device("meta"):
        module, example, _ = networks[name]()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            module.eval().requires_grad_(False)(*example.values())
    numbers = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
    return Figures(gflop=round(counter.get_total_flops() / 1e9, 3), megabytes=round(4 * numbers / 1e6, 1))


def main(argv: Sequence[str]) -> int:
    """Count or take over speeds, and write `figures.json`.

    Returns:
        0; 1 where a network is unknown or not counted yet.
    """
    parser = argparse.ArgumentParser(prog="python -m models.figures", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    counting = commands.add_parser("count", help="operations and bytes of networks")
    counting.add_argument("names", nargs="*", help="of models.full_size; by default all")
    speeds = commands.add_parser("speeds", help="medians of a report of engines.bench")
    speeds.add_argument("report", type=Path, nargs="+")
    speeds.add_argument("--where", required=True, help="the machine, such as 'one core of an AMD EPYC'")
    speeds.add_argument("--processor", action="store_true", help="processor time instead of time by the clock")
    options = parser.parse_args(argv)
    table = dict(known())
    try:
        if options.command == "count":
            for name in options.names or import_module("models.full_size").NETWORKS:
                had = table.get(name)
                table[name] = count(name).model_copy(update={"ms": had.ms if had else {}})
        else:
            for report in options.report:
                _take(table, json.loads(report.read_bytes())["rows"], options.where, processor=options.processor)
    except LookupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    ordered = dict(sorted(table.items()))
    FILE.write_bytes(_TABLE.dump_json(ordered, indent=1) + b"\n")
    known.cache_clear()
    return 0


def _take(table: dict[str, Figures], rows: Sequence[Mapping[str, object]], where: str, *, processor: bool) -> None:
    """Take medians over from the rows of a report."""
    for row in rows:
        name = str(row["network"]).removesuffix(".onnx")
        if name not in table:
            raise LookupError(f"{name} is not counted: python -m models.figures count {name}")
        key = f"{row['backend']} {row['precision']}, {'processor time, ' if processor else ''}{where}"
        ms = {**table[name].ms, key: round(float(str(row["processor" if processor else "p50"])), 2)}
        table[name] = table[name].model_copy(update={"ms": ms})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
