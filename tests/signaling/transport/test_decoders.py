"""A decoder that takes its time to stop does not stop the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import Any

import pytest
from aiortc import RTCRtpReceiver

from signaling.transport.decoders import DecoderStop

pytestmark = pytest.mark.anyio

SLOW_S = 0.4


class Transport:
    state = "connected"


def receiver_with_slow_decoder() -> tuple[Any, list[Any]]:
    receiver = RTCRtpReceiver("video", Transport())
    taken: list[Any] = []
    work: queue.Queue[Any] = receiver._RTCRtpReceiver__decoder_queue

    def decode() -> None:
        while (item := work.get()) is not None:
            taken.append(item)
            time.sleep(SLOW_S)

    thread = threading.Thread(target=decode)
    receiver._RTCRtpReceiver__decoder_thread = thread
    thread.start()
    for i in range(50):
        work.put(i)
    return receiver, taken


async def longest_stall(action: Any) -> float:
    """The longest time in which the event loop did nothing while `action` ran."""
    stalls = [0.0]

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            stalls.append(time.perf_counter() - before)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.03)
    action()
    await asyncio.sleep(0.03)
    ticking.cancel()
    return max(stalls)


async def test_stopping_a_decoder_leaves_the_event_loop_alone() -> None:
    receiver, taken = receiver_with_slow_decoder()
    stop = DecoderStop(receiver)
    assert await longest_stall(receiver._handle_disconnect) < SLOW_S / 2
    await stop.wait()
    assert len(taken) <= 2  # what was queued is thrown away
    receiver._handle_disconnect()
    await stop.wait()


async def test_aiortc_waits_on_the_event_loop() -> None:
    receiver, taken = receiver_with_slow_decoder()
    work = receiver._RTCRtpReceiver__decoder_queue
    while work.qsize() > 1:
        work.get_nowait()
    assert await longest_stall(receiver._handle_disconnect) > SLOW_S / 2
    assert taken
