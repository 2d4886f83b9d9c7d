"""Compiled networks on disk, keyed by everything they depend on.

An entry is one file: a line of magic, a line of JSON (key, facts, size and hash of the payload) and the payload. Its
first two lines tell what it is. Entries appear by an atomic rename: a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MAGIC = b"latentcam engine 1\n"
SUFFIX = ".engine"
PART = ".part"  # of files being written
ABANDONED_S = 3600.0  # a part older than this belongs to a process that died
DEFAULT_LIMIT = 8 << 30  # bytes
HEADER_LIMIT = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Key:
    """What a compiled network depends on. Two equal keys give interchangeable engines.

    Attributes:
        network: sha256 of the ONNX file.
        shapes: the shapes it was compiled for.
        precision: "f32", "bf16", "f16", "int8", or "auto" for a remembered choice among them.
        backend: name of the backend.
        version: of the backend's library.
        device: name of the processor or GPU.
        capability: CUDA compute capability, or the processor's instruction sets.
        driver: version of the driver, or what stands for it.
    """

    network: str
    shapes: str
    precision: str
    backend: str
    version: str
    device: str
    capability: str
    driver: str

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def changes(self, old: Mapping[str, Any]) -> list[str]:
        """What differs from an older key, as sentences such as "version: was 10.1, is 10.2"."""
        return [
            f"{name}: was {_short(old.get(name))}, is {_short(value)}"
            for name, value in asdict(self).items()
            if old.get(name) != value
        ]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the cache holds for one key.

    Attributes:
        payload: the compiled network, in the backend's own format.
        facts: what was measured when it was made (parity, milliseconds): plain JSON.
    """

    payload: bytes
    facts: dict[str, Any] = field(default_factory=dict)


class Cache:
    """A folder of entries under a size limit; the longest unused go first.

    A cache never makes a call fail: what cannot be read is made anew, what cannot be written is used from memory, and
    both are logged with the reason.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit

    def path(self, key: Key, name: str) -> Path:
        """Where the entry for this key lies; `name` is the network's, for people who look into the folder."""
        return self.folder / f"{_prefix(key, name)}{key.digest()}{SUFFIX}"

    def get(self, key: Key, name: str) -> Entry | None:
        """The entry of exactly this key, verified, or None; says why when an entry of another key was nearly it."""
        path = self.path(key, name)
        try:
            header, payload = _read(path)
        except FileNotFoundError:
            self._explain(key, name)
            return None
        except (OSError, ValueError) as error:
            log.warning("%s: %s; it will be built again", path, error)
            return None
        if key.changes(header["key"]):
            log.warning("%s: made for another key (%s); it will be built again", path, key.changes(header["key"]))
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use, for eviction
        return Entry(payload, header["facts"])

    def put(self, key: Key, name: str, payload: bytes, facts: Mapping[str, Any] | None = None) -> Path | None:
        """Store an entry, replacing an older one of the same key at once or not at all.

        Returns:
            The file, or None when it could not be written; an older entry then stays as it was.
        """
        path = self.path(key, name)
        header = {
            "key": asdict(key),
            "facts": dict(facts or {}),
            "size": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, [MAGIC, json.dumps(header).encode() + b"\n", payload])
        except OSError as error:
            log.warning("%s: not stored (%s); the next start builds it again", path, error.strerror or error)
            return None
        self._evict(keep=path)
        return path

    def _explain(self, key: Key, name: str) -> None:
        """Log which parts of the key changed since the newest entry for the same network, backend and precision."""
        newest, when = None, 0.0
        for path in self.folder.glob(f"{_prefix(key, name)}*{SUFFIX}"):
            with contextlib.suppress(OSError, ValueError):
                header, made = _read_header(path), path.stat().st_mtime
                if made > when:
                    newest, when = header, made
        if newest is None:
            log.debug("%s: nothing stored yet for %s in %s", name, key.backend, key.precision)
        else:
            log.info("%s: built again for %s: %s", name, key.backend, "; ".join(key.changes(newest["key"])))

    def _evict(self, keep: Path) -> None:
        for part in self.folder.glob(f".*{PART}"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    part.unlink()
        entries = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((path == keep, status.st_mtime, status.st_size, path))
        total = sum(size for _, _, size, _ in entries)
        for kept, _, size, path in sorted(entries):
            if total <= self.limit or kept:
                return
            log.info("%s: evicted, the cache is over its limit of %d bytes", path, self.limit)
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size


def default_folder() -> Path:
    """The user's cache folder by the platform's convention, or LATENTCAM_CACHE."""
    if own := os.environ.get("LATENTCAM_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "latentcam" / "engines"


def _prefix(key: Key, name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.{key.backend}.{key.precision}."


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    header = _read_header(path)
    with path.open("rb") as file:
        file.readline(), file.readline()
        payload = file.read()
    if len(payload) != header["size"] or hashlib.sha256(payload).hexdigest() != header["sha256"]:
        raise ValueError("the file is corrupt")
    return header, payload


def _read_header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if file.readline(len(MAGIC)) != MAGIC:
            raise ValueError("not an entry of this cache")
        try:
            header = json.loads(file.readline(HEADER_LIMIT))
        except ValueError:
            raise ValueError("the header is corrupt") from None
    if not isinstance(header, dict) or not {"key", "facts", "size", "sha256"} <= set(header):
        raise ValueError("the header is incomplete")
    if not isinstance(header["key"], dict) or not isinstance(header["facts"], dict):
        raise ValueError("the header is malformed")
    return header


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all; an older one of its name then stays as it was.

    Raises:
        OSError: it cannot be written, as on a full disk.
    """
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 48 else text[:12] + "..."
