"""Sessions: one peer connection and one pipeline each, in bounded number, cleaned up however they end."""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from aiortc import MediaStreamTrack, RTCDataChannel
from starlette.concurrency import run_in_threadpool

from engines.base import DeviceLost
from signaling import control
from signaling.audio import JITTER_BUFFER_S, DelayedAudio
from signaling.channel import ControlChannel
from signaling.figures import Figures, hello_of
from signaling.logs import about, limited
from signaling.memory import Tidying
from signaling.metrics import Metrics
from signaling.overlay import overlay_message
from signaling.peer import CLOSE_S, Peer
from signaling.settings import ServerSettings
from signaling.steering import Steerer
from signaling.tokens import ANYBODY, Grant, Tokens
from signaling.video import EditedTrack, FrameTooLarge, VideoFilter
from signaling.viewers import Viewer
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.runtime import Runtime

logger = limited(__name__)

TICK_S = 0.1
ID_LENGTH = 22  # characters of `secrets.token_urlsafe(16)`
LARGEST_SKEW_MS = 2000.0  # between sound and picture; more is a peer whose reports make no sense
CLAIM_EVERY_S = 2.0  # between two claims on the data channel
SHUTDOWN_S = 0.9  # most time given to closing all of them when the server stops

EXPIRED = "the token of this session has expired or was withdrawn"
LOST = "the server's graphics processor has failed: its operator has to restart the server"
Reason = Literal["deleted", "gone", "camera ended", "never connected", "flooding", "idle", "error", "shutdown"]


class ServerFull(Exception):
    """All places are taken; the message says which: "4 sessions"."""


class NameTaken(Exception):
    """A stream of this name is being sent already."""


class NoSuchStream(Exception):
    """Nobody sends a stream of this name."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a session may do, and who counts it.

    Attributes:
        metrics: of the server.
        grant: of the token that it came with.
        holds: whether the token still holds.
    """

    metrics: Metrics = field(default_factory=lambda: Metrics(""))
    grant: Grant = ANYBODY
    holds: Callable[[], bool] = lambda: True


class Session:
    """One peer: a connection, a pipeline and, if the peer opens one, a control channel.

    Args:
        id: unguessable; whoever knows it may end the session. Logs name its first characters only.
        runtime: makes looks and the pipeline.
        settings: the server's.
        stream: the name under which viewers find it; None if nobody may watch.
        access: what it may do, and who counts it.

    Attributes:
        peer: its connection.
        grant: of the token that it came with.
        device_lost: whether it ended because the graphics processor failed.
    """

    def __init__(
        self,
        id: str,
        runtime: Runtime,
        settings: ServerSettings,
        stream: str | None = None,
        access: Access | None = None,
    ) -> None:
        self.id = id
        access = access or Access()
        self.grant = access.grant
        self.device_lost = False
        self.stream = stream
        self.name = id[-ID_LENGTH:][:6]
        self.opened_at = time.monotonic()
        self._runtime = runtime
        self._settings = settings
        self._holds, self._metrics = access.holds, access.metrics
        self._meter = self._metrics.of_session()
        self.peer = Peer(settings, self._metrics)
        self.peer.connection.on("connectionstatechange", self._state_changed)
        self.peer.connection.on("track", self._track_offered)
        self.peer.connection.on("datachannel", self._channel_opened)
        self._ended: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._detail: str | None = None
        self._video: VideoFilter | None = None
        self._camera: MediaStreamTrack | None = None
        self._audio: DelayedAudio | None = None
        self._channel: ControlChannel | None = None
        self._overlay: asyncio.Task[None] | None = None
        self._figures = Figures(self.peer)
        self._claimed_at = 0.0
        self._moving = False

    async def answer(self, offer: str, patch: Mapping[str, Any]) -> str:
        """Apply an offer and make the answer, ICE candidates included.

        Args:
            offer: from `offers.read_offer`.
            patch: change of the default settings that holds from the first frame on.

        Raises:
            BadOffer: no common codec, or another thing that only negotiation finds.
            SettingsError: a setting is refused, or its editor cannot be loaded.
        """
        default = Settings()
        patch = self.grant.complete(patch, default.editor)
        look = await run_in_threadpool(self._runtime.look, default, patch, self.id)
        self._video = VideoFilter(
            self._runtime.video_pipeline(),
            look,
            self._settings.max_frame_pixels,
            self._runtime.identity,
            self.peer.captured_at,
            metrics=self._metrics,
            speeds=self._runtime.speeds,
            turns=self._runtime.turns,
        )
        return await self.peer.answer(offer, self._video.output, lambda: self._audio)

    async def run(self) -> Reason:
        """Serve the peer until it ends, is ended, or times out; then clean up. Call it once, after `answer`."""
        assert self._video is not None
        assert self._camera is not None
        filtering = asyncio.create_task(self._video.run(self._camera))
        filtering.add_done_callback(self._filter_ended)
        hearing = asyncio.create_task(self._audio.run()) if self._audio is not None else None
        self._video.last_frame_at = time.monotonic()
        try:
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=TICK_S)
                self._tick(time.monotonic())
            return self._ended.result()
        finally:
            await self.close()
            await asyncio.wait([filtering], timeout=CLOSE_S)
            self._count(self._video)
            if hearing is not None:
                hearing.cancel()

    def watch(self) -> EditedTrack | None:
        """The edited video for a viewer; None before the session is answered, and once it has ended."""
        return None if self._video is None or self._ended.done() else self._video.watch()

    @property
    def claim(self) -> bytes:
        """What the newest frame says of itself, signed; empty when it is not edited, or not signed."""
        return self._video.claim if self._video is not None else b""

    @property
    def load(self) -> float:
        """Share of the time between two camera frames that work takes."""
        return self._video.load if self._video is not None else 0.0

    @property
    def reduced(self) -> bool:
        """Whether work is left out to keep up with the camera."""
        output = self._video.last_output if self._video is not None else None
        return output is not None and bool(output.reduced)

    def announce_move(self) -> None:
        """Tell the peer, once it has a channel, to set up its next session; this one goes on until it leaves."""
        self._moving = True
        if self._channel is not None:
            self._channel.send(control.Bye(reason="moving"))

    def listen(self) -> DelayedAudio | None:
        """The sound for a viewer; None if this session has none."""
        return self._audio.listen() if self._audio is not None else None

    def end(self, reason: Reason, detail: str | None = None) -> None:
        """End the session soon. Only the first reason counts."""
        if not self._ended.done():
            self._detail = detail
            self._ended.set_result(reason)

    async def close(self) -> None:
        """Say goodbye, and free the connection, its decoders and the pipeline."""
        if self._ended.done():
            self._say_bye(self._ended.result())
        if self._channel is not None:
            self._channel.close()
        if self._video is not None:
            self._video.close()
        await self.peer.close()
        # What is let go of here need not wait for the collector (`signaling.memory`).
        self._channel = self._audio = self._camera = None

    def _tick(self, now: float) -> None:
        assert self._video is not None
        lost = self.peer.check(now)
        self._count(self._video)
        oversized = self.peer.oversized
        if lost is not None:
            self.end(lost)
        elif oversized is not None:
            self._metrics.reject("picture")
            self.end("error", str(FrameTooLarge(*oversized)))
        elif not self._holds():
            self.end("error", EXPIRED)
        elif not self.peer.connected:
            self._video.last_frame_at = now
        elif now - self._video.last_frame_at > self._settings.idle_timeout:
            self.end("idle")
        if self._channel is not None and self._channel.stats_due():
            self._channel.send(self._figures.of(self._video, self._video.output))
        self._send_claim(now)
        if self._overlay is None and self._channel is not None and self._channel.overlay_due():
            self._overlay = asyncio.create_task(self._send_overlay(self._channel, self._video))

    async def _send_overlay(self, channel: ControlChannel, video: VideoFilter) -> None:
        """Send what lies behind the newest frame; one at a time, as outlines take a millisecond or two a face."""
        try:
            if video.last_output is not None and video.size is not None:
                channel.send(await run_in_threadpool(overlay_message, video.last_output, video.size))
        finally:
            self._overlay = None

    def _count(self, video: VideoFilter) -> None:
        self._meter.read(
            received=video.frames,
            sent=video.output.frames_sent,
            dropped=video.dropped,
            edited=video.edited,
            edits_dropped=video.edits_dropped,
        )

    def _send_claim(self, now: float) -> None:
        """Tell the peer every `CLAIM_EVERY_S` what its edited stream says of itself."""
        claim = self.claim
        if self._channel is not None and claim and now - self._claimed_at >= CLAIM_EVERY_S:
            self._claimed_at = now
            self._channel.send(control.Claimed(claim=b64encode(claim).decode("ascii")))

    def _video_delay(self) -> float:
        """Seconds by which the picture leaves later than sound that would not wait at all.

        By the peer's own clock where its sender reports tell when both were captured; otherwise by the time that the
        picture spends here.
        """
        if self._video is None:
            return 0.0
        delays = self._video.output.delays
        picture, sound = delays.of("capture"), self._audio.delays.of("capture") if self._audio is not None else None
        if picture is not None and sound is not None and abs(picture.p50 - sound.p50) < LARGEST_SKEW_MS:
            return (picture.p50 - sound.p50) / 1000 + JITTER_BUFFER_S
        server = delays.of("server")
        return server.p50 / 1000 if server is not None else 0.0

    def _state_changed(self) -> None:
        if self.peer.connection.connectionState in ("failed", "closed"):
            self.end("gone")

    def _track_offered(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._camera = track
        else:
            self._audio = DelayedAudio(track, self._video_delay, self.peer.captured_at)

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label != control.LABEL or self._video is None or self._channel is not None:
            channel.close()
            return
        self._channel = ControlChannel(
            channel,
            self._runtime,
            self._video,
            grant=self.grant,
            session=self.id,
            refused=lambda: self._metrics.reject("message"),
        )
        self._channel.send(hello_of(self.id, self._video, self._settings))
        if self._moving:
            self.announce_move()

    def _filter_ended(self, filtering: asyncio.Task[None]) -> None:
        error = None if filtering.cancelled() else filtering.exception()
        if error is None:
            self.end("camera ended")
        elif isinstance(error, FrameTooLarge):
            self._metrics.reject("picture")
            self.end("error", str(error))
        else:
            logger.error("session %s: the pipeline failed", self.name, exc_info=error, extra=about(self.name))
            self.device_lost = isinstance(error, DeviceLost)
            self.end("error", LOST if self.device_lost else "the server could not process the video")

    def _say_bye(self, reason: Reason) -> None:
        if self._channel is not None and reason in ("idle", "shutdown", "error"):
            self._channel.send(control.Bye(reason=reason, detail=self._detail))


class Sessions:
    """All sessions of a server, and those who watch them.

    Args:
        runtime: shared by all.
        settings: `max_sessions`, `max_viewers`, and what a session needs.
        metrics: of the server.
        tokens: of the server; sessions end when theirs does not hold any more.
        prefix: of the ids, by which a cluster knows whose they are.
        camera: the filter of this machine's own camera, which peers may steer; None where there is none.

    Attributes:
        device_lost: whether the graphics processor has failed: the process has to be started anew.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: ServerSettings,
        metrics: Metrics | None = None,
        tokens: Tokens | None = None,
        prefix: str = "",
        *,
        camera: VideoFilter | None = None,
    ) -> None:
        self.device_lost = False
        self._local = camera
        self._prefix = prefix
        self._runtime = runtime
        self._settings = settings
        self._metrics = metrics or Metrics("")
        self._tokens = tokens or Tokens()
        self._sessions: dict[str, Session] = {}
        self._viewers: dict[str, Viewer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tidying = Tidying()
        self._closing = False
        self._answering = 0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def viewers(self) -> int:
        """Those who watch."""
        return len(self._viewers)

    @property
    def answering(self) -> int:
        """Sessions that have a place while their offer is answered."""
        return self._answering

    @property
    def accepting(self) -> bool:
        """Whether sessions may begin, once there is a place."""
        return not self._closing and not self.device_lost

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def places(self) -> int:
        """Sessions that may still be opened; 0 unless `accepting`."""
        return max(0, self._settings.max_sessions - len(self._sessions)) if self.accepting else 0

    async def open(
        self,
        offer: str,
        stream: str | None = None,
        patch: Mapping[str, Any] | None = None,
        grant: Grant = ANYBODY,
    ) -> tuple[str, str]:
        """Start a session. Its place is taken before any work is done for it.

        Args:
            offer: from `offers.read_offer`.
            stream: the name under which it can be watched.
            patch: change of the default settings that holds from the first frame on.
            grant: of the token that the offer came with.

        Returns:
            The session's id and the answer.

        Raises:
            ServerFull: there is no place.
            NameTaken: there is a stream of this name.
            BadOffer: the offer cannot be answered.
            SettingsError: a setting is refused.
        """
        if self.places == 0:
            raise ServerFull(f"{self._settings.max_sessions} sessions")
        if grant.sessions is not None and _held_by(grant, self._sessions) >= grant.sessions:
            raise ServerFull(f"{grant.sessions} sessions of this token")
        if stream is not None and self._sender(stream) is not None:
            raise NameTaken
        access = Access(self._metrics, grant, partial(self._tokens.holds, grant))
        session = Session(self._prefix + secrets.token_urlsafe(16), self._runtime, self._settings, stream, access)
        self._sessions[session.id] = session
        self._answering += 1
        try:
            answer = await session.answer(offer, patch or {})
        except BaseException:
            del self._sessions[session.id]
            await session.close()
            self._tidying.peer_left()
            raise
        finally:
            self._answering -= 1
        self._start(self._serve(session))
        return session.id, answer

    async def watch(self, stream: str, offer: str, grant: Grant = ANYBODY) -> tuple[str, str]:
        """Show a session's edited video to a viewer, with its sound if the viewer asks for it.

        Args:
            stream: a session's name.
            offer: from `offers.read_offer`, receiving only.
            grant: of the token that the offer came with; anybody's stream may be watched.

        Returns:
            The viewer's id and the answer.

        Raises:
            NoSuchStream: nobody sends under this name.
            ServerFull: there is no place.
            BadOffer: the offer cannot be answered.
        """
        self._require_place(grant)
        session = self._sender(stream)
        track = session.watch() if session is not None else None
        if session is None or track is None:
            raise NoSuchStream
        id = self._prefix + secrets.token_urlsafe(16)
        holds = partial(self._tokens.holds, grant)
        viewer = Viewer(id, track, session.listen(), self._settings, metrics=self._metrics, grant=grant, holds=holds)
        return await self._admit(viewer, offer)

    def _require_place(self, grant: Grant) -> None:
        if self._closing or len(self._viewers) >= self._settings.max_viewers:
            raise ServerFull(f"{self._settings.max_viewers} viewers")
        if grant.viewers is not None and _held_by(grant, self._viewers) >= grant.viewers:
            raise ServerFull(f"{grant.viewers} viewers of this token")

    async def _admit(self, viewer: Viewer, offer: str) -> tuple[str, str]:
        self._viewers[viewer.id] = viewer
        try:
            answer = await viewer.answer(offer)
        except BaseException:
            del self._viewers[viewer.id]
            await viewer.close()
            self._tidying.peer_left()
            raise
        self._start(self._show(viewer))
        return viewer.id, answer

    async def steer(self, offer: str, grant: Grant = ANYBODY) -> tuple[str, str]:
        """Show this machine's own camera to a peer that steers it.

        Args:
            offer: from `offers.read_offer`, receiving only.
            grant: of the token that the offer came with.

        Returns:
            The peer's id and the answer.

        Raises:
            NoSuchStream: this server has no camera of its own.
            ServerFull: there is no place.
            BadOffer: the offer cannot be answered.
        """
        if self._local is None:
            raise NoSuchStream
        self._require_place(grant)
        id = self._prefix + secrets.token_urlsafe(16)
        holds = partial(self._tokens.holds, grant)
        steerer = Steerer(
            id, self._local, self._runtime, self._settings, metrics=self._metrics, grant=grant, holds=holds
        )
        return await self._admit(steerer, offer)

    def claim(self, stream: str) -> bytes:
        """What the newest frame of a session says of itself, signed; empty when it is not edited.

        Raises:
            NoSuchStream: nobody sends under this name.
        """
        session = self._sender(stream)
        if session is None:
            raise NoSuchStream
        return session.claim

    def peer(self, id: str, grant: Grant = ANYBODY) -> Peer | None:
        """The connection of a session or a viewer; None if a token has none of this id."""
        found = self._sessions.get(id) or self._viewers.get(id)
        return found.peer if found is not None and _owns(grant, found) else None

    def end(self, id: str, grant: Grant = ANYBODY) -> bool:
        """End a session because its peer asks for it. False if a token has none of this id."""
        session = self._sessions.get(id)
        if session is None or not _owns(grant, session):
            return False
        session.end("deleted")
        return True

    def end_viewer(self, id: str, grant: Grant = ANYBODY) -> bool:
        """End a viewing because its peer asks for it. False if a token has none of this id."""
        viewer = self._viewers.get(id)
        if viewer is None or not _owns(grant, viewer):
            return False
        viewer.end()
        return True

    def refuse(self) -> None:
        """Let no session begin from now on; those that are there, or are being answered, go on."""
        self._closing = True

    async def drain(self, seconds: float) -> None:
        """Let no session begin, tell all peers and viewers to move, and wait until they have left.

        Those who connect still are told once they can hear it.

        Args:
            seconds: most time to wait; `close` ends those that are left.
        """
        self.refuse()
        for session in self._sessions.values():
            session.announce_move()
        for viewer in self._viewers.values():
            viewer.announce_move()
        until = time.monotonic() + seconds
        while self._sessions and time.monotonic() < until:
            await asyncio.sleep(TICK_S)

    async def close(self) -> None:
        """End all sessions, and let none begin."""
        self._closing = True
        for session in self._sessions.values():
            session.end("shutdown")
        for viewer in self._viewers.values():
            viewer.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_S)
        self._tidying.close()

    def _sender(self, stream: str) -> Session | None:
        return next((session for session in self._sessions.values() if session.stream == stream), None)

    def _start(self, serving: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, session: Session) -> None:
        logger.info(
            "session %s: opened, %d of %d",
            session.name,
            len(self),
            self._settings.max_sessions,
            extra=about(session.name, session.grant.name),
        )
        try:
            reason = await session.run()
        finally:
            del self._sessions[session.id]
            self.device_lost |= session.device_lost
            self._runtime.locks.forget_session(session.id)
            self._tidying.peer_left()
        self._metrics.end(reason)
        logger.info(
            "session %s: ended, %s", session.name, reason, extra=about(session.name, session.grant.name, reason)
        )

    async def _show(self, viewer: Viewer) -> None:
        try:
            await viewer.run()
        finally:
            del self._viewers[viewer.id]
            self._runtime.locks.forget_session(viewer.id)
            self._tidying.peer_left()


def _owns(grant: Grant, held: Session | Viewer) -> bool:
    """Whether a session or a viewer is that of a token. The one without a name, the operator's, has all of them."""
    return grant.name in ("", held.grant.name)


def _held_by(grant: Grant, held: Mapping[str, Session] | Mapping[str, Viewer]) -> int:
    return sum(each.grant.name == grant.name for each in held.values())
