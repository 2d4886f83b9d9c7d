"""The replica's id in the ids of its sessions and viewers, and so in their addresses: `/whip/REPLICA-SESSION`."""

from __future__ import annotations

import re

SESSION_ID = re.compile(r"(?P<replica>[A-Za-z0-9]{1,64})-[A-Za-z0-9_-]{1,64}")


def prefix_of(replica: str) -> str:
    """What the ids of a replica's sessions begin with.

    Args:
        replica: its id, letters and digits.
    """
    return f"{replica}-"


def replica_of(id: str) -> str | None:
    """The replica that a session or viewer is of; None if the id, which a stranger sent, is none of a cluster."""
    found = SESSION_ID.fullmatch(id)
    return None if found is None else found["replica"]
