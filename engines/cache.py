"""Compiled networks on disk, keyed by everything they depend on.

An entry is one file: a line of magic, a line of JSON (key, facts, size and hash of the payload) and the payload.
Entries appear by an atomic rename: a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

try:
    from platformdirs import user_cache_path
except ImportError:  # `engines.bench` also runs where torch and onnx alone are installed

    def user_cache_path(appname: str, *, appauthor: bool) -> Path:  # type: ignore[misc]
        del appauthor
        return Path.home() / ".cache" / appname


log = logging.getLogger(__name__)

MAGIC = b"latentcam engine 1\n"
SUFFIX = ".engine"
PART = ".part"  # suffix of a file being written
ABANDONED_S = 3600.0  # the writer of a part older than this has died
DEFAULT_LIMIT = 8 << 30  # bytes
HEADER_LIMIT = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Key:
    """What a compiled network depends on. Two equal keys give interchangeable engines.

    Attributes:
        network: sha256 of the ONNX file with its external data, see `engines.onnx_file.Network`.
        shapes: the shapes it was compiled for.
        precision: what it computes in, or what the entry holds instead of an engine ("choice", "timing").
        backend: name of the backend.
        version: version of the backend's library.
        device: name of the processor or GPU.
        capability: CUDA compute capability, or the processor's instruction sets.
        driver: version of the GPU's driver; system and threads for a processor.
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
    """One entry of the cache.

    Attributes:
        payload: the compiled network, in the backend's own format.
        facts: measurements made when it was stored (parity, milliseconds), as plain JSON.
    """

    payload: bytes
    facts: dict[str, Any] = field(default_factory=dict)


class Cache:
    """A folder of entries under a size limit; the least recently used are deleted first.

    A cache never makes a call fail. An entry that cannot be read counts as missing, one that cannot be written is not
    stored; both are logged with the reason.

    Args:
        folder: where entries are stored; None for `default_folder()`.
        limit: bytes of all entries together.
    """

    def __init__(self, folder: Path | None = None, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit

    def path(self, key: Key, name: str) -> Path:
        """File of the entry for a key; it starts with the network's `name`, for people who look into the folder."""
        return self.folder / f"{_prefix(key, name)}{key.digest()}{SUFFIX}"

    def get(self, key: Key, name: str) -> Entry | None:
        """The verified entry of exactly this key, or None; logs what changed since an entry of a similar key."""
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
            os.utime(path)  # marks the last use, for eviction
        return Entry(payload, header["facts"])

    def put(self, key: Key, name: str, payload: bytes, facts: Mapping[str, Any] | None = None) -> Path | None:
        """Store an entry; it replaces an older one of the same key atomically.

        Returns:
            The file, or None if it could not be written; an older entry then stays unchanged.
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
    """LATENTCAM_CACHE, or a folder in the user's cache folder by the platform's convention."""
    if own := os.environ.get("LATENTCAM_CACHE"):
        return Path(own)
    return user_cache_path("latentcam", appauthor=False) / "engines"


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
        line = file.readline(HEADER_LIMIT)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("the header is corrupt") from None
    if not isinstance(header, dict) or not {"key", "facts", "size", "sha256"} <= set(header):
        raise ValueError("the header is incomplete")
    if not isinstance(header["key"], dict) or not isinstance(header["facts"], dict):
        raise ValueError("the header is malformed")
    return header


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file atomically: it appears complete, or an older one stays unchanged.

    Raises:
        OSError: the file cannot be written, for example on a full disk.
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
