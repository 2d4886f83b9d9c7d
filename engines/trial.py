"""A network of a stranger, loaded once in a process of its own before this one takes it.

`engines.onnx_check` refuses what is known to make libraries crash or hang; a trial stands behind it for what is not.
The child compiles into the same cache, so this process reads what the child built: a trial costs one more start of a
process, once for each file, version and machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines import apart, select
from engines.base import EngineError
from engines.cache import Cache, Key
from engines.onnx_file import REMEDY, Network, open_network

MODULE = "engines.trial"
LONGEST_S = 900.0
"""Wall time of a trial; compiling a large network for a GPU takes minutes."""
SAID = 500
"""Characters of a failed child's last words that are passed on."""


def require(
    path: Path, *, backend: str, precision: str, threads: int | None, cache_dir: Path | None, remedy: str = REMEDY
) -> None:
    """Load a network in a child process, unless it passed before.

    Args:
        path, backend, precision, threads, cache_dir, remedy: see `engines.select.load`.

    Raises:
        EngineError: the child refused the network, crashed or took too long.
    """
    network, cache = open_network(path, remedy), Cache(cache_dir)
    key = _key(network, backend, precision, threads)
    if cache.get(key, network.name) is not None:
        return
    options = {
        "backend": backend,
        "precision": precision,
        "threads": threads,
        "cache_dir": None if cache_dir is None else str(cache_dir),
        "remedy": remedy,
    }
    root = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            [sys.executable, "-m", MODULE, str(path), json.dumps(options)],
            env=os.environ | {"PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise network.broken(f"loading it takes longer than {LONGEST_S:g} s") from None
    if done.returncode == 1:
        raise EngineError(done.stderr.decode(errors="replace").strip()[-SAID:] or f"{path}: it cannot be loaded")
    if done.returncode:
        raise network.broken(apart.ended(done.returncode))
    cache.put(key, network.name, b"", {})


def _key(network: Network, backend: str, precision: str, threads: int | None) -> Key:
    usable = (row for row in select.available() if row.usable)
    return Key(
        network=network.sha256,
        shapes="loaded once",
        precision="trial",
        backend=backend,
        version="; ".join(f"{row.backend} {row.reason}" for row in usable),
        device=precision,
        capability="",
        driver=f"{threads or 'all'} threads",
    )


def main(argv: Sequence[str]) -> int:
    """Load the network of `argv[0]` with the options of `argv[1]`: once to build it, once from the cache.

    Returns:
        0, or 1 where it is refused; stderr says why.
    """
    path, options = argv
    arguments: dict[str, Any] = json.loads(options)
    if arguments.get("cache_dir") is not None:
        arguments["cache_dir"] = Path(arguments["cache_dir"])
    try:
        for _ in range(2):
            select.load(path, **arguments).close()
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
