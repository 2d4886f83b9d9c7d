"""The data channel of one session: answers its messages, sends its stats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiortc import RTCDataChannel
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from signaling import control
from signaling.access import TokenBucket
from signaling.tokens import ANYBODY, Grant
from signaling.video import VideoFilter
from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.runtime import Runtime

MAX_BUFFERED = 64 * 1024  # bytes; a peer that reads this slowly gets no stats
MOST_CHANGES = 32  # that wait for the one at work, which may load an editor: a second of a moving slider


class Every:
    """Says when something that is wanted every so often is due.

    Attributes:
        interval: seconds; None while it is not wanted.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.interval: float | None = None
        self._clock = clock
        self._sent_at = clock()

    def due(self) -> bool:
        """Whether it is time; the next time is counted from then."""
        if self.interval is None or self._clock() - self._sent_at < self.interval:
            return False
        self._sent_at = self._clock()
        return True


class ControlChannel:
    """One open data channel.

    Args:
        channel: open, labelled "control".
        runtime: makes looks.
        video: what they are for.
        clock: monotonic seconds.
        grant: of the peer's token.
        session: its id.
        refused: called for each message that is refused.
    """

    def __init__(
        self,
        channel: RTCDataChannel,
        runtime: Runtime,
        video: VideoFilter,
        *,
        clock: Callable[[], float] = time.monotonic,
        grant: Grant = ANYBODY,
        session: str = "",
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._channel = channel
        self._grant = grant
        self._session = session
        self._refused = refused
        self._runtime = runtime
        self._video = video
        self._bucket = TokenBucket(control.MESSAGES_PER_SECOND, control.MESSAGE_BURST, clock)
        self._complaints = TokenBucket(1, 1, clock)
        self._stats = Every(clock)
        self._overlay = Every(clock)
        self._changes: set[asyncio.Task[None]] = set()
        channel.on("message", self.receive)

    def receive(self, text: str | bytes) -> None:
        """Answer one message of the peer. Whatever it is, the session goes on."""
        wait = self._bucket.take()
        if wait:
            self._refused()
            if not self._complaints.take():
                reason = f"at most {control.MESSAGES_PER_SECOND:g} messages a second"
                self.send(control.Refused(code="too_many", reason=reason))
            return
        try:
            message = control.parse(text)
        except control.ControlError as error:
            self._refused()
            self.send(control.Refused(id=error.id, code=error.code, reason=str(error)))
            return
        match message:
            case control.ChangeSettings() if len(self._changes) >= MOST_CHANGES:
                self._refused()
                reason = "earlier changes are not done yet"
                self.send(control.Refused(id=message.id, code="too_many", reason=reason))
            case control.ChangeSettings():
                change = asyncio.create_task(self._change(message.id, message.settings))
                self._changes.add(change)
                change.add_done_callback(self._changes.discard)
            case control.Ping():
                self.send(control.Pong(id=message.id, t=message.t))
            case control.WantStats():
                self._stats.interval = message.interval
            case control.WantOverlay():
                self._overlay.interval = message.interval

    def send(self, message: BaseModel) -> None:
        """Send, unless the channel was closed or the peer does not read."""
        if self._channel.readyState == "open" and self._channel.bufferedAmount < MAX_BUFFERED:
            self._channel.send(message.model_dump_json())

    def close(self) -> None:
        """Drop the changes that wait for their turn, and hear the peer no more."""
        self._channel.remove_all_listeners("message")
        for change in self._changes:
            change.cancel()

    def stats_due(self) -> bool:
        """Whether the peer wants stats now."""
        return self._stats.due()

    def overlay_due(self) -> bool:
        """Whether the peer wants an overlay now."""
        return self._overlay.due()

    async def _change(self, id: int | None, patch: dict[str, Any]) -> None:
        """Check a change, load what it needs, and apply it, in turn. The stream goes on meanwhile."""
        async with self._video.turn:
            try:
                self._grant.check(patch)
                look = await run_in_threadpool(self._runtime.look, self._video.look.settings, patch, self._session)
            except SettingsError as error:
                self._refused()
                refused = control.Refused(
                    id=id, code="bad_setting", field=error.field, reason=error.reason, allowed=error.allowed
                )
                self.send(refused)
            else:
                self._video.look = look
                self.send(control.SettingsNow(id=id, settings=look.settings.model_dump(), idle=look.idle))
