"""Phones in this network: a certificate of a small authority of this machine's own, a token, and a QR code.

Browsers give the camera to https pages only, and no public authority vouches for addresses of private networks. So this
machine makes an authority (CA) of its own. Its key stays here, and its certificate says that it vouches for private
addresses and names under `.local` alone (name constraints, RFC 5280, section 4.2.1.10): whoever trusts it, and loses
this key, risks no other site.
"""

from __future__ import annotations

import io
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import quote

import ifaddr
import segno
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from platformdirs import user_state_dir
from pydantic import SecretStr

from signaling.settings import ServerSettings

Address = IPv4Address | IPv6Address

VARIABLE = "LATENTCAM_STATE"
"""Environment variable that names another folder."""
CA_PATH = "/ca.crt"
CA_TYPE = "application/x-x509-ca-cert"
MODE = 0o600
CA_DAYS = 3650
LEAF_DAYS = 397
"""Browsers take certificates of private authorities for up to 825 days, public ones for 398."""
RENEW_DAYS = 30
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128")
"""What the authority may vouch for: RFC 1918, RFC 6598, RFC 4193 and this machine."""
NAMES = ("local", "localhost")
ELSEWHERE = "192.0.2.1"
"""An address of the documentation (RFC 5737): the system is asked which way it would go there; nothing is sent."""


class LanError(Exception):
    """Phones cannot be served; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Files:
    """What lies in the state folder.

    Attributes:
        folder: all of it, of this user alone.
    """

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificate of the authority: not secret."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Its private key."""
        return self.folder / "ca-key.pem"

    @property
    def cert(self) -> Path:
        """Certificate of the server, with that of the authority behind it."""
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.folder / "key.pem"

    @property
    def token(self) -> Path:
        """What phones have to know."""
        return self.folder / "token"


def files() -> Files:
    """The state folder: LATENTCAM_STATE, or the user's by the platform's convention."""
    named = os.environ.get(VARIABLE)
    return Files((Path(named) if named else Path(user_state_dir("latentcam", appauthor=False))) / "lan")


def addresses() -> list[Address]:
    """The addresses that other machines of the network reach this one at, the likeliest first."""
    found = [
        ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0]) for each in ifaddr.get_adapters() for ip in each.ips
    ]
    usable, way_out = [one for one in found if vouched(one) and not one.is_loopback], _way_out()
    return sorted(dict.fromkeys(usable), key=lambda one: (one != way_out, one.version, int(one)))


def vouched(address: Address) -> bool:
    """Whether the authority may vouch for an address."""
    return any(address in network for network in map(ip_network, PRIVATE) if network.version == address.version)


def complete(settings: ServerSettings, there: Files, found: Sequence[Address]) -> ServerSettings:
    """The settings of a server for phones: what was not chosen is made.

    Args:
        settings: as chosen.
        there: the state folder.
        found: `addresses`.

    Raises:
        LanError: there is no network, or the state folder cannot be used.
    """
    if not found:
        raise LanError("this machine is in no private network that a phone could be in: connect it to one")
    try:
        there.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        update: dict[str, object] = {} if "host" in settings.model_fields_set else {"host": "0.0.0.0"}
        if settings.tls_cert is None:
            make_certificate(there, found)
            update |= {"tls_cert": there.cert, "tls_key": there.key}
        if not settings.protected:
            update["token"] = SecretStr(_token(there.token))
    except OSError as error:
        raise LanError(f"{error.filename}: {error.strerror}") from error
    return settings.model_copy(update=update)


def make_certificate(there: Files, found: Sequence[Address], now: datetime | None = None) -> None:
    """Make authority and certificate, unless those that are there hold for these addresses.

    Raises:
        LanError: a key in the folder cannot be used.
        OSError: the folder cannot be written to.
    """
    now = now or datetime.now(UTC)
    authority = _load_authority(there, now) or _make_authority(there, now)
    if not _holds(there, authority[0], found, now):
        _make_leaf(there, authority, found, now)


def page_address(settings: ServerSettings, address: Address, port: int) -> str:
    """The page as a phone opens it, with the token."""
    host = f"[{address}]" if address.version == 6 else str(address)
    token = "" if settings.token is None else f"#token={quote(settings.token.get_secret_value())}"
    return f"https://{host}:{port}/{token}"


def qr_code(text: str) -> str:
    """A QR code (ISO/IEC 18004) for a terminal, in half blocks."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, border=2, compact=True)
    return out.getvalue()


def words(settings: ServerSettings, there: Files, found: Sequence[Address], port: int, *, code: bool = True) -> str:
    """What the terminal says: the code, the address, and what trusting the certificate means.

    Args:
        settings: from `complete`.
        there: the state folder.
        found: `addresses`.
        port: that the server listens on.
        code: whether to draw the QR code.
    """
    url = page_address(settings, found[0], port)
    plain = url.partition("#")[0]
    lines = [qr_code(url).rstrip("\n")] if code else []
    lines += [f"On a phone in the same network, scan the code or open:\n{url}"]
    lines += [f"(also at {page_address(settings, other, port)})" for other in found[1:]]
    if settings.tls_cert == there.cert:
        lines.append(
            f"""
The phone's browser warns, because no public authority vouches for {found[0]}. Two ways on:
- Go on for this once: Advanced, Proceed (Android); Show Details, visit this website (iPhone).
- Trust this machine: open {plain.rstrip("/")}{CA_PATH} on the phone and install it. Android: Settings, Security,
  Install a certificate, CA certificate. iPhone: Settings, Profile Downloaded; then General, About, Certificate Trust.
  First compare its SHA-256 fingerprint: {fingerprint(there.ca)}
That certificate can vouch for addresses of private networks and names under .local alone. Its key never leaves
{there.ca_key}; whoever has that key could pose as a device of your network.
To take it back, remove it from the phone and delete {there.folder}."""
        )
    return "\n".join(lines)


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate, as phones show it."""
    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def router() -> APIRouter:
    """The certificate of the authority, for phones that shall trust it. It is no secret."""
    routes = APIRouter(tags=["network"])

    @routes.get(CA_PATH, response_class=Response, responses={404: {"description": "There is none"}})
    def ca() -> Response:
        """The certificate of this machine's own authority."""
        try:
            certificate = x509.load_pem_x509_certificate(files().ca.read_bytes())
        except (OSError, ValueError) as error:
            raise HTTPException(404, "this server has no certificate of its own") from error
        return Response(certificate.public_bytes(serialization.Encoding.DER), media_type=CA_TYPE)

    return routes


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _load_authority(there: Files, now: datetime) -> Authority | None:
    """The authority of the folder; None where there is none, or it ends before its next certificate would."""
    try:
        certificate = x509.load_pem_x509_certificate(there.ca.read_bytes())
        if os.name == "posix" and there.ca_key.stat().st_mode & 0o077:
            raise LanError(f"{there.ca_key} can be read by others: chmod 600 {there.ca_key}")
        key = serialization.load_pem_private_key(there.ca_key.read_bytes(), None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LanError(f"{there.folder} holds a damaged certificate or key: delete it") from error
    ends = now + timedelta(days=LEAF_DAYS)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.not_valid_after_utc < ends:
        return None
    return certificate, key


def _make_authority(there: Files, now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Latentcam on {socket.gethostname()}"[:64])])
    permitted = [x509.IPAddress(ip_network(network)) for network in PRIVATE] + [x509.DNSName(each) for each in NAMES]
    certificate = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(there.ca_key, key)
    _write(there.ca, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _make_leaf(there: Files, authority: Authority, found: Sequence[Address], now: datetime) -> None:
    ca, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Latentcam")])
    certificate = (
        _builder(name, ca.subject, key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(found)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(there.key, key)
    pem = serialization.Encoding.PEM
    _write(there.cert, certificate.public_bytes(pem) + ca.public_bytes(pem))


def _holds(there: Files, ca: x509.Certificate, found: Sequence[Address], now: datetime) -> bool:
    """Whether the certificate of the folder is the authority's, is for these addresses, and lasts a while."""
    try:
        certificate = x509.load_pem_x509_certificate(there.cert.read_bytes())
        certificate.verify_directly_issued_by(ca)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = serialization.load_pem_private_key(there.key.read_bytes(), None)
    except Exception:
        return False
    lasts = certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
    return lasts and set(_names(found)) <= set(names) and key.public_key() == certificate.public_key()


def _names(found: Sequence[Address]) -> list[x509.GeneralName]:
    host = socket.gethostname().partition(".")[0].lower()
    local = [f"{host}.local"] if host and host.replace("-", "").isalnum() and host.isascii() else []
    own: list[Address] = [ip_address("127.0.0.1"), ip_address("::1")]
    return [x509.IPAddress(one) for one in (*found, *own)] + [x509.DNSName(each) for each in ("localhost", *local)]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of phones differ
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _token(path: Path) -> str:
    """The token of the folder, made where there is none: an address that a phone keeps stays good."""
    with suppress(OSError, UnicodeDecodeError):
        kept = path.read_text().strip()
        if len(kept) >= 32:
            return kept
    made = secrets.token_urlsafe(24)
    _write(path, made.encode())
    return made


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = serialization.Encoding.PEM
    _write(path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)


def _way_out() -> Address | None:
    """The address of this machine on the way to others."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.connect((ELSEWHERE, 9))
        return ip_address(trial.getsockname()[0])
    return None


def on_terminal() -> bool:
    """Whether a QR code would be seen."""
    return sys.stdout.isatty()
