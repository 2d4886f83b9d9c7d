"""Sessions with real peers: what happens to a stream, and that every end is a clean one."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest
from aiortc import RTCRtpSender

from engines.base import DeviceLost

pytestmark = pytest.mark.anyio


def brightness(frame: Any) -> float:
    return float(frame.to_ndarray(format="bgr24").mean())


async def gone(server: Any, peer: Any) -> None:
    """Wait until nothing of the server's sessions is left."""
    await peer.until(lambda: server.sessions == 0)
    await peer.until(lambda: all(pipeline.closed for pipeline in server.runtime.pipelines))


async def test_peers_do_not_touch_one_another(serve: Any) -> None:
    async with serve() as server:
        peers = [server.peer() for _ in range(3)]
        for peer in peers:
            assert (await peer.call()).status_code == 201
        for peer in peers:
            await peer.message("hello")
        for value, peer in zip((80, 160), peers, strict=False):
            peer.send(type="settings", id=1, settings={"controls": {"brightness": value}})
        for value, peer in zip((80, 160, 60), peers, strict=True):
            await peer.until(
                lambda peer=peer, value=value: peer.frames and abs(brightness(peer.frames[-1]) - value) < 8
            )
        await server.http.delete(peers[0].location)
        await peers[1].until(lambda: server.sessions == 2)
        count = len(peers[1].frames)
        await peers[1].until(lambda: len(peers[1].frames) > count + 10)
        workers = [pipeline.threads for pipeline in server.runtime.pipelines]
        assert [len(threads) for threads in workers] == [1, 1, 1]
        assert len(set.union(*workers)) == 3


async def test_video_runs_on_the_ports_that_are_set(serve: Any) -> None:
    async with serve(media_ports="40000-49999") as server:
        peer = server.peer()
        await peer.call()
        await peer.until(lambda: len(peer.frames) > 3)
        ports = [int(port) for port in re.findall(r"a=candidate:.* (\d+) typ host", peer.answer)]
        assert ports
        assert all(40000 <= port <= 49999 for port in ports)


async def test_the_camera_may_turn_and_change_its_resolution(serve: Any, Camera: Any) -> None:
    async with serve() as server:
        peer = server.peer(Camera((320, 240)))
        await peer.call()
        for size in ((320, 240), (240, 320), (640, 480), (160, 120)):
            peer.camera.size = size
            await peer.until(lambda size=size: peer.frames and (peer.frames[-1].width, peer.frames[-1].height) == size)
        assert server.sessions == 1


async def test_a_sleeping_tab_is_waited_for(serve: Any) -> None:
    async with serve(idle_timeout=30) as server:
        peer = server.peer()
        await peer.call()
        await peer.until(lambda: len(peer.frames) > 5)
        peer.camera.paused = True
        await asyncio.sleep(1.2)
        count = len(peer.frames)
        peer.camera.paused = False
        await peer.until(lambda: len(peer.frames) > count + 10)
        assert server.sessions == 1


async def test_a_camera_that_stays_away_ends_the_session_with_a_word(serve: Any) -> None:
    async with serve(idle_timeout=0.8) as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        await peer.until(lambda: len(peer.frames) > 5)
        peer.camera.paused = True
        assert (await peer.message("bye"))["reason"] == "idle"
        await gone(server, peer)


async def test_a_peer_that_vanishes_is_noticed(serve: Any) -> None:
    async with serve(silence_timeout=1) as server:
        peer = server.peer()
        await peer.call()
        await peer.until(lambda: len(peer.frames) > 5)

        async def nowhere(data: bytes) -> None:
            pass

        for transceiver in peer.connection.getTransceivers():
            transceiver.receiver.transport.transport._send = nowhere
        await gone(server, peer)


async def test_a_peer_that_hangs_up_is_noticed(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.until(lambda: len(peer.frames) > 5)
        await peer.connection.close()
        await gone(server, peer)


async def test_a_peer_that_never_comes_gives_its_place_back(serve: Any) -> None:
    async with serve(max_sessions=1, connect_timeout=0.5) as server:
        absent = server.peer()
        response = await server.http.post(
            "/whip", content=await absent.offer(), headers={"content-type": "application/sdp"}
        )
        assert response.status_code == 201
        await gone(server, absent)
        peer = server.peer()
        assert (await peer.call()).status_code == 201


async def test_a_full_server_says_when_to_come_back(serve: Any) -> None:
    async with serve(max_sessions=2) as server:
        peers = [server.peer() for _ in range(4)]
        answers = await asyncio.gather(*(peer.call() for peer in peers))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201, 201, 503, 503]
        full = next(answer for answer in answers if answer.status_code == 503)
        assert int(full.headers["retry-after"]) > 0
        assert "all 2 sessions are taken" in full.json()["detail"]
        assert len(server.runtime.pipelines) == 2  # no work was done for those sent away
        in_use = next(peer for peer, answer in zip(peers, answers, strict=True) if answer.status_code == 201)
        await server.http.delete(in_use.location)
        await in_use.until(lambda: server.sessions == 1)
        assert (await server.peer().call()).status_code == 201


async def test_a_slow_pipeline_drops_frames_and_keeps_no_queue(serve: Any) -> None:
    async with serve() as server:
        server.runtime.work_s = 0.15
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        peer.send(type="stats", every=0.2)
        await peer.until(lambda: len(peer.frames) > 15)
        stats = [message for message in peer.messages if message["type"] == "stats"][-1]
        assert stats["dropped"] > stats["received"] / 2
        assert stats["server_ms"]["p95"] < 3 * 150 + 200  # one at work, one waiting


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("the device is gone"), "the server could not process the video"),
        (DeviceLost("the device is gone"), "the server's graphics processor has failed"),
    ],
)
async def test_a_failing_pipeline_ends_its_session_with_a_word(
    serve: Any, caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        await peer.until(lambda: len(peer.frames) > 3)
        server.runtime.fails = error
        bye = await peer.message("bye")
        assert bye["reason"] == "error"
        assert said in bye["detail"]
        await gone(server, peer)
        assert "the device is gone" in caplog.text


async def test_a_message_without_end_ends_the_session(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        peer.connection.sctp._remote_max_message_size = 1 << 30  # which a hostile peer does not ask for
        peer.channel.send("x" * (4 << 20))
        await gone(server, peer)


async def test_too_large_a_picture_ends_the_session_with_a_word(serve: Any, Camera: Any) -> None:
    async with serve(max_frame_pixels=400 * 300) as server:
        peer = server.peer(Camera((320, 240)))
        await peer.call()
        await peer.message("hello")
        await peer.until(lambda: len(peer.frames) > 3)
        peer.camera.size = (480, 360)
        # Rounded up to macroblocks: this was read from the bitstream, no decoder has made a picture of it.
        assert "480x368" in (await peer.message("bye"))["detail"]
        await gone(server, peer)
        assert all(width * height <= 400 * 300 for width, height in server.runtime.pipelines[0].sizes)


async def test_a_server_that_stops_says_so_and_keeps_nothing(serve: Any) -> None:
    async with serve() as server:
        server.runtime.work_s = 0.05
        peers = [server.peer() for _ in range(3)]
        for peer in peers:
            await peer.call()
        for peer in peers:
            await peer.until(lambda peer=peer: len(peer.frames) > 3)
        await server.app.state.sessions.close()
        await gone(server, peers[0])
        for peer in peers:
            assert (await peer.message("bye"))["reason"] == "shutdown"
        assert (await server.peer().call()).status_code == 503


async def test_settings_are_refused_in_words_and_the_old_ones_stay(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        peer.send(type="settings", id=1, settings={"controls": {"brightness": 120}})
        await peer.message("settings", id=1)
        peer.send(type="settings", id=2, settings={"controls": {"brightness": 900}})
        error = await peer.message("error", id=2)
        assert (error["code"], error["field"]) == ("bad_setting", "controls.brightness")
        assert error["allowed"]["maximum"] == 200
        peer.send(type="settings", id=3, settings={"editor": "nobody"})
        assert (await peer.message("error", id=3))["field"] == "editor"
        peer.send(type="settings", id=4, settings={"editor": "broken"})
        assert "cut short" in (await peer.message("error", id=4))["reason"]
        peer.send(type="settings", id=5, settings={"smoothing": 0.25})
        now = (await peer.message("settings", id=5))["settings"]
        assert (now["controls"], now["smoothing"]) == ({"brightness": 120}, 0.25)


async def test_junk_on_the_channel_is_answered_and_the_session_goes_on(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        for junk in ("", "{", "[]", "null", '{"v":2,"type":"ping","t":1}', "x" * 20_000, b"\x00\x01", "[" * 10_000):
            count = len(peer.messages)
            peer.channel.send(junk)
            await peer.until(lambda count=count: len(peer.messages) > count)
            assert peer.messages[-1]["type"] == "error"
        peer.send(type="ping", id=5, t=12.5)
        assert (await peer.message("pong", id=5))["t"] == 12.5
        for i in range(200):
            peer.send(type="ping", id=1000 + i, t=0)
        await peer.message("error", code="too_many")
        count = len(peer.frames)
        await peer.until(lambda: len(peer.frames) > count + 5)


async def test_stats_say_what_happens(serve: Any, Camera: Any) -> None:
    async with serve() as server:
        peer = server.peer(Camera((320, 240)))
        await peer.call()
        await peer.message("hello")
        peer.send(type="settings", id=1, settings={"controls": {"brightness": 100}})
        await peer.message("settings", id=1)
        await asyncio.sleep(1)
        peer.send(type="stats", every=0.2)
        await peer.until(lambda: sum(message["type"] == "stats" for message in peer.messages) > 3)
        stats = peer.messages[-1]
        assert stats["size"] == [320, 240]
        assert stats["faces"] == [{"id": 1, "box": [0, 0, 0.5, 1], "edited": True}]
        assert stats["stages"]["track"] == {"p50": 1.5, "p95": 1.5}
        assert stats["stages"]["render"]["p50"] == 2.5
        assert stats["received"] >= stats["edited"] > 0
        assert stats["bitrate_in"] > 0
        assert stats["bitrate_out"] > 0
        assert stats["fps_out"] > 0
        peer.send(type="stats", every=0)
        await asyncio.sleep(0.3)
        count = len(peer.messages)
        await asyncio.sleep(0.5)
        assert len(peer.messages) == count
        assert json.dumps(stats)


async def test_an_overlay_comes_only_while_it_is_wanted(serve: Any, Camera: Any) -> None:
    async with serve() as server:
        peer = server.peer(Camera((320, 240)))
        await peer.call()
        await peer.message("hello")
        await peer.until(lambda: len(peer.frames) > 3)

        def overlays() -> list[Any]:
            return [message for message in peer.messages if message["type"] == "overlay"]

        assert not overlays()
        peer.send(type="overlay", every=0.1)
        await peer.until(lambda: len(overlays()) > 2)
        overlay = overlays()[-1]
        assert overlay["stages"] == {"track": 1.5}
        assert overlay["faces"] == [{"id": 1, "edited": False, "mesh": "", "quad": "", "outlines": []}]
        peer.send(type="overlay", every=0)
        await asyncio.sleep(0.3)
        count = len(overlays())
        await asyncio.sleep(0.5)
        assert len(overlays()) == count


async def test_other_channels_are_closed(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        other = peer.connection.createDataChannel("files")
        await peer.call()
        await peer.message("hello")
        await peer.until(lambda: other.readyState == "closed")


async def test_sound_comes_back(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer(audio=True)
        await peer.call()
        await peer.until(lambda: len(peer.sounds) > 10 and len(peer.frames) > 3)
        await server.http.delete(peer.location)
        await gone(server, peer)


async def test_nothing_is_edited_for_nobody(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer(audio=True)
        for transceiver in peer.connection.getTransceivers():
            transceiver.direction = "sendonly"
        assert (await peer.call(stream="studio")).status_code == 201
        assert peer.answer.count("a=recvonly") == 2
        (session,) = server.app.state.sessions._sessions.values()
        await peer.until(lambda: session._video.size and session._video.frames > 10)
        assert not server.runtime.pipelines[0].sizes
        viewer = session.watch()
        frame = await viewer.recv()
        assert frame.width == 320
        assert server.runtime.pipelines[0].sizes
        viewer.stop()
        edited, came = len(server.runtime.pipelines[0].sizes), session._video.frames
        await peer.until(lambda: session._video.frames > came + 10)
        assert len(server.runtime.pipelines[0].sizes) <= edited + 2
        assert not peer.frames
        await server.http.delete(peer.location)
        await gone(server, peer)


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_frames_survive_a_lossy_way(serve: Any, codec: str) -> None:
    async with serve() as server:
        peer = server.peer()
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        peer.connection.getTransceivers()[0].setCodecPreferences(
            [one for one in capabilities if one.name in (codec, "rtx")]
        )
        await peer.call()
        transport = peer.connection.getTransceivers()[0].receiver.transport.transport
        send, count = transport._send, 0

        async def lossy(data: bytes) -> None:
            nonlocal count
            count += 1
            if 127 < data[0] < 192 and count % 11 == 0:  # RTP, RTCP and retransmissions alike
                return
            await send(data)

        await peer.until(lambda: len(peer.frames) > 3)
        transport._send = lossy
        seen = len(peer.frames)
        await peer.until(lambda: len(peer.frames) > seen + 40)
        for frame in peer.frames[-20:]:
            assert abs(brightness(frame) - 60) < 8


async def test_sound_waits_for_the_picture_by_the_peers_clock(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer(audio=True)
        await peer.call()
        (session,) = server.app.state.sessions._sessions.values()
        await peer.until(lambda: len(peer.frames) > 5)
        picture, sound = session._video.output.delays, session._audio.delays
        await peer.until(lambda: picture.of("capture") and sound.of("capture"))  # its sender reports have come
        skew = (picture.of("capture").p50 - sound.of("capture").p50) / 1000
        assert abs(skew) < 1
        assert abs(session._video_delay() - skew - 0.08) < 0.2


async def test_a_clock_that_jumps_changes_nothing(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's time of day is set; what is measured here goes by the monotonic clock."""
    true = time.time
    async with serve(silence_timeout=30, idle_timeout=30) as server:
        peer = server.peer()  # without sound: aiortc's own microphone goes by the time of day
        await peer.call()
        for jump in (86_400.0, -86_400.0):
            monkeypatch.setattr(time, "time", lambda jump=jump: true() + jump)
            frames = len(peer.frames)
            await peer.until(lambda frames=frames: len(peer.frames) > frames + 10)
        assert server.sessions == 1
