"""What a stranger can cause over and over is logged now and then, on one line."""

from __future__ import annotations

import io
import json
import logging
from datetime import datetime, timedelta

import pytest
from pythonjsonlogger.json import JsonFormatter

from signaling.logs import LINE_BURST, LONGEST_LINE, CallSiteLimit, about, formatter, limited, start_logging


def lines(count: int, limit: CallSiteLimit, text: str = "a peer sent %s", what: object = "junk") -> list[str]:
    """What passes of `count` lines from one place."""
    passed = []
    for _ in range(count):
        record = logging.LogRecord("signaling", logging.WARNING, "peer.py", 7, text, (what,), None)
        if limit.filter(record):
            passed.append(record.getMessage())
    return passed


def test_one_place_writes_few_lines_and_counts_the_rest() -> None:
    now = 0.0
    limit = CallSiteLimit(rate=0.5, burst=3, clock=lambda: now)
    assert lines(1000, limit) == ["a peer sent junk"] * 3
    now = 2.0
    assert lines(10, limit) == ["a peer sent junk (997 more such lines were left out)"]


def test_other_places_are_not_silenced() -> None:
    limit = CallSiteLimit(burst=1)
    lines(100, limit)
    other = logging.LogRecord("signaling", logging.ERROR, "peer.py", 8, "the pipeline failed", (), None)
    assert limit.filter(other)


def test_a_line_stays_one_line_of_bounded_length() -> None:
    (line,) = lines(1, CallSiteLimit(), what="x\n2026-01-01 ERROR all is lost\x1b[2J" + "y" * 70_000)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\\n2026" in line
    assert len(line) < LONGEST_LINE + 100


def test_a_limited_logger(caplog: pytest.LogCaptureFixture) -> None:
    logger = limited("signaling.test_limited")
    assert limited("signaling.test_limited") is logger
    assert len(logger.filters) == 1
    for _ in range(1000):
        logger.warning("again")
    assert len(caplog.records) == LINE_BURST


@pytest.mark.parametrize("failed", [False, True])
def test_a_line_of_json_has_its_fields_apart(failed: bool) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("json"))
    logger = logging.Logger("signaling.sessions")
    logger.addHandler(handler)
    logger.addFilter(CallSiteLimit())
    try:
        assert not failed, "on purpose"
        logger.info("session %s: ended,\n%s", "abc", "gone", extra=about("abc", "studio", "gone"))
    except AssertionError:
        logger.exception("session %s: the pipeline failed", "abc", extra=about("abc"))
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert datetime.fromisoformat(said.pop("time")).utcoffset() == timedelta(0)
    if failed:
        assert "AssertionError: on purpose" in said.pop("exception")
        words = {"level": "ERROR", "message": "session abc: the pipeline failed", "session": "abc"}
    else:
        words = {"level": "INFO", "message": "session abc: ended,\\ngone", "session": "abc", "token": "studio"}
        words["reason"] = "gone"
    assert said == words | {"logger": "signaling.sessions"}


def test_a_traceback_cannot_look_like_another_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("text"))
    logger = logging.Logger("asyncio")
    logger.addHandler(handler)
    try:
        raise ValueError("junk\n2026-01-01 ERROR all is lost\r\x1b[2J\u2028x")
    except ValueError:
        logger.exception("a task failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR asyncio: a task failed")
    assert len(rest) >= 4
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


def test_what_is_logged_is_of_the_wanted_kind_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging.Logger, "root", root)
    start_logging("info", "json")
    (handler,) = root.handlers
    assert root.level == logging.INFO
    assert isinstance(handler.formatter, JsonFormatter)
    assert any(isinstance(each, CallSiteLimit) for each in handler.filters)
    assert logging.getLogger("aioice").level == logging.WARNING
