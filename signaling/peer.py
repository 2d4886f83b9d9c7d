"""One peer connection: how it is answered, how one knows that the other side is gone, how it is freed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Literal

import av
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.exceptions import InvalidAccessError, OperationError

from signaling import ice, offers, transport
from signaling.logs import limited
from signaling.metrics import Metrics
from signaling.settings import ServerSettings
from signaling.transport.gatherer import offer_addresses
from signaling.transport.probes import is_flooded, read_counters
from signaling.transport.restart import (
    Restart,
    add_candidates,
    local_candidates,
    local_credentials,
    remote_username,
)
from signaling.transport.sources import accept_layers

logger = limited(__name__)

CLOSE_S = 5.0  # most time that a connection is waited for when it closes
_CLOSING: set[asyncio.Task[None]] = set()  # asyncio itself forgets tasks


class Peer:
    """A peer connection with our transport fixes.

    Args:
        settings: the server's.
        metrics: the server's.

    Attributes:
        connection: for its events.
        bytes_in, bytes_out: what was received and sent so far.
        ice_tag: names the ICE session: another one after each restart (the ETag of RFC 9725, section 4.3.1).
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics | None = None) -> None:
        servers = ice.with_login(settings.ice_servers, settings.turn_lifetime)
        self.connection = RTCPeerConnection(ice.configuration(servers))
        self._meter = metrics.of_peer() if metrics is not None else None
        self.bytes_in = 0
        self.bytes_out = 0
        self._settings = settings
        self._tuned = transport.Tuned()
        self._packets_in = 0
        self._heard_at = self._answered_at = time.monotonic()
        self._restart = Restart()
        self._candidates = 0
        self.ice_tag = secrets.token_urlsafe(8)

    async def answer(
        self, offer: str, video: MediaStreamTrack, audio: Callable[[], MediaStreamTrack | None] = lambda: None
    ) -> str:
        """Apply an offer and make the answer, ICE candidates included.

        Args:
            offer: from `offers.read_offer`.
            video: sent to the peer, if it wants to receive.
            audio: called when the peer's own tracks are known; gives the sound to send, if any and if it is asked for.

        Raises:
            BadOffer: no common codec, or another thing that only negotiation finds.
        """
        connection = self.connection
        connection.addTransceiver(video, direction="sendrecv")
        try:
            await transport.apply_offer(connection, offer)
        except (OperationError, InvalidAccessError) as error:
            raise offers.BadOffer(str(error), type(error).__name__) from error
        except (ValueError, AssertionError, LookupError, TypeError, AttributeError, StopIteration) as error:
            raise offers.BadOffer(
                f"malformed SDP: {error}", f"malformed SDP: {type(error).__name__}"
            ) from error  # only where our grammar allows what aiortc does not
        sound = audio()
        if sound is not None and any(one.kind == "audio" for one in connection.getTransceivers()):
            connection.addTrack(sound)
        self._tuned = transport.tune(connection, self._settings, offer)
        offer_addresses(connection, self._settings)
        await connection.setLocalDescription(await connection.createAnswer())
        self._heard_at = self._answered_at = time.monotonic()
        answer = accept_layers(offer, connection.localDescription.sdp)
        return ice.advertise(answer, self._settings.advertised_address)

    async def trickle(self, fragment: offers.Fragment) -> None:
        """Take candidates that came after the offer.

        Raises:
            BadOffer: they are of another ICE session, or too many.
        """
        if fragment.username and fragment.username != remote_username(self.connection):
            raise offers.BadOffer("a=ice-ufrag is not that of this ICE session; to restart ICE, send If-Match: *")
        self._count_candidates(fragment)
        await add_candidates(self.connection, list(fragment.candidates))

    async def restart_ice(self, fragment: offers.Fragment) -> str:
        """Begin ICE anew; media go on meanwhile.

        Returns:
            This side's credentials and candidates, as a fragment (RFC 8840).

        Raises:
            BadOffer: the peer names no new credentials, or too many candidates.
        """
        if not fragment.username or not fragment.password:
            raise offers.BadOffer("an ICE restart needs a=ice-ufrag and a=ice-pwd")
        if self.connection.connectionState in ("failed", "closed"):
            raise offers.BadOffer("this connection is over: send a new offer")
        if fragment.username == remote_username(self.connection):
            raise offers.BadOffer("an ICE restart needs another a=ice-ufrag")
        self._candidates = 0
        self._count_candidates(fragment)
        await self._restart.begin(self.connection, fragment.username, fragment.password, list(fragment.candidates))
        self.ice_tag = secrets.token_urlsafe(8)
        username, password = local_credentials(self.connection)
        first = self.connection.getTransceivers()[0]
        lines = [f"a=ice-ufrag:{username}", f"a=ice-pwd:{password}", f"m={first.kind} 9 UDP/TLS/RTP/SAVPF 0"]
        lines += [f"a=mid:{first.mid}"]
        lines += [f"a=candidate:{candidate}" for candidate in local_candidates(self.connection)]
        return ice.advertise("\r\n".join([*lines, "a=end-of-candidates", ""]), self._settings.advertised_address)

    def _count_candidates(self, fragment: offers.Fragment) -> None:
        self._candidates += len(fragment.candidates)
        if self._candidates > offers.LIMITS.candidates:
            raise offers.BadOffer(f"more than {offers.LIMITS.candidates} candidates")

    def captured_at(self, frame: av.VideoFrame | av.AudioFrame) -> float | None:
        """When the peer captured a frame, in seconds of its own clock; None where it has not said so."""
        clock = self._tuned.clocks.get("video" if isinstance(frame, av.VideoFrame) else "audio")
        return clock.captured_at(frame) if clock is not None else None

    @property
    def left_out(self) -> int:
        """Packets of streams that are not shown: smaller layers of a simulcast."""
        return sum(sources.left_out for sources in self._tuned.sources)

    @property
    def oversized(self) -> tuple[int, int] | None:
        """Width and height of a frame that was not decoded, as it is larger than the server takes."""
        return next((buffer.oversized for buffer in self._tuned.incoming if buffer.oversized is not None), None)

    @property
    def connected(self) -> bool:
        return bool(self.connection.connectionState == "connected")

    def check(self, now: float) -> Literal["gone", "never connected", "flooding"] | None:
        """Count what came and went, and tell whether the peer is lost. Call it now and then.

        Args:
            now: `time.monotonic`.
        """
        self._count(now)
        if self._tuned.intake.flooding or is_flooded(self.connection):
            return "flooding"
        match self.connection.connectionState:
            case "failed" | "closed":
                return "gone"
            case "connected":
                return "gone" if now - self._heard_at > self._settings.silence_timeout else None
        return "never connected" if now - self._answered_at > self._settings.connect_timeout else None

    async def close(self) -> None:
        """Close the connection, and wait for its decoders.

        What takes longer than `CLOSE_S`, such as a TURN server that does not answer, goes on by itself: a connection
        that is given up in the middle keeps its sockets.
        """
        self._restart.stop()
        closing = asyncio.create_task(self._close())
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)
        done, _ = await asyncio.wait([closing], timeout=CLOSE_S)
        if done:
            closing.result()
        else:
            logger.warning("closing a connection takes more than %g s", CLOSE_S)

    async def _close(self) -> None:
        await self.connection.close()
        await asyncio.gather(*(decoder.wait() for decoder in self._tuned.decoders))
        for sender in self.connection.getSenders():
            sender.replaceTrack(None)  # a sender that has not started keeps it, and with it the pictures of a session

    def _count(self, now: float) -> None:
        counters = read_counters(self.connection)
        if counters.packets_in != self._packets_in:
            self._packets_in, self._heard_at = counters.packets_in, now
        self.bytes_in, self.bytes_out = counters.bytes_in, counters.bytes_out
        if self._meter is not None:
            self._meter.read(bytes_in=self.bytes_in, bytes_out=self.bytes_out, packets=self._tuned.intake.refused)
