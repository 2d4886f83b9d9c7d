"""`latentcam doctor`: what this machine can do, which engines and why, and what to install."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LEAST_FREE = 2e9
"""Bytes of free disk below which a download of published weights is likely to fail."""
PORT = 8080


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        state: "good"; "note" where something more is possible; "bad" where something that is needed is missing.
        what: what was looked at.
        words: what was found.
        remedy: what to do; empty where there is nothing to do.
    """

    state: Literal["good", "note", "bad"]
    what: str
    words: str
    remedy: str = ""


MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


def examine() -> Iterator[Finding]:
    """Look at this machine, one thing after the other."""
    yield Finding(
        "good", "system", f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    )
    missing = list(_packages())
    yield from missing
    if missing:
        return
    yield from _engines()
    yield from _editors()
    yield from _cameras()
    yield _encoder()
    yield _port()
    yield from _disk()
    yield _tls()


def _packages() -> Iterator[Finding]:
    for package in ("numpy", "cv2", "av", "aiortc", "fastapi", "uvicorn", "pydantic_settings", "onnxruntime", "PIL"):
        if importlib.util.find_spec(package) is None:
            yield Finding("bad", "packages", f"{package} is not installed", "pip install -r requirements.txt")


def _engines() -> Iterator[Finding]:
    from engines import select  # noqa: PLC0415  heavy

    rows = select.available()
    usable = [row.backend for row in rows if row.usable]
    state: Literal["good", "bad"] = "good" if usable else "bad"
    yield Finding(state, "engines", f"usable: {', '.join(usable) or 'none'}")
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row.usable:
            reasons.setdefault(row.reason, []).append(row.backend)
    for reason, backends in reasons.items():
        yield Finding("note", "engines", f"not usable: {', '.join(backends)}: {reason}")


def _editors() -> Iterator[Finding]:
    from models import catalog  # noqa: PLC0415  heavy

    ready = [row.name for row in catalog.ENTRIES.values() if row.state == "ready"]
    others = len(catalog.ENTRIES) - len(ready)
    yield Finding("good" if ready else "bad", "editors", f"ready: {', '.join(ready) or 'none'}")
    if others:
        remedy = "the page's editor list, or latentcam models.fetch NAME"
        yield Finding("note", "editors", f"{others} published ones need weights that their authors give", remedy)
    for row in catalog.ENTRIES.values():
        if row.fault:
            yield Finding("bad", "editors", f"{row.name} {row.fault}")


def _cameras() -> Iterator[Finding]:
    from stream.camera import list_cameras  # noqa: PLC0415  heavy

    for line in list_cameras():
        yield Finding("note" if line.startswith("no ") else "good", "camera", line)
    if importlib.util.find_spec("pyvirtualcam") is None:
        yield Finding("note", "camera", "no virtual camera for other programs", "pip install pyvirtualcam")


def _encoder() -> Finding:
    import av  # noqa: PLC0415  heavy

    if "libx264" in av.codecs_available:
        return Finding("good", "video", "H264 can be encoded and decoded")
    return Finding("bad", "video", "this PyAV has no libx264", "pip install --force-reinstall av")


def _port() -> Finding:
    with socket.socket() as trial:
        if sys.platform != "win32":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", PORT))
        except OSError:
            return Finding("note", "port", f"{PORT} is in use", "latentcam --port 0 takes a free one")
    return Finding("good", "port", f"{PORT} is free")


def _disk() -> Iterator[Finding]:
    from engines.cache import Cache  # noqa: PLC0415  heavy
    from models.entry import weights_folder  # noqa: PLC0415  heavy

    for what, folder in (("weights", weights_folder()), ("engine cache", Cache(None).folder)):
        there = _existing(folder)
        free = shutil.disk_usage(there).free
        used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
        words = f"{what} in {folder}: {used / 1e6:.0f} MB used, {free / 1e9:.1f} GB free"
        yield Finding("good" if free > LEAST_FREE else "note", "disk", words, "" if free > LEAST_FREE else "free some")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _tls() -> Finding:
    named = [os.environ.get(name) for name in ("LATENTCAM_TLS_CERT", "LATENTCAM_TLS_KEY")]
    if all(named):
        lost = [path for path in named if path and not Path(path).is_file()]
        return Finding("bad", "TLS", f"there is no {lost[0]}") if lost else Finding("good", "TLS", f"{named[0]}")
    words = "none set: the page works on this machine; other devices need https (docs/hosting.md)"
    return Finding("note", "TLS", words)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report.

    Returns:
        0, or 1 when something that is needed is missing.
    """
    argparse.ArgumentParser(prog="latentcam doctor", description="What this machine can do.").parse_args(argv)
    worst = 0
    for finding in examine():
        remedy = f" -> {finding.remedy}" if finding.remedy else ""
        print(f"{MARKS[finding.state]} {finding.what}: {finding.words}{remedy}", flush=True)
        worst = max(worst, finding.state == "bad")
    return int(worst)
