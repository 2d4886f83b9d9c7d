"""The replica's id in the address of a session: `/whip/REPLICA.SESSION`."""

from __future__ import annotations

import re

SESSION_PATH = re.compile(r"^(?P<kind>/whip|/whep)/(?P<replica>[A-Za-z0-9]{1,64})\.(?P<id>[A-Za-z0-9_-]{1,64})$")


def with_replica(location: str, replica: str) -> str:
    """A session's address as the replica says it, with the replica's id.

    Args:
        location: path that ends with the session's id.
        replica: letters and digits.
    """
    base, _, id = location.rpartition("/")
    return f"{base}/{replica}.{id}"


def split(path: str) -> tuple[str, str] | None:
    """The replica of a session's address, and the address as the replica knows it; None for any other path.

    Args:
        path: of a request, from a stranger.
    """
    found = SESSION_PATH.match(path)
    return None if found is None else (found["replica"], f"{found['kind']}/{found['id']}")
