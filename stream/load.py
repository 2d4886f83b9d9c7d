"""How much work a frame may cost, and what is left out when it costs more: steps down at once, steps up with patience.

The controller gets durations only and has no clock; `stream.face_edit` does what a level says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """When the controller changes its level. Times are in seconds.

    Attributes:
        budget: share of the time between two camera frames that the mean frame's work may take; single frames take
            longer.
        mean_s: time constant of the mean.
        settle_s: time after a change before the next step down: the mean has to settle.
        patience_s: time within the budget before a step up.
        most_patience_s: upper bound of the patience, which doubles when a step up fails.
        failed_within_s: a step up has failed when a step down follows within this time.
        may_fit: edits return from the background only when one takes less than this many times the budget. In the
            background it shares the processor with the stream, and takes longer than it would within a frame.
    """

    budget: float = 0.7
    mean_s: float = 0.5
    settle_s: float = 0.7
    patience_s: float = 3.0
    most_patience_s: float = 60.0
    failed_within_s: float = 4.0
    may_fit: float = 1.4


LIMITS = LoadLimits()


@dataclass(frozen=True, slots=True)
class Level:
    """What is left out.

    Attributes:
        edit_every: renders a new edit every `edit_every` frames; in between, the last edit follows the track. As many
            frames carry the mark: whoever reads it adds up over frames.
        encode_slowdown: factor on the editor's time between two latents of a face, and on that between two inpaintings.
            With `background`, a face that turns rests between them for this many times what the last one took.
        rest: seconds between two edits of a face over those that the last one took, times the streams that the
            background work takes time from (`stream.background.Background.pressure`).
        background: renders edits in the background; every frame shows the newest finished one.
        message: for the user; empty when nothing is left out.
    """

    edit_every: int = 1
    encode_slowdown: float = 1.0
    rest: float = 0.0
    background: bool = False
    message: str = ""


LEVELS = (
    Level(),
    Level(edit_every=2, encode_slowdown=2.0, background=True, message="edited anew on every 2nd frame"),
    Level(edit_every=3, encode_slowdown=3.0, rest=2.0, background=True, message="edited anew on every 3rd frame"),
    Level(edit_every=6, encode_slowdown=6.0, rest=5.0, background=True, message="edited anew on every 6th frame"),
)
"""From full quality to least work."""


def crowded(level: Level, crowding: float, pressure: float) -> Level:
    """A level for one of several streams.

    Args:
        level: of the stream.
        crowding: streams for each thread of background work, at least 1.
        pressure: streams that each of these threads takes time from.
    """
    return replace(level, encode_slowdown=level.encode_slowdown * crowding, rest=level.rest * pressure)


class Quality:
    """Chooses the level of one stream.

    Args:
        level: number of the first one, of `LEVELS`.
    """

    def __init__(self, level: int = 0) -> None:
        self._level = level
        self._mean = 0.0
        self._interval = 0.0
        self._frames = 0
        self._changed = -math.inf
        self._within_since = math.inf
        self._rose = -math.inf
        self._patience = LIMITS.patience_s

    @property
    def level(self) -> Level:
        """What the next frame leaves out."""
        return LEVELS[self._level]

    @property
    def number(self) -> int:
        """Of the level."""
        return self._level

    @property
    def share(self) -> float:
        """Share of the time between two camera frames that the mean frame's work takes; 0 before the first frame."""
        return self._mean / self._interval if self._interval else 0.0

    def spent(self, seconds: float, interval: float, now: float, edit_seconds: float = 0.0) -> None:
        """Add what a frame cost.

        Args:
            seconds: the time its work took.
            interval: the time between two frames of the camera, seconds.
            now: seconds, increasing.
            edit_seconds: the time that the newest edits of its faces took; no part of `seconds` where they were
                rendered in the background.
        """
        if interval <= 0:
            return
        if math.isinf(self._changed):
            self._changed = now
        self._interval = interval
        self._frames += 1
        weight = max(1.0 - math.exp(-interval / LIMITS.mean_s), 1.0 / self._frames)
        self._mean += weight * (seconds - self._mean)
        if self._mean > LIMITS.budget * interval:
            self._within_since = math.inf
            if now - self._changed >= LIMITS.settle_s and self._level + 1 < len(LEVELS):
                failed = now - self._rose < LIMITS.failed_within_s
                self._patience = min(2 * self._patience, LIMITS.most_patience_s) if failed else LIMITS.patience_s
                self._step(+1, now)
            return
        leaves_background = self.level.background and not LEVELS[self._level - 1].background
        if leaves_background and edit_seconds > LIMITS.may_fit * LIMITS.budget * interval:
            return
        self._within_since = min(self._within_since, now)
        if self._level and now - max(self._within_since, self._changed) >= self._patience:
            self._rose = now
            self._step(-1, now)

    def _step(self, by: int, now: float) -> None:
        self._level += by
        self._frames = 0  # the cost at the other level counts no more
        self._changed = now
        self._within_since = math.inf
