"""Keep the peer's own bitrate above a floor.

aiortc tells the sender how much it may send (REMB) from the jitter of packet arrivals, measured on the event loop. A
busy processor looks like a crowded network to it, and the picture that comes in gets worse for nothing.
"""

from __future__ import annotations

from aiortc import RTCRtpReceiver
from aiortc.rate import RemoteBitrateEstimator

WINDOW_MS = 1000
"""Over which aiortc's estimator counts what comes in. It goes over a pause millisecond by millisecond."""


class FlooredEstimator:
    """An estimator that starts again from `floor` bit/s where aiortc's falls below it. Passes over pauses at once."""

    def __init__(self, estimator: RemoteBitrateEstimator, floor: int) -> None:
        self._estimator = estimator
        self._floor = floor
        self._arrived: int | None = None

    def add(
        self, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int
    ) -> tuple[int, list[int]] | None:
        """Take a packet. Returns the bitrate to tell and its SSRCs, or None when there is nothing new to tell."""
        if self._arrived is not None and abs(arrival_time_ms - self._arrived) > WINDOW_MS:
            self._estimator.incoming_bitrate.reset()
        self._arrived = arrival_time_ms
        estimate = self._estimator.add(
            arrival_time_ms=arrival_time_ms, abs_send_time=abs_send_time, payload_size=payload_size, ssrc=ssrc
        )
        if estimate is None or estimate[0] >= self._floor:
            return estimate
        self._estimator.rate_control.current_bitrate = self._floor
        return self._floor, estimate[1]


def keep_floor(receiver: RTCRtpReceiver, floor: int) -> None:
    """Give a video receiver that has not started a `FlooredEstimator`."""
    name = "_RTCRtpReceiver__remote_bitrate_estimator"
    setattr(receiver, name, FlooredEstimator(getattr(receiver, name), floor))
