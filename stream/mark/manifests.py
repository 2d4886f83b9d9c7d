"""C2PA manifests of files: who edited them and how, signed, with what was known of them before kept as an ingredient.

The signature is that of the installation's key (`stream.mark.identity`) with a certificate that the installation made
itself, so that readers call it valid, but not trusted. Whoever has a certificate of an authority names it.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stream.mark.identity import Identity, KeyFileError, key_path, load_identity, make_identity
from stream.mark.payload import KINDS
from stream.names import beside

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a picture of which a trained model made parts."""
GENERATOR = {"name": "Latentcam", "version": "0.1.0"}
VALID = timedelta(days=3650)
EDIT_ASSERTION = "latentcam.edit"
HINT = "; pictures (JPEG, PNG, WebP, TIFF) and MP4 or MOV videos can be signed"
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""Settings of C2PA: a file must not make this machine fetch addresses."""


class ManifestError(Exception):
    """A file cannot be signed, or its manifest cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file's manifest says.

    Attributes:
        valid: whether every signature and every hash fits.
        faults: why not, in C2PA's status codes.
        issuer: organisation in the certificate; "" where there is none.
        generator: program that wrote it.
        actions: names of the actions, such as "c2pa.edited".
        kinds: kinds of edit that it names, of `stream.mark.payload.KINDS`.
        ai: whether it says that a trained model made parts of the picture.
        ingredients: number of manifests and files that it was made from.
    """

    valid: bool
    faults: tuple[str, ...]
    issuer: str
    generator: str
    actions: tuple[str, ...]
    kinds: tuple[str, ...]
    ai: bool
    ingredients: int


def write_manifest(
    source: Path, target: Path, kinds: Iterable[str], signer: c2pa.Signer, original: Path | None = None
) -> None:
    """Copy a file with a manifest that says that it is edited; a manifest of the source stays, as an ingredient.

    Args:
        source: picture or video of a format that C2PA knows.
        target: where to write; another file.
        kinds: of edit, of `stream.mark.payload.KINDS`; none if they are not known.
        signer: from `signer_of` or `signer_of_files`.
        original: what the source was made from, where that is another file.

    Raises:
        ManifestError: it cannot be read, written or signed.
    """
    format = _format_of(source)
    edits = sorted(kinds)
    action = {"action": "c2pa.edited", "digitalSourceType": SOURCE_TYPE, "parameters": {"edits": edits}}
    definition = {
        "claim_generator_info": [GENERATOR],
        "title": target.name,
        "format": format,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": EDIT_ASSERTION, "data": {"edits": edits}},
        ],
    }
    try:
        with source.open("rb") as file, target.open("w+b") as out, _offline_builder(definition) as builder:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            if original is not None:
                ingredient = json.dumps({"title": original.name, "relationship": "parentOf"})
                with original.open("rb") as before:
                    builder.add_ingredient(ingredient, _format_of(original), before)
            builder.sign(signer, format, file, out)
    except (c2pa.C2paError, OSError) as error:
        target.unlink(missing_ok=True)
        if "NotSupported" in str(error):
            raise ManifestError(f"{source} cannot be signed: C2PA has no manifests for {format}{HINT}") from error
        raise ManifestError(f"{source} cannot be signed: {error}") from error


@contextmanager
def _offline_builder(definition: dict[str, Any]) -> Iterator[c2pa.Builder]:
    with c2pa.Context.from_dict(OFFLINE) as context, c2pa.Builder(definition, context=context) as builder:
        yield builder


def read_manifest(path: Path, format: str | None = None) -> Manifest | None:
    """The newest manifest of a file; None if it has none.

    Raises:
        ManifestError: there is one, and it is damaged.
    """
    kind = format or _format_of(path)
    try:
        with (
            c2pa.Context.from_dict(OFFLINE) as context,
            path.open("rb") as file,
            c2pa.Reader(kind, file, context=context) as reader,
        ):
            said = json.loads(reader.json())
    except c2pa.C2paError as error:
        if any(word in str(error) for word in ("ManifestNotFound", "no JUMBF", "NotSupported")):
            return None
        raise ManifestError(f"its manifest is damaged: {error}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"its manifest cannot be read: {error}") from error
    return _summary(said)


def _summary(said: dict[str, Any]) -> Manifest:
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    assertions = {one.get("label", ""): one.get("data", {}) for one in active.get("assertions", [])}
    actions = [
        action
        for label, data in assertions.items()
        if label.startswith("c2pa.actions") and isinstance(data, dict)
        for action in data.get("actions", [])
    ]
    edits = assertions.get(EDIT_ASSERTION, {}).get("edits", [])
    faults = tuple(
        str(status.get("code", ""))
        for status in said.get("validation_status", [])
        if status.get("code") != "signingCredential.untrusted"
    )
    info = active.get("claim_generator_info") or [{}]
    return Manifest(
        valid=said.get("validation_state") in ("Valid", "Trusted") and not faults,
        faults=faults,
        issuer=str(active.get("signature_info", {}).get("issuer") or ""),
        generator=str(info[0].get("name") or active.get("claim_generator") or ""),
        actions=tuple(str(action.get("action", "")) for action in actions),
        kinds=tuple(kind for kind in edits if kind in KINDS),
        ai=any("lgorithmicMedia" in str(action.get("digitalSourceType", "")) for action in actions),
        ingredients=len(active.get("ingredients", [])),
    )


def signer_of(identity: Identity, chain: Path) -> c2pa.Signer:
    """A signer with the installation's key and a certificate that is made where there is none.

    Args:
        identity: the installation.
        chain: PEM file of the certificate and its issuer.

    Raises:
        ManifestError: the certificate cannot be written or used.
    """
    try:
        if not chain.is_file() or not _fits(chain.read_bytes(), identity):
            chain.write_bytes(_own_chain(identity))
        key = identity.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _signer("ed25519", chain.read_bytes(), key)
    except OSError as error:
        raise ManifestError(f"{chain}: {error.strerror or error}") from error


def signer_of_files(chain: Path, key: Path, algorithm: str) -> c2pa.Signer:
    """A signer with a certificate of the user's own.

    Args:
        chain: PEM file of the certificate and its issuers.
        key: PEM file of its private key.
        algorithm: of C2PA, such as "es256".

    Raises:
        ManifestError: they cannot be read or used.
    """
    try:
        return _signer(algorithm, chain.read_bytes(), key.read_bytes())
    except OSError as error:
        raise ManifestError(f"{error.filename}: {error.strerror or error}") from error


def _signer(algorithm: str, chain: bytes, key: bytes) -> c2pa.Signer:
    try:
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm.encode(), chain, key, None))
    except c2pa.C2paError as error:
        raise ManifestError(f"the certificate or its key cannot be used: {error}") from error


def _fits(chain: bytes, identity: Identity) -> bool:
    """Whether a certificate is of this key, and valid now."""
    try:
        leaf = x509.load_pem_x509_certificate(chain)
    except ValueError:
        return False
    own = leaf.public_key() == identity.key.public_key()
    return own and leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc


def _own_chain(identity: Identity) -> bytes:
    """A certificate of the installation and that of its issuer, whose key is used once and forgotten."""
    root = Ed25519PrivateKey.generate()
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Latentcam installation {identity.operator:08x}")
    issuer, subject = (
        x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("issuer", "signer")
    )
    start = datetime.now(UTC) - timedelta(days=1)

    def certificate(name: x509.Name, key: Ed25519PrivateKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )
        if not ca:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
        return builder.sign(root, None)

    chain = (certificate(subject, identity.key, ca=False), certificate(issuer, root, ca=True))
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _format_of(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0]
    if kind is None or kind.split("/")[0] not in ("image", "video"):
        raise ManifestError(f"{path}: its name does not say what it is; use an ending such as .jpg or .mp4")
    return kind


def main(argv: list[str]) -> int:
    """Write a manifest into a file.

    Args:
        argv: options as `--help` lists them.

    Returns:
        0, or 2 when the file cannot be signed (the reason is on standard error).
    """
    parser = argparse.ArgumentParser(
        prog="python -m stream.mark sign", description="Write into a picture or video, signed, that it is edited."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, help="another file to write; the file itself is replaced otherwise")
    parser.add_argument("--kind", action="append", default=[], choices=KINDS, help="of edit; repeatable")
    parser.add_argument("--certificate", type=Path, help="PEM chain of a certificate of yours")
    parser.add_argument("--certificate-key", type=Path, help="PEM file of its private key")
    parser.add_argument("--algorithm", default="es256", help="of that key, in C2PA's words (default: %(default)s)")
    options = parser.parse_args(argv)
    if (options.certificate is None) != (options.certificate_key is None):
        parser.error("--certificate and --certificate-key go together")
    target = options.out or options.file
    partial = beside(target, ".", f".signing{target.suffix}")
    try:
        if options.certificate is not None:
            signer = signer_of_files(options.certificate, options.certificate_key, options.algorithm)
        else:
            path = key_path()
            signer = signer_of(load_identity(path) or make_identity(path), path.with_suffix(".chain.pem"))
        write_manifest(options.file, partial, options.kind, signer)
        partial.replace(target)
    except (ManifestError, KeyFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(target)
    return 0
