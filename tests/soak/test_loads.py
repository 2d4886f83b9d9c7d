"""Most of the loads of `make soak`, short: enough to see that they can be run, and that a fault is told."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from aiortc import rtcrtpreceiver
from aiortc.codecs import get_decoder

from tests.soak import __main__ as command
from tests.soak import abuse, churn, clock, crowd, idle, trouble
from tests.soak.light import Seen
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
    monkeypatch.setattr(trouble, "TIDY_S", 0.1)
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


def test_a_wall_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    monkeypatch.setattr(clock, "JUMPS_S", (86_400,))
    monkeypatch.setattr(clock, "STAYS_S", 1.2)
    monkeypatch.setattr(clock, "FREEZE_S", 8.0)  # no promise of speed: the fault it tells takes a minute
    held(asyncio.run(clock.clock_jumps(tmp_path / "log", tmp_path)))


def test_idle_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "SETTLE_S", 0.3)
    monkeypatch.setattr(idle, "IDLE_CORES", 1.0)  # `test_idle.py` holds it
    held(asyncio.run(idle.idle(tmp_path / "log", 0.5, real=False)))
    assert rtcrtpreceiver.get_decoder is get_decoder  # the load that comes next decodes all it gets


def seen(fps: float, delay: float, edits: float, seconds: int = 40) -> Seen:
    times = [number / fps for number in range(int(fps * seconds))]
    return Seen(times, [delay] * len(times), edits)


def faults_of(*sessions: Seen) -> list[str]:
    result = Result("a crowd")
    crowd.judge(result, crowd.Goal(len(sessions), 15.0), sessions, 0.0, 40.0)
    return result.faults


def test_a_crowd_is_judged_by_its_goals() -> None:
    assert faults_of(seen(30, 80, 29), seen(16, 80, 25)) == []
    assert "14.0 fps" in faults_of(seen(30, 80, 29), seen(14, 80, 25))[0]
    assert "edit rates" in faults_of(seen(30, 80, 29), seen(30, 80, 20))[0]
    assert "edit rates" in faults_of(seen(30, 80, 0))[0]
    assert "a delay of 400 ms" in faults_of(seen(30, 400, 29))[0]
    growing = seen(30, 80, 29)
    growing.delays = [80 + number / 10 for number in range(len(growing.times))]
    assert any("grew" in fault for fault in faults_of(growing))
    starving = seen(30, 80, 29)
    starving.times = [at for at in starving.times if not 10 <= at < 20]
    starving.delays = [80] * len(starving.times)
    assert "for a while" in faults_of(starving)[0]


def test_sessions_are_measured_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is found again by the timestamp that came back, whichever the server gave it."""
    monkeypatch.setattr(crowd, "SIZE", (320, 240))
    monkeypatch.setattr(crowd, "WARM_S", 0.1)
    figures = asyncio.run(crowd.crowd(tmp_path / "log", crowd.Goal(2, 1.0), 1.0, real=False)).figures
    assert all(0 < delay < 20_000 for delay in figures["delay p50, ms"]), figures
    assert min(figures["fps by session"]) > 0


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
