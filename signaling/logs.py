"""Log lines that strangers can cause: few, short, and on one line each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

LINES_PER_SECOND, LINE_BURST = 1.0, 10.0
"""Of one place in the code."""
CHATTY = ("aiortc", "aioice")
"""Loggers that tell every step of a connection."""
LONGEST_LINE = 1000
"""Characters of a message; tracebacks are not counted."""


class CallSiteLimit(logging.Filter):
    """Lets each place in the code that logs write `burst` lines at once, and `rate` a second on average.

    The next line that passes says how many did not. Control characters are escaped, so that what a stranger sent cannot
    look like a line of its own. The number of places is the program's, not a stranger's, and so bounds the memory.

    Args:
        rate: lines a second.
        burst: lines at once.
        clock: monotonic seconds.
    """

    def __init__(
        self, rate: float = LINES_PER_SECOND, burst: float = LINE_BURST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._rate, self._burst, self._clock = rate, burst, clock
        self._places: dict[tuple[str, int, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "limited", False):  # by the logger's own filter, before the handler's
            return True
        key = (record.pathname, record.lineno, record.levelno)
        place = self._places.setdefault(key, _Place(self._burst, self._clock()))
        if not place.take(self._rate, self._burst, self._clock()):
            return False
        text = record.getMessage()
        text = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}... ({len(text)} characters)"
        more, place.left_out = place.left_out, 0
        record.msg = one_line(text) + (f" ({more} more such lines were left out)" if more else "")
        record.args = ()
        record.limited = True
        return True


class _Place:
    def __init__(self, level: float, now: float) -> None:
        self._level = level
        self._at = now
        self.left_out = 0

    def take(self, rate: float, burst: float, now: float) -> bool:
        self._level = min(burst, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < 1:
            self.left_out += 1
            return False
        self._level -= 1
        return True


def one_line(text: str) -> str:
    """Text with its control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def limited(name: str) -> logging.Logger:
    """The logger of a module whose lines a stranger can cause."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, CallSiteLimit) for one in logger.filters):
        logger.addFilter(CallSiteLimit())
    return logger


def about(session: str, token: str = "", reason: str = "") -> dict[str, str]:
    """Fields of a line about a session, for `extra`: log files of JSON can be searched by them.

    Args:
        session: the first characters of its id.
        token: name of the token that it came with.
        reason: why it ended.
    """
    fields = {"session": session, "token": token, "reason": reason}
    return {name: value for name, value in fields.items() if value}


def formatter(kind: Literal["text", "json"]) -> logging.Formatter:
    """How lines are written: as text, or as one JSON object each with time (UTC), level, logger and message."""
    if kind == "text":
        return TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        reserved_attrs=[*RESERVED_ATTRS, "limited", "color_message"],
        timestamp="time",
    )


class TextFormatter(logging.Formatter):
    """Indents tracebacks and escapes control characters in them: an exception may quote what a stranger sent."""

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  {one_line(line)}" for line in super().formatException(ei).split("\n"))


def start_logging(level: str, kind: Literal["text", "json"]) -> None:
    """Log to standard error through the root logger, in bounded number, what libraries log as well.

    Args:
        level: "info", as the setting `log_level`.
        kind: as for `formatter`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(kind))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for each in logging.getLogger().handlers:
        each.addFilter(CallSiteLimit())
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
