"""A profile of a run as a Chrome trace: one event per stage of each frame. Perfetto (ui.perfetto.dev) opens it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from stream.frame import Output


class ChromeTrace:
    """Writes events to a file as they come, in the array form of the trace event format; a context manager.

    Times are in microseconds from the first event on.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be written.
        """
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._file.write("[\n")
        self._separator = ""
        self._origin: float | None = None
        self._frames = 0
        self._write({"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "latentcam"}})

    def add(self, output: Output) -> None:
        """Write the events of the next frame: the frame itself, and the stages within it."""
        spans = output.trace.spans
        self._frames += 1
        if not spans:
            return
        start, end = min(span.start for span in spans), max(span.end for span in spans)
        figures = {
            "number": self._frames,
            "faces": len(output.faces),
            "edited": len(output.edited),
            "detector ran": output.trace.detected,
        }
        self._write(self._event("frame", start, end, figures))
        for span in spans:
            self._write(self._event(span.stage, span.start, span.end, {}))

    def close(self) -> None:
        """Complete the file."""
        if not self._file.closed:
            self._file.write("\n]\n")
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _event(self, name: str, start: float, end: float, figures: dict[str, Any]) -> dict[str, Any]:
        """A complete event ("X" in the format) from `start` to `end`, seconds of one clock."""
        if self._origin is None:
            self._origin = start
        event = {
            "name": name,
            "cat": "frame" if name == "frame" else "stage",
            "ph": "X",
            "pid": 1,
            "tid": 1,
            "ts": round(1e6 * (start - self._origin), 1),
            "dur": round(1e6 * (end - start), 1),
        }
        return {**event, "args": figures} if figures else event

    def _write(self, event: dict[str, Any]) -> None:
        self._file.write(self._separator + json.dumps(event))
        self._separator = ",\n"
