"""Say to viewers when sound and picture were captured, in the sender reports of both (RFC 3550, section 6.4.1).

aiortc's reports say when a packet left. Players bring into step what left at the same moment, so that every delay
between capture and there stays between lips and voice. Reports on the clock of whoever captured both let the player
wait for the later one, however late it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from aiortc import RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from signaling.transport.clock import NTP_UNIT

LARGEST_SKEW_S = 2.0
"""Between the delays of sound and picture; more is a peer whose own reports make no sense."""


@runtime_checkable
class Dated(Protocol):
    """A track that knows when its last frame was captured.

    Attributes:
        captured: seconds of the capturing peer's clock; None where it is not known.
    """

    captured: float | None


class _Stream:
    """One sender: when the last frame that left entirely was captured."""

    def __init__(self, sender: RTCRtpSender) -> None:
        self._sender = sender
        self._encoded: float | None = None
        self.captured: float | None = None
        self.timestamp = 0
        self.delay = 0.0
        next_frame = sender._next_encoded_frame

        async def next_dated(codec: Any) -> Any:
            self._settle()
            frame = await next_frame(codec)
            if frame is not None:
                self._encoded = sender.track.captured if isinstance(sender.track, Dated) else None
            return frame

        sender._next_encoded_frame = next_dated

    def _settle(self) -> None:
        """All packets of the frame before have left: aiortc's last RTP timestamp is that frame's."""
        self.captured = self._encoded
        if self.captured is not None:
            self.timestamp = self._sender._RTCRtpSender__rtp_timestamp
            self.delay = time.monotonic() - self.captured


def report_captures(senders: Sequence[RTCRtpSender]) -> None:
    """Make the reports of senders that belong together tell one clock. Before they start.

    As long as the moment of capture is not known of all of them, the reports stay as they are.

    Args:
        senders: of sound and picture; their tracks are `Dated`.
    """
    if len(senders) < 2:
        return
    streams = [_Stream(sender) for sender in senders]
    for sender, stream in zip(senders, streams, strict=True):
        _date_reports(sender, stream, streams)


def _date_reports(sender: RTCRtpSender, stream: _Stream, streams: Sequence[_Stream]) -> None:
    send = sender._send_rtcp

    async def send_dated(packets: list[AnyRtcpPacket]) -> None:
        delays = [one.delay for one in streams]
        if all(one.captured is not None for one in streams) and max(delays) - min(delays) < LARGEST_SKEW_S:
            for packet in packets:
                if isinstance(packet, RtcpSrPacket) and stream.captured is not None:
                    ntp = int(stream.captured * NTP_UNIT) % (1 << 64)
                    packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp = ntp, stream.timestamp
                    sender._RTCRtpSender__lsr = ntp >> 16 & 0xFFFFFFFF  # what the peer's answer to it names
        await send(packets)

    sender._send_rtcp = send_dated
