"""How many bits a second a picture of a given size is worth, and when a change is worth a new encoder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

REFERENCE_PIXELS = 1280 * 720
REFERENCE_BITRATE = 3_000_000  # bit/s of a talking head at 720p and 30 fps
SIZE_EXPONENT = 0.75  # larger pictures need fewer bits a pixel
FLOOR, CEILING = 0.25, 2.0  # of the bitrate a stream starts with


@dataclass(frozen=True, slots=True)
class Bitrates:
    """Bitrates of one stream, bit/s."""

    floor: int
    start: int
    ceiling: int

    def clamp(self, bitrate: int) -> int:
        return max(self.floor, min(bitrate, self.ceiling))


def bitrates(width: int, height: int, floor: int, ceiling: int) -> Bitrates:
    """Sane bitrates for a picture size. aiortc's are the same for every size, and blur 720p.

    Args:
        width, height: picture size in pixels.
        floor, ceiling: what the operator allows, bit/s.
    """
    start = REFERENCE_BITRATE * (width * height / REFERENCE_PIXELS) ** SIZE_EXPONENT
    top = max(floor, min(ceiling, int(CEILING * start)))
    return Bitrates(floor=min(top, max(floor, int(FLOOR * start))), start=max(floor, min(top, int(start))), ceiling=top)


class Hysteresis:
    """Decides when an encoder is rebuilt for another bitrate, which costs a key frame: for a large change only, soon
    when there is less room than before and late when there is more.
    """

    DOWN, UP = 0.75, 1.3  # of the encoder's bitrate
    DOWN_AFTER, UP_AFTER = 1.0, 5.0  # seconds since the last rebuild

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._built_at = clock()

    def built(self) -> None:
        """The encoder was just (re)built."""
        self._built_at = self._clock()

    def rebuild(self, current: int, wanted: int) -> bool:
        """Whether to rebuild an encoder of `current` bit/s for `wanted` bit/s."""
        age = self._clock() - self._built_at
        return (wanted < self.DOWN * current and age >= self.DOWN_AFTER) or (
            wanted > self.UP * current and age >= self.UP_AFTER
        )
