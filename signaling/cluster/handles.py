"""Serve's side of a gateway: its handles, which choose a replica first and send the request then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from signaling.cluster.forwarding import Forwarded
from signaling.cluster.gateway import NoReplica, ReplicaLost, Reply


class ServeReplicas:
    """Replicas behind a handle of the deployment of filters (`gateway.Replicas`)."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle.options(method_name="answer")

    @asynccontextmanager
    async def choose(self, target: str | None, avoid: frozenset[str]) -> AsyncIterator[ServeChosen]:
        """Hold a slot at a replica.

        Raises:
            NoReplica: the deployment has failed.
        """
        try:
            async with self._handle.choose_replica(target=target, avoid=avoid) as selection:
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
