"""Stop a receiver's decoder without stopping everybody else's event loop.

aiortc joins the decoder thread on the event loop when a peer leaves, so that every other peer stalls until the thread
is through with what it has queued.
"""

from __future__ import annotations

import asyncio
import queue
import threading

from aiortc import RTCRtpReceiver


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
        """Wait until the decoder thread has ended."""
        await asyncio.gather(*self._joins)


def empty(waiting: queue.Queue[object]) -> None:
    """Throw away what a queue holds."""
    while True:
        try:
            waiting.get_nowait()
        except queue.Empty:
            return
