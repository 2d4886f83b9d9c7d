"""Serve's side of a gateway: its handles, which choose a replica first and send the request then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from models.arrays import Floats
from signaling.cluster.forwarding import Forwarded
from signaling.cluster.gateway import NoReplica, ReplicaLost, Reply
from signaling.cluster.placement import Beliefs
from signaling.cluster.replica import NoDirectory

DIRECTORY_S = 2.0
"""Time for the directory to answer."""


class ServeReplicas:
    """Replicas behind a handle of the deployment of filters (`gateway.Replicas`)."""

    def __init__(self, handle: DeploymentHandle[Any], beliefs: Beliefs) -> None:
        self._handle = handle.options(method_name="answer")
        self._beliefs = beliefs

    @asynccontextmanager
    async def choose(
        self, target: str | None, avoid: frozenset[str], note: Callable[[str], None]
    ) -> AsyncIterator[ServeChosen]:
        """Hold a slot at a replica.

        Raises:
            NoReplica: the deployment has failed.
        """
        try:
            with self._beliefs.noting(note) as token:
                choice = self._handle.choose_replica(target=target, avoid=avoid, token=token)
                async with choice as selection:
                    yield ServeChosen(self._handle, selection)
        except DeploymentUnavailableError as error:
            raise NoReplica from error


class ServeChosen:
    """A replica that holds a slot (`gateway.Chosen`)."""

    def __init__(self, handle: DeploymentHandle[Any], selection: Any) -> None:
        self.replica: str = selection.replica_id
        self._handle = handle
        self._selection = selection

    async def send(self, request: Forwarded, believed: int | None) -> Reply:
        """Have a request answered.

        Raises:
            ReplicaLost: the replica died.
        """
        try:
            reply: Reply = await self._handle.dispatch(self._selection, request, believed)
        except (RayActorError, ReplicaUnavailableError) as error:
            raise ReplicaLost from error
        return reply


class DirectoryHandle:
    """The directory behind its handle (`replica.Shared`).

    Every method raises `NoDirectory` if there is no answer within `DIRECTORY_S`.
    """

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def claim(self, name: str, replica: str) -> bool:
        """Take a name for a replica; False if another one has it."""
        return bool(await self._call("claim", name, replica))

    async def report(self, replica: str, names: list[str]) -> str:
        """Hold the names of a replica. Returns the epoch."""
        return str(await self._call("report", replica, names))

    async def release(self, replica: str, names: list[str]) -> None:
        """Give names of a replica free."""
        await self._call("release", replica, names)

    async def find(self, name: str) -> str | None:
        """The replica that sends a stream; None if nobody does."""
        found: str | None = await self._call("find", name)
        return found

    async def keep(self, editor: str, id: str, code: Floats) -> None:
        """Keep what an editor read of a photo."""
        await self._call("keep", editor, id, code)

    async def code(self, editor: str, id: str) -> Floats | None:
        """What an editor read of a photo; None if it is not known."""
        code: Floats | None = await self._call("code", editor, id)
        return code

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(DIRECTORY_S):
                return await self._handle.options(method_name=method).remote(*arguments)
        except (RayError, RayServeException, TimeoutError) as error:
            raise NoDirectory(type(error).__name__) from error
