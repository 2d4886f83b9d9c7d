"""The deployment of replicas: Serve's hooks around `signaling.cluster.replica.Replica`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
from ray import serve
from ray.serve.handle import DeploymentHandle

from signaling import memory
from signaling.app import load_runtime
from signaling.cluster.forwarding import Forwarded
from signaling.cluster.gateway import Reply
from signaling.cluster.handles import DirectoryHandle
from signaling.cluster.replica import Replica
from signaling.logs import start_logging
from signaling.settings import ServerSettings

if TYPE_CHECKING:
    from stream.runtime import Runtime

RuntimeMaker = Callable[[ServerSettings], "Runtime"]


class Filter:
    """A replica in a process of its own.

    Args:
        settings: of the server.
        directory: handle of the deployment of `signaling.cluster.directory.Directory`.
        cores: that this replica may use.
        make_runtime: loads networks and editors.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        settings: ServerSettings,
        directory: DeploymentHandle[Any],
        cores: float,
        make_runtime: RuntimeMaker = load_runtime,
    ) -> None:
        start_logging(settings.log_level, settings.log_format)
        cv2.setNumThreads(1)
        context = serve.get_replica_context()
        self._runtime = await asyncio.get_running_loop().run_in_executor(None, make_runtime, settings)
        self._replica = Replica(
            settings,
            self._runtime,
            DirectoryHandle(directory),
            id=context.replica_tag,
            version=context.code_version or "",
            cores=cores,
        )
        memory.settle()
        await self._replica.start()

    async def answer(self, request: Forwarded, believed: int | None = None) -> Reply:
        """Have the app answer."""
        return await self._replica.answer(request, believed)

    async def record_routing_stats(self) -> dict[str, Any]:
        """What routers learn every `statistics_s`."""
        return self._replica.figures().written()

    async def record_replica_metadata(self) -> dict[str, Any]:
        """What routers know of a replica before its first statistics."""
        return self._replica.figures().written()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What `scaling.replicas_for_load` gets."""
        figures = self._replica.figures()
        return {"spent": 1 - figures.free, "sessions": float(figures.sessions)}

    async def check_health(self) -> None:
        """A replica that is not well is replaced.

        Raises:
            RuntimeError: it is not.
        """
        await self._replica.check_health()

    async def __del__(self) -> None:
        """The graceful end of a replica that is scaled down or updated: Serve awaits it."""
        await self._replica.drain()
        await asyncio.get_running_loop().run_in_executor(None, self._runtime.close)
