"""A server under load, as a process of its own on 127.0.0.1, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
START_S = 300.0
STOP_S = 30.0
POLL_S = 0.2
STAND_IN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("stand_in", "tests/signaling/conftest.py")
stand_in = importlib.util.module_from_spec(spec)
sys.modules["stand_in"] = stand_in
spec.loader.exec_module(stand_in)
import server
server.load_runtime = lambda settings: stand_in.FakeRuntime()
{patch}
sys.exit(server.main(sys.argv[1:]))
"""


class Server:
    """Runs a server; a context manager.

    Args:
        flags: of server.py. The port is a free one.
        log: file that gets what it logs, as JSON lines.
        real: with networks; otherwise with the stand-in of the tests, which costs nearly nothing.
        patch: Python that the stand-in's process runs first.
        environment: variables besides those of this process.
        core: the only one that it may use; None for all of this process.
    """

    def __init__(
        self,
        *flags: str,
        log: Path,
        real: bool = False,
        patch: str = "",
        environment: dict[str, str] | None = None,
        core: int | None = None,
    ) -> None:
        only = [] if core is None else ["taskset", "-c", str(core)]
        start = ["server.py"] if real else ["-c", STAND_IN.format(patch=patch)]
        self._command = [*only, sys.executable, *start, "--port", "0", "--log-format", "json", *flags]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if re.match(r"https?://\S+:\d+$", line):
                self.url = line.strip()
                return self
        self._process.wait(STOP_S)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text(encoding='utf-8')[-3000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def processor(self) -> float:
        """Seconds of processor time of the threads that there are."""
        spent = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def children(self) -> list[int]:
        """Processes that it started and that have not ended, or that it has not waited for."""
        found = (Path(f"/proc/{self.pid}/task") / str(self.pid) / "children").read_text().split()
        return [int(pid) for pid in found]

    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def figures(self) -> dict[tuple[str, ...], float]:
        """Samples of /metrics by name and label values."""
        text = httpx.get(f"{self.url}/metrics", timeout=START_S).text
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def complaints(self) -> list[str]:
        """Lines of the log at level error, or with a traceback, or that are no JSON."""
        found = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                found.append(line)
                continue
            if said["level"] in ("ERROR", "CRITICAL") or "exception" in said:
                found.append(line)
        return found


class Watch:
    """Asks a server over and over whether it lives, from a thread; a context manager.

    Attributes:
        longest: seconds that the slowest answer took.
        busiest: most seconds that the server itself worked during one answer: a machine that does other things makes
            answers slow, but not these.
        answers: how many there were.
        failures: what was said instead of an answer.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest = 0.0
        self.busiest = 0.0
        self.answers = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=60) as http:
            while not self._stop.wait(POLL_S):
                try:
                    began, worked = time.monotonic(), self._server.processor()
                    status = http.get("/livez").status_code
                    took, worked = time.monotonic() - began, self._server.processor() - worked
                except (httpx.HTTPError, OSError) as error:  # OSError: the process is gone
                    self.failures.append(repr(error))
                    continue
                self.longest = max(self.longest, took)
                self.busiest = max(self.busiest, min(took, worked))
                self.answers += 1
                if status != 200:
                    self.failures.append(f"status {status}")


def wait_until_empty(server: Server, seconds: float, names: Sequence[str] = ("sessions", "viewers")) -> float:
    """Wait until a server has no sessions and viewers left.

    Returns:
        Seconds that it took.

    Raises:
        TimeoutError: some are left.
    """
    began = time.monotonic()
    while True:
        found = server.figures()
        left = {name: found[f"latentcam_{name}",] for name in names}
        if not any(left.values()):
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{left} are left after {seconds:g} s")
        time.sleep(POLL_S)
