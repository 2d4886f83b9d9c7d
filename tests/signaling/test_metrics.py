"""Figures and health: what Prometheus and an orchestrator read, who may, and that nothing in them names a peer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.base import DeviceLost
from signaling.metrics import KINDS, Meter, Metrics

ROOT = Path(__file__).resolve().parents[2]
SDP = {"content-type": "application/sdp"}
LABELS = {
    *("version", "route", "method", "status", "endpoint", "result", "reason", "event", "direction", "kind", "stage"),
    *("path", "engine", "le"),
}
pytestmark = pytest.mark.anyio


async def figures(server: Any, **headers: str) -> dict[tuple[str, ...], float]:
    """All samples by name and label values."""
    response = await server.http.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_a_session_is_counted_from_offer_to_end(serve: Any, until: Any) -> None:
    async with serve(max_sessions=3) as server:
        peer = server.peer()
        assert (await peer.call(query={"settings": '{"controls": {"brightness": 20}}'})).status_code == 201
        # a busy server counted 9 when its peer had seen 11
        await peer.until(lambda: len(peer.frames) > 20)
        before = await figures(server)
        assert before["latentcam_sessions",] == 1
        assert before["latentcam_max_sessions",] == 3
        assert before["latentcam_offers_total", "whip", "accepted"] == 1
        assert before["latentcam_frames_total", "received"] >= 10
        assert before["latentcam_frames_total", "edited"] >= 10
        assert before["latentcam_frames_total", "sent"] >= 10
        assert before["latentcam_media_bytes_total", "in"] > 1000
        assert before["latentcam_media_bytes_total", "out"] > 1000
        assert before["latentcam_stage_seconds_count", "render"] >= 10
        assert before["latentcam_stage_seconds_sum", "render"] == pytest.approx(
            0.0025 * before["latentcam_stage_seconds_count", "render"]
        )
        assert before["latentcam_added_delay_seconds_count", "server"] >= 10
        await server.http.delete(peer.location)
        await until(lambda: server.sessions == 0)
        after = await figures(server)
        assert after["latentcam_sessions",] == 0
        assert after["latentcam_sessions_ended_total", "deleted"] == 1
        assert after["latentcam_frames_total", "received"] >= before["latentcam_frames_total", "received"]


async def test_refusals_are_counted_by_kind(serve: Any) -> None:
    async with serve(token="a token of some length") as server:
        owner = {"authorization": "Bearer a token of some length"}
        assert (await server.http.post("/whip", content="v=0", headers=SDP)).status_code == 401
        assert (await server.http.post("/whip", content="nonsense", headers=SDP | owner)).status_code == 400
        assert (await server.http.post("/whip", content="v=0", headers=owner)).status_code == 415
        assert (await server.http.post("/whip", content="v" * 70_000, headers=SDP | owner)).status_code == 413
        assert (await server.http.get("/", headers={"origin": "https://elsewhere.example"})).status_code == 403
        assert (await server.http.patch("/whip/nobody", headers=owner)).status_code == 415
        found = await figures(server)
        rejected = {key[1]: value for key, value in found.items() if key[0] == "latentcam_rejected_total"}
        assert rejected == dict.fromkeys(KINDS, 0.0) | {"token": 1, "offer": 1, "type": 2, "size": 1, "origin": 1}
        offers = {key[2]: value for key, value in found.items() if key[:2] == ("latentcam_offers_total", "whip")}
        assert {result for result, value in offers.items() if value} == {
            "no_token", "malformed", "wrong_type", "too_large",
        }  # fmt: skip


async def test_junk_of_a_peer_and_large_pictures_are_counted(serve: Any, Camera: Any) -> None:
    async with serve(max_frame_pixels=320 * 240) as server:
        peer = server.peer(Camera((320, 240)))
        await peer.call()
        await peer.until(lambda: peer.channel.readyState == "open")
        peer.channel.send("junk")
        await peer.message("error")
        assert (await figures(server))["latentcam_rejected_total", "message"] == 1
        peer.camera.size = (640, 480)
        await peer.message("bye")
        assert (await figures(server))["latentcam_rejected_total", "picture"] == 1


async def test_engines_and_the_process_are_told(serve: Any) -> None:
    async with serve() as server:
        found = await figures(server)
    assert found["latentcam_engine_queue", "tiny.onnx"] == 1
    assert found["latentcam_engine_dropped_total", "tiny.onnx"] == 2
    assert found["latentcam_engine_requests_total", "tiny.onnx"] == 20
    assert found["latentcam_engine_busy_seconds_total", "tiny.onnx"] == 0.5
    assert found["latentcam_cores",] >= 1
    if Path("/proc/self/stat").exists():
        assert found["process_resident_memory_bytes",] > 1e6
        assert found["process_cpu_seconds_total",] > 0


async def test_no_label_names_a_peer(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call(stream="a-secret-stream")
        await peer.until(lambda: peer.frames)
        await server.http.get("/whip/some-id-of-somebody")
        await server.http.get("/no/such/path/203.0.113.7")
        await server.http.request("BREW", "/whip")
        text = (await server.http.get("/metrics")).text
        id = peer.location.rpartition("/")[2]
    for secret in (id, id[:6], "a-secret-stream", "some-id", "127.0.0.1", "203.0.113", "BREW"):
        assert secret not in text, secret
    names = {name for family in text_string_to_metric_families(text) for s in family.samples for name in s.labels}
    assert names <= LABELS
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert routes >= {"/whip", "/whip/{id}", ""}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"x-forwarded-for": "203.0.113.7"}, 403),
        ({"forwarded": "for=203.0.113.7"}, 403),
        ({"via": "1.1 proxy"}, 403),
        ({"host": "cam.example.org"}, 403),
        ({"authorization": "Bearer wrong"}, 200),
    ],
    ids=["this machine", "forwarded for", "forwarded", "via", "another name", "a token that nobody asks for"],
)
async def test_without_a_token_only_this_machine_reads(serve: Any, headers: dict[str, str], status: int) -> None:
    async with serve(allowed_origins=["https://cam.example.org"]) as server:
        assert (await server.http.get("/metrics", headers=headers)).status_code == status


async def test_a_metrics_token_is_asked_of_everybody(serve: Any, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[plain]\ntoken = "plain plain plain"\n[ops]\ntoken = "ops ops ops ops"\nmetrics = true\n')
    async with serve(metrics_token="figures figures", tokens=tokens, token="clients clients") as server:
        for token, status in {
            "": 403, "clients clients": 403, "plain plain plain": 403, "ops ops ops ops": 200, "figures figures": 200,
        }.items():  # fmt: skip
            response = await server.http.get("/metrics", headers={"authorization": f"Bearer {token}"})
            assert response.status_code == status, token
        assert (await server.http.get("/capabilities", headers={"authorization": "Bearer figures figures"})).is_error


async def test_live_and_ready(serve: Any, until: Any) -> None:
    async with serve(max_sessions=1, token="a token of some length") as server:
        assert (await server.http.get("/livez")).json() == {"status": "ok"}
        ready = (await server.http.get("/readyz")).json()
        assert (ready["free"], ready["max_sessions"]) == (1, 1)
        peer = server.peer()
        await peer.call({"authorization": "Bearer a token of some length"})
        full = await server.http.get("/readyz")
        assert (full.status_code, full.json()["free"]) == (200, 0)
        await server.app.state.sessions.close()
        assert (await server.http.get("/readyz")).status_code == 503
        assert (await server.http.get("/livez")).status_code == 200
        assert (await server.http.get("/healthz")).status_code == 200


async def test_a_lost_device_asks_for_a_new_process(serve: Any, until: Any) -> None:
    async with serve() as server:
        server.runtime.fails = DeviceLost("the GPU is gone")
        peer = server.peer()
        await peer.call()
        await until(lambda: server.sessions == 0)
        assert (await server.http.get("/livez")).status_code == 503
        assert (await server.http.get("/readyz")).status_code == 503
        assert server.app.state.sessions.places == 0
        server.runtime.fails = None
        assert (await server.peer().call()).status_code == 503


def test_a_meter_passes_on_what_was_gained() -> None:
    gained: list[int] = []
    meter = Meter({"frames": gained.append})
    for total in (0, 3, 3, 2, 10):
        meter.read(frames=total)
    assert gained == [3, 7]


async def test_the_dashboard_asks_for_figures_that_exist(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.until(lambda: peer.frames)
        text = (await server.http.get("/metrics")).text
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    names |= {f"latentcam_{name}" for name in ("sessions_ended_total",)}  # before the first session has ended
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert asked
    for expression in asked:
        used = set(re.findall(r"\b(?:latentcam|process)_[a-z_]+", expression))
        assert used, expression
        assert used <= names, expression
    shown = {name for expression in asked for name in re.findall(r"latentcam_[a-z_]+", expression)}
    own = {
        name for name in names if name.startswith("latentcam_") and not name.endswith(("_created", "_sum", "_count"))
    }
    assert own - shown <= {"latentcam_info", "latentcam_http_requests_total", "latentcam_engine_batches_total"}


def test_metrics_of_two_servers_are_apart() -> None:
    first, second = Metrics("1"), Metrics("1")
    first.reject("offer")
    assert second.registry.get_sample_value("latentcam_rejected_total", {"kind": "offer"}) == 0
