"""A command on a stranger's file in a process of its own: a crash becomes one sentence, memory has an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

INSIDE = "LATENTCAM_APART"
"""Environment variable that tells the child that it is one: the process number of its parent."""
SPARE_MEMORY = 16 << 30
"""Bytes of address space on top of the machine's memory: libraries reserve more than they use."""
WATCH_S = 1.0


def inside() -> bool:
    """Whether this process is the child of `run`; if so, bound its memory and end it with its parent."""
    parent = os.environ.pop(INSIDE, "")
    if parent != str(os.getppid()):
        return False
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + SPARE_MEMORY
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    return True


def run(module: str, arguments: Sequence[str]) -> int:
    """Run a module of ours as a command in a child, with this process's input and output.

    Returns:
        Its exit code; 1 where it crashed, after one sentence about it on stderr.
    """
    environment = os.environ | {INSIDE: str(os.getpid())}
    root = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    code = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode
    if code >= 0 and code < 1 << 31:
        return code
    print(f"error: {ended(code)}", file=sys.stderr)
    return 1


def ended(code: int) -> str:
    """What the exit code of a child that said nothing means, as a sentence."""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"code {code}"
    return f"reading the file ended the process ({name}): the file is damaged or malicious, or memory ran out"


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)
