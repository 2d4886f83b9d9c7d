"""Flags, environment, file; and what is not allowed by accident."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from signaling.settings import ServerSettings, is_loopback, problems


def test_the_default_stays_on_this_machine_and_asks_nobody() -> None:
    settings = ServerSettings.load([])
    assert settings.url == "http://127.0.0.1:8080"
    assert settings.local
    assert settings.loopback
    assert settings.ice_servers == []


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('port = 1\nmax_sessions = 2\nidle_timeout = 3\n[[ice_servers]]\nurls = ["stun:here:3478"]\n')
    monkeypatch.setenv("LATENTCAM_PORT", "11")
    monkeypatch.setenv("LATENTCAM_MAX_SESSIONS", "12")
    settings = ServerSettings.load(["--config", str(file), "--port", "21"])
    assert (settings.port, settings.max_sessions, settings.idle_timeout) == (21, 12, 3)
    assert settings.ice_servers[0].urls == ["stun:here:3478"]
    monkeypatch.setenv("LATENTCAM_CONFIG", str(file))
    assert ServerSettings.load([]).idle_timeout == 3


def test_the_file_beside_the_server_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latentcam.toml").write_text('bind_addresses = ["10.0.0.5"]\n')
    monkeypatch.chdir(tmp_path)
    assert ServerSettings.load([]).bind_addresses == ["10.0.0.5"]


def test_lists_are_easy_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTCAM_BIND_ADDRESSES", "127.0.0.1, ::1")
    settings = ServerSettings.load(["--ice-servers", '[{"urls": ["turn:t:1"], "username": "u", "credential": "c"}]'])
    assert settings.bind_addresses == ["127.0.0.1", "::1"]
    assert settings.ice_servers[0].credential == "c"


@pytest.mark.parametrize("typed", ["https://a, https://b", '["https://a", "https://b"]'])
def test_origins_are_read_from_flags_and_environment_alike(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerSettings.load(["--allowed-origins", typed]).allowed_origins == ["https://a", "https://b"]
    monkeypatch.setenv("LATENTCAM_ALLOWED_ORIGINS", typed)
    assert ServerSettings.load([]).allowed_origins == ["https://a", "https://b"]


@pytest.mark.parametrize("name", ["ICE_SERVERS", "ALLOWED_ORIGINS"])
def test_an_environment_that_is_no_json_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a list ended the start in a traceback."""
    monkeypatch.setenv(f"LATENTCAM_{name}", "[{")
    with pytest.raises(ValidationError) as refused:
        ServerSettings.load([])
    assert problems(refused.value)[0].startswith(f"{name.lower()}: must be a list in JSON: ")


@pytest.mark.parametrize(
    ("arguments", "fetch", "loopback"),
    [
        ([], None, None),
        (["--fetch"], True, None),
        (["--no-fetch", "--loopback-candidates"], False, True),
        (["--no-loopback-candidates"], None, False),
    ],
)
def test_flags_of_what_is_decided_by_itself(arguments: list[str], fetch: bool | None, loopback: bool | None) -> None:
    settings = ServerSettings.load(arguments)
    assert (settings.fetch, settings.loopback_candidates) == (fetch, loopback)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "cam.example.org"])
def test_other_addresses_need_a_token_and_tls_or_a_word(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs a token and TLS"):
        ServerSettings.load(["--host", host])
    with pytest.raises(ValidationError, match="needs a token and TLS"):
        ServerSettings.load(["--host", host, "--token", "a secret token"])
    assert ServerSettings.load(["--host", host, "--insecure"]).host == host
    certificate = tmp_path / "c.pem"
    certificate.touch()
    tls = ["--tls-cert", str(certificate), "--tls-key", str(certificate)]
    safe = ServerSettings.load(["--host", host, "--token", "a secret token", *tls])
    assert safe.url.startswith("https://")
    assert not safe.loopback
    assert "a secret token" not in repr(safe)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "port"),
        (["--max-sessions", "0"], "max_sessions"),
        (["--codec", "av1"], "codec"),
        (["--bind-addresses", "home"], "home"),
        (["--advertised-address", "my.house"], "my.house"),
        (["--ice-servers", '[{"urls": ["http://x"]}]'], "stun:, stuns:, turn: or turns:"),
        (["--token", ""], "at least 12"),
        (["--token", "short"], "at least 12"),
        (["--token", "line\nbreaks are not for headers"], "plain"),
        (["--root-path", "cam"], "root_path"),
        (["--root-path", "/cam/"], "root_path"),
        (["--media-ports", "50100-50000"], "the first before the last"),
        (["--media-ports", "80-90"], "1024"),
        (["--media-ports", "50000"], "media_ports"),
        (["--tls-cert", __file__], "both a certificate"),
        (["--tls-cert", "nowhere.pem"], "tls_cert"),
        (["--min-bitrate", "900000", "--max-bitrate", "800000"], "min_bitrate"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ServerSettings.load(arguments)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "70000"], "port: must be a whole number from 0 to 65535"),
        (["--port", "http"], "port: must be a whole number from 0 to 65535"),
        (["--codec", "av1"], "codec: must be one of h264, vp8"),
        (["--tls-cert", "nowhere.pem"], "tls_cert: there is no such file"),
        (["--advertised-address", "my.house"], "advertised_address: 'my.house' does not appear to be an IPv4 or"),
        (["--min-bitrate", "900000", "--max-bitrate", "800000"], "min_bitrate is above max_bitrate"),
        (["--idle-timeout", "-1"], "idle_timeout: must be a number above 0"),
        (["--idle-timeout", "inf"], "idle_timeout: must be a number above 0"),
        (["--connect-timeout", "1e400"], "connect_timeout: must be a number above 0"),
        (["--threads", "99999999999999999999"], "threads: must be a whole number from 1 to 1024 or nothing"),
        (["--ice-servers", "[7]"], "ice_servers.0: must be an object"),
        (["--ice-servers", "7"], "ice_servers: must be a list"),
        (["--ice-servers", "stun:s:1"], "ice_servers: must be a list in JSON: Expecting value: line 1"),
        (["--ice-servers", '[{"urls": "stun:s:1"}]'], "ice_servers.0.urls: must be a list"),
        (["--ice-servers", '[{"urls": [7]}]'], "ice_servers.0.urls.0: must be text"),
        (["--ice-servers", '[{"url": ["stun:s:1"]}]'], "ice_servers.0.urls: has to be set"),
        (["--ice-servers", '[{"urls": ["stun:s:1"], "user": "u"}]'], "ice_servers.0.user: there is no such setting"),
        (["--allowed-origins", '["https://a'], "allowed_origins: must be a list in JSON: Unterminated string"),
        (["--media-ports", "50000"], "media_ports: must be text such as 50000-50100 or nothing"),
        (["--root-path", "faces"], "root_path: must be text such as /faces"),
    ],
)
def test_the_operator_reads_plain_words(arguments: list[str], line: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ServerSettings.load(arguments)
    said = problems(refused.value)[0]
    assert said.startswith(line)
    assert not any(word in said for word in ("Input should", "Value error", "pydantic"))


@pytest.mark.parametrize("content", [b"hello", b"port = ", b"\xff\xfe"])
def test_a_file_that_is_no_toml_stops_the_server(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(SystemExit, match=r"settings\.toml is no TOML file: "):
        ServerSettings.load(["--config", str(file)])


def test_a_missing_file_and_an_unknown_flag_stop_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"nowhere\.toml"):
        ServerSettings.load(["--config", "nowhere.toml"])
    with pytest.raises(SystemExit):
        ServerSettings.load(["--prot", "1"])
    assert "--prot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
