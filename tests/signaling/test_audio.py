"""Sound is held back as long as the picture, and not for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import av
import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from signaling.audio import MAX_FRAMES, DelayedAudio, hold_back


def test_the_delay_is_the_pictures_and_bounded() -> None:
    assert hold_back(0.05) == 0
    assert hold_back(0.2) == pytest.approx(0.12)
    assert hold_back(9) == 0.5


@pytest.mark.anyio
@pytest.mark.parametrize(("video", "least", "most"), [(0.0, 0, 0.15), (0.28, 0.19, 0.6)])
async def test_frames_come_out_in_order_and_late(video: float, least: float, most: float) -> None:
    began: dict[int, float] = {}

    class Microphone(AudioStreamTrack):  # type: ignore[misc]
        async def recv(self) -> Any:
            frame = await super().recv()
            began[frame.pts] = time.monotonic()
            return frame

    microphone = Microphone()
    audio = DelayedAudio(microphone, lambda: video)
    task = asyncio.create_task(audio.run())
    late = []
    pts = []
    for _ in range(12):
        frame = await audio.recv()
        assert frame.pts is not None
        pts.append(frame.pts)
        late.append(time.monotonic() - began[frame.pts])
    assert pts == sorted(pts)
    assert least <= sorted(late)[6] <= most
    microphone.stop()
    await asyncio.wait_for(task, 2)
    with pytest.raises(MediaStreamError):
        await audio.recv()


@pytest.mark.anyio
async def test_nobody_listening_keeps_no_queue() -> None:
    class Fast(AudioStreamTrack):  # type: ignore[misc]
        count = 0

        async def recv(self) -> Any:
            self.count += 1
            await asyncio.sleep(0)
            if self.count > 10 * MAX_FRAMES:
                raise MediaStreamError
            return object()

    audio = DelayedAudio(Fast(), lambda: 0.0)
    await audio.run()
    assert len(audio._frames) <= MAX_FRAMES


@pytest.mark.anyio
async def test_sound_is_dated_by_the_peers_clock() -> None:
    class Source(MediaStreamTrack):  # type: ignore[misc]
        kind = "audio"
        left = 3

        async def recv(self) -> av.AudioFrame:
            self.left -= 1
            if self.left < 0:
                raise MediaStreamError
            return av.AudioFrame(format="s16", layout="mono", samples=960)

    before = time.monotonic()
    track = DelayedAudio(Source(), lambda: 0.0, lambda _: before - 0.25)
    await track.run()
    delay = track.delays.of("capture")
    assert delay is not None
    assert 250 <= delay.p50 <= 1000 * (time.monotonic() - before) + 250
