"""How much work a frame may cost, and what is left out when it costs more: steps down at once, steps up with patience.

The controller knows durations only, so that it can be tested without a clock; what a level means is carried out by
`stream.pipeline`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BUDGET = 0.7
"""Part of the time between two camera frames that one frame's work may take on the mean: some take longer."""
SETTLE_S = 0.7
"""Time after a step in which the mean cost settles: no further step down before."""
MEAN_S = 0.5
"""Time constant of the mean cost."""
PATIENCE_S, MOST_PATIENCE_S = 3.0, 60.0
"""Time within the budget before a step up is tried; it doubles when the step fails, up to the second."""
MAY_FIT = 1.4
"""No step up from edits beside the stream is tried while an edit takes over this many times the budget: beside the
stream, an edit shares the processor with it and takes longer than it would within."""
FAILED_WITHIN_S = 4.0
"""A step up that has to be taken back within this time has failed."""


@dataclass(frozen=True, slots=True)
class Level:
    """What is left out.

    Attributes:
        edit_every: renders a new edit every `edit_every` frames; in between, the last edit follows the track.
        encode_slowdown: factor on the editor's time between two latents of a face.
        background: renders edits in the background; every frame shows the newest finished one.
        message: for the user; empty when nothing is left out.
    """

    edit_every: int = 1
    encode_slowdown: float = 1.0
    background: bool = False
    message: str = ""


LEVELS = (
    Level(),
    Level(edit_every=2, encode_slowdown=2.0, background=True, message="edited anew on every 2nd frame"),
    Level(edit_every=3, encode_slowdown=3.0, background=True, message="edited anew on every 3rd frame"),
    Level(edit_every=6, encode_slowdown=6.0, background=True, message="edited anew on every 6th frame"),
)
"""From full quality to least work."""


class Quality:
    """Chooses the level of one stream."""

    def __init__(self) -> None:
        self._level = 0
        self._mean = 0.0
        self._frames = 0
        self._changed = -math.inf
        self._within_since = math.inf
        self._rose = -math.inf
        self._patience = PATIENCE_S

    @property
    def level(self) -> Level:
        """What the next frame leaves out."""
        return LEVELS[self._level]

    def spent(self, seconds: float, interval: float, now: float, an_edit: float = 0.0) -> None:
        """Tell what a frame cost.

        Args:
            seconds: the time its work took.
            interval: the time between two frames of the camera, seconds.
            now: seconds, increasing.
            an_edit: the time that the newest edits of its faces took, seconds; not part of `seconds` where they were
                made beside the stream.
        """
        if interval <= 0:
            return
        if math.isinf(self._changed):
            self._changed = now
        self._frames += 1
        weight = max(1.0 - math.exp(-interval / MEAN_S), 1.0 / self._frames)
        self._mean += weight * (seconds - self._mean)
        if self._mean > BUDGET * interval:
            self._within_since = math.inf
            if now - self._changed >= SETTLE_S and self._level + 1 < len(LEVELS):
                failed = now - self._rose < FAILED_WITHIN_S
                self._patience = min(2 * self._patience, MOST_PATIENCE_S) if failed else PATIENCE_S
                self._step(+1, now)
            return
        if self.level.background and not LEVELS[self._level - 1].background and an_edit > MAY_FIT * BUDGET * interval:
            return
        self._within_since = min(self._within_since, now)
        if self._level and now - max(self._within_since, self._changed) >= self._patience:
            self._rose = now
            self._step(-1, now)

    def _step(self, by: int, now: float) -> None:
        self._level += by
        self._frames = 0  # what the level before cost counts no more
        self._changed = now
        self._within_since = math.inf
