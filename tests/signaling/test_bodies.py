"""Bodies of requests: in memory once, and clients that go before their body has come."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from fastapi import HTTPException
from starlette.requests import Request

from signaling.bodies import read_body
from signaling.cluster.forwarding import Forwarded, call

pytestmark = pytest.mark.anyio

SIZE = 8 << 20
SCOPE = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}


def request(chunks: int, *, whole: bool = True) -> Request:
    left = chunks

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left < 0:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": bytes(SIZE // chunks), "more_body": left > 0 or not whole}

    return Request(SCOPE, receive)


async def test_a_body_is_in_memory_once() -> None:
    tracemalloc.start()
    try:
        body = await read_body(request(128), SIZE, "a file")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(body) == SIZE
    assert most < 1.5 * SIZE


async def test_a_client_that_goes_before_its_body_has_come_is_no_error_of_the_server() -> None:
    with pytest.raises(HTTPException) as raised:
        await read_body(request(3, whole=False), SIZE, "a file")
    assert (raised.value.status_code, raised.value.detail) == (400, "a file did not come whole")


async def test_a_forwarded_body_comes_whole_and_in_parts() -> None:
    parts: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got = bytearray()
        async for part in Request(scope, receive).stream():
            parts.append(len(part))
            got += part
        assert dict(scope["headers"])[b"content-length"] == str(len(got)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(got)})

    sent = bytearray(bytes(range(256)) * 1000)
    answer = await call(app, Forwarded("POST", "http", "/marks", "", (("host", "a"),), sent))
    assert answer.body == sent
    assert len(parts) > 3
    assert max(parts) < len(sent)
