"""Begin ICE anew on a connection that goes on: RFC 8445, section 2.4.

aiortc has no ICE restart. The sockets stay, and with them the candidates of this side; credentials are new, and media
go on over the old pair of addresses until the peer nominates a new one. DTLS and all that runs on it notice nothing.
"""

from __future__ import annotations

import asyncio

from aioice.ice import Connection
from aioice.utils import random_string
from aiortc import RTCIceTransport, RTCPeerConnection
from aiortc.sdp import candidate_from_sdp, candidate_to_sdp

from signaling.logs import limited
from signaling.transport.gatherer import transports

logger = limited(__name__)

PACE_S = 0.02  # between two checks: RFC 8445, section 14.2
PATIENCE_S = 30.0  # for the peer to nominate a pair; consent to the old one expires by then


def remote_username(connection: RTCPeerConnection) -> str:
    """The user name of the peer's side of ICE."""
    return str(_transport(connection)._connection.remote_username)


def local_candidates(connection: RTCPeerConnection) -> list[str]:
    """This side's candidates, as `a=candidate` says them."""
    return [candidate_to_sdp(candidate) for candidate in _transport(connection).iceGatherer.getLocalCandidates()]


def local_credentials(connection: RTCPeerConnection) -> tuple[str, str]:
    """User name and password of this side."""
    parameters = _transport(connection).iceGatherer.getLocalParameters()
    return parameters.usernameFragment, parameters.password


async def add_candidates(connection: RTCPeerConnection, candidates: list[str]) -> None:
    """Take candidates of the peer that came after the offer.

    Args:
        connection: answered.
        candidates: from `offers.read_fragment`.
    """
    transport = _transport(connection)
    for candidate in candidates:
        await transport.addRemoteCandidate(candidate_from_sdp(candidate))


class Restart:
    """ICE restarts of one connection; a later one takes the place of an earlier one."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def begin(self, connection: RTCPeerConnection, username: str, password: str, candidates: list[str]) -> None:
        """Take new credentials and candidates of the peer, and make new credentials for this side.

        Args:
            connection: it was connected, or is connecting.
            username, password: the peer's.
            candidates: the peer's, from `offers.read_fragment`; further ones may follow with `add_candidates`.
        """
        self.stop()
        ice = _transport(connection)._connection
        if ice._query_consent_task is not None:
            ice._query_consent_task.cancel()
            ice._query_consent_task = None
        for pair in ice._check_list:
            if pair.task is not None:
                pair.task.cancel()
        ice._check_list.clear()
        ice._remote_candidates.clear()
        ice._nominating.clear()
        ice._local_username, ice._local_password = random_string(4), random_string(22)
        ice.remote_username, ice.remote_password = username, password
        await add_candidates(connection, candidates)
        if ice._early_checks_done:  # otherwise the first connect() is still to come, and does the rest
            ice._unfreeze_initial()
            self._task = asyncio.create_task(_check_until_nominated(ice))

    def stop(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()
            self._task = None


async def _check_until_nominated(ice: Connection) -> None:
    ends_at = asyncio.get_running_loop().time() + PATIENCE_S
    while not ice._closing and asyncio.get_running_loop().time() < ends_at:
        if any(pair in ice._check_list for pair in ice._nominated.values()):
            logger.info("ICE was restarted")
            if ice._query_consent_task is None:
                ice._query_consent_task = asyncio.create_task(ice.query_consent())
            return
        # The old pair counts as a result for aioice, which would check no further.
        ice._check_list_done = False
        ice._check_periodic()
        await asyncio.sleep(PACE_S)
    if not ice._closing:
        logger.info("ICE was not restarted: the peer nominated no pair of addresses within %g s", PATIENCE_S)
        await ice.close()


def _transport(connection: RTCPeerConnection) -> RTCIceTransport:
    """The one transport that everything is bundled on."""
    (transport,) = transports(connection)
    return transport
