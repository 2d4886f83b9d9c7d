"""Jobs in the background, against a server on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models import fetch
from models.editor import Controls
from models.entry import Entry, Weights
from models.fetch import FetchError, LicenceNotAccepted
from models.weights import downloads
from models.weights.downloads import Downloads
from tests.file_server import DATA, SHA256, Server, listening
from tests.models.editing import no_editor

LICENCE = "CC0-1.0"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.0)
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as state:
        yield state


def entry(folder: Path, server: Server, name: str = "net", **facts: Any) -> Entry:
    file = Weights(folder / name / "weights.bin", LICENCE, "a test", len(DATA), **{"urls": (server.url,)} | facts)
    return Entry(
        name=name,
        title="A network",
        description="Does nothing.",
        controls=lambda: Controls,
        load=no_editor,
        weights=(file,),
    )


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_at, "timed out"
        time.sleep(0.005)


def finished(jobs: Downloads, name: str = "net") -> downloads.Progress:
    until(lambda: not jobs.progress(name).running)
    return jobs.progress(name)


def test_a_click_makes_an_editor_ready(tmp_path: Path, server: Server) -> None:
    row = entry(tmp_path, server, sha256=SHA256)
    jobs = Downloads({"net": row})
    assert jobs.progress("net").phase == "idle"
    assert row.missing
    assert jobs.start("net", LICENCE).running
    assert finished(jobs).phase == "done"
    assert row.state == "ready"


def test_nothing_is_asked_for_before_the_licence_is_accepted(tmp_path: Path, server: Server) -> None:
    jobs = Downloads({"net": entry(tmp_path, server)})
    for other in ("", "MIT", LICENCE.lower()):
        with pytest.raises(LicenceNotAccepted, match=LICENCE):
            jobs.start("net", other)
    assert server.ranges == []
    assert jobs.progress("net").phase == "idle"


def test_clicks_at_the_same_time_are_one_job(tmp_path: Path, server: Server) -> None:
    server.gate = threading.Event()
    jobs = Downloads({"net": entry(tmp_path, server, sha256=SHA256)})
    clicks = [threading.Thread(target=jobs.start, args=("net", LICENCE)) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    until(lambda: jobs.progress("net").file != "")
    progress = jobs.progress("net")
    assert (progress.file, progress.number, progress.files, progress.total) == ("weights.bin", 1, 1, len(DATA))
    server.gate.set()
    assert finished(jobs).phase == "done"
    assert len(server.ranges) == 1


def test_another_editor_waits_for_its_turn(tmp_path: Path, server: Server) -> None:
    server.gate = threading.Event()
    jobs = Downloads({name: entry(tmp_path, server, name, sha256=SHA256) for name in ("one", "two")})
    jobs.start("one", LICENCE)
    server.waiting.wait(60)
    assert jobs.start("two", LICENCE).phase == "waiting"
    server.gate.set()
    assert [finished(jobs, name).phase for name in ("one", "two")] == ["done", "done"]


def test_cancelling_keeps_what_came_and_the_next_click_continues(tmp_path: Path, server: Server) -> None:
    server.gate = threading.Event()
    row = entry(tmp_path, server, sha256=SHA256)
    jobs = Downloads({"net": row})
    jobs.start("net", LICENCE)
    server.waiting.wait(60)
    until(lambda: jobs.progress("net").done > 0)
    jobs.cancel("net")
    assert finished(jobs).phase == "cancelled"
    assert row.state == "needs weights"
    names = {path.name for path in row.weights[0].path.parent.iterdir()}
    assert names == {"weights.bin.part", "weights.bin.part.json"}, "no lock, no whole file"
    server.gate.set()
    jobs.start("net", LICENCE)
    assert finished(jobs).phase == "done"
    assert server.ranges[-1].startswith("bytes=")
    assert row.weights[0].path.read_bytes() == DATA


def test_a_job_can_be_cancelled_while_it_waits(tmp_path: Path, server: Server) -> None:
    server.gate = threading.Event()
    jobs = Downloads({name: entry(tmp_path, server, name) for name in ("one", "two")})
    jobs.start("one", LICENCE)
    server.waiting.wait(60)
    jobs.start("two", LICENCE)
    jobs.cancel("two")
    assert finished(jobs, "two").phase == "cancelled"
    jobs.close()
    assert finished(jobs, "one").phase == "cancelled"


@pytest.mark.parametrize(
    ("facts", "change", "words"),
    [
        ({"sha256": SHA256}, {"body": b"something else"}, "sha256 is"),
        ({}, {"cut": [1000] * 20, "tag": ""}, "broke off"),
        ({}, {"status": [404]}, "HTTP 404"),
        ({}, {"content_type": "text/html"}, "quota"),
    ],
)
def test_failures_come_in_words_and_leave_no_file(
    tmp_path: Path, server: Server, facts: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    row = entry(tmp_path, server, **facts)
    jobs = Downloads({"net": row})
    jobs.start("net", LICENCE)
    progress = finished(jobs)
    assert progress.phase == "failed"
    assert words in progress.error
    assert row.state == "needs weights"


def test_no_network_and_no_space_are_told(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Downloads({"net": entry(tmp_path, server, urls=("http://127.0.0.1:9/weights.bin",))})
    jobs.start("net", LICENCE)
    assert "no connection" in finished(jobs).error
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    jobs = Downloads({"net": entry(tmp_path, server)})
    jobs.start("net", LICENCE)
    assert "not enough disk space" in finished(jobs).error


def test_what_no_download_gives_is_said_first(tmp_path: Path, server: Server) -> None:
    there = entry(tmp_path, server).weights[0]
    own = Weights(tmp_path / "own.pt", "your own", "their authors send it on request")
    row = dataclasses.replace(entry(tmp_path, server), weights=(there, own))
    with pytest.raises(FetchError, match=r"own\.pt cannot be downloaded: their authors send it"):
        Downloads({"net": row}).start("net", row.licence)
    assert server.ranges == []


def test_networks_are_made_after_the_download(tmp_path: Path, server: Server) -> None:
    network = tmp_path / "net" / "network.onnx"
    made_from = entry(tmp_path, server, sha256=SHA256)
    row = dataclasses.replace(made_from, networks=(network,), convert=lambda: None)
    file = row.weights[0]
    entered, leave = threading.Event(), threading.Event()

    def convert(made: Entry, cancelled: threading.Event) -> None:
        entered.set()
        leave.wait(60)
        network.write_bytes(file.path.read_bytes())

    jobs = Downloads({"net": row}, convert)
    jobs.start("net", LICENCE)
    entered.wait(60)
    assert jobs.progress("net").phase == "converting"
    leave.set()
    assert finished(jobs).phase == "done"
    assert row.state == "ready"
    assert hashlib.sha256(network.read_bytes()).hexdigest() == SHA256


def test_a_conversion_apart_that_fails_says_why(tmp_path: Path, server: Server) -> None:
    row = entry(tmp_path, server, "no-such-editor")
    with pytest.raises(FetchError, match="no editor"):
        downloads.convert_apart(row, threading.Event())
