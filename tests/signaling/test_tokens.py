"""Tokens with names and limits: each limit, a wrong, an expired, a withdrawn one, and other people's sessions."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from signaling import tokens
from signaling.tokens import Grant, Refused, Tokens, digest_of, read_tokens
from stream.settings import SettingsError
from tests.signaling.test_whep import Player

STUDIO, GUEST = "the studio's own token", "a token for guests"
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag", "if-match": "*"}
pytestmark = pytest.mark.anyio


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(
        f'[studio]\nsha256 = "{digest_of(STUDIO)}"\nsessions = 2\nviewers = 1\n'
        f'[guest]\ntoken = "{GUEST}"\nsessions = 1\neditors = ["other", "embedded"]\n'
        '[watcher]\ntoken = "one who only watches"\nsessions = 0\nviewers = 3\n'
        '[old]\ntoken = "a token of last year"\nexpires = 2025-12-31T00:00:00Z\n'
    )
    return path


def test_a_token_is_found_by_its_digest(file: Path) -> None:
    book = Tokens("the operator's token", file)
    assert book.find(f"Bearer {STUDIO}").name == "studio"
    assert book.find(f"bearer  {GUEST} ").editors == ("other", "embedded")
    assert book.find("Bearer the operator's token").name == ""
    assert STUDIO not in repr(book._grants)
    assert GUEST not in repr(book._grants)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Basic {GUEST}", f"Bearer {GUEST}x", f"Bearer {GUEST[:-1]}", "Bearer \xff"],
)
def test_a_wrong_token_is_refused(file: Path, header: str | None) -> None:
    with pytest.raises(Refused, match="needs its token"):
        Tokens(None, file).find(header)


def test_a_token_expires(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(f'[guest]\ntoken = "{GUEST}"\nexpires = 2027-01-31T00:00:00+01:00\n')
    end = datetime(2027, 1, 30, 23, tzinfo=UTC).timestamp()
    now = [end - 1]
    book = Tokens(None, path, clock=lambda: now[0])
    grant = book.find(f"Bearer {GUEST}")
    assert book.holds(grant)
    now[0] = end
    assert not book.holds(grant)
    with pytest.raises(Refused, match="expired"):
        book.find(f"Bearer {GUEST}")


def test_the_file_is_read_again_when_it_changes(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    ticks = [0.0]
    book = Tokens(None, file, ticks=lambda: ticks[0])
    grant = book.find(f"Bearer {GUEST}")

    def write(text: str) -> None:
        file.write_text(text)
        os.utime(file, ns=(0, int(ticks[0] * 1e9)))
        ticks[0] += 2

    write('[guest]\ntoken = "half a ta')  # in the middle of being written
    assert book.find(f"Bearer {GUEST}") == grant
    assert "stay as they were" in caplog.text
    write(f'[guest]\ntoken = "{GUEST}"\nsessions = 5\n')
    assert not book.holds(grant)
    assert book.find(f"Bearer {GUEST}").sessions == 5
    write('[another]\ntoken = "quite another one"\n')
    with pytest.raises(Refused):
        book.find(f"Bearer {GUEST}")
    file.unlink()
    ticks[0] += 2
    assert book.find("Bearer quite another one").name == "another"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a", "no TOML"),
        ("a = 1", "no table"),
        ('["a b"]\ntoken = "long enough for it"', "no table with a name"),
        ("[a]\nsessions = 1", "needs token or sha256"),
        ('[a]\ntoken = "short"', "12 plain characters"),
        ('[a]\nsha256 = "abc"', "sha256"),
        (f'[a]\ntoken = "{GUEST}"\nsha256 = "{digest_of(GUEST)}"', "not both"),
        (f'[a]\ntoken = "{GUEST}"\nsession = 1', "session"),
        (f'[a]\ntoken = "{GUEST}"\nsessions = -1', "sessions"),
        (f'[a]\ntoken = "{GUEST}"\neditors = []', "editors"),
        (f'[a]\ntoken = "{GUEST}"\nexpires = 2027-01-01T00:00:00', "timezone"),
        (f'[a]\ntoken = "{GUEST}"\n[b]\ntoken = "{GUEST}"', "under two names"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_without_the_token(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as told:
        read_tokens(path)
    assert GUEST not in str(told.value)
    assert "short" not in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_tokens(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"editor": "hair"}, "editor"),
        ({"layers": {"hair": {}}}, "layers.hair"),
        ({"editor": ["embedded"]}, "editor"),
        ({"editor": None}, "editor"),
    ],
)
def test_editors_beyond_the_list_are_refused(patch: dict[str, Any], field: str) -> None:
    grant = Grant(name="guest", editors=("embedded", "child"))
    with pytest.raises(SettingsError) as refused:
        grant.check(patch)
    assert (refused.value.field, refused.value.allowed) == (field, ["embedded", "child"])


def test_a_stream_starts_with_an_editor_of_the_list() -> None:
    grant = Grant(name="guest", editors=("hair",))
    assert grant.complete({}, "embedded") == {"editor": "hair"}
    assert grant.complete({"editor": "hair", "controls": {}}, "embedded") == {"editor": "hair", "controls": {}}
    assert Grant().complete({"editor": "anything", "layers": 7}, "embedded") == {"editor": "anything", "layers": 7}
    grant.check({"layers": 7})  # which the settings refuse themselves


async def test_sessions_of_a_token_are_limited(serve: Any, until: Any, file: Path) -> None:
    async with serve(tokens=file, max_sessions=4) as server:
        for token, statuses in {GUEST: [201, 503], STUDIO: [201, 201, 503], "one who only watches": [503]}.items():
            for status in statuses:
                response = await server.peer().call(bearer(token))
                assert response.status_code == status, response.text
        assert "2 sessions of this token are taken" in (await server.peer().call(bearer(STUDIO))).text
        first = next(peer for peer in server.peers if peer.location)
        assert (await server.http.delete(first.location, headers=bearer(GUEST))).status_code == 200
        await until(lambda: server.sessions == 2)
        assert (await server.peer().call(bearer(GUEST))).status_code == 201


async def test_viewers_of_a_token_are_limited(serve: Any, file: Path) -> None:
    viewer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    viewer.addTransceiver("video", direction="recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    offer = viewer.localDescription.sdp
    await viewer.close()
    async with serve(tokens=file) as server:
        await server.peer().call(bearer(GUEST), stream="studio")
        for token, statuses in {STUDIO: [201, 503], "one who only watches": [201, 201, 201, 503]}.items():
            for status in statuses:
                headers = bearer(token) | {"content-type": "application/sdp"}
                response = await server.http.post("/whep?stream=studio", content=offer, headers=headers)
                assert response.status_code == status, response.text


async def test_editors_of_a_token_are_limited(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(
        f'[guest]\ntoken = "{GUEST}"\neditors = ["embedded"]\n[nothing]\ntoken = "for other editors"\neditors = ["x"]\n'
    )
    async with serve(tokens=path) as server:
        refused = await server.peer().call(bearer(GUEST), query={"settings": '{"editor": "broken"}'})
        assert (refused.status_code, "may not use that editor" in refused.text) == (400, True)
        peer = server.peer()
        assert (await peer.call(bearer(GUEST))).status_code == 201
        await peer.until(lambda: peer.channel.readyState == "open")
        peer.send(type="settings", id=1, settings={"editor": "broken"})
        error = await peer.message("error", id=1)
        assert (error["code"], error["field"], error["allowed"]) == ("bad_setting", "editor", ["embedded"])
        peer.send(type="settings", id=2, settings={"controls": {"brightness": 3}})
        await peer.message("settings", id=2)
        told = (await server.http.get("/capabilities", headers=bearer(GUEST))).json()
        assert [editor["name"] for editor in told["editors"]] == ["embedded"]
        assert (await server.http.get("/capabilities", headers=bearer("for other editors"))).json()["editors"] == []
        for path_of in ("/photos?editor=broken", '/strip?settings={"editor":"broken"}'):
            assert (await server.http.post(path_of, headers=bearer(GUEST), content=b"x")).status_code == 403


async def test_anothers_session_is_as_if_it_were_not_there(serve: Any, file: Path) -> None:
    async with serve(tokens=file, token="the operator's own") as server:
        peer = server.peer()
        await peer.call(bearer(GUEST))
        assert (await server.http.delete(peer.location)).status_code == 401
        for headers in (bearer(STUDIO), bearer("one who only watches")):
            assert (await server.http.delete(peer.location, headers=headers)).status_code == 404
            patched = await server.http.patch(peer.location, headers=headers | FRAGMENT, content="a=ice-ufrag:abcd\r\n")
            assert patched.status_code == 404
            whep = peer.location.replace("/whip/", "/whep/")
            assert (await server.http.delete(whep, headers=headers)).status_code == 404
        assert server.sessions == 1
        assert (await server.http.delete(peer.location, headers=bearer("the operator's own"))).status_code == 200


async def test_a_replayed_location_is_over(serve: Any, until: Any, file: Path) -> None:
    async with serve(tokens=file) as server:
        peer = server.peer()
        await peer.call(bearer(GUEST))
        assert (await server.http.delete(peer.location, headers=bearer(GUEST))).status_code == 200
        await until(lambda: server.sessions == 0)
        assert (await server.http.delete(peer.location, headers=bearer(GUEST))).status_code == 404
        replayed = await server.http.patch(
            peer.location, headers=bearer(GUEST) | FRAGMENT, content="a=ice-ufrag:abcd\r\n"
        )
        assert replayed.status_code == 404


async def test_a_withdrawn_token_ends_its_sessions(
    serve: Any, until: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "READ_AGAIN_S", 0.0)
    async with serve(tokens=file) as server:
        guest, studio = server.peer(), server.peer()
        await guest.call(bearer(GUEST))
        await studio.call(bearer(STUDIO))
        await until(lambda: guest.channel.readyState == studio.channel.readyState == "open")
        file.write_text(f'[studio]\nsha256 = "{digest_of(STUDIO)}"\nsessions = 2\nviewers = 1\n')
        bye = await guest.message("bye")
        assert (bye["reason"], "withdrawn" in bye["detail"]) == ("error", True)
        await until(lambda: server.sessions == 1)
        assert (await server.peer().call(bearer(GUEST))).status_code == 401


async def test_a_withdrawn_token_ends_its_viewings(
    serve: Any, until: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "READ_AGAIN_S", 0.0)
    async with serve(tokens=file) as server:
        studio, player = server.peer(), Player(server)
        await studio.call(bearer(STUDIO), stream="a")
        assert (await player.call("a", bearer("one who only watches"))).status_code == 201
        await until(lambda: server.viewers == 1)
        file.write_text(f'[studio]\nsha256 = "{digest_of(STUDIO)}"\nsessions = 2\nviewers = 1\n')
        await until(lambda: server.viewers == 0)
        assert server.sessions == 1


async def test_an_expired_token_is_refused(serve: Any, file: Path) -> None:
    async with serve(tokens=file) as server:
        response = await server.http.get("/capabilities", headers=bearer("a token of last year"))
        assert (response.status_code, response.json()["detail"]) == (401, "this token has expired")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_limits_are_told(serve: Any, file: Path) -> None:
    async with serve(tokens=file, max_sessions=8) as server:
        limits = (await server.http.get("/capabilities", headers=bearer(STUDIO))).json()["limits"]
        assert limits["max_sessions"] == 2


def test_the_command_makes_a_table_and_shows_the_token_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["studio", "--sessions", "2", "--editors", "embedded, hair", "--expires", "2099-01-31"]
    assert tokens.main(arguments) == 0
    told = capsys.readouterr()
    secret = told.err.split()[-1]
    assert secret not in told.out
    file = tmp_path / "tokens.toml"
    file.write_text(told.out)
    grant = Tokens(None, file).find(f"Bearer {secret}")
    assert (grant.name, grant.sessions, grant.editors) == ("studio", 2, ("embedded", "hair"))
    assert tomllib.loads(told.out)["studio"]["expires"].tzinfo is not None
