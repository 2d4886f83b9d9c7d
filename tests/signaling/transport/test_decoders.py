"""A decoder has a limit of its own, and one that takes its time to stop does not stop the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import Any

import av
import pytest
from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from signaling.logs import LINE_BURST
from signaling.transport.decoders import DecoderStop, bound_decoder, bounded, decode

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


H264 = RTCRtpCodecParameters("video/H264", 90_000, payloadType=99)
VP8 = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)
MAX_PIXELS = 320 * 240


def code(*values: int) -> str:
    """Exp-Golomb codes."""
    return "".join("0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}" for value in values)


def nal(kind: int, bits: str) -> bytes:
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    data, zeros = bytearray([kind]), 0
    for byte in int(bits, 2).to_bytes(len(bits) // 8, "big"):
        if zeros >= 2 and byte <= 3:
            data.append(3)
            zeros = 0
        data.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes(data)


def grey(width: int, height: int, cut: tuple[int, int] | None = None) -> bytes:
    """A key frame of so many macroblocks, of which all but `cut` pixels are cut off; only its headers are good."""
    crop = "0"
    if cut is not None:
        crop = "1" + code(0, 8 * width - cut[0] // 2, 0, 8 * height - cut[1] // 2)
    sps = f"{66:08b}{0xC0:08b}{51:08b}" + code(0, 0, 2, 1) + "0" + code(width - 1, height - 1) + "11" + crop + "0"
    pps = code(0, 0) + "00" + code(0, 0, 0) + "000" + code(0, 0, 0) + "000"
    return nal(0x67, sps) + nal(0x68, pps) + nal(0x65, code(0, 7, 0) + "0000" + code(0) + "00" + code(0) + "1" * 40)


def test_a_decoder_refuses_large_pictures_by_itself() -> None:
    assert bounded(H264, MAX_PIXELS).decode(JitterFrame(grey(20, 15), 0))[0].width == 320
    with pytest.raises(av.FFmpegError):
        bounded(H264, MAX_PIXELS).decode(JitterFrame(grey(100, 100), 0))
    with pytest.raises(av.FFmpegError):
        bounded(VP8, MAX_PIXELS).decode(JitterFrame(vp8(1600, 1600), 0))


def vp8(width: int, height: int) -> bytes:
    context: Any = av.CodecContext.create("libvpx", "w")
    context.width, context.height, context.pix_fmt, context.framerate = width, height, "yuv420p", 30
    return bytes([*context.encode(av.VideoFrame(width, height, "yuv420p")), *context.encode(None)][0])


async def test_what_is_cut_off_counts_and_nothing_of_it_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    waiting: queue.Queue[Any] = queue.Queue()
    for data in [grey(20, 15), *[grey(100, 100, cut=(16, 16))] * 100, grey(20, 15)]:
        waiting.put((H264, JitterFrame(data, 0)))
    waiting.put(None)
    decoded: asyncio.Queue[Any] = asyncio.Queue()
    failed = threading.Event()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, decode, loop, waiting, decoded, failed, MAX_PIXELS)
    frames = [await decoded.get() for _ in range(3)]
    assert [frame and frame.width for frame in frames] == [320, 320, None]
    assert failed.is_set()
    assert len(caplog.records) <= 2 * LINE_BURST  # of a hundred


async def test_a_receiver_decodes_in_bounds() -> None:
    class Registered(Transport):
        def _register_rtp_receiver(self, receiver: Any, parameters: Any) -> None:
            pass

        def _unregister_rtp_receiver(self, receiver: Any) -> None:
            pass

    class Parameters:
        codecs = (H264,)
        encodings = ()

    class Track:
        _queue: asyncio.Queue[Any] = asyncio.Queue()

    receiver = RTCRtpReceiver("video", Registered())
    receiver._track = Track
    stop = DecoderStop(receiver)
    bound_decoder(receiver, MAX_PIXELS)
    await receiver.receive(Parameters)
    waiting: queue.Queue[Any] = receiver._RTCRtpReceiver__decoder_queue
    waiting.put((H264, JitterFrame(grey(100, 100, cut=(16, 16)), 0)))
    waiting.put((H264, JitterFrame(grey(20, 15), 0)))
    assert (await Track._queue.get()).width == 320
    await receiver.stop()
    await stop.wait()
