"""Who may use the server: bearer tokens, web origins, rate limits."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Address, Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from signaling.settings import ServerSettings, is_loopback


def token_matches(authorization: str | None, token: str) -> bool:
    """Compare an Authorization header with the server's token, in time that does not depend on where they differ.

    Args:
        authorization: the header's value, "Bearer <token>" (RFC 6750), or None when there is none.
        token: the token that is asked for.
    """
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode())


def host_name(netloc: str) -> str:
    """Host of a Host header or origin, lower case, without port and brackets; "" if there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return ""


# Fetch standard, section 3.3: what a page of an allowed origin may ask for and read. There are no cookies to share.
METHODS = ("GET", "POST", "PATCH", "DELETE")
ASKING_HEADERS = ("Authorization", "Content-Type", "If-Match")
READABLE_HEADERS = ("Accept-Patch", "ETag", "Link", "Location", "Retry-After")
LONGEST_ORIGIN = 200  # characters of one that are said back


class OriginGuard:
    """ASGI middleware that keeps other web pages out. Those that are allowed get starlette's CORS headers.

    A browser sends `Origin` with every request that can change something. It must be this server's own (the `Host`
    header, with the scheme of the request, or HTTPS, which a proxy may end) or an allowed one; requests without it come
    from other programs and pass. A server that listens on this machine only also refuses host names that are not this
    machine's: a page can point a name of its own at 127.0.0.1 (DNS rebinding) and would then be of the "same" origin.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = CORSMiddleware(
            app,
            allow_origins=[origin.rstrip("/").lower() for origin in settings.allowed_origins],
            allow_methods=METHODS,
            allow_headers=ASKING_HEADERS,
            allow_private_network=True,
            expose_headers=READABLE_HEADERS,
        )
        self._local = settings.local
        self._allowed = frozenset(self._app.allow_origins)
        self._allowed_hosts = frozenset(host_name(urlsplit(origin).netloc) for origin in self._allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = self.refusal(headers, scope.get("scheme", "http"))
            if refusal is not None:
                await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def refusal(self, headers: Headers, scheme: str = "http") -> str | None:
        """Why a request with these headers is refused; None when it may pass.

        Args:
            headers: of the request.
            scheme: "http" or "https", over which it came.
        """
        if len(headers.getlist("host")) > 1 or len(headers.getlist("origin")) > 1:
            return "a request has one Host and at most one Origin\n"
        host = headers.get("host", "").lower()
        name = host_name(host)
        if self._local and not is_loopback(name) and name not in self._allowed_hosts:
            return f"this server answers to its own machine only, not to the host name {name!r}\n"
        origin = headers.get("origin")
        own = (f"{scheme}://{host}", f"https://{host}")
        if origin is None or origin in self._allowed or origin.lower() in own:
            return None
        return f"pages of {origin[:LONGEST_ORIGIN]!r} may not use this server (setting allowed_origins)\n"


class TokenBucket:
    """Allows `rate` events a second on average and `burst` at once. The clock is injected."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._at = clock()

    def take(self) -> float:
        """Take one event. Returns 0, or the seconds to wait until one is allowed (then none was taken)."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate


def client_name(address: Address | None) -> str:
    """Whom to count: an IPv4 address, or the 64 bits of an IPv6 address that a network gives to one customer."""
    if address is None:
        return ""
    try:
        ip = ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        return address.host
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


class RateLimit:
    """One `TokenBucket` per client, for a bounded number of clients: the one not seen longest is forgotten."""

    def __init__(
        self, rate: float, burst: float, clients: int = 4096, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._clients = clients
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one event for a client (see `client_name`). Returns 0, or the seconds to wait."""
        bucket = self._buckets.pop(client, None) or TokenBucket(self._rate, self._burst, self._clock)
        self._buckets[client] = bucket
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
        return bucket.take()
