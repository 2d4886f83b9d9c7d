"""Decode a stranger's video in bounds, and stop a decoder without stopping everybody else's event loop.

aiortc's decoder takes pictures of any size, logs a line for every frame that fails, and is joined on the event loop
when a peer leaves, so that every other peer stalls until the thread is through with what it has queued.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import types
from typing import Any

import av
from aiortc import RTCRtpReceiver
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from engines.cores import usable_cores
from signaling.logs import limited
from signaling.transport.colours import ReceivedColours

logger = limited(__name__)

BOUNDED = ("H264", "VP8")
PADDING = 2
"""How many times the picture's pixels the limit is: FFmpeg aligns each line."""


def bounded(codec: RTCRtpCodecParameters, max_pixels: int) -> Decoder:
    """aiortc's decoder, which refuses pictures that are larger before it makes room for them.

    Args:
        codec: VP8 or H264; the decoder of any other is as aiortc makes it.
        max_pixels: of one picture.
    """
    decoder = get_decoder(codec)
    if codec.name in BOUNDED:
        decoder.codec.thread_count = usable_cores()  # FFmpeg's own choice knows no quota
        decoder.codec.options = {"max_pixels": str(PADDING * max_pixels)}
    return decoder


def bound_decoder(receiver: RTCRtpReceiver, max_pixels: int) -> None:
    """Make a video receiver that has not started decode with `bounded` decoders.

    Args:
        receiver: of a video transceiver.
        max_pixels: of one picture.
    """

    def worker(
        loop: asyncio.AbstractEventLoop,
        waiting: queue.Queue[Any],
        decoded: asyncio.Queue[Any],
        failed: threading.Event,
    ) -> None:
        decode(loop, waiting, decoded, failed, max_pixels)

    receive = RTCRtpReceiver.receive  # names the function that its thread runs as a global of its module
    own = types.FunctionType(receive.__code__, {**receive.__globals__, "decoder_worker": worker}, receive.__name__)
    receiver.receive = types.MethodType(own, receiver)


def decode(
    loop: asyncio.AbstractEventLoop,
    waiting: queue.Queue[Any],
    decoded: asyncio.Queue[Any],
    failed: threading.Event,
    max_pixels: int,
) -> None:
    """Decode until None comes, in a thread of its own; None is handed on.

    Args:
        loop: where `decoded` is read.
        waiting: (codec, encoded frame).
        decoded: takes frames.
        failed: set for every frame that cannot be decoded.
        max_pixels: of one picture.
    """
    name, decoder, colours = "", None, ReceivedColours()
    while (task := waiting.get()) is not None:
        codec, encoded = task
        try:
            if decoder is None or codec.name != name:
                name, decoder = codec.name, bounded(codec, max_pixels)
            if codec.name == "VP8":
                colours.hear(getattr(encoded, "colours", None), key=bool(encoded.data) and encoded.data[0] & 1 == 0)
            frames = decoder.decode(encoded)
            if codec.name in BOUNDED and decoder.codec.coded_width * decoder.codec.coded_height > PADDING * max_pixels:
                decoder = None  # FFmpeg holds its limit against what is left when the picture is cut to its frame
                raise ValueError("the coded picture is too large")
        except (av.FFmpegError, ValueError) as error:
            logger.warning("a %s frame cannot be decoded: %s", codec.name, error)
            failed.set()
            continue
        for frame in frames:
            if codec.name == "VP8":
                colours.tag(frame)
            asyncio.run_coroutine_threadsafe(decoded.put(frame), loop)
    asyncio.run_coroutine_threadsafe(decoded.put(None), loop)


class DecoderStop:
    """Takes the place of a receiver's own way of stopping its decoder."""

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        self._receiver = receiver
        self._joins: list[asyncio.Future[None]] = []
        receiver._RTCRtpReceiver__stop_decoder = self

    def __call__(self) -> None:
        """Tell the decoder thread to end, now, whatever is queued, and wait for it elsewhere."""
        thread: threading.Thread | None = self._receiver._RTCRtpReceiver__decoder_thread
        if thread is None:
            return
        self._receiver._RTCRtpReceiver__decoder_thread = None
        empty(self._receiver._RTCRtpReceiver__decoder_queue)
        self._receiver._RTCRtpReceiver__decoder_queue.put(None)
        self._joins.append(asyncio.get_running_loop().run_in_executor(None, thread.join))

    async def wait(self) -> None:
        """Wait until the decoder thread has ended, and throw away what nobody took of it."""
        await asyncio.gather(*self._joins)
        if self._receiver.track is not None:
            decoded: asyncio.Queue[Any] = self._receiver.track._queue
            while not decoded.empty():
                decoded.get_nowait()
            decoded.put_nowait(None)


def empty(waiting: queue.Queue[object]) -> None:
    """Throw away what a queue holds."""
    while True:
        try:
            waiting.get_nowait()
        except queue.Empty:
            return
