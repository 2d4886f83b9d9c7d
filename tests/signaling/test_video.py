"""The way back holds one frame."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from signaling.video import EditedTrack, VideoFilter
from stream.frame import Output, Trace
from stream.turns import Turns

pytestmark = pytest.mark.anyio


async def test_the_newest_frame_is_handed_over_and_overtaken_ones_are_counted() -> None:
    track = EditedTrack()
    frames: list[Any] = [object() for _ in range(5)]
    first = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.offer(frames[0], time.perf_counter())
    assert await first is frames[0]
    for frame in frames[1:]:
        track.offer(frame, time.perf_counter() - 1)
    assert await track.recv() is frames[-1]
    assert track.dropped == 3
    delay = track.delays.of("server")
    assert delay is not None
    assert delay.p95 >= 1000


async def test_frames_that_nobody_wants_are_not_dropped_ones() -> None:
    track = EditedTrack()
    for _ in range(5):
        track.offer(object(), 0.0)  # type: ignore[arg-type]
    assert track.dropped == 0


async def test_stopping_wakes_who_waits() -> None:
    track = EditedTrack()
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    track.stop()
    with pytest.raises(MediaStreamError):
        await waiting
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_filter_that_is_closed_shows_nobody_anything() -> None:
    pipeline: Any = SimpleNamespace(close=lambda: None)
    look: Any = None
    video = VideoFilter(pipeline, look, 10**6)
    video.close()
    assert video.watch().readyState == "ended"
    assert not video.received_by_somebody


async def test_what_layers_take_is_noted_without_anybody_asking_for_stats() -> None:
    speeds: dict[str, float] = {"hair": 9.0}
    pipeline: Any = SimpleNamespace(close=lambda: None)
    look: Any = None
    video = VideoFilter(pipeline, look, 10**6, speeds=speeds)
    output = Output(
        image=np.zeros((16, 16, 3), np.uint8),
        faces=(),
        edited=frozenset({1}),
        regions=(),
        trace=Trace({"render": 2.5}, layers={"embedded": 2.5}),
    )
    video._hand_over(av.VideoFrame(16, 16, "yuv420p"), output, time.perf_counter())
    assert speeds == {"hair": 9.0, "embedded": 2.5}
    video.close()


async def test_a_frame_that_nobody_receives_says_nothing_of_edits() -> None:
    pipeline: Any = SimpleNamespace(close=lambda: None)
    look: Any = None
    video = VideoFilter(pipeline, look, 10**6)
    video.claim = b"of an edited frame"
    video._skip(av.VideoFrame(16, 16, "yuv420p"))
    assert video.claim == b""
    video.close()


class Recorder:
    """A pipeline that notes what it is given; it never ends a frame before it may."""

    def __init__(self) -> None:
        self.given: list[tuple[int, float]] = []
        self.load = 0.0

    def process(self, frame: Any, look: Any, interval: float, waited: float) -> tuple[Any, Output]:
        self.given.append((frame.pts, waited))
        picture = np.zeros((16, 16, 3), np.uint8)
        return frame, Output(image=picture, faces=(), edited=frozenset(), regions=(), trace=Trace())

    def close(self) -> None: ...


def frame(number: int) -> av.VideoFrame:
    made = av.VideoFrame(16, 16, "yuv420p")
    made.pts = number
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_frame_is_taken_when_its_turn_comes_and_is_the_newest_then() -> None:
    turns, pipeline = Turns(1), Recorder()
    look: Any = SimpleNamespace(idle="")
    video = VideoFilter(pipeline, look, 10**6, turns=turns)  # type: ignore[arg-type]
    video.output.wanted = True
    loop = asyncio.get_running_loop()
    with turns:  # another stream's
        work = loop.run_in_executor(video._worker, video._work, loop)
        for number in range(4):
            video._slot.put((frame(number), 0.0))
            await until(lambda: len(turns._waiting) == 1)
        assert pipeline.given == []
    await until(lambda: bool(pipeline.given))
    [(number, waited)] = pipeline.given
    assert number == 3
    assert waited > 0
    assert video.dropped == 3
    video.close()
    await work


async def test_a_stream_that_edits_nothing_waits_for_no_turn() -> None:
    turns, pipeline = Turns(1), Recorder()
    look: Any = SimpleNamespace(idle="no control is moved")
    video = VideoFilter(pipeline, look, 10**6, turns=turns)  # type: ignore[arg-type]
    video.output.wanted = True
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(video._worker, video._work, loop)
    with turns:
        video._slot.put((frame(0), 0.0))
        await until(lambda: bool(pipeline.given))
    video.close()
    await work
