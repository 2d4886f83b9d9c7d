"""Send the packets of a large picture one after the other in time, not all at once.

aiortc hands a key frame of a hundred packets to the network in one go. A router that holds less drops the rest, and the
key frame with it. A picture of usual size goes out at once still: waiting would only delay it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCDtlsTransport, RTCRtpSender
from aiortc.rtp import is_rtcp


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a video is sent.

    Attributes:
        factor: of its bitrate, at which a large picture goes out (2.5 as in libwebrtc's pacer).
        burst: bytes that go out at once.
        longest: seconds that one packet waits at most.
    """

    factor: float = 2.5
    burst: int = 20_000
    longest: float = 0.1


PACE = Pace()


class Pacer:
    """A token bucket. The clock is the caller's.

    Args:
        bitrate: gives the bitrate that the video is encoded for at the moment, bit/s.
    """

    def __init__(self, bitrate: Callable[[], int]) -> None:
        self._bitrate = bitrate
        self._left = float(PACE.burst)
        self._at: float | None = None

    def wait(self, size: int, now: float) -> float:
        """Seconds to wait before a packet is sent.

        Args:
            size: of the packet, bytes.
            now: seconds.
        """
        rate = PACE.factor * self._bitrate() / 8
        if self._at is not None:
            self._left = min(float(PACE.burst), self._left + rate * max(now - self._at, 0.0))
        self._at = now
        self._left -= size
        return min(max(-self._left / rate, 0.0), PACE.longest) if rate > 0 else 0.0


def pace(transport: RTCDtlsTransport, sender: RTCRtpSender, bitrate: Callable[[], int]) -> Pacer:
    """Pace the packets of a video; sound and reports do not wait.

    Args:
        transport: that the video goes out on.
        sender: of the video.
        bitrate: as for `Pacer`.
    """
    pacer = Pacer(bitrate)
    send = transport._send_rtp
    ssrc = sender._ssrc.to_bytes(4, "big")

    async def send_paced(data: bytes) -> None:
        if data[8:12] == ssrc and not is_rtcp(data):
            seconds = pacer.wait(len(data), time.monotonic())
            if seconds > 0:
                await asyncio.sleep(seconds)
        await send(data)

    transport._send_rtp = send_paced
    return pacer
