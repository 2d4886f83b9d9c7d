"""Figures for Prometheus: what `GET /metrics` says. No label holds an address, a name or an id of a peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.cores import usable_cores

if TYPE_CHECKING:
    from engines.batching import Load

STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.133, 0.266, 0.5, 1.0)
"""Seconds; 0.033 is one frame at 30 fps."""
DELAY_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)

OFFER_RESULTS = {
    201: "accepted",
    400: "malformed",
    401: "no_token",
    403: "forbidden",
    404: "no_such_stream",
    408: "slow",
    409: "name_taken",
    413: "too_large",
    415: "wrong_type",
    422: "malformed",
    429: "too_many",
    503: "full",
}
FRAMES = ("received", "sent", "dropped", "edited", "edits_dropped")
Kind = Literal[
    "offer", "fragment", "file", "token", "origin", "rate", "size", "slow", "type", "message", "packet", "picture",
    "connection",
]  # fmt: skip
KINDS: Sequence[Kind] = Kind.__args__  # type: ignore[attr-defined]
_KIND_OF_STATUS: dict[int, Kind] = {401: "token", 403: "origin", 408: "slow", 413: "size", 415: "type", 429: "rate"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Counted(Protocol):
    """What the gauges read at each scrape."""

    @property
    def sessions(self) -> int: ...

    @property
    def viewers(self) -> int: ...

    def engines(self) -> Mapping[str, Load]:
        """The engines loaded so far."""


class Metrics:
    """All figures of one server. Every method may be called from any thread.

    Args:
        version: of the program.

    Attributes:
        registry: what `prometheus_client.generate_latest` writes.
    """

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        Gauge("latentcam_info", "Version of the program.", ["version"], registry=self.registry).labels(version).set(1)
        self._max_sessions = self._gauge("max_sessions", "Sessions that the server takes at the same time.")
        self._max_viewers = self._gauge("max_viewers", "Viewers that the server takes at the same time.")
        self._gauge("cores", "Processor cores that the process may use.").set(usable_cores())
        self._requests = self._counter("http_requests", "HTTP requests.", "route", "method", "status")
        self._offers = self._counter("offers", "SDP offers by what became of them.", "endpoint", "result")
        self._ended = self._counter("sessions_ended", "Sessions that ended.", "reason")
        self._frames = self._counter("frames", "Video frames of all sessions.", "event")
        self._bytes = self._counter("media_bytes", "RTP, RTCP and data channels, viewers included.", "direction")
        self._rejected = self._counter("rejected", "Input that was refused or left out.", "kind")
        self._stages = self._histogram("stage_seconds", "One stage of one frame.", STAGE_BUCKETS, "stage")
        self._delays = self._histogram(
            "added_delay_seconds", "From the decoder to the encoder, of one frame.", DELAY_BUCKETS, "path"
        )
        for kind in KINDS:  # a series that is there before its first event has a rate from the start
            self._rejected.labels(kind)
        for event in FRAMES:
            self._frames.labels(event)
        for direction in ("in", "out"):
            self._bytes.labels(direction)
        for endpoint in ("whip", "whep"):
            for result in sorted({*OFFER_RESULTS.values(), "error"}):
                self._offers.labels(endpoint, result)
        ProcessCollector(registry=self.registry)

    def watch(self, server: Counted, max_sessions: int, max_viewers: int) -> None:
        """Read sessions, viewers and engines of a server at each scrape."""
        self._max_sessions.set(max_sessions)
        self._max_viewers.set(max_viewers)
        self.registry.register(_Live(server))

    def request(self, route: str, method: str, status: int) -> None:
        """Count an HTTP response.

        Args:
            route: the path's template, "/whip/{id}"; "" where there is none.
            method: of the request.
            status: of the response.
        """
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        if method == "POST" and route in ("/whip", "/whep"):
            self._offers.labels(route[1:], OFFER_RESULTS.get(status, "error")).inc()
        kind = _kind_of(route, method, status)
        if kind is not None:
            self._rejected.labels(kind).inc()

    def reject(self, kind: Kind, count: int = 1) -> None:
        """Count input that was refused or left out."""
        self._rejected.labels(kind).inc(count)

    def end(self, reason: str) -> None:
        """Count a session that ended, by one of the reasons of `sessions.Reason`."""
        self._ended.labels(reason).inc()

    def stage(self, name: str, ms: float) -> None:
        """Note the milliseconds of one stage of one frame; names are the program's."""
        self._stages.labels(name).observe(ms / 1000)

    def delay(self, name: str, ms: float) -> None:
        """Note the milliseconds of one frame on the way `name`, of `video.EditedTrack.delays`."""
        if name == "server":
            self._delays.labels("server").observe(ms / 1000)

    def of_session(self) -> Meter:
        """What passes on the totals of a new session's frames, by the names of `FRAMES`."""
        return Meter({event: self._frames.labels(event).inc for event in FRAMES})

    def of_peer(self) -> Meter:
        """What passes on the totals of a new connection: `bytes_in`, `bytes_out`, `packets` that were refused."""
        return Meter(
            {
                "bytes_in": self._bytes.labels("in").inc,
                "bytes_out": self._bytes.labels("out").inc,
                "packets": self._rejected.labels("packet").inc,
            }
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"latentcam_{name}", text, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"latentcam_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], label: str) -> Histogram:
        return Histogram(f"latentcam_{name}", text, [label], buckets=buckets, registry=self.registry)


class Meter:
    """Passes on what totals of one session gained since they were last read.

    Args:
        counters: what counts, by the total's name.
    """

    def __init__(self, counters: dict[str, Callable[[int], None]]) -> None:
        self._counters = counters
        self._last = dict.fromkeys(counters, 0)

    def read(self, **totals: int) -> None:
        """Take the totals as they are now; a total that fell counts for nothing."""
        for name, total in totals.items():
            if total > self._last[name]:
                self._counters[name](total - self._last[name])
                self._last[name] = total


class _Live(Collector):
    """What is true at the moment of a scrape."""

    def __init__(self, server: Counted) -> None:
        self._server = server

    def describe(self) -> Iterable[Metric]:
        return self._families({})

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("latentcam_sessions", "Sessions at the moment.", value=self._server.sessions)
        yield GaugeMetricFamily("latentcam_viewers", "Viewers at the moment.", value=self._server.viewers)
        yield from self._families(self._server.engines())

    def _families(self, engines: Mapping[str, Load]) -> Iterator[Metric]:
        queued = GaugeMetricFamily("latentcam_engine_queue", "Requests that wait for an engine.", labels=["engine"])
        dropped = CounterMetricFamily(
            "latentcam_engine_dropped", "Requests that were too late, or replaced by newer ones.", labels=["engine"]
        )
        requests = CounterMetricFamily("latentcam_engine_requests", "Requests that were run.", labels=["engine"])
        batches = CounterMetricFamily("latentcam_engine_batches", "Batches that were run.", labels=["engine"])
        seconds = CounterMetricFamily("latentcam_engine_busy_seconds", "Time of the batches.", labels=["engine"])
        for network, load in engines.items():
            queued.add_metric([network], load.queued)
            dropped.add_metric([network], load.dropped)
            requests.add_metric([network], load.requests)
            batches.add_metric([network], load.batches)
            seconds.add_metric([network], load.busy_s)
        yield from (queued, dropped, requests, batches, seconds)


class CountRequests:
    """ASGI middleware that counts every HTTP response, refusals of other middleware included."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.request(_route_of(scope), scope["method"], message["status"])
            await send(message)

        await self._app(scope, receive, count)


def _route_of(scope: Scope) -> str:
    """The template of the path that was asked for; "" where no route has one, as for the page's files."""
    path = getattr(scope.get("route"), "path_format", None)
    return path if isinstance(path, str) else ""


def _kind_of(route: str, method: str, status: int) -> Kind | None:
    """What kind of input a response refuses; None where it refuses none."""
    if status in _KIND_OF_STATUS:
        return _KIND_OF_STATUS[status]
    if status in (400, 422) and method == "POST" and route in ("/whip", "/whep"):
        return "offer"
    if status in (400, 412, 428) and method == "PATCH":
        return "fragment"
    if status == 422 and method == "POST":
        return "file"
    return None
