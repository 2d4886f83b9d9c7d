"""The real server as a process of its own, on 127.0.0.1."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = ROOT / "server.py"
START_S = 180
STOP_S = 15


class Service:
    """Runs server.py; a context manager.

    Args:
        flags: for server.py. The port is a free one unless a flag names it.
        log: file that gets what it writes to stderr.
        program: what runs, in place of server.py; one of its first lines ends with its address.
    """

    def __init__(self, *flags: str, log: Path, program: Sequence[str] = (str(SERVER),)) -> None:
        self._program = program
        self._flags = flags if "--port" in flags else ("--port", "0", *flags)
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            RuntimeError: it ended instead, or took longer than `START_S`.
        """
        command = [sys.executable, *self._program, *self._flags]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(self._process, lines), daemon=True).start()
        try:
            while (line := lines.get(timeout=START_S)) and "://" not in line:
                pass
            self.url = line.rpartition(" ")[2]
        except queue.Empty:
            self.url = ""
        if not self.url:
            self.kill()
            raise RuntimeError(f"server.py did not start:\n{self._log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Ask it to end, as Ctrl-C does; returns its exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Pass on what the process prints; an empty line when it ends."""
    assert process.stdout is not None
    with process.stdout as stdout:
        for line in stdout:
            lines.put(line.strip())
    lines.put("")
