"""`python -m tests.soak --minutes N`: what the server is put through, on 127.0.0.1 only; results as lines and JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.soak import abuse, api, churn, clock, crowd, idle, link, trouble
from tests.soak.results import Result

FULL_MINUTES = 60.0
"""The run that the counts of the goals belong to; a shorter one has fewer in proportion."""


def loads(minutes: float, seed: int, real: bool, folder: Path) -> dict[str, Callable[[], Result]]:
    """All loads by their names.

    Args:
        minutes: of the long one.
        seed: number of the random sequence.
        real: whether those that measure speed, idleness and memory run networks.
        folder: for logs.
    """
    part = min(1.0, minutes / FULL_MINUTES)

    def log(name: str) -> Path:
        return folder / f"{name}.log"

    def count(full: int) -> int:
        return max(8, round(full * part))

    def seconds(full: float, least: float) -> float:
        return max(least, full * part)

    return {
        "offers": lambda: asyncio.run(abuse.mutated_offers(log("offers"), count(5000), seed)),
        "messages": lambda: asyncio.run(abuse.mutated_messages(log("messages"), count(5000), seed)),
        "packets": lambda: asyncio.run(abuse.mutated_packets(log("packets"), count(2000), seed)),
        "pictures": lambda: asyncio.run(abuse.hostile_pictures(log("pictures"), count(500), seed)),
        "checkpoints": lambda: abuse.hostile_checkpoints(max(2.0, 60 * part), seed),
        "api": lambda: api.requests_of_the_schema(log("api"), count(50), seed),
        "killed": lambda: trouble.killed_clients(log("killed"), count(100)),
        "stalled": lambda: asyncio.run(trouble.stalled_client(log("stalled"), max(4.0, 300 * part))),
        "stopped": lambda: asyncio.run(trouble.stopped_server(log("stopped"), max(4.0, 20 * part))),
        "disk": lambda: asyncio.run(trouble.full_disk(log("disk"), folder)),
        "clock": lambda: asyncio.run(clock.clock_jumps(log("clock"), folder)),
        "network": lambda: asyncio.run(link.bad_network(log("network"), seconds(120, 10), real=real)),
        "idle": lambda: asyncio.run(idle.idle(log("idle"), seconds(60, 5), real=real)),
        "quota": lambda: asyncio.run(idle.quota(log("quota"), seconds(60, 10), real=real)),
        "four": lambda: asyncio.run(crowd.crowd(log("four"), crowd.FOUR, seconds(600, 20), real=real)),
        "eight": lambda: asyncio.run(crowd.crowd(log("eight"), crowd.EIGHT, seconds(600, 20), real=real)),
        "churn": lambda: asyncio.run(churn.churn(log("churn"), minutes, seed, real=real)),
    }


def main(arguments: Sequence[str]) -> int:
    """Run the loads.

    Returns:
        0 if all hold.
    """
    names = list(loads(1, 0, False, Path()))
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Loads on a server, on loopback.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long load (%(default)g); 60 is a full run")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these loads")
    parser.add_argument("--seed", type=int, default=0, help="number of the random sequence (%(default)d)")
    parser.add_argument("--stand-in", action="store_true", help="no networks in any load")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args(arguments)
    results = []
    with tempfile.TemporaryDirectory(prefix="latentcam-soak-") as folder:
        chosen = loads(options.minutes, options.seed, not options.stand_in, Path(folder))
        for name in options.only:
            results.append(chosen[name]())
            print(results[-1].line(), flush=True)
            if options.out is not None:
                machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
                data = {"minutes": options.minutes, **machine, "results": [each.data() for each in results]}
                options.out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return int(any(each.faults for each in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
