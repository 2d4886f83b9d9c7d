"""Entries of the cache of compiled networks: read whole, or built again."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from engines.cache import Cache, Key

KEY = Key("ab" * 32, "batch 1", "f32", "openvino", "1", "a processor", "avx2", "4 threads")
CACHE = Cache(Path(tempfile.mkdtemp(prefix="fuzz-cache-")))
PAYLOAD = b"a compiled network"
WORDS = (b"[" * 40_000, b'{"key":' * 9_000, b'"size":', b"1e999", b"NaN", b"null", b"\n")


def seeds() -> list[bytes]:
    """An entry."""
    path = CACHE.put(KEY, "net", PAYLOAD, {"precision": "f32", "notes": []})
    assert path is not None
    return [path.read_bytes()]


def target(data: bytes) -> None:
    """Read an entry, and look for similar ones.

    Raises:
        AssertionError: another payload than the stored one is taken.
        Exception: anything.
    """
    logging.disable()
    CACHE.path(KEY, "net").write_bytes(data)
    entry = CACHE.get(KEY, "net")
    if entry is not None:
        assert isinstance(entry.facts, dict)
    CACHE.get(Key(**{**{name: getattr(KEY, name) for name in KEY.__slots__}, "driver": "8 threads"}), "net")
