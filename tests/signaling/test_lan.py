"""Phones in this network: certificate, token, QR code, and what is said about trusting them."""

from __future__ import annotations

import io
import os
import re
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import segno
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from pydantic import SecretStr

from signaling import lan
from signaling.app import create_app
from signaling.lan import Files, LanError
from signaling.settings import ServerSettings
from tests.signaling.conftest import FakeRuntime

HERE = [ip_address("192.168.7.20"), ip_address("fd00::7")]
NOW = datetime(2030, 5, 1, tzinfo=UTC)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setenv(lan.VARIABLE, str(tmp_path))
    found = lan.files()
    assert found.folder == tmp_path / "lan"
    return found


def leaf(there: Files) -> x509.Certificate:
    return x509.load_pem_x509_certificates(there.cert.read_bytes())[0]


def verify(there: Files, address: str, certificate: x509.Certificate | None = None) -> None:
    ca = x509.load_pem_x509_certificate(there.ca.read_bytes())
    policy = PolicyBuilder().store(Store([ca])).time(NOW)
    policy.build_server_verifier(x509.IPAddress(ip_address(address))).verify(certificate or leaf(there), [])


def made(there: Files, now: datetime = NOW) -> Files:
    there.folder.mkdir(parents=True, exist_ok=True)
    lan.make_certificate(there, HERE, now)
    return there


def test_the_certificate_holds_for_the_addresses_of_this_machine(there: Files) -> None:
    made(there)
    for address in ("192.168.7.20", "fd00::7", "127.0.0.1", "::1"):
        verify(there, address)
    with pytest.raises(VerificationError):
        verify(there, "192.168.7.21")


def test_keys_are_the_users_alone(there: Files) -> None:
    settings = lan.complete(ServerSettings(lan=True), there, HERE)
    assert settings.token is not None
    for path in (there.ca_key, there.key, there.token):
        assert path.stat().st_mode & 0o777 == 0o600, path.name
    assert there.folder.stat().st_mode & 0o777 == 0o700
    there.ca_key.chmod(0o644)
    with pytest.raises(LanError, match="chmod 600"):
        lan.make_certificate(there, HERE)


def test_the_authority_can_vouch_for_private_addresses_alone(there: Files) -> None:
    made(there)
    authority = lan._load_authority(there, NOW)
    assert authority is not None
    public = [ip_address("203.0.113.9")]
    lan._make_leaf(there, authority, public, NOW)
    with pytest.raises(VerificationError):
        verify(there, "203.0.113.9")
    constraints = authority[0].extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert {str(name.value) for name in constraints.value.permitted_subtrees or []} == {*lan.PRIVATE, *lan.NAMES}


def test_a_certificate_is_kept_until_it_no_longer_fits(there: Files) -> None:
    made(there)
    ca, first = there.ca.read_bytes(), leaf(there).serial_number
    lan.make_certificate(there, HERE[:1], NOW + timedelta(days=10))
    assert leaf(there).serial_number == first
    lan.make_certificate(there, [*HERE, ip_address("10.0.0.5")], NOW)
    second = leaf(there).serial_number
    assert second != first, "another address"
    lan.make_certificate(there, HERE, NOW + timedelta(days=lan.LEAF_DAYS - 5))
    assert leaf(there).serial_number != second, "about to end"
    assert there.ca.read_bytes() == ca, "phones trust the authority: it stays"
    there.cert.write_text("damaged")
    lan.make_certificate(there, HERE, NOW)
    verify(there, "192.168.7.20")
    there.ca.write_text("damaged")
    with pytest.raises(LanError, match="delete it"):
        lan.make_certificate(there, HERE, NOW)


def test_what_was_chosen_stays(there: Files) -> None:
    chosen = ServerSettings(lan=True, token=SecretStr("my own long token"))
    first = lan.complete(chosen, there, HERE)
    assert first.token == chosen.token
    assert first.host == "0.0.0.0"
    assert lan.complete(chosen, there, HERE[1:]).host == "::", "a network of IPv6 alone"
    named = ServerSettings(lan=True, host="127.0.0.1")
    assert lan.complete(named, there, HERE).host == "127.0.0.1"
    again = lan.complete(ServerSettings(lan=True), there, HERE)
    assert again.token == lan.complete(ServerSettings(lan=True), there, HERE).token, "a phone's address stays good"
    with pytest.raises(LanError, match="no private network"):
        lan.complete(chosen, there, [])


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LanError, match="file"):
        lan.complete(ServerSettings(lan=True), Files(tmp_path / "file" / "lan"), HERE)


TOKEN = "A-token_of_32_letters_0123456789"
"""One whose code OpenCV reads."""


def picture_of(drawn: str) -> np.ndarray:
    """A QR code in half blocks, as an (H, W) uint8 picture."""
    rows = []
    plain = re.compile(r"\x1b\[[0-9;]*m")
    for line in drawn.rstrip("\n").split("\n"):
        upper, lower, inverse = [], [], False
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if plain.fullmatch(part):
                inverse = part == "\x1b[7m"
                continue
            for mark in part:
                pair = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}[mark]
                upper.append(pair[0] ^ inverse)
                lower.append(pair[1] ^ inverse)
        rows += [upper, lower]
    width = max(map(len, rows))
    grid = np.array([row + [0] * (width - len(row)) for row in rows], np.uint8)
    return np.kron(grid, np.ones((8, 8), np.uint8)) * np.uint8(255)


def test_the_qr_code_in_the_terminal_is_the_address(there: Files) -> None:
    settings = lan.complete(ServerSettings(lan=True), there, HERE)
    url = lan.page_address(settings, HERE[0], 8080)
    assert re.fullmatch(r"https://192\.168\.7\.20:8080/#token=[\w%-]{32,}", url)
    # OpenCV's detector fails at one token in fifty, whatever draws the code
    url = re.sub(r"token=.*", "token=" + TOKEN, url)
    picture = picture_of(lan.qr_code(url))
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(np.pad(picture, 32, constant_values=255))
    assert read == url
    assert lan.page_address(settings, HERE[1], 8080).startswith("https://[fd00::7]:8080/#")


def test_what_trust_means_is_said(there: Files) -> None:
    settings = lan.complete(ServerSettings(lan=True), there, HERE)
    said = lan.words(settings, there, HERE, 8080, code=False)
    for part in ("192.168.7.20:8080/ca.crt", lan.fingerprint(there.ca), str(there.ca_key), "Android", "iPhone"):
        assert part in said
    assert "private networks" in said
    assert "fd00::7" not in said, "it does not listen there"
    assert max(map(len, said.replace(str(there.ca_key), "ca.key").splitlines())) < 140
    own = ServerSettings(lan=True, token=SecretStr("my own long token"), tls_cert=there.cert, tls_key=there.key)
    other = own.model_copy(update={"tls_cert": there.folder / "own.pem"})
    assert "warns" not in lan.words(other, there, HERE, 8080, code=False)


@pytest.mark.anyio
async def test_a_phone_can_get_the_certificate(there: Files) -> None:
    made(there)
    runtime = FakeRuntime()
    for on, status in ((True, 200), (False, 404)):
        app = create_app(ServerSettings(lan=on, token=SecretStr("a long enough token")), runtime)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1:8080") as client:
            response = await client.get(lan.CA_PATH)
        assert response.status_code == status


def test_addresses_are_those_of_private_networks() -> None:
    assert all(lan.vouched(one) and not one.is_loopback for one in lan.addresses())
    assert lan.vouched(ip_address("10.1.2.3"))
    assert not lan.vouched(ip_address("8.8.8.8"))
    assert not lan.vouched(ip_address("2001:db8::1"))


CODE = """
import sys, runpy
from ipaddress import ip_address
sys.path.insert(0, {root!r})
from tests.signaling import conftest as stand_in
import server
from signaling import lan
server.load_runtime = lambda settings: stand_in.FakeRuntime()
lan.addresses = lambda: [ip_address("127.0.0.1")]
lan.on_terminal = lambda: True
sys.exit(server.main(["--lan", "--port", "0", "--host", "127.0.0.1"]))
"""


def test_one_command_serves_a_phone(there: Files) -> None:
    """The whole of it, on loopback: the certificate is the server's, and holds for the address that is shown."""
    root = str(Path(lan.__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(root=root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, lan.VARIABLE: str(there.folder.parent), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        said = io.StringIO()
        for line in process.stdout:
            said.write(line)
            if "To take it back" in line:
                break
        assert "▀" in said.getvalue()
        [url] = re.findall(r"^(https://127\.0\.0\.1:\d+/#token=\S+)$", said.getvalue(), re.M)
        base, token = url.split("/#token=")
        trust = ssl.create_default_context(cafile=str(there.ca))
        with httpx.Client(base_url=base, verify=trust, trust_env=False) as client:
            assert client.get("/capabilities").status_code == 401
            assert client.get("/capabilities", headers={"Authorization": f"Bearer {token}"}).status_code == 200
            assert client.get(lan.CA_PATH).headers["content-type"] == lan.CA_TYPE
    finally:
        process.kill()
        process.communicate()


def test_segno_is_the_library_that_draws() -> None:
    assert segno.make("https://a", micro=False).designator
