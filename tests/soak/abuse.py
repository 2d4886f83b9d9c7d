"""Loads of hostile input on a running server: offers, messages, packets, files, requests of the OpenAPI."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from aiortc.rtp import is_rtcp

from signaling.transport.intake import MOST_SSRCS
from tests.fuzz import channel_messages, harness, mutations, offers, photos
from tests.signaling.conftest import Peer
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

HANG_S = 1.0
GROWTH_MB = 60.0
"""Memory that a load may leave behind: caches of libraries and the allocator's."""
AT_ONCE = 8
FAST = (
    "import signaling.control as c; c.MESSAGES_PER_SECOND = c.MESSAGE_BURST = 1e9; "
    "import signaling.transport.intake as i; i.MOST_REFUSED = 10**9"
)
"""Lifts the limits behind which hostile input would never reach the parsers."""
PACKETS_A_SECOND = 200.0
LONGEST = 1300
"""Bytes of a packet; pylibsrtp takes few more."""
NO_EDITOR = "import stream.photos as p; p.controls_of_photo = lambda runtime, editor, photo: {}"
"""A picture that can be read is good enough: the stand-in has no editor that takes one."""


def from_anywhere(number: int) -> dict[str, str]:
    """Headers of a request that a proxy on this machine passes on for one of many addresses, which have limits each."""
    return {"x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}


async def many(count: int, send: Callable[[int], Awaitable[Any]]) -> None:
    """Call for each number, `AT_ONCE` at the same time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def mutated_offers(log: Path, count: int, seed: int) -> Result:
    """Offers to WHIP; those that are answered are ended at once."""
    result = Result("mutated SDP offers")
    statuses: Counter[int] = Counter()
    rng = random.Random(seed)
    seeds = offers.seeds()
    with Server("--max-sessions", "64", log=log) as server, Watch(server) as watch:
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:

            async def send(number: int) -> None:
                body = mutations.mutated(seeds, rng)
                headers = {"content-type": "application/sdp", **from_anywhere(number)}
                response = await http.post("/whip", content=body, headers=headers)
                statuses[response.status_code] += 1
                if response.status_code == 201:
                    await http.delete(response.headers["location"])

            await many(min(100, count), send)
            before = server.memory()
            await many(count - min(100, count), send)
            wait_until_empty(server, 60)
        _settle(result, server, watch, before)
    unexpected = {status for status in statuses if status not in (201, 400, 413, 503)}
    result.require(not unexpected, f"statuses {sorted(unexpected)}")
    result.figures |= {"offers": count, "by status": dict(sorted(statuses.items()))}
    _clean(result, server)
    return result


async def mutated_messages(log: Path, count: int, seed: int) -> Result:
    """Messages on the data channel of a live session, which has to go on."""
    result = Result("mutated messages on the data channel")
    rng = random.Random(seed)
    seeds = channel_messages.seeds()
    with Server(log=log, patch=FAST) as server, Watch(server) as watch:
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
            peer = Peer(http)
            await peer.call()
            await peer.message("hello")
            await peer.until(lambda: peer.frames)
            before = server.memory()
            for _ in range(count):
                data = mutations.mutated(seeds, rng)[:60_000]
                peer.channel.send(data if rng.random() < 0.2 else data.decode(errors="replace"))
                while peer.channel.bufferedAmount > 256 * 1024:
                    await asyncio.sleep(0.01)
            peer.send(type="ping", id=77, t=1.0)
            await peer.message("pong", id=77)
            frames = len(peer.frames)
            await peer.until(lambda: len(peer.frames) > frames)
            _settle(result, server, watch, before)
            refused = server.figures()["latentcam_rejected_total", "message"]
            result.figures |= {"messages": count, "refused": int(refused)}
            result.require(refused > count / 10, "hardly a message was refused: did they arrive?")
            await http.delete(peer.location)
            await peer.close()
        wait_until_empty(server, 60)
    _clean(result, server)
    return result


async def mutated_packets(log: Path, count: int, seed: int) -> Result:
    """RTP, RTCP and nonsense on the connection of a live session, encrypted as the peer's own; it has to go on.

    aiortc passes over what it cannot parse without a word, and the server counts what comes further: so packets of
    more streams than one connection may have follow, some of which have to be counted.
    """
    result = Result("mutated RTP and RTCP packets")
    rng = random.Random(seed)
    with Server(log=log, patch=FAST) as server, Watch(server) as watch:
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
            peer = Peer(http)
            await peer.call()
            await peer.until(lambda: len(peer.frames) > 5)
            dtls = peer.connection.getTransceivers()[0].sender.transport
            send = dtls._send_rtp
            seen: list[bytes] = []
            newest = b""

            async def kept(data: bytes) -> None:
                nonlocal newest
                if len(seen) <= 50:
                    seen.append(data)
                if not is_rtcp(data):
                    newest = data
                await send(data)

            dtls._send_rtp = kept
            await peer.until(lambda: len(seen) > 50)
            rtp = next(data for data in seen if not is_rtcp(data))
            before = server.memory()
            for number in range(count):
                data = _near(mutations.mutated(seen, rng)[:LONGEST], newest, rng)
                if number % 8:
                    try:
                        await send(data)
                    except Exception as error:  # what libsrtp does not encrypt cannot be sent by anybody
                        if "srtp" not in type(error).__module__.lower():
                            raise
                else:
                    await dtls.transport._send(bytes([rng.randrange(256)]) + data)
                await asyncio.sleep(1 / PACKETS_A_SECOND)
            for number in range(MOST_SSRCS + 16):  # whole packets, each of another stream: the last ones are refused
                await send(rtp[:8] + (number + 1).to_bytes(4, "big") + rtp[12:])
                await asyncio.sleep(1 / PACKETS_A_SECOND)
            frames = len(peer.frames)
            await peer.until(lambda: len(peer.frames) > frames + 5)
            _settle(result, server, watch, before)
            refused = server.figures()["latentcam_rejected_total", "packet"]
            result.figures |= {"packets": count, "refused": int(refused)}
            result.require(refused > 0, "no packet was refused: did they arrive?")
            await http.delete(peer.location)
            await peer.close()
        wait_until_empty(server, 60)
    _clean(result, server)
    return result


def _near(data: bytes, newest: bytes, rng: random.Random) -> bytes:
    """A packet with a sequence number near the newest one of its stream.

    After a number far ahead, SRTP (RFC 3711, section 3.3.2) takes the true packets for replayed ones, on the peer's own
    side already.
    """
    if len(data) < 12 or is_rtcp(data) or data[8:12] != newest[8:12]:
        return data
    number = (int.from_bytes(newest[2:4], "big") + rng.randint(-200, 20)) % 2**16
    return data[:2] + number.to_bytes(2, "big") + data[4:]


async def hostile_pictures(log: Path, count: int, seed: int) -> Result:
    """Pictures to `/photos`, each from another address."""
    result = Result("hostile pictures")
    statuses: Counter[int] = Counter()
    rng = random.Random(seed)
    seeds = photos.seeds()
    with Server(log=log, patch=NO_EDITOR) as server, Watch(server) as watch:
        before = server.memory()
        async with httpx.AsyncClient(base_url=server.url, timeout=300) as http:

            async def send(number: int) -> None:
                headers = {"content-type": "image/jpeg", **from_anywhere(number)}
                body = mutations.mutated(seeds, rng)
                while True:
                    response = await http.post("/photos?editor=none", content=body, headers=headers)
                    if response.status_code != 503:  # all decoders are taken
                        break
                    await asyncio.sleep(0.5)
                statuses[response.status_code] += 1

            await many(count, send)
        _settle(result, server, watch, before)
        result.require(not server.children(), "a decoder is left")
    unexpected = {status for status in statuses if status not in (200, 413, 422)}
    result.require(not unexpected, f"statuses {sorted(unexpected)}")
    result.figures |= {"pictures": count, "by status": dict(sorted(statuses.items()))}
    _clean(result, server)
    return result


def hostile_checkpoints(seconds: float, seed: int) -> Result:
    """Pickles, networks' files and headers, each parser in a process of its own (`tests.fuzz`)."""
    result = Result("hostile checkpoints and networks")
    for name in ("pickles", "onnx_fields", "cache_header"):
        run = harness.run(name, seconds, seed)
        result.figures[name] = run.calls
        result.require(run.fault is None, f"{name}: {run.fault.reason if run.fault else ''}")
    return result


def _settle(result: Result, server: Server, watch: Watch, before: float) -> None:
    growth = server.memory() - before
    result.require(server.alive, "the server has ended")
    result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
    result.require(watch.busiest <= HANG_S, f"an answer took {watch.busiest:.2f} s of work")
    result.require(growth <= GROWTH_MB, f"memory grew by {growth:.0f} MB")
    result.figures |= {
        "slowest answer, s": round(watch.longest, 2),
        "most work during one, s": round(watch.busiest, 2),
        "memory, MB more": round(growth, 1),
    }


def _clean(result: Result, server: Server) -> None:
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
