"""Watch a session as a WHEP player does (draft-ietf-wish-whep): its edited video, frame by frame."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit

import av
import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from signaling.control import LABEL
from signaling.settings import ServerSettings
from signaling.transport import receive_promptly
from signaling.transport.gatherer import offer_addresses
from signaling.transport.handshake import leave_quietly
from signaling.uncancelled import uncancelled

CONNECT_S = 15.0
SILENT_S = 2.5
"""Without a frame for this long nothing is shown: a frozen face is worse than none."""
LOST_S = 10.0
MOST_PIXELS = 4096 * 2304
STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

Show = Callable[[av.VideoFrame | None], None]


class AddressError(ValueError):
    """This is no address of a session; the message says what one looks like."""


class NotThere(Exception):
    """There is nothing to watch now, and may be later; the message says why."""


class Refused(Exception):
    """The server does not let this player watch; the message says why."""


@dataclass(frozen=True, slots=True)
class SessionAddress:
    """Where a session is watched.

    Attributes:
        endpoint: WHEP endpoint with the stream's name.
        token: bearer token of the server, "" for none.
    """

    endpoint: str
    token: str = field(default="", repr=False)

    @staticmethod
    def read(text: str) -> SessionAddress:
        """The address that the page shows for its output, or that of a WHEP endpoint with `?stream=NAME`.

        Raises:
            AddressError: it is none of these.
        """
        try:
            parts = urlsplit(text.strip())
            host, names = parts.hostname, parse_qs(parts.query).get("stream", [""])
        except ValueError:
            host, names = None, [""]
        if not host or parts.scheme not in ("http", "https"):
            raise AddressError(
                f"{text!r} is no address; the page shows it under Use in a call: http://.../?...stream=..."
            )
        if not STREAM.fullmatch(names[0]):
            raise AddressError("the address names no stream: copy the whole of it, with ...stream=NAME")
        folder = parts.path.removesuffix("whep").rstrip("/")
        token = re.search(r"(?:^|&)token=([^&]*)", parts.fragment)
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{folder}/whep?{urlencode({'stream': names[0]})}"
        return SessionAddress(endpoint, unquote(token[1]) if token else "")


async def watch(http: httpx.AsyncClient, address: SessionAddress, show: Show) -> None:
    """Show one viewing; returns when the session has ended.

    Args:
        http: asks the server.
        address: of the session.
        show: takes each frame, and None when there is nothing to be seen for `SILENT_S`.

    Raises:
        NotThere: nobody sends this stream, or the server is away or full.
        Refused: the token is wrong or missing, or the server refuses for another reason.
    """
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    ended = asyncio.Event()
    location = ""
    try:
        channel = connection.createDataChannel(LABEL)
        _listen(connection, channel, ended)
        transceiver = connection.addTransceiver("video", direction="recvonly")
        offer_addresses(connection, ServerSettings())
        leave_quietly(connection)
        await connection.setLocalDescription(await connection.createOffer())
        answer = await _ask(http, address, connection.localDescription.sdp)
        location = urljoin(address.endpoint, answer.headers.get("location", ""))
        await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        receive_promptly(transceiver, MOST_PIXELS)
        await _follow(transceiver.receiver.track, ended, show)
    finally:
        show(None)
        await uncancelled(_leave(connection, http, address, location))


async def _leave(
    connection: RTCPeerConnection, http: httpx.AsyncClient, address: SessionAddress, location: str
) -> None:
    await connection.close()
    if location.startswith(urljoin(address.endpoint, "/")):
        with suppress(httpx.HTTPError):
            await http.delete(location, headers=_headers(address))


def _listen(connection: RTCPeerConnection, channel: RTCDataChannel, ended: asyncio.Event) -> None:
    def on_message(message: object) -> None:
        with suppress(ValueError, AttributeError):
            if isinstance(message, str) and json.loads(message).get("type") == "bye":
                ended.set()

    def on_state() -> None:
        if connection.connectionState in ("failed", "closed"):
            ended.set()

    channel.on("message", on_message)
    channel.on("close", ended.set)
    connection.on("connectionstatechange", on_state)


async def _ask(http: httpx.AsyncClient, address: SessionAddress, offer: str) -> httpx.Response:
    headers = {"Content-Type": "application/sdp", **_headers(address)}
    try:
        response = await http.post(address.endpoint, content=offer, headers=headers)
    except httpx.HTTPError as error:
        raise NotThere(f"the server does not answer ({error or type(error).__name__})") from error
    match response.status_code:
        case 201:
            return response
        case 404:
            raise NotThere("nobody sends this stream: press Start in the page, with Output for OBS on")
        case 429 | 503:
            raise NotThere("the server is full: it lets nobody else watch now")
        case 401:
            raise Refused("the server wants its token: copy the whole address from the page, with #token=...")
        case status:
            raise Refused(f"the server refuses ({status}): {response.text[:200]}")


def _headers(address: SessionAddress) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token}"} if address.token else {}


async def _follow(track: MediaStreamTrack, ended: asyncio.Event, show: Show) -> None:
    """Hand frames on until the session ends or stays silent."""
    ending = asyncio.ensure_future(ended.wait())
    receiving = asyncio.ensure_future(track.recv())
    patience, silent = CONNECT_S, 0.0
    try:
        while True:
            done, _ = await asyncio.wait({ending, receiving}, timeout=SILENT_S, return_when=asyncio.FIRST_COMPLETED)
            if ending in done:
                return
            if receiving in done:
                show(receiving.result())
                receiving = asyncio.ensure_future(track.recv())
                patience, silent = LOST_S, 0.0
                continue
            show(None)
            silent += SILENT_S
            if silent >= patience:
                return
    except MediaStreamError:
        return
    finally:
        ending.cancel()
        receiving.cancel()
