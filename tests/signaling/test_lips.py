"""Lips and voice: a player that follows the sender reports shows picture and sound of one moment together.

Every frame of the camera says by its brightness which one it is, and the microphone beeps every half second. Both
tracks know when they captured what. What is checked is the moment of capture that the reports give a viewer, which does
not depend on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack

from signaling.transport import reports
from signaling.transport.clock import CaptureClock, audio_clock
from signaling.transport.reports import report_captures
from tests.signaling.test_whep import Player

pytestmark = pytest.mark.anyio

LEVELS, DARKEST, STEP = 12, 30, 17
RATE, SAMPLES = 48_000, 960
BEEP_EVERY = 25
"""Frames of sound, of 20 ms."""
DATED = 1e8
"""Seconds that the clock of this test's peer does not reach; the time of day, in reports without it, is beyond."""


class CountingCamera(VideoStreamTrack):  # type: ignore[misc]
    """Grey frames, each `STEP` brighter than the one before, in turns of `LEVELS`."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.captured: float | None = None
        self.times: list[float] = []
        self._start = start

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(self._start + len(self.times) / 25 - time.monotonic())
        if self.readyState != "live":
            raise MediaStreamError
        self.captured = time.monotonic()
        level = DARKEST + STEP * (len(self.times) % LEVELS)
        frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), level, np.uint8), format="bgr24")
        frame.pts, frame.time_base = round((self.captured - self._start) * 90_000), Fraction(1, 90_000)
        self.times.append(self.captured)
        return frame


class Beeps(AudioStreamTrack):  # type: ignore[misc]
    """Silence, and 40 ms of a tone every half second."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.captured: float | None = None
        self.times: list[float] = []
        self._start, self._count = start, 0

    async def recv(self) -> av.AudioFrame:
        captured = self._start + self._count * SAMPLES / RATE
        await asyncio.sleep(captured + SAMPLES / RATE - time.monotonic())
        if self.readyState != "live":
            raise MediaStreamError
        place = self._count % BEEP_EVERY
        if place == 0:
            self.times.append(captured)
        wave = np.sin(2 * np.pi * 1000 * (np.arange(SAMPLES) + 12) / RATE) * 16_000 * (place < 2)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None].repeat(2, 1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._count * SAMPLES, Fraction(1, RATE)
        self.captured = captured
        self._count += 1
        return frame


def picture_errors(frames: list[Any], clock: CaptureClock, times: list[float]) -> list[float]:
    """By how much the reports are beside the moment of capture, for every frame that was seen, seconds."""
    errors = []
    for frame in frames:
        told = clock.captured_at(frame)
        assert told is not None
        level = round((float(frame.to_ndarray(format="gray").mean()) - DARKEST) / STEP)
        errors.append(min((told - at for at in times[level::LEVELS]), key=abs))
    return errors


def sound_errors(frames: list[Any], clock: CaptureClock, times: list[float]) -> list[float]:
    """The same for every beep that was heard."""
    errors, silent = [], False
    for before, frame in pairwise(frames):
        wave = np.abs(frame.to_ndarray()[0, :: len(frame.layout.channels)].astype(int))
        loud = np.flatnonzero(wave > 4000)
        told = clock.captured_at(frame)
        assert told is not None
        if silent and len(loud) and frame.pts - before.pts == SAMPLES:
            errors.append(min((told + loud[0] / RATE - at for at in times), key=abs))
        silent = not len(loud)
    return errors


async def test_reports_bring_picture_and_sound_of_one_moment_together(
    serve: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "LARGEST_SKEW_S", 3600.0)  # on a busy machine this microphone is slow
    async with serve() as server:
        start = time.monotonic() + 0.5
        camera, beeps = CountingCamera(start), Beeps(start)
        sender = server.peer(camera, audio=True)
        picture, sound = (transceiver.sender for transceiver in sender.connection.getTransceivers())
        sound.replaceTrack(beeps)
        report_captures([picture, sound])
        assert (await sender.call(stream="studio")).status_code == 201
        player = Player(server, audio="recvonly")
        assert (await player.call("studio")).status_code == 201
        clocks = [audio_clock(one.receiver) for one in player.connection.getTransceivers()]  # of both kinds
        (session,) = server.app.state.sessions._sessions.values()
        delays = session._video.output.delays, session._audio.delays
        await until(lambda: all(one.of("capture") for one in delays))
        await until(lambda: all(clock._report is not None and clock._report[0] < DATED for clock in clocks))
        for work_s in (0.15, 0.0):  # an edit comes and goes
            server.runtime.work_s = work_s
            for kept in (player.frames, player.sounds):
                kept.clear()
            await until(lambda: len(player.frames) > 8 and sound_errors(list(player.sounds), clocks[1], beeps.times))
            pictures = picture_errors(list(player.frames), clocks[0], camera.times)
            sounds = sound_errors(list(player.sounds), clocks[1], beeps.times)
            assert max(map(abs, pictures)) < 0.01
            offset = statistics.median(sounds) - statistics.median(pictures)
            assert -0.02 < offset < 0.03, "the encoder of sound adds 6.5 ms"
