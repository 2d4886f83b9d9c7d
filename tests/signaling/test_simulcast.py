"""A sender as OBS is one since 32.1: three sizes of one picture, each with an SSRC and a RID, on one payload type."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc.rtp import HeaderExtensionsMap, RtpPacket

from signaling.transport.encoders import LiveH264Encoder

pytestmark = pytest.mark.anyio

SIZES = {0: (640, 480), 1: (320, 240), 2: (160, 120)}
LAYERS = "a=rid:0 send\r\na=rid:1 send\r\na=rid:2 send\r\na=simulcast:send 0;1;2\r\n"
FIRST_SSRC = 1000


class Layers:
    """Sends pictures of all sizes on the connection of a peer whose own camera is silent."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.encoders = {layer: LiveH264Encoder("ultrafast", 100_000, 5_000_000) for layer in SIZES}
        self.numbers = dict.fromkeys(SIZES, 7)
        self.alive = set(SIZES)
        self.first_ssrc = FIRST_SSRC
        self.count = 0
        self.keys = {FIRST_SSRC + layer for layer in SIZES}
        sender = peer.connection.getTransceivers()[0].sender
        self.payload_type = peer.connection.getTransceivers()[0]._codecs[0].payloadType
        self.transport = sender.transport
        route = self.transport._rtp_router.route_rtcp

        def watch(packet: Any) -> Any:
            if hasattr(packet, "fmt") and packet.fmt == 1:
                self.keys.add(packet.media_ssrc)
            return route(packet)

        self.transport._rtp_router.route_rtcp = watch

    async def send(self, frames: int) -> None:
        for _ in range(frames):
            self.count += 1
            for layer in sorted(self.alive):
                await self._send_frame(layer)
            await asyncio.sleep(1 / 30)

    async def _send_frame(self, layer: int) -> None:
        width, height = SIZES[layer]
        image = np.full((height, width, 3), self.count % 256, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = 3000 * self.count, Fraction(1, 90_000)
        ssrc = self.first_ssrc + layer
        payloads, timestamp = self.encoders[layer].encode(frame, force_keyframe=ssrc in self.keys)
        self.keys.discard(ssrc)
        for i, payload in enumerate(payloads):
            packet = RtpPacket(
                payload_type=self.payload_type,
                marker=int(i == len(payloads) - 1),
                sequence_number=self.numbers[layer],
                timestamp=timestamp,
                ssrc=ssrc,
                payload=payload,
            )
            self.numbers[layer] += 1
            await self.transport._send_rtp(packet.serialize(HeaderExtensionsMap()))


async def call(server: Any, until: Any, Camera: Any) -> tuple[Any, Layers]:
    camera = Camera()
    camera.paused = True
    peer = server.peer(camera)
    offer = await peer.offer()
    head, media = offer.split("m=video", 1)
    media, rest = media.split("m=application", 1)
    peer.offer = lambda: _given(head + "m=video" + media + LAYERS + "m=application" + rest)
    assert (await peer.call()).status_code == 201
    await until(lambda: peer.connection.connectionState == "connected")
    return peer, Layers(peer)


async def _given(offer: str) -> str:
    return offer


async def test_one_of_three_layers_is_shown_and_the_next_one_when_it_stops(
    serve: Any, until: Any, Camera: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with serve() as server:
        peer, layers = await call(server, until, Camera)
        assert "a=rid:0 recv\r\na=rid:1 recv\r\na=rid:2 recv\r\na=simulcast:recv 0;1;2" in peer.answer
        await layers.send(45)
        sizes = server.runtime.pipelines[0].sizes
        assert sizes.count((640, 480)) >= 40
        assert set(sizes[3:]) == {(640, 480)}
        assert "taking 640x480" in caplog.text
        stats = await peer.message("hello")
        assert stats["v"] == 1
        layers.alive = {1, 2}
        await layers.send(60)
        assert sizes.count((320, 240)) >= 25
        assert sizes[-1] == (320, 240)
        times = [frame.pts for frame in peer.frames]
        assert times == sorted(set(times))


async def test_a_sender_that_starts_anew_goes_on(serve: Any, until: Any, Camera: Any) -> None:
    async with serve() as server:
        peer, layers = await call(server, until, Camera)
        layers.alive = {0}
        await layers.send(30)
        layers.first_ssrc, layers.numbers[0] = 77_000, 60_000
        layers.encoders[0] = LiveH264Encoder("ultrafast", 100_000, 5_000_000)
        seen = len(server.runtime.pipelines[0].sizes)
        await asyncio.sleep(0.3)
        await layers.send(30)
        assert len(server.runtime.pipelines[0].sizes) - seen >= 25
        await until(lambda: len(peer.frames) > 40)
        times = [frame.pts for frame in peer.frames]
        assert times == sorted(set(times))
