"""The page's files, health, capabilities, and life inside another app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from signaling.app import WEB, AnswerCancelled, create_app
from signaling.settings import ServerSettings

pytestmark = pytest.mark.anyio


async def test_the_page_is_served_with_strict_headers(serve: Any) -> None:
    async with serve() as server:
        page = await server.http.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        for path in ("/healthz", "/nowhere", "/whip"):
            assert "content-security-policy" in (await server.http.get(path)).headers


@pytest.mark.parametrize(
    ("name", "kind"), [("app.js", "text/javascript"), ("style.css", "text/css"), ("favicon.svg", "image/svg+xml")]
)
async def test_files_have_the_right_type_and_are_asked_for_anew(
    serve: Any, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    if not (WEB / name).is_file():
        pytest.skip(f"web/{name} is not there")
    monkeypatch.setattr("starlette.responses.guess_type", lambda _: ("text/plain", None))  # as Windows may have it
    async with serve() as server:
        response = await server.http.get(f"/{name}")
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["cache-control"] == "no-cache"
        again = await server.http.get(f"/{name}", headers={"if-none-match": response.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml", "/nothing.js"]
)
async def test_nothing_else_is_served(serve: Any, path: str) -> None:
    async with serve() as server:
        assert (await server.http.get(path)).status_code == 404


async def test_health_capabilities_and_schema(serve: Any) -> None:
    async with serve(max_sessions=3) as server:
        health = (await server.http.get("/healthz")).json()
        assert (health["status"], health["sessions"], health["max_sessions"]) == ("ok", 0, 3)
        capabilities = (await server.http.get("/capabilities")).json()
        assert capabilities["editors"][0]["name"] == "embedded"
        assert capabilities["editors"][0]["controls"]["properties"]["brightness"]["maximum"] == 200
        assert capabilities["settings"]["properties"]["smoothing"]["maximum"] == 1
        assert capabilities["limits"]["max_sessions"] == 3
        assert capabilities["iceServers"] == []
        schema = (await server.http.get("/openapi.json")).json()
        assert set(schema["paths"]["/whip"]["post"]["responses"]) >= {"201", "400", "401", "413", "415", "429", "503"}
        assert "application/sdp" in schema["paths"]["/whip"]["post"]["requestBody"]["content"]
        assert (await server.http.get("/docs")).status_code == 404  # would load scripts from elsewhere


async def test_foreign_pages_and_names_are_refused(serve: Any) -> None:
    async with serve() as server:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            response = await server.http.get("/capabilities", headers=headers)
            assert response.status_code == 403
            assert "evil.example" in response.text


async def test_an_allowed_page_of_another_origin_can_call_and_read(serve: Any) -> None:
    page = {"origin": "https://cam.example.org"}
    async with serve(allowed_origins=["https://cam.example.org"]) as server:
        asked = {**page, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        preflight = await server.http.options("/whip", headers=asked)
        assert preflight.status_code == 200
        assert "POST" in preflight.headers["access-control-allow-methods"]
        near = await server.http.options("/whip", headers={**asked, "access-control-request-private-network": "true"})
        assert near.headers["access-control-allow-private-network"] == "true", "a public page may use a server at home"
        odd = await server.http.options("/whip", headers={**asked, "access-control-request-method": "PUT"})
        assert odd.status_code == 400
        assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
        peer = server.peer()
        answer = await peer.call(page)
        assert answer.status_code == 201
        for response in (preflight, answer, await server.http.get("/capabilities", headers=page)):
            assert response.headers["access-control-allow-origin"] == "https://cam.example.org"
            assert "origin" in response.headers["vary"].lower()
        assert "location" in answer.headers["access-control-expose-headers"].lower()
        for origin in ({}, {"origin": "http://127.0.0.1:8080"}, {"origin": "https://evil.example"}):
            response = await server.http.get("/capabilities", headers=origin)
            assert "access-control-allow-origin" not in response.headers


async def test_a_body_that_does_not_come_is_not_waited_for(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.bodies.PATIENCE_S", 0.01)

    async def slow() -> AsyncIterator[bytes]:
        yield b"v=0\r\n"
        await asyncio.sleep(60)

    async with serve() as server:
        for path, kind in (("/whip", "application/sdp"), ("/photos?editor=embedded", "image/jpeg")):
            response = await server.http.post(path, content=slow(), headers={"content-type": kind})
            assert response.status_code == 408


async def test_it_can_be_mounted_into_another_app(serve: Any) -> None:
    async with serve() as server:
        outer = FastAPI()
        outer.mount("/faces", server.app)
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            peer = server.peer()
            assert (await http.get("/faces/healthz")).status_code == 200
            assert (await http.get("/faces/")).status_code == 200
            peer.http = http
            response = await http.post(
                "/faces/whip", content=await peer.offer(), headers={"content-type": "application/sdp"}
            )
            assert response.status_code == 201
            assert response.headers["location"].startswith("/faces/whip/")
            assert (await http.delete(response.headers["location"])).status_code == 200


async def test_the_runtime_is_loaded_beside_the_event_loop_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_module = pytest.importorskip("stream.runtime")
    seen: list[Any] = []

    class Loaded:
        def close(self) -> None:
            seen.append("closed")

    def load(settings: Any, identity: Any) -> Loaded:
        seen.append(settings)
        assert identity is None  # nothing signs here
        return Loaded()

    monkeypatch.setattr(runtime_module.Runtime, "load", load)
    app = create_app(ServerSettings(pack="buffalo_l", backend="onnxruntime", threads=2, sign=False))
    async with app.router.lifespan_context(app):
        assert (seen[0].pack, seen[0].backend, seen[0].threads) == ("buffalo_l", "onnxruntime", 2)
    assert seen[1] == "closed"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_request_that_a_stop_cuts_off_is_answered(begun: bool) -> None:
    """It was a traceback in the log, and "Internal Server Error" in the page."""
    sent: list[Any] = []
    at_work = asyncio.Event()

    async def work(_scope: Any, _receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        at_work.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    task = asyncio.create_task(AnswerCancelled(work)({"type": "http", "method": "POST"}, receive, send))
    await at_work.wait()
    task.cancel()
    if begun:
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await task
        assert b"the server is stopping" in sent[1]["body"]
    assert [message["status"] for message in sent if "status" in message] == [200 if begun else 503]


async def test_the_app_answers_what_a_stop_cuts_off() -> None:
    stack: list[Any] = [each.cls for each in create_app(ServerSettings()).user_middleware]
    assert AnswerCancelled in stack
