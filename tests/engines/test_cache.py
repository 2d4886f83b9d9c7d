from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from engines import cache as caches
from engines.cache import Cache, Key, default_folder

KEY = Key(
    network="ab" * 32,
    shapes="batch 1..8",
    precision="f16",
    backend="tensorrt",
    version="10.16.0",
    device="Some GPU",
    capability="8.9",
    driver="580.10",
)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def payload(cache: Cache, key: Key) -> bytes:
    entry = cache.get(key, "net")
    assert entry is not None
    return entry.payload


def stored(cache: Cache, key: Key, name: str, content: bytes, facts: dict[str, Any] | None = None) -> Path:
    path = cache.put(key, name, content, facts)
    assert path is not None
    return path


def test_an_entry_comes_back_as_it_was_stored(cache: Cache) -> None:
    assert cache.get(KEY, "net") is None
    path = stored(cache, KEY, "net", b"engine\nbytes\x00", {"ms": 1.5})
    entry = cache.get(KEY, "net")
    assert entry is not None
    assert (entry.payload, entry.facts) == (b"engine\nbytes\x00", {"ms": 1.5})
    assert path is not None
    assert [file.name for file in cache.folder.iterdir()] == [path.name]


@pytest.mark.parametrize("part", [part.name for part in dataclasses.fields(Key)])
def test_every_part_of_the_key_separates_entries(cache: Cache, part: Any) -> None:
    cache.put(KEY, "net", b"old")
    changed = dataclasses.replace(KEY, **{part: "changed"})
    assert cache.get(changed, "net") is None
    cache.put(changed, "net", b"new")
    assert payload(cache, KEY) == b"old"
    assert payload(cache, changed) == b"new"


def test_a_rebuild_says_which_part_changed(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    cache.put(KEY, "net", b"old")
    with caplog.at_level(logging.INFO, "engines.cache"):
        assert cache.get(dataclasses.replace(KEY, driver="590.1", version="10.17.0"), "net") is None
    (record,) = caplog.records
    assert "driver: was 580.10, is 590.1" in record.getMessage()
    assert "version: was 10.16.0, is 10.17.0" in record.getMessage()
    assert "device" not in record.getMessage()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[:-1], "corrupt"),
        (lambda data: data + b"x", "corrupt"),
        (lambda data: data.replace(b"payload", b"pAyload"), "corrupt"),
        (lambda data: b"", "not an entry"),
        (lambda data: b"ONNX something else entirely", "not an entry"),
        (lambda data: caches.MAGIC + b"{]\n", "header is corrupt"),
        (lambda data: caches.MAGIC + b"[" * 60_000 + b"\n", "header is corrupt"),
        (lambda data: caches.MAGIC + b'{"key":' * 9_000 + b"\n", "header is corrupt"),
        (lambda data: caches.MAGIC + b"[1]\n", "header is incomplete"),
        (lambda data: caches.MAGIC + b'{"key": 1, "facts": {}, "size": 0, "sha256": ""}\n', "header is malformed"),
        (lambda data: data.replace(b'"8.9"', b'"9.0"'), "capability: was 9.0, is 8.9"),
    ],
)
def test_a_corrupt_or_foreign_file_is_not_loaded_and_says_so(
    cache: Cache, caplog: pytest.LogCaptureFixture, spoil: Any, reason: Any
) -> None:
    path = stored(cache, KEY, "net", b"payload")
    path.write_bytes(spoil(path.read_bytes()))
    assert cache.get(KEY, "net") is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert reason in record.getMessage()
    cache.put(KEY, "net", b"again")
    assert payload(cache, KEY) == b"again"


def test_a_full_disk_leaves_the_old_entry(
    cache: Cache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(cache, KEY, "net", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cache.put(KEY, "net", b"new") is None
    monkeypatch.undo()
    assert "No space left on device" in caplog.text
    assert payload(cache, KEY) == b"old"
    assert list(cache.folder.iterdir()) == [path]


def test_what_a_dead_process_left_half_written_goes(cache: Cache) -> None:
    cache.put(KEY, "net", b"old")
    dead, alive = cache.folder / ".dead.part", cache.folder / ".alive.part"
    for part in (dead, alive):
        part.write_bytes(b"half an engine")
    os.utime(dead, (1000, 1000))
    cache.put(KEY, "net", b"new")
    assert (dead.exists(), alive.exists()) == (False, True)


def test_a_folder_that_cannot_be_made_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.put(KEY, "net", b"payload") is None
    assert cache.get(KEY, "net") is None
    assert "not stored" in caplog.text


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=170_000)
    keys = [dataclasses.replace(KEY, driver=str(index)) for index in range(4)]
    for age, key in enumerate(keys[:3]):
        os.utime(stored(cache, key, "net", bytes(50_000)), (1000 + age, 1000 + age))
    assert cache.get(keys[0], "net") is not None  # now the newest used
    cache.put(keys[3], "net", bytes(50_000))
    assert [cache.get(key, "net") is not None for key in keys] == [True, False, True, True]


def test_an_entry_over_the_limit_is_kept_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=100)
    cache.put(KEY, "net", bytes(10))
    big = dataclasses.replace(KEY, driver="2")
    cache.put(big, "net", bytes(1000))
    assert cache.get(big, "net") is not None
    assert cache.get(KEY, "net") is None


def test_names_of_files_cannot_leave_the_folder(cache: Cache) -> None:
    assert cache.path(KEY, "../../etc/passwd").parent == cache.folder


def test_the_header_is_readable_by_people(cache: Cache) -> None:
    path = stored(cache, KEY, "net", b"payload", {"ms": 2})
    magic, header, _ = path.read_bytes().split(b"\n", 2)
    assert magic == b"latentcam engine 1"
    assert json.loads(header)["key"] == dataclasses.asdict(KEY)


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LATENTCAM_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("LATENTCAM_CACHE")
    assert default_folder() == platformdirs.user_cache_path("latentcam", appauthor=False) / "engines"


@pytest.mark.skipif(sys.platform != "linux", reason="XDG folders are Linux's")
def test_the_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATENTCAM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_folder() == Path("/xdg/latentcam/engines")
