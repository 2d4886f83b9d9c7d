"""Viewers: peers that only watch and hear somebody else's session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiortc import RTCDataChannel

from signaling import control
from signaling.audio import DelayedAudio
from signaling.metrics import Metrics
from signaling.peer import Peer
from signaling.settings import ServerSettings
from signaling.tokens import ANYBODY, Grant
from signaling.video import EditedTrack

TICK_S = 0.1


class Viewer:
    """One peer connection that shows a session's edited frames; every viewer has an encoder of its own.

    Args:
        id: unguessable; whoever knows it may end the viewing.
        track: from the session's `VideoFilter.watch`; stopped in the end.
        sound: from the session's `DelayedAudio.listen`, if it has sound; stopped in the end.
        settings: the server's.
        metrics: the server's.
        grant: of the token that it came with.
        holds: whether the token still holds.

    Attributes:
        peer: its connection.
    """

    def __init__(
        self,
        id: str,
        track: EditedTrack,
        sound: DelayedAudio | None,
        settings: ServerSettings,
        *,
        metrics: Metrics | None = None,
        grant: Grant = ANYBODY,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self.id = id
        self.grant = grant
        self._holds = holds
        self._track = track
        self._sound = sound
        self.peer = Peer(settings, metrics)
        self._channel: RTCDataChannel | None = None
        self._moving = False
        self.peer.connection.on("datachannel", self._channel_opened)

    async def answer(self, offer: str) -> str:
        """Apply an offer and make the answer, ICE candidates included.

        Args:
            offer: from `offers.read_offer`, receiving only.

        Raises:
            BadOffer: no common codec, or another thing that only negotiation finds.
        """
        return await self.peer.answer(offer, self._track, lambda: self._sound)

    async def run(self) -> None:
        """Serve the peer until it leaves, is told to, its token is withdrawn, or the session it watches ends.

        Call it once, after `answer`.
        """
        try:
            while self._track.readyState == "live" and self._holds() and self.peer.check(time.monotonic()) is None:
                self._tick()
                await asyncio.sleep(TICK_S)
        finally:
            await self.close()

    def end(self) -> None:
        """End the viewing soon."""
        self._track.stop()

    def announce_move(self) -> None:
        """Tell the peer, once it has a channel, that what it watches goes on elsewhere."""
        self._moving = True
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(control.Bye(reason="moving").model_dump_json())

    async def close(self) -> None:
        """Say that the video ends, and free the connection. Browsers take no notice of an RTCP BYE."""
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(control.Bye(reason="ended").model_dump_json())
        self._track.stop()
        if self._sound is not None:
            self._sound.stop()
        await self.peer.close()

    def _tick(self) -> None:
        """Done every `TICK_S`."""

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        """A viewer may open one channel, which tells it when the video ends; what it says there is not heard."""
        if channel.label != control.LABEL or self._channel is not None:
            channel.close()
            return
        self._channel = channel
        self._use(channel)
        if self._moving:
            self.announce_move()

    def _use(self, channel: RTCDataChannel) -> None:
        """Begin to use the channel that the peer has opened."""
