"""What was done to a file."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream.frame import STAGES, Output
from stream.profile import ChromeTrace


@dataclass(slots=True)
class Report:
    """What was done to a file.

    Attributes:
        frames: frames or pictures read.
        with_face: of these, how many show a face.
        edited: of these, how many were edited.
        earlier: frames that an earlier run did, which are not in these figures.
        failed: pictures that could not be read or written, which are not in these figures either.
        seconds: wall time, reading and writing included.
        stages: milliseconds of every frame per stage.
        obstacles: frames in which a control changed no face, and why, by the editor, the control and the words.
        notes: what a user should know, one sentence each.
        profile: gets the stages of every frame.
    """

    frames: int = 0
    with_face: int = 0
    edited: int = 0
    earlier: int = 0
    failed: int = 0
    seconds: float = 0.0
    stages: dict[str, list[float]] = field(default_factory=dict)
    obstacles: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    profile: ChromeTrace | None = None

    def add(self, output: Output) -> None:
        """Count a frame."""
        if self.profile is not None:
            self.profile.add(output)
        self.frames += 1
        self.with_face += bool(output.faces)
        self.edited += bool(output.edited)
        self.obstacles.update(
            (editor, control, why) for editor, found in output.obstacles.items() for control, why in found.items()
        )
        for stage, ms in output.trace.ms.items():
            self.stages.setdefault(stage, []).append(ms)

    def merge(self, other: Report) -> None:
        """Add what was done to one of several files."""
        self.frames += other.frames
        self.with_face += other.with_face
        self.edited += other.edited
        self.obstacles.update(other.obstacles)
        for stage, ms in other.stages.items():
            self.stages.setdefault(stage, []).extend(ms)
        for words in other.notes:
            self.note(words)

    def summary(self) -> dict[str, Any]:
        """The report as JSON-ready data; times are in milliseconds."""
        return {
            "frames": self.frames,
            "frames_with_face": self.with_face,
            "frames_edited": self.edited,
            "frames_of_an_earlier_run": self.earlier,
            "dropped": 0,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "fps": round(self.frames / self.seconds, 2) if self.seconds > 0 else None,
            "stages_ms": {
                stage: {
                    "p50": round(float(np.percentile(self.stages[stage], 50)), 3),
                    "p95": round(float(np.percentile(self.stages[stage], 95)), 3),
                }
                for stage in STAGES
                if stage in self.stages
            },
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "notes": [*self.notes, *self.hindered()],
        }

    def hindered(self) -> list[str]:
        """Which controls changed no face, in how many frames, and why, most frequent first; one sentence each."""
        return [
            f"{control} of {editor} changed nothing in {count} of {self.frames}: {why}"
            for (editor, control, why), count in self.obstacles.most_common()
        ]

    def note(self, words: str) -> None:
        """Add a note, once."""
        if words not in self.notes:
            self.notes.append(words)
