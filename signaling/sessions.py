"""Sessions: one peer connection and one pipeline each, in bounded number, cleaned up however they end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Literal

from aiortc import MediaStreamTrack, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, OperationError

from signaling import control, ice, offers, transport
from signaling.audio import DelayedAudio
from signaling.channel import ControlChannel
from signaling.settings import ServerSettings
from signaling.stats import Bitrate
from signaling.transport.decoders import DecoderStop
from signaling.video import FrameTooLarge, VideoFilter
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.runtime import Runtime

logger = logging.getLogger(__name__)

TICK_S = 0.1
CLOSE_S = 5.0  # most time given to closing a session
SHUTDOWN_S = 0.9  # most time given to closing all of them when the server stops

Reason = Literal["deleted", "gone", "camera ended", "never connected", "idle", "error", "shutdown"]


class ServerFull(Exception):
    """All sessions are taken."""


class Session:
    """One peer: a connection, a pipeline and, if the peer opens one, a control channel.

    Args:
        id: unguessable; whoever knows it may end the session. Logs name its first characters only.
        runtime: makes the pipeline.
        settings: the server's.
    """

    def __init__(self, id: str, runtime: Runtime, settings: ServerSettings) -> None:
        self.id = id
        self.name = id[:6]
        self._runtime = runtime
        self._settings = settings
        self._connection = RTCPeerConnection(ice.configuration(settings.ice_servers))
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("track", self._track_offered)
        self._connection.on("datachannel", self._channel_opened)
        self._ended: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._detail: str | None = None
        self._video: VideoFilter | None = None
        self._camera: MediaStreamTrack | None = None
        self._audio: DelayedAudio | None = None
        self._channel: ControlChannel | None = None
        self._decoders: list[DecoderStop] = []
        self._bitrate_in, self._bitrate_out = Bitrate(), Bitrate()
        self._rx_packets = 0
        self._rx_bytes = 0
        self._tx_bytes = 0
        self._heard_at = time.monotonic()

    async def answer(self, offer: str) -> str:
        """Apply an offer and make the answer, ICE candidates included.

        Args:
            offer: from `offers.read_offer`.

        Raises:
            BadOffer: no common codec, or another thing that only negotiation finds.
        """
        pipeline = await asyncio.get_running_loop().run_in_executor(None, self._runtime.pipeline)
        self._video = VideoFilter(pipeline, self._runtime.changed(Settings(), {}), self._settings.max_frame_pixels)
        connection = self._connection
        video = connection.addTransceiver(self._video.output, direction="sendrecv")
        video.setCodecPreferences(transport.codec_preferences(self._settings.codec))
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        except (ValueError, OperationError, InvalidAccessError) as error:
            raise offers.BadOffer(str(error)) from error
        if self._audio is not None:
            connection.addTrack(self._audio)
        self._decoders = transport.tune(connection, self._settings)
        ice.offer_addresses(connection, self._settings)
        await connection.setLocalDescription(await connection.createAnswer())
        return ice.advertise(connection.localDescription.sdp, self._settings.advertised_address)

    async def run(self) -> Reason:
        """Serve the peer until it ends, is ended, or times out; then clean up. Call it once, after `answer`."""
        assert self._video is not None
        assert self._camera is not None
        filtering = asyncio.create_task(self._video.run(self._camera))
        filtering.add_done_callback(self._filter_ended)
        hearing = asyncio.create_task(self._audio.run()) if self._audio is not None else None
        started_at = self._video.last_frame_at = self._heard_at = time.monotonic()
        try:
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=TICK_S)
                self._tick(time.monotonic(), started_at)
            return self._ended.result()
        finally:
            await self.close()
            await asyncio.wait([filtering], timeout=CLOSE_S)
            if hearing is not None:
                hearing.cancel()

    def end(self, reason: Reason, detail: str | None = None) -> None:
        """End the session soon. Only the first reason counts."""
        if not self._ended.done():
            self._detail = detail
            self._ended.set_result(reason)

    async def close(self) -> None:
        """Say goodbye, and free the connection, its decoders and the pipeline."""
        if self._ended.done():
            self._say_bye(self._ended.result())
        if self._video is not None:
            self._video.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
                await asyncio.gather(*(decoder.wait() for decoder in self._decoders))
        except TimeoutError:
            logger.warning("session %s: closing took more than %.1f s", self.name, CLOSE_S)

    def _tick(self, now: float, started_at: float) -> None:
        assert self._video is not None
        self._count_transport(now)
        state = self._connection.connectionState
        if state != "connected":
            if state in ("new", "connecting") and now - started_at > self._settings.connect_timeout:
                self.end("never connected")
            self._video.last_frame_at = now
        elif now - self._heard_at > self._settings.silence_timeout:
            self.end("gone")
        elif now - self._video.last_frame_at > self._settings.idle_timeout:
            self.end("idle")
        if self._channel is not None and self._channel.stats_due():
            self._channel.send(self._stats(self._video))

    def _count_transport(self, now: float) -> None:
        """Read the counters of the one transport that everything is bundled on."""
        transport_ = self._connection.getTransceivers()[0].receiver.transport
        counted = transport_._get_stats()[transport_._stats_id]
        if counted.packetsReceived != self._rx_packets:
            self._rx_packets, self._heard_at = counted.packetsReceived, now
        self._rx_bytes, self._tx_bytes = counted.bytesReceived, counted.bytesSent

    def _stats(self, video: VideoFilter) -> control.Stats:
        output = video.last_output
        return control.Stats(
            fps_in=video.received.value(),
            fps_out=video.output.sent.value(),
            received=video.frames,
            dropped=video.dropped,
            edited=video.edited,
            faces=[_seen(face.id, face.box, video.size) for face in output.faces] if output and video.size else [],
            size=video.size,
            stages=video.stages.all(),
            server_ms=video.output.delays.of("server"),
            bitrate_in=self._bitrate_in.since_last(self._rx_bytes),
            bitrate_out=self._bitrate_out.since_last(self._tx_bytes),
        )

    def _video_delay(self) -> float:
        """Seconds that the picture spends here."""
        delay = self._video.output.delays.of("server") if self._video is not None else None
        return delay.p50 / 1000 if delay is not None else 0.0

    def _state_changed(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.end("gone")

    def _track_offered(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._camera = track
        else:
            self._audio = DelayedAudio(track, self._video_delay)

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label != control.LABEL or self._video is None or self._channel is not None:
            channel.close()
            return
        self._channel = ControlChannel(channel, self._runtime, self._video)
        self._channel.send(
            control.Hello(
                session=self.id,
                settings=self._video.settings.model_dump(),
                limits=control.Limits(
                    max_frame_pixels=self._settings.max_frame_pixels, idle_timeout=self._settings.idle_timeout
                ),
            )
        )

    def _filter_ended(self, filtering: asyncio.Task[None]) -> None:
        error = None if filtering.cancelled() else filtering.exception()
        if error is None:
            self.end("camera ended")
        elif isinstance(error, FrameTooLarge):
            self.end("error", str(error))
        else:
            logger.error("session %s: the pipeline failed", self.name, exc_info=error)
            self.end("error", "the server could not process the video")

    def _say_bye(self, reason: Reason) -> None:
        if self._channel is not None and reason in ("idle", "shutdown", "error"):
            self._channel.send(control.Bye(reason=reason, detail=self._detail))


class Sessions:
    """All sessions of a server.

    Args:
        runtime: shared by all.
        settings: `max_sessions` and what a session needs.
    """

    def __init__(self, runtime: Runtime, settings: ServerSettings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, offer: str) -> tuple[str, str]:
        """Start a session. Its place is taken before any work is done for it.

        Args:
            offer: from `offers.read_offer`.

        Returns:
            The session's id and the answer.

        Raises:
            ServerFull: there is no place.
            BadOffer: the offer cannot be answered.
        """
        if self._closing or len(self._sessions) >= self._settings.max_sessions:
            raise ServerFull
        session = Session(secrets.token_urlsafe(16), self._runtime, self._settings)
        self._sessions[session.id] = session
        try:
            answer = await session.answer(offer)
        except BaseException:
            del self._sessions[session.id]
            await session.close()
            raise
        task = asyncio.create_task(self._serve(session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return session.id, answer

    def end(self, id: str) -> bool:
        """End a session because its peer asks for it. False if there is none of this id."""
        session = self._sessions.get(id)
        if session is not None:
            session.end("deleted")
        return session is not None

    async def close(self) -> None:
        """End all sessions, and let none begin."""
        self._closing = True
        for session in self._sessions.values():
            session.end("shutdown")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_S)

    async def _serve(self, session: Session) -> None:
        logger.info("session %s: opened, %d of %d", session.name, len(self), self._settings.max_sessions)
        try:
            reason = await session.run()
        finally:
            del self._sessions[session.id]
        logger.info("session %s: ended, %s", session.name, reason)


def _seen(id: int, box: object, size: tuple[int, int]) -> control.FaceSeen:
    width, height = size
    x0, y0, x1, y1 = (float(value) for value in box)  # type: ignore[attr-defined]
    return control.FaceSeen(id=id, box=(x0 / width, y0 / height, x1 / width, y1 / height))
