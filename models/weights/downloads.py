"""Weights fetched in the background, on somebody's click: one job per editor, watched and cancelled from any thread."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from engines import apart
from models.entry import Entry, Weights
from models.fetch import Cancelled, FetchError, LicenceNotAccepted, Report, fetch_entry, require_addresses
from models.weights.sources import CONVERTING

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.2
CLOSE_SECONDS = 0.5
SAID = 500
"""Characters of a failed conversion's last words that are passed on."""

Phase = Literal["idle", "waiting", "fetching", "converting", "done", "failed", "cancelled"]
Convert = Callable[[Entry, threading.Event], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job is.

    Attributes:
        phase: "waiting" is for the job before it: one downloads at a time.
        file: name of the file on its way.
        number, files: which of the editor's files that is, from 1, of how many.
        done, total: bytes of this file; the total is None where the server does not tell.
        error: why it failed, in words.
    """

    phase: Phase = "idle"
    file: str = ""
    number: int = 0
    files: int = 0
    done: int = 0
    total: int | None = None
    error: str = ""

    @property
    def running(self) -> bool:
        return self.phase in ("waiting", "fetching", "converting")


class Downloads:
    """The jobs of one process.

    Args:
        entries: the catalog, by name.
        convert: makes networks of an editor's weights and returns early when the event is set. By default another
            process does: PyTorch and a checkpoint of gigabytes leave no trace in this one.
    """

    def __init__(self, entries: Mapping[str, Entry], convert: Convert | None = None) -> None:
        self._entries = entries
        self._convert = convert or convert_apart
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    def entry(self, name: str) -> Entry:
        """The catalog's row.

        Raises:
            KeyError: there is none of that name.
        """
        return self._entries[name]

    def progress(self, name: str) -> Progress:
        """Where the job of an editor is; "idle" where none was started."""
        job = self._jobs.get(name)
        return job.progress if job else Progress()

    def start(self, name: str, licence: str) -> Progress:
        """Fetch an editor's weights, and make its networks. A job that runs already goes on alone.

        Args:
            name: the editor's.
            licence: what the user has accepted; it must be `Entry.licence` to the letter, so that nobody accepts
                something else than what holds.

        Raises:
            KeyError: there is no such editor.
            LicenceNotAccepted: the licence is another one.
            FetchError: it can be known before that the job will fail; the message says what to do.
        """
        entry = self._entries[name]
        if licence != entry.licence:
            raise LicenceNotAccepted(f"the licence to accept is: {entry.licence}")
        with self._lock:
            job = self._jobs.get(name)
            if job is not None and job.progress.running:
                return job.progress
            _require_possible(entry, own_converter=self._convert is not convert_apart)
            job = self._jobs[name] = _Job(entry, self._turn, self._convert)
            job.thread.start()
        return job.progress

    def cancel(self, name: str) -> Progress:
        """Stop a job soon; what has come so far is continued the next time."""
        job = self._jobs.get(name)
        if job is None:
            return Progress()
        job.cancelled.set()
        return job.progress

    def close(self) -> None:
        """Cancel all jobs, and give them a moment to leave their files in order."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancelled.set()
        for job in jobs:
            if job.thread.is_alive():
                job.thread.join(CLOSE_SECONDS)


class _Job:
    """One editor on its way. `progress` is replaced, never changed, so any thread may read it."""

    def __init__(self, entry: Entry, turn: threading.Lock, convert: Convert) -> None:
        self.progress = Progress("waiting", files=len(entry.weights))
        self.cancelled = threading.Event()
        self.thread = threading.Thread(target=self.run, name=f"fetch {entry.name}", daemon=True)
        self._entry = entry
        self._turn = turn
        self._convert = convert

    def run(self) -> None:
        try:
            self._run()
        except Cancelled:
            self.progress = Progress("cancelled")
        except Exception as error:
            if not isinstance(error, FetchError):
                log.exception("fetching %s failed", self._entry.name)
            self.progress = Progress("failed", error=str(error) or type(error).__name__)

    def _run(self) -> None:
        while not self._turn.acquire(timeout=POLL_SECONDS):
            self._check()
        try:
            self._check()
            self.progress = replace(self.progress, phase="fetching")
            fetch_entry(self._entry, accept_licence=True, report=self._report_of)
            if self._entry.convert is not None and self._entry.unconverted:
                self.progress = Progress("converting")
                self._convert(self._entry, self.cancelled)
                self._check()
            self.progress = Progress("done")
        finally:
            self._turn.release()

    def _report_of(self, weights: Weights) -> Report:
        number = self._entry.weights.index(weights) + 1

        def report(done: int, total: int | None) -> None:
            self._check()
            self.progress = Progress(
                "fetching", weights.path.name, number, len(self._entry.weights), done, total or weights.size or None
            )

        return report

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled("cancelled")


def convert_apart(entry: Entry, cancelled: threading.Event) -> None:
    """Make an editor's networks in a process of its own.

    Raises:
        FetchError: it failed; its last words follow.
    """
    command = [sys.executable, "-m", "models.fetch", entry.name, "--accept-licence"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while True:
            try:
                _, said = process.communicate(timeout=POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if cancelled.is_set():
                    process.terminate()
    if process.returncode and not cancelled.is_set():
        reason = said.strip()[-SAID:] or apart.ended(process.returncode)
        raise FetchError(f"the weights are here, but no networks could be made of them: {reason}")


def _require_possible(entry: Entry, own_converter: bool) -> None:
    """Raise if something is missing that no download gives, before gigabytes are spent on the rest."""
    require_addresses(entry)
    absent = [package for package in CONVERTING if find_spec(package) is None]
    if entry.convert is not None and entry.unconverted and not own_converter and absent:
        packages = " ".join(absent)
        raise FetchError(f"making networks of these weights takes {packages} on the server: pip install {packages}")
