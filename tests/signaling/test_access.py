"""Tokens, origins, rate limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Address, Headers
from starlette.types import Receive, Scope, Send

from signaling.access import OriginGuard, RateLimit, TokenBucket, client_name, host_name, token_matches
from signaling.settings import ServerSettings


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ("Bearer secret", True),
        ("bearer  secret ", True),
        ("Bearer Secret", False),
        ("Bearer secret2", False),
        ("Bearer", False),
        ("Basic secret", False),
        ("secret", False),
        ("Bearer gehe\u00efm", False),
        ("", False),
        (None, False),
    ],
)
def test_tokens(header: str | None, matches: bool) -> None:
    assert token_matches(header, "secret") is matches


def refusal(settings: ServerSettings, **headers: str) -> str | None:
    async def nothing(*_: Any) -> None:
        pass

    return OriginGuard(nothing, settings).refusal(Headers(headers))


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"host": "127.0.0.1:8080"}, True),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, True),
        ({"host": "[::1]:8080", "origin": "http://[::1]:8080"}, True),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9090"}, False),
        ({"host": "127.0.0.1:8080", "origin": "https://evil.example"}, False),
        ({"host": "127.0.0.1:8080", "origin": "null"}, False),
        ({"host": "evil.example:8080", "origin": "http://evil.example:8080"}, False),
        ({"host": "evil.example"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "["}, False),
        ({}, False),
        ({"host": "127.0.0.1:8080", "origin": "http://["}, False),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080@evil.example"}, False),
        ({"host": "127.0.0.1:8080", "origin": "http://evil.example//127.0.0.1:8080"}, False),
        ({"host": "127.0.0.1:8080", "origin": "ftp://127.0.0.1:8080"}, False),
        ({"host": "127.0.0.1:8080", "origin": "//127.0.0.1:8080"}, False),
        ({"host": "127.0.0.1:8080", "origin": ""}, False),
        ({"host": "127.0.0.1:8080", "origin": "https://127.0.0.1:8080"}, True),
        ({"host": "127.0.0.1:8080", "origin": "https://cam.example.org"}, True),
        ({"host": "cam.example.org", "origin": "https://cam.example.org"}, True),
    ],
)
def test_a_local_server_serves_its_own_page_only(headers: dict[str, str], passes: bool) -> None:
    settings = ServerSettings(allowed_origins=["https://cam.example.org/"])
    assert (refusal(settings, **headers) is None) is passes


def test_a_public_server_goes_by_its_own_name() -> None:
    settings = ServerSettings(host="0.0.0.0", token="a secret token", tls_cert=Path(__file__), tls_key=Path(__file__))
    assert refusal(settings, host="any.name:1", origin="https://any.name:1") is None
    assert refusal(settings, host="any.name:1", origin="https://other.name") is not None


def test_host_names() -> None:
    assert [host_name(netloc) for netloc in ("A.b:1", "[::1]:2", "", "a.b.", "[")] == ["a.b", "::1", "", "a.b", ""]


def test_an_ipv6_network_counts_as_one_client() -> None:
    hosts = ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1::5", "2001:db8:0:1:ffff::9", "2001:db8:0:2::5", "a name")
    assert [client_name(Address(host, 1)) for host in hosts] == [
        "192.0.2.1",
        "192.0.2.1",
        "2001:db8:0:1::/64",
        "2001:db8:0:1::/64",
        "2001:db8:0:2::/64",
        "a name",
    ]
    assert client_name(None) == ""


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    bucket = TokenBucket(rate=2, burst=3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [0, 0.5]
    now[0] = 100
    assert sum(bucket.take() == 0 for _ in range(10)) == 3


def test_limits_are_per_client_and_forget_the_oldest() -> None:
    limit = RateLimit(rate=1, burst=1, clients=2, clock=lambda: 0.0)
    assert limit.take("a") == 0
    assert limit.take("b") == 0
    assert limit.take("a") > 0
    assert limit.take("c") == 0  # forgets b
    assert limit.take("a") > 0
    assert limit.take("b") == 0
    assert len(limit._buckets) == 2


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError


def test_an_origin_has_the_scheme_of_the_request() -> None:
    guard = OriginGuard(nowhere, ServerSettings())
    headers = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}
    assert guard.refusal(Headers(headers), "http") is None
    assert guard.refusal(Headers(headers), "https") is not None
    assert guard.refusal(Headers({**headers, "origin": "https://127.0.0.1:8080"}), "https") is None


@pytest.mark.parametrize("name", [b"origin", b"host"])
def test_a_header_that_counts_comes_once(name: bytes) -> None:
    guard = OriginGuard(nowhere, ServerSettings())
    own = [(b"host", b"127.0.0.1:8080"), (b"origin", b"http://127.0.0.1:8080")]
    assert guard.refusal(Headers(raw=own)) is None
    for other in (b"https://evil.example", dict(own)[name]):
        assert guard.refusal(Headers(raw=[*own, (name, other)])) is not None
        assert guard.refusal(Headers(raw=[(name, other), *own])) is not None


@pytest.mark.anyio
async def test_a_malformed_origin_is_refused_by_the_server(serve: Any) -> None:
    async with serve() as server:
        for origin in ("http://[", "http://[::1", "http://a b", "x" * 9000):
            answer = await server.http.post("/whip", headers={"origin": origin})
            assert answer.status_code == 403
            assert len(answer.text) < 400
