"""How an ingress sends requests to replicas: to the one with most room, to a certain one, or to any. Knows no Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from signaling.cluster.forwarding import Answer, Forwarded
from signaling.cluster.placement import Beliefs, Figures

CHOICE_S = 5.0
"""Time for there to be a replica at all."""
SLOT_S = 1.0
"""Time for a replica to say that it is there: it takes milliseconds, and a dead one may never say so."""
ANSWER_S = 5.0
"""Time for a request of a running session to be answered."""
OFFER_S = 30.0
"""Time for an offer: an editor may be loaded for it."""
JOB_S = 200.0
"""Time for work on a photo or a file, which has limits of its own at the replica."""
CAREFUL_TRIES = 4
"""Placements that a replica may refuse because others placed sessions there meanwhile."""
TRIES = 12
"""Replicas that are asked where some do not say that they are there, or have no place."""
LOSSES = 2
"""Replicas that may be lost over one request: what kills one may kill the next."""


class NoReplica(Exception):
    """There is no replica that answers in time."""


class ReplicaLost(Exception):
    """The replica died before it answered."""


class AllFull(Exception):
    """No replica has a place."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a replica says to a request.

    Attributes:
        answer: of its app; None where it does not take the session: it is full, it drains, or it has opened others than
            the ingress knew of.
        figures: `Figures.written`.
    """

    answer: Answer | None
    figures: dict[str, Any]


class Chosen(Protocol):
    """A replica that holds a slot for a request.

    Attributes:
        replica: its id.
    """

    replica: str

    async def send(self, request: Forwarded, believed: int | None) -> Reply:
        """Have it answered.

        Args:
            request: for the replica's app.
            believed: sessions that it is believed to have opened; None does not care.

        Raises:
            ReplicaLost: the replica died.
        """


class Replicas(Protocol):
    """What Serve does for a gateway."""

    def choose(
        self, target: str | None, avoid: frozenset[str], note: Callable[[str], None]
    ) -> AbstractAsyncContextManager[Chosen]:
        """Hold a slot at a replica: at the target if it is there, else at another one; at those to avoid last.

        Waits for as long as there is none, and for as long as the replica says nothing.

        Args:
            target: id of the only one that will do, if it is there.
            avoid: ids.
            note: called with the id of the replica that is asked for a slot, from any thread.
        """


class Gateway:
    """Sends requests.

    Args:
        replicas: Serve's side.
        beliefs: shared with whoever chooses.
    """

    def __init__(self, replicas: Replicas, beliefs: Beliefs) -> None:
        self._replicas = replicas
        self._beliefs = beliefs

    async def place(self, request: Forwarded) -> Answer:
        """Have a new session opened where most capacity is free.

        Returns:
            What the replica's app answered: perhaps a refusal of the offer.

        Raises:
            AllFull: no replica has a place.
            NoReplica: none answers.
        """
        avoid: set[str] = set()
        silent, lost = False, 0
        for attempt in range(TRIES):
            try:
                tried = await self._try(request, OFFER_S, avoid, place=True, careful=attempt < CAREFUL_TRIES)
            except _NoOther:
                break
            except ReplicaLost as error:
                silent, lost = True, lost + 1
                if lost == LOSSES:
                    raise NoReplica from error
                continue
            if tried is None:
                silent = True
                continue
            if tried.reply.answer is not None:
                return tried.reply.answer
            figures = Figures.read(tried.reply.figures)
            if figures is None or figures.places <= 0:
                avoid.add(tried.replica)
        raise NoReplica if silent else AllFull

    async def ask(self, replica: str, request: Forwarded, seconds: float) -> Answer | None:
        """Have a certain replica answer. None if there is no such replica, or none any more.

        Args:
            replica: its id.
            request: for its app.
            seconds: time for it; a replica that takes more is avoided for a while.

        Raises:
            NoReplica: it does not answer in time.
        """
        try:
            async with asyncio.timeout(seconds), self._choose(replica, ()) as chosen:
                if chosen.replica != replica:
                    return None
                reply = await chosen.send(request, None)
        except ReplicaLost:
            return None
        except TimeoutError as error:
            self._beliefs.shun(replica)
            raise NoReplica from error
        self._learn(replica, reply)
        return reply.answer

    async def ask_any(self, request: Forwarded, *, losses: int = LOSSES) -> Answer:
        """Have the replica with most room answer.

        Args:
            request: for its app.
            losses: replicas that may be lost over it; 1 never sends it again.

        Raises:
            NoReplica: none answers.
        """
        avoid: set[str] = set()
        lost = 0
        for _ in range(TRIES):
            try:
                tried = await self._try(request, JOB_S, avoid)
            except ReplicaLost as error:
                lost += 1
                if lost == losses:
                    raise NoReplica from error
                continue
            if tried is not None and tried.reply.answer is not None:
                return tried.reply.answer
        raise NoReplica

    async def _try(
        self, request: Forwarded, seconds: float, avoid: set[str], *, place: bool = False, careful: bool = False
    ) -> _Tried | None:
        """Have the replica with most room answer. None if it is silent: it is in `avoid` from then on.

        Args:
            request: for its app.
            seconds: time for it.
            avoid: ids.
            place: whether a session is placed: then, none of those to avoid will do.
            careful: whether the replica may refuse because it has opened others than it is believed to have.

        Raises:
            _NoOther: only those to avoid are left for a session.
            ReplicaLost: it died over the request; it is in `avoid` as well.
            NoReplica: there is none, or it does not answer in time.
        """
        try:
            async with asyncio.timeout(seconds), self._choose(None, avoid) as chosen:
                if place and chosen.replica in avoid:
                    raise _NoOther
                believed = self._beliefs.expect(chosen.replica) if place else None
                reply = await chosen.send(request, believed if careful else None)
        except _Silent as silent:
            avoid.add(silent.replica)
            return None
        except ReplicaLost:
            avoid.add(chosen.replica)
            self._beliefs.shun(chosen.replica)
            raise
        except TimeoutError as error:
            raise NoReplica from error
        self._learn(chosen.replica, reply)
        return _Tried(chosen.replica, reply)

    @asynccontextmanager
    async def _choose(self, target: str | None, avoid: Collection[str]) -> AsyncIterator[Chosen]:
        """Choose a replica that says in time that it is there.

        Raises:
            _Silent: the one that was chosen does not; it is avoided for a while.
            NoReplica: there is none.
        """
        loop = asyncio.get_running_loop()
        asked: list[str] = []
        patience = asyncio.timeout(CHOICE_S)
        over = asyncio.Event()

        def note(replica: str) -> None:
            asked.append(replica)
            loop.call_soon_threadsafe(hurry)

        def hurry() -> None:
            if not over.is_set() and not patience.expired():
                patience.reschedule(loop.time() + SLOT_S)

        async with AsyncExitStack() as stack:
            try:
                async with patience:
                    chosen = await stack.enter_async_context(self._replicas.choose(target, frozenset(avoid), note))
            except TimeoutError:
                if not asked:
                    raise NoReplica from None
                self._beliefs.shun(asked[-1])
                raise _Silent(asked[-1]) from None
            finally:
                over.set()
            yield chosen

    def _learn(self, replica: str, reply: Reply) -> None:
        figures = Figures.read(reply.figures)
        if figures is not None:
            self._beliefs.learn(replica, figures)


class _Silent(NoReplica):
    """A replica does not say that it is there."""

    def __init__(self, replica: str) -> None:
        super().__init__(replica)
        self.replica = replica


class _NoOther(Exception):
    """Only replicas are left that have been tried."""


@dataclass(frozen=True, slots=True)
class _Tried:
    replica: str
    reply: Reply
