"""A peer's sound, sent back as late as its picture."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from signaling.stats import Durations

JITTER_BUFFER_S = 0.08  # aiortc holds sound back for four packets of 20 ms
MAX_DELAY_S = 0.5
MAX_FRAMES = 64  # more than MAX_DELAY_S of 20 ms frames


class DelayedAudio(MediaStreamTrack):  # type: ignore[misc]
    """Echoes the microphone, delayed so that lips and voice stay together.

    Args:
        source: the peer's audio track.
        video_delay: how late the picture is at the moment, in seconds.
        captured_at: when the peer captured a frame, in seconds of its clock; None where that is not known.

    Attributes:
        delays: "capture" from the peer's microphone to here, by two clocks.
        captured: when the last frame that was handed over was captured, in seconds of the peer's clock; None where that
            is not known.
    """

    kind = "audio"

    def __init__(
        self,
        source: MediaStreamTrack,
        video_delay: Callable[[], float],
        captured_at: Callable[[av.AudioFrame], float | None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.delays = Durations()
        self.captured: float | None = None
        self._captured_at = captured_at
        self._source = source
        self._video_delay = video_delay
        self._frames: deque[tuple[float, av.AudioFrame]] = deque(maxlen=MAX_FRAMES)
        self._arrived = asyncio.Event()
        self._listeners: set[DelayedAudio] = set()

    def listen(self) -> DelayedAudio:
        """The same sound for a viewer, until it is stopped."""
        track = DelayedAudio(self._source, self._video_delay, self._captured_at)
        self._listeners.add(track)
        track.on("ended", lambda: self._listeners.discard(track))
        return track

    async def run(self) -> None:
        """Take in sound, for listeners too, until the source ends."""
        try:
            while True:
                frame = await self._source.recv()
                now = time.monotonic()
                if (captured := self._captured_at(frame)) is not None:
                    self.delays.add("capture", (now - captured) * 1000)
                for track in (self, *self._listeners):
                    track.put(now, frame)
        except MediaStreamError:
            for track in (self, *self._listeners):
                track.stop()

    def put(self, now: float, frame: av.AudioFrame) -> None:
        """Take in a frame of sound that came at `now` (`time.monotonic`)."""
        self._frames.append((now, frame))
        self._arrived.set()

    async def recv(self) -> av.AudioFrame:
        """Wait for the next frame to be due.

        Raises:
            MediaStreamError: the track was stopped.
        """
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        since, frame = self._frames.popleft()
        await asyncio.sleep(since + hold_back(self._video_delay()) - time.monotonic())
        if self.readyState != "live":
            raise MediaStreamError
        self.captured = self._captured_at(frame)
        return frame

    def stop(self) -> None:
        super().stop()
        self._frames.clear()
        self._arrived.set()


def hold_back(video_delay: float) -> float:
    """How long to hold sound back for a picture that is `video_delay` late, both in seconds."""
    return max(0.0, min(video_delay - JITTER_BUFFER_S, MAX_DELAY_S))
