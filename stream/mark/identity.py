"""The key of an installation: an Ed25519 key in a file of the user's own, which signs what the installation says."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from platformdirs import user_data_dir

VARIABLE = "LATENTCAM_KEY"
"""Environment variable that names another file."""
MODE = 0o600
SHOWN = "Show the installation's key, and make one where there is none."


class KeyFileError(Exception):
    """The key's file cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An installation.

    Attributes:
        key: signs.
        public: (32 bytes) the public key.
    """

    key: Ed25519PrivateKey
    public: bytes

    @staticmethod
    def of(key: Ed25519PrivateKey) -> Identity:
        """The installation with this key."""
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return Identity(key, raw)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, in hexadecimal digits."""
        return fingerprint_of(self.public)

    @property
    def operator(self) -> int:
        """The installation's number in the pixels: the first 32 bits of the fingerprint."""
        return operator_of(self.public)


def fingerprint_of(public: bytes) -> str:
    """SHA-256 of a public key, in hexadecimal digits."""
    return sha256(public).hexdigest()


def operator_of(public: bytes) -> int:
    """The number of the installation with this public key: the first 32 bits of its fingerprint, never 0."""
    return int.from_bytes(sha256(public).digest()[:4], "big") or 1


def key_path() -> Path:
    """Where the key lies: LATENTCAM_KEY, or the user's data folder."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(user_data_dir("latentcam", appauthor=False)) / "mark-key.pem"


def load_identity(path: Path) -> Identity | None:
    """The installation whose key is in a file; None if there is no file.

    Raises:
        KeyFileError: it is no Ed25519 key, or others on this machine can read it.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path} can be read by others: chmod 600 {path}")
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is no private key without a password: python -m stream.mark key --new") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is no Ed25519 key: python -m stream.mark key --new")
    return Identity.of(key)


def make_identity(path: Path) -> Identity:
    """Make a key and write it to a file that only its owner can read; a file that is there is replaced.

    Raises:
        KeyFileError: it cannot be written there.
    """
    key = Ed25519PrivateKey.generate()
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    return Identity.of(key)


def main(argv: list[str]) -> int:
    """Show the installation's key, and make one where there is none.

    Args:
        argv: options as `--help` lists them.

    Returns:
        0, or 2 when the file cannot be used (the reason is on standard error).
    """
    parser = argparse.ArgumentParser(
        prog="python -m stream.mark key", description="Show the installation's key, and make one where there is none."
    )
    parser.add_argument("--new", action="store_true", help="make another key, in place of the one that is there")
    options = parser.parse_args(argv)
    path = key_path()
    try:
        identity = (None if options.new else load_identity(path)) or make_identity(path)
    except KeyFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"file         {path}\nfingerprint  {identity.fingerprint}\noperator     {identity.operator:08x}")
    return 0
