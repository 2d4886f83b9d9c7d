"""Fetching weights over HTTP: who may, what is told, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.editor import Controls
from models.entry import Entry, Weights
from models.weights.downloads import Downloads
from signaling.settings import ServerSettings
from tests.file_server import DATA, SHA256, Server, listening
from tests.models.editing import no_editor

pytestmark = pytest.mark.anyio

LICENCE = "CC0-1.0"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as state:
        yield state


@pytest.fixture
def row(tmp_path: Path, files: Server) -> Entry:
    weights = Weights(tmp_path / "weights.bin", LICENCE, "github.com/a/test", len(DATA), SHA256, (files.url,))
    return Entry(
        name="net",
        title="A network",
        description="",
        controls=lambda: Controls,
        load=no_editor,
        weights=(weights,),
    )


def use(server: Any, row: Entry) -> None:
    server.app.state.downloads = Downloads({row.name: row})


async def test_a_client_accepts_fetches_and_watches(serve: Any, row: Entry) -> None:
    async with serve() as server:
        use(server, row)
        told = (await server.http.get("/weights/net")).json()
        assert (told["state"], told["licence"], told["size"], told["allowed"]) == (
            "needs weights",
            LICENCE,
            len(DATA),
            True,
        )
        assert told["licences"] == [{"name": LICENCE, "url": ""}]
        assert told["terms"] == []
        assert (told["to_fetch"], told["unknown_sizes"], told["converts"]) == (len(DATA), 0, False)
        assert told["free"] > 0
        assert told["files"][0]["origin"] == "github.com/a/test"
        started = await server.http.post("/weights/net", json={"licence": LICENCE})
        assert started.status_code == 202
        while (told := (await server.http.get("/weights/net")).json())["progress"]["running"]:
            await asyncio.sleep(0.01)
        assert (told["progress"]["phase"], told["state"]) == ("done", "ready")


async def test_what_is_refused(serve: Any, row: Entry, files: Server) -> None:
    async with serve() as server:
        use(server, row)
        post = server.http.post
        refused = await post("/weights/net", json={"licence": "MIT"})
        assert refused.status_code == 403
        assert LICENCE in refused.json()["detail"]
        assert (await post("/weights/net", json={})).status_code == 422
        assert (await post("/weights/net", content=b"\xff{")).status_code == 422
        assert (await post("/weights/net", content=b"x" * 5000)).status_code == 413
        assert (await post("/weights/nothing", json={"licence": LICENCE})).status_code == 404
        assert (await post("/weights/..%2fx", json={"licence": LICENCE})).status_code in (404, 405, 422)
        elsewhere = await post("/weights/net", json={"licence": LICENCE}, headers={"origin": "https://evil.test"})
        assert elsewhere.status_code == 403
        assert files.ranges == []


async def test_a_token_is_asked_for(serve: Any, row: Entry) -> None:
    async with serve(token="a secret token") as server:
        use(server, row)
        for method in ("GET", "POST", "DELETE"):
            assert (await server.http.request(method, "/weights/net")).status_code == 401
        allowed = {"authorization": "Bearer a secret token"}
        assert (await server.http.get("/weights/net", headers=allowed)).status_code == 200


async def test_strangers_do_not_make_a_hosted_server_download(serve: Any, row: Entry, files: Server) -> None:
    async with serve(host="0.0.0.0", insecure=True) as server:
        use(server, row)
        assert (await server.http.get("/weights/net")).json()["allowed"] is False
        refused = await server.http.post("/weights/net", json={"licence": LICENCE})
        assert refused.status_code == 403
        assert "python -m models.fetch net" in refused.json()["detail"]
        assert (await server.http.delete("/weights/net")).status_code == 403
        assert files.ranges == []


def test_who_may_fetch_is_a_setting() -> None:
    assert ServerSettings().fetching
    assert not ServerSettings(fetch=False).fetching
    assert not ServerSettings(allowed_origins=["https://my.site"]).fetching, "a proxy of that name may stand before it"
    assert ServerSettings(host="0.0.0.0", insecure=True, fetch=True).fetching


async def test_cancelling_what_does_not_run_is_no_error(serve: Any, row: Entry) -> None:
    async with serve() as server:
        use(server, row)
        assert (await server.http.delete("/weights/net")).json()["progress"]["phase"] == "idle"
