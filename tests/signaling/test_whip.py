"""The way in and out: a real WebRTC loop through the app, and everything a client can get wrong."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_a_peer_gets_its_video_back_edited_with_its_timestamps(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        response = await peer.call()
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["location"].startswith("/whip/")
        hello = await peer.message("hello")
        assert hello["settings"]["controls"] == {}
        await peer.until(lambda: len(peer.frames) > 10)
        assert abs(float(peer.frames[-1].to_ndarray(format="bgr24").mean()) - 60) < 6

        peer.send(type="settings", id=7, settings={"controls": {"brightness": 200}})
        now = await peer.message("settings", id=7)
        assert now["settings"]["controls"] == {"brightness": 200}
        await peer.until(lambda: peer.frames[-1].to_ndarray(format="bgr24").mean() > 180)
        times = [frame.pts for frame in peer.frames]
        origins = [sent - times[0] for sent in peer.camera.sent]
        assert any({time + origin for time in times} <= set(peer.camera.sent) for origin in origins)
        assert times == sorted(set(times))

        assert (await server.http.delete(peer.location)).status_code == 200
        await peer.until(lambda: server.sessions == 0)
        assert server.runtime.pipelines[0].closed
        assert (await server.http.delete(peer.location)).status_code == 404
