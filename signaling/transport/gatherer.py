"""Gathers ICE candidates on the addresses and ports that the settings name, for which aioice has no setting."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterable
from typing import Any

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol
from aioice.turn import UDP_SOCKET_BUFFER_SIZE
from aiortc import RTCIceTransport, RTCPeerConnection

from signaling.logs import limited
from signaling.settings import ServerSettings
from signaling.transport.arrivals import read_all
from signaling.uncancelled import uncancelled

logger = limited(__name__)


def offer_addresses(connection: RTCPeerConnection, settings: ServerSettings) -> None:
    """Make a peer connection gather the addresses that the settings ask for.

    aioice leaves out loopback addresses, so that a page on a machine without a network would find no way to the server
    beside it. Call it after the offer was applied (bundling drops transports) and before the answer is.

    Args:
        connection: its ICE transports have not gathered yet.
        settings: `bind_addresses`, `loopback`, `media_ports`.
    """
    for transport in transports(connection):
        _gather_from(transport.iceGatherer._connection, settings)


def transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    """The ICE transports of a peer connection; one, where everything is bundled."""
    found = {transceiver.receiver.transport.transport for transceiver in connection.getTransceivers()}
    if connection.sctp is not None:
        found.add(connection.sctp.transport.transport)
    return found


def chosen_addresses(found: Iterable[str], settings: ServerSettings) -> list[str]:
    """Local addresses to offer: those bound to, or all that were found; loopback first or not at all.

    Args:
        found: addresses of this machine's interfaces, loopback excluded.
        settings: `bind_addresses`, `loopback`.
    """
    if settings.bind_addresses:
        return settings.bind_addresses
    return (["127.0.0.1"] if settings.loopback else []) + list(found)


def _gather_from(connection: Connection, settings: ServerSettings) -> None:
    gather = connection.get_component_candidates

    async def from_chosen(component: int, addresses: list[str], timeout: int = 5) -> Any:
        chosen, ports = chosen_addresses(addresses, settings), settings.ports
        if ports is None:
            found = await uncancelled(gather(component, chosen, timeout))
        else:
            hosts = [await _bind(connection, component, address, ports) for address in chosen]
            found = [candidate for candidate in hosts if candidate is not None]
            # a STUN server is not asked: who sets ports knows his address
            found += await uncancelled(gather(component, [], timeout))
        if connection._closing:
            await _close_sockets(connection)
        else:
            read_all(connection)
        return found

    connection.get_component_candidates = from_chosen  # type: ignore[method-assign]


async def _close_sockets(connection: Connection) -> None:
    """Close what was opened while the connection was being closed, which has seen none of it."""
    for protocol in connection._protocols:
        await protocol.close()
    connection._protocols.clear()


async def _bind(connection: Connection, component: int, address: str, ports: range) -> Candidate | None:
    """A host candidate on a free port of a range, which aioice has no setting for; None if there is none."""
    for port in random.sample(ports, len(ports)):
        try:
            transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: StunProtocol(connection), local_addr=(address, port)
            )
        except OSError:
            continue
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE)
        host, bound = transport.get_extra_info("sockname")[:2]
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=host,
            port=bound,
            type="host",
        )
        connection._protocols.append(protocol)
        return protocol.local_candidate
    logger.warning("no UDP port of %d-%d is free on %s (setting media_ports)", ports[0], ports[-1], address)
    return None
