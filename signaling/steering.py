"""Pages that steer this machine's own camera: they watch it, and have its control channel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiortc import RTCDataChannel
from starlette.concurrency import run_in_threadpool

from signaling import control
from signaling.channel import ControlChannel
from signaling.figures import Figures, hello_of
from signaling.metrics import Metrics
from signaling.overlay import overlay_message
from signaling.settings import ServerSettings
from signaling.tokens import Grant
from signaling.video import VideoFilter
from signaling.viewers import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream.look import Look
    from stream.runtime import Runtime


class Steerer(Viewer):
    """A viewer of this machine's camera that may change its settings, and is told what others change.

    Args:
        id: unguessable.
        video: the camera's filter.
        runtime: makes looks.
        settings: the server's.
        metrics: the server's.
        grant: of the token that it came with.
        holds: whether the token still holds.
    """

    def __init__(
        self,
        id: str,
        video: VideoFilter,
        runtime: Runtime,
        settings: ServerSettings,
        *,
        metrics: Metrics,
        grant: Grant,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(id, video.watch(), None, settings, metrics=metrics, grant=grant, holds=holds)
        self._video = video
        self._runtime = runtime
        self._settings = settings
        self._metrics = metrics
        self._figures = Figures(self.peer)
        self._control: ControlChannel | None = None
        self._told: Look | None = None
        self._overlay: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        await super().close()

    def _tick(self) -> None:
        if self._control is None:
            return
        look = self._video.look
        if look is not self._told:
            self._told = look
            self._control.send(control.SettingsNow(id=None, settings=look.settings.model_dump(), idle=look.idle))
        if self._control.stats_due():
            self._control.send(self._figures.of(self._video, self._track))
        if self._overlay is None and self._control.overlay_due():
            self._overlay = asyncio.create_task(self._send_overlay(self._control))

    async def _send_overlay(self, channel: ControlChannel) -> None:
        try:
            if self._video.last_output is not None and self._video.size is not None:
                channel.send(await run_in_threadpool(overlay_message, self._video.last_output, self._video.size))
        finally:
            self._overlay = None

    def _use(self, channel: RTCDataChannel) -> None:
        """Hear what the peer says, as a session does."""
        self._told = self._video.look
        self._control = ControlChannel(
            channel,
            self._runtime,
            self._video,
            grant=self.grant,
            session=self.id,
            refused=lambda: self._metrics.reject("message"),
        )
        self._control.send(hello_of(self.id, self._video, self._settings))
