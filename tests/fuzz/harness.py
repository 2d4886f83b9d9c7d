"""Runs a target in a process of its own, so that a crash or a hang is a result like any other.

The child writes each input into a shared file before it calls the target; what it holds when the child dies or stands
still is the input at fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.fuzz import mutations

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
HEAD = struct.Struct("<QQ")  # calls begun, bytes of the current input
START_S = 120.0
"""Wall time for a child's imports on a busy machine."""
CALL_S = 20.0
"""Wall time of one call; a hundred times what the slowest target takes."""
POLL_S = 0.05


class Target(Protocol):
    """A module of this folder. It may also have `WORDS`, a sequence of bytes that its format uses."""

    def seeds(self) -> list[bytes]:
        """Valid inputs."""

    def target(self, data: bytes) -> None:
        """Read one input; raises only on a fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an input did.

    Attributes:
        input: the bytes.
        reason: one line.
        output: what the child wrote: a traceback.
    """

    input: bytes
    reason: str
    output: str

    def save(self, folder: Path, name: str) -> Path:
        """Write the input, named by its hash."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}-{hashlib.sha256(self.input).hexdigest()[:12]}.bin"
        path.write_bytes(self.input)
        return path


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended.

    Attributes:
        calls: inputs tried.
        fault: the first one, if any.
    """

    calls: int
    fault: Fault | None


def names() -> tuple[str, ...]:
    """The targets: modules of this folder that define `target`."""
    found = (path for path in FOLDER.glob("*.py") if "\ndef target(data: bytes)" in path.read_text(encoding="utf-8"))
    return tuple(sorted(path.stem for path in found))


def load(name: str) -> Target:
    """A target of this folder, or a module by its dotted name."""
    module: Target = importlib.import_module(name if "." in name else f"tests.fuzz.{name}")
    return module


def run(name: str, seconds: float, seed: int = 0, inputs: Sequence[bytes] = ()) -> Run:
    """Call a target in a child until the time is over or an input is at fault. The seeds are always tried.

    Args:
        name: of the target.
        seconds: wall time from the start of the child.
        seed: number of the random sequence.
        inputs: tried instead of mutations.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        mailbox, errors = Path(folder) / "input", Path(folder) / "errors"
        mailbox.write_bytes(bytes(HEAD.size + mutations.LONGEST))
        given = Path(folder) / "given"
        given.mkdir()
        for index, data in enumerate(inputs):
            (given / f"{index:06}").write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz.harness", name, str(seconds), str(seed), folder]
        with errors.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as child:
            code = _watched(child, mailbox)
        calls, length = HEAD.unpack(mailbox.read_bytes()[: HEAD.size])
        data = mailbox.read_bytes()[HEAD.size : HEAD.size + length]
        if code == 0:
            return Run(calls, None)
        return Run(calls, Fault(data, _reason(code), errors.read_text(encoding="utf-8", errors="replace")[-8000:]))


def _watched(child: subprocess.Popen[bytes], mailbox: Path) -> int | None:
    """The child's exit code; None where it stood still and was ended."""
    calls, since = 0, time.monotonic()
    with mailbox.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(POLL_S)
            now, _ = HEAD.unpack(memory[: HEAD.size])
            if now != calls:
                calls, since = now, time.monotonic()
            elif time.monotonic() - since > (CALL_S if calls else START_S):
                child.kill()
                child.wait()
                return None


def _reason(code: int | None) -> str:
    if code is None:
        return f"a call took more than {CALL_S:g} s"
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with {code}" if code != 1 else "an exception that is no refusal"


def _child(name: str, seconds: float, seed: int, folder: Path) -> None:
    ends = time.monotonic() + seconds
    fuzzed = load(name)
    given = [path.read_bytes() for path in sorted((folder / "given").iterdir())]
    seeds = fuzzed.seeds()
    stream = iter(given) if given else mutations.inputs(seeds, seed, getattr(fuzzed, "WORDS", ()))
    must = len(given) or len(seeds)
    with (folder / "input").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        for calls, given_data in enumerate(stream, 1):
            if calls > must and time.monotonic() > ends:
                return
            data = given_data[: mutations.LONGEST]
            memory[HEAD.size : HEAD.size + len(data)] = data
            memory[: HEAD.size] = HEAD.pack(calls, len(data))
            fuzzed.target(data)


if __name__ == "__main__":
    _child(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)  # what a library does at its end is not what is tried here
