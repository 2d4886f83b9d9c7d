"""A network between a client and a server on 127.0.0.1: slow, narrow or lossy, in both directions."""

from __future__ import annotations

import heapq
import random
import re
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

MOST_PACKET = 2048
STEP_S = 0.002


@dataclass(frozen=True)
class Way:
    """One direction of a network.

    Attributes:
        bitrate: bit/s; 0 for no bound.
        delay: seconds that every packet takes.
        queue: seconds that a packet waits at most; those that would wait longer are lost.
        loss: share of packets that are lost besides.
        jitter: seconds by which the delay of a packet differs from `delay` at most; packets overtake each other.
    """

    name: str
    bitrate: int = 0
    delay: float = 0.02
    queue: float = 0.3
    loss: float = 0.0
    jitter: float = 0.0


@dataclass
class Line:
    """What is on its way in one direction."""

    way: Way
    to: tuple[str, int] | None = None
    free_at: float = 0.0
    lost: int = 0
    packets: list[tuple[float, int, bytes]] = field(default_factory=list)

    def put(self, data: bytes, now: float, dice: random.Random, number: int) -> None:
        starts = max(self.free_at, now)
        if dice.random() < self.way.loss or starts - now > self.way.queue:
            self.lost += 1
            return
        self.free_at = starts + (8 * len(data) / self.way.bitrate if self.way.bitrate else 0.0)
        delay = self.way.delay + dice.uniform(-self.way.jitter, self.way.jitter)
        heapq.heappush(self.packets, (self.free_at + delay, number, data))


class Relay:
    """A port that stands for a server's: what comes is passed on to it, and what it sends to who came.

    Args:
        target: address of the server.
        way: of both directions.
    """

    def __init__(self, target: tuple[str, int], way: Way) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self._target = target
        self._there, self._back = Line(way, target), Line(way)
        self._dice = random.Random(7)
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Packets that did not arrive, in both directions."""
        return self._there.lost + self._back.lost

    def change(self, way: Way) -> None:
        """Be another kind of network from now on; what is on its way arrives as it was to."""
        self._there.way = self._back.way = way

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.socket.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            while not self._stop.is_set():
                selector.select(STEP_S)
                self._take()
                now = time.monotonic()
                for line in (self._there, self._back):
                    while line.packets and line.packets[0][0] <= now:
                        data = heapq.heappop(line.packets)[2]
                        if line.to is not None:
                            self.socket.sendto(data, line.to)

    def _take(self) -> None:
        while True:
            try:
                data, source = self.socket.recvfrom(MOST_PACKET)
            except (BlockingIOError, ConnectionError):
                return
            self._number += 1
            if source == self._target:
                line = self._back
            else:
                line, self._back.to = self._there, source
            line.put(data, time.monotonic(), self._dice, self._number)


def relayed(answer: str, way: Way) -> tuple[Relay, str]:
    """Put a relay before a server.

    Args:
        answer: an SDP with a candidate on 127.0.0.1.
        way: of both directions.

    Returns:
        The relay, which its owner stops, and the answer with the relay as its one candidate.
    """
    found = re.search(r"(?m)^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", answer, re.IGNORECASE)
    assert found is not None, "no candidate on 127.0.0.1"
    relay = Relay(("127.0.0.1", int(found[1])), way)
    candidate = f"a=candidate:1 1 udp 2130706431 127.0.0.1 {relay.port} typ host"
    lines = []
    for line in answer.splitlines():
        if not line.startswith("a=candidate:"):
            lines.append(line)
        elif candidate not in lines:
            lines.append(candidate)
    return relay, "\r\n".join([*lines, ""])
