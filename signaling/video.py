"""A peer's video: camera track -> one-frame slot -> worker thread -> outgoing track. Nothing queues on the way."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from signaling.metrics import Metrics
from signaling.stats import Durations, Rate
from stream.frame import Output
from stream.mark.claims import Claimant
from stream.mark.identity import Identity
from stream.slot import LatestSlot, SlotClosed
from stream.turns import Turns

if TYPE_CHECKING:
    from stream.look import Look
    from stream.video_pipeline import VideoPipeline


CapturedAt = Callable[[av.VideoFrame], float | None]
SPEEDS_EVERY_S = 1.0
"""Between two notes of what the layers take."""


class FrameTooLarge(Exception):
    """The peer sends larger frames than the server takes."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width}x{height} frames are too large for this server")


class EditedTrack(MediaStreamTrack):  # type: ignore[misc]
    """The way back: hands over the newest edited frame, with the timestamp it came with.

    Attributes:
        wanted: whether a frame was ever asked for: a peer that only sends never does.
        frames_sent: that were handed to the encoder.
        delays: "server" from decoder to encoder, "capture" from the peer's camera to the encoder, by two clocks.
        captured: when the last frame was captured, in seconds of the peer's clock; None where that is not known.

    Args:
        captured_at: when the peer captured a frame, in seconds of its clock; None where that is not known.
        delays: to add to; its own when None.
    """

    kind = "video"

    def __init__(self, captured_at: CapturedAt | None = None, delays: Durations | None = None) -> None:
        super().__init__()
        self._captured_at = captured_at
        self.captured: float | None = None
        self._newest: av.VideoFrame | None = None
        self._since = 0.0
        self._waiting = asyncio.Event()
        self.wanted = False
        self.dropped = 0
        self.frames_sent = 0
        self.sent = Rate()
        self.delays = delays or Durations()

    def offer(self, frame: av.VideoFrame, since: float) -> None:
        """Put the next frame; replaces one that the encoder did not take in time.

        Args:
            frame: edited, or the camera's own.
            since: `time.perf_counter` when the frame came out of the decoder.
        """
        self.dropped += self._newest is not None and self.wanted
        self._newest, self._since = frame, since
        self._waiting.set()

    async def recv(self) -> av.VideoFrame:
        """Wait for the next frame (aiortc's sender calls this, encodes what it gets, and calls again).

        Raises:
            MediaStreamError: the track was stopped.
        """
        self.wanted = True
        if self.readyState == "live":
            await self._waiting.wait()
        self._waiting.clear()
        frame, self._newest = self._newest, None
        if self.readyState != "live" or frame is None:
            raise MediaStreamError
        self.sent.count()
        self.frames_sent += 1
        self.delays.add("server", (time.perf_counter() - self._since) * 1000)
        self.captured = self._captured_at(frame) if self._captured_at is not None else None
        if self.captured is not None:
            self.delays.add("capture", (time.monotonic() - self.captured) * 1000)
        return frame

    def stop(self) -> None:
        super().stop()
        self._newest = None
        self._waiting.set()


class VideoFilter:
    """Runs one session's pipeline over its camera.

    Args:
        pipeline: belongs to this filter, which closes it.
        look: what the stream starts with; replace the attribute to change it from the next frame on.
        max_pixels: larger frames end the stream.
        identity: signs what is said of edited frames; None says nothing.
        captured_at: as for `EditedTrack`.
        metrics: of the server, for stage times and delays.
        turns: of all streams; a frame that is to be edited is taken when its turn comes. None waits for nobody.
        speeds: gets the median milliseconds of each layer, by its editor's name, every `SPEEDS_EVERY_S`.

    Attributes:
        turn: of those who change `look`: what they change is the one in force when their turn comes.
        claim: what the newest frame says of itself, signed (`stream.mark.claims`); empty when it is not edited.
    """

    def __init__(
        self,
        pipeline: VideoPipeline,
        look: Look,
        max_pixels: int,
        identity: Identity | None = None,
        captured_at: CapturedAt | None = None,
        *,
        metrics: Metrics | None = None,
        speeds: dict[str, float] | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.look = look
        self._speeds: dict[str, float] = {} if speeds is None else speeds
        self._speeds_at = -math.inf
        self._turns = Turns(1) if turns is None else turns
        self._captured_at = captured_at
        self._claimant = None if identity is None else Claimant(identity)
        self.claim = b""
        self.output = EditedTrack(captured_at, Durations(observe=None if metrics is None else metrics.delay))
        self.received = Rate()
        self.stages = Durations(observe=None if metrics is None else metrics.stage)
        self.layers = Durations()
        self.beside = Durations()
        self.size: tuple[int, int] | None = None
        self.last_output: Output | None = None
        self.edited = 0
        self.edits_dropped = 0
        self.last_frame_at = time.monotonic()
        self._pipeline = pipeline
        self._max_pixels = max_pixels
        self.turn = asyncio.Lock()
        self._closed = False
        self._watchers: set[EditedTrack] = set()
        self._slot: LatestSlot[tuple[av.VideoFrame, float]] = LatestSlot()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pipeline")

    @property
    def frames(self) -> int:
        """Frames that came in."""
        return self._slot.received

    @property
    def load(self) -> float:
        """Share of the time between two camera frames that the mean frame's work takes."""
        return self._pipeline.load

    @property
    def dropped(self) -> int:
        """Frames that a newer one overtook, before the pipeline or before the encoder."""
        return self._slot.dropped + self.output.dropped

    async def run(self, camera: MediaStreamTrack) -> None:
        """Filter until the camera's track ends, or `close` is called.

        Raises:
            FrameTooLarge: a frame has more than `max_pixels`.
            Exception: whatever the pipeline raised.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._worker, self._work, loop)
        drain = asyncio.create_task(self._drain(camera))
        try:
            done, _ = await asyncio.wait([drain, work], return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            drain.cancel()
            self._slot.close()
            await asyncio.wait([drain, work])
            self.close()

    @property
    def received_by_somebody(self) -> bool:
        """Whether the peer or a viewer takes what comes out."""
        return self.output.wanted or bool(self._watchers)

    def watch(self) -> EditedTrack:
        """A further way out, for a viewer, until it is stopped.

        All encoders get the same frame object, and each sets its picture type: at worst a key frame is late, and asked
        for again.
        """
        track = EditedTrack(self._captured_at, self.output.delays)
        self._watchers.add(track)
        track.on("ended", lambda: self._watchers.discard(track))
        if self._closed:
            track.stop()
        return track

    def close(self) -> None:
        """Stop the worker after the frame it is at, and free the pipeline. May be called again."""
        if not self._closed:
            self._closed = True
            self._slot.close()
            for track in [self.output, *self._watchers]:
                track.stop()
            self._worker.submit(self._pipeline.close)
            self._worker.shutdown(wait=False)

    async def _drain(self, camera: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await camera.recv()
            except MediaStreamError:
                return
            if frame.width * frame.height > self._max_pixels:
                raise FrameTooLarge(frame.width, frame.height)
            self.last_frame_at = time.monotonic()
            self.received.count()
            self._slot.put((frame, time.perf_counter()))

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                self._slot.wait()
                came = time.perf_counter()
                edits = self.received_by_somebody and not self.look.idle
                with self._turns if edits else nullcontext():
                    waited = time.perf_counter() - came
                    frame, since = self._slot.take()  # the newest one by now
                    if not self.received_by_somebody:
                        loop.call_soon_threadsafe(self._skip, frame)
                        continue
                    edited, output = self._pipeline.process(frame, self.look, self._slot.interval, waited)
                loop.call_soon_threadsafe(self._hand_over, edited, output, since)
        except SlotClosed:
            pass

    def _skip(self, frame: av.VideoFrame) -> None:
        """Nobody receives: the frame is neither edited nor kept."""
        self.size = (frame.width, frame.height)
        self.last_output = None
        self.claim = b""

    def _hand_over(self, frame: av.VideoFrame, output: Output, since: float) -> None:
        self.size = (frame.width, frame.height)
        self.last_output = output
        self.claim = b"" if self._claimant is None else self._claimant.claim(output.kinds)
        if self.claim:
            frame.opaque = self.claim  # the encoders put it into the stream
        self.edited += bool(output.edited)
        self.edits_dropped += output.trace.edits_dropped
        for stage, ms in output.trace.ms.items():
            self.stages.add(stage, ms)
        for name, ms in output.trace.layers.items():
            self.layers.add(name, ms)
            self.beside.add(name, output.trace.beside.get(name, 0.0))
        now = time.monotonic()
        if output.trace.layers and now - self._speeds_at >= SPEEDS_EVERY_S:
            self._speeds_at = now
            self._speeds.update({name: layer.p50 for name, layer in self.layers.all().items()})
        for track in [self.output, *self._watchers]:
            track.offer(frame, since)
