"""Tells schemathesis how bodies are sent whose types it does not know."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def text(ctx: Any, value: Any) -> bytes:
    """A description as it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.serializer("image/*", "video/*")
def bytes_of(ctx: Any, value: Any) -> bytes:
    """A file as it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
