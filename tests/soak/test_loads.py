"""Seven of the loads of `make soak`, short: enough to see that they can be run, and that a fault is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.soak import __main__ as command
from tests.soak import abuse, churn, trouble
from tests.soak.results import Result
from tests.soak.servers import Server, wait_until_empty


def held(result: Result) -> None:
    assert not result.faults, result.line()


def test_offers(tmp_path: Path) -> None:
    held(asyncio.run(abuse.mutated_offers(tmp_path / "log", 40, 1)))


def test_messages_and_packets(tmp_path: Path) -> None:
    held(asyncio.run(abuse.mutated_messages(tmp_path / "log", 200, 1)))
    held(asyncio.run(abuse.mutated_packets(tmp_path / "log", 40, 1)))


def test_a_client_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "SILENCE_S", 1.0)
    held(trouble.killed_clients(tmp_path / "log", 1))


def test_a_server_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "SILENCE_S", 1.0)
    held(asyncio.run(trouble.stopped_server(tmp_path / "log", 0.5)))


def test_a_full_disk(tmp_path: Path) -> None:
    held(asyncio.run(trouble.full_disk(tmp_path / "log", tmp_path)))


def test_sessions_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(churn, "STAYS_S", (0.2, 0.5))
    monkeypatch.setattr(churn, "CHANGE_S", 0.1)
    monkeypatch.setattr(churn, "SIZES", ((320, 240),))
    held(asyncio.run(churn.churn(tmp_path / "log", 0.02, 1, real=False)))


def test_a_fault_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = Result("one load")
    result.require(False, "it fell over")
    monkeypatch.setattr(command, "loads", lambda *_: {"one": lambda: result})
    assert command.main(["--out", str(tmp_path / "results.json")]) == 1
    assert "one load: FAULT: it fell over" in capsys.readouterr().out
    assert "it fell over" in (tmp_path / "results.json").read_text()


def test_what_is_left_is_noticed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Server(log=log) as server:
        assert wait_until_empty(server, 1) < 1
        assert server.memory() > 10
        log.write_text('{"level": "ERROR", "message": "a fault"}\nnot json\n{"level": "INFO"}\n')
        assert len(server.complaints()) == 2
