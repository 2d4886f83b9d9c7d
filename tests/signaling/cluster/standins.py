"""What Serve does for a cluster, in one process: replicas `r0`, `r1`, ..., two ingresses and a directory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from signaling.cluster.directory import Directory
from signaling.cluster.forwarding import Forwarded
from signaling.cluster.gateway import Gateway, ReplicaLost, Reply
from signaling.cluster.ingress import create_ingress
from signaling.cluster.placement import Beliefs
from signaling.cluster.replica import Replica
from signaling.settings import ServerSettings
from tests.signaling.cluster.small import SmallRuntime


class Chosen:
    def __init__(self, process: Replica | None, replica: str) -> None:
        self.replica = replica
        self._process = process

    async def send(self, request: Forwarded, believed: int | None) -> Reply:
        if self._process is None:
            raise ReplicaLost
        return await self._process.answer(request, believed)


class Processes:
    """What Serve does, in one process.

    Attributes:
        running: by id; None for one that was killed and is not missed yet.
        silent: ids of those that never say that they are there.
    """

    def __init__(self, beliefs: Beliefs, running: dict[str, Replica | None], silent: set[str]) -> None:
        self.running = running
        self.silent = silent
        self._beliefs = beliefs

    @asynccontextmanager
    async def choose(self, target: str | None, avoid: frozenset[str], note: Any) -> AsyncIterator[Chosen]:
        while not self.running:
            await asyncio.sleep(0.01)
        ordered = self._beliefs.order(list(self.running))
        chosen = target if target in self.running else min(ordered, key=lambda id: id in avoid)
        note(chosen)
        if chosen in self.silent:
            await asyncio.Event().wait()
        yield Chosen(self.running[chosen], chosen)


class Service:
    """Replicas `r0`, `r1`, ... and two ingresses, each with an HTTP client."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.running: dict[str, Replica | None] = {}
        self.runtimes: dict[str, SmallRuntime] = {}
        self.silent: set[str] = set()
        self.apps: list[FastAPI] = []
        self.http: list[httpx.AsyncClient] = []

    def sessions(self) -> dict[str, int]:
        return {id: replica.figures().sessions for id, replica in self.running.items() if replica is not None}

    async def add(self, id: str, **settings: Any) -> Replica:
        self.runtimes[id] = SmallRuntime()
        given = ServerSettings(**settings)
        replica = Replica(given, self.runtimes[id], self.directory, id=id, cores=4)  # type: ignore[arg-type]
        await replica.start()
        self.running[id] = replica
        return replica


@asynccontextmanager
async def service(replicas: int = 3, **settings: Any) -> AsyncIterator[Service]:
    made = Service()
    async with AsyncExitStack() as stack:
        for number in range(replicas):
            await made.add(f"r{number}", **settings)
        for number in range(2):
            beliefs = Beliefs(draw=random.Random(number).random)
            gateway = Gateway(Processes(beliefs, made.running, made.silent), beliefs)
            app = create_ingress(ServerSettings(**settings), gateway, made.directory.find)
            made.apps.append(app)
            http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080")
            made.http.append(await stack.enter_async_context(http))
        try:
            yield made
        finally:
            for replica in list(made.running.values()):
                if replica is not None:
                    await replica.drain(0)
