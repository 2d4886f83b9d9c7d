"""C2PA manifests: written, kept, read, and refused where they do not fit."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from cryptography import x509

from stream.mark import __main__ as command
from stream.mark import manifests
from stream.mark.detect import FOUND, NOT_FOUND
from stream.mark.identity import VARIABLE, make_identity
from stream.mark.manifests import Manifest, ManifestError, read_manifest, signer_of, write_manifest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.pem"))
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    for name in ("a.jpg", "a.png", "a.webp"):
        cv2.imwrite(str(tmp_path / name), picture)
    return tmp_path


def manifest_of(path: Path) -> Manifest:
    found = read_manifest(path)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_signed_file_says_what_was_done(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = cv2.imread(str(folder / name))
    assert read_manifest(folder / name) is None
    assert command.main(["sign", str(folder / name), "--kind", "age"]) == 0
    found = manifest_of(folder / name)
    assert (found.valid, found.ai, found.kinds) == (True, True, ("age",))
    assert "c2pa.edited" in found.actions
    assert found.issuer.startswith("Latentcam installation ")
    np.testing.assert_array_equal(np.asarray(cv2.imread(str(folder / name))), np.asarray(pixels))
    capsys.readouterr()
    assert command.main(["detect", str(folder / name)]) == FOUND
    assert "says that a model made parts of it: age" in capsys.readouterr().out


def test_a_manifest_that_was_there_is_kept(folder: Path) -> None:
    signer = signer_of(make_identity(folder / "other.pem"), folder / "other.chain.pem")
    write_manifest(folder / "a.png", folder / "first.png", ["style"], signer)
    write_manifest(folder / "first.png", folder / "second.png", ["age"], signer)
    second = manifest_of(folder / "second.png")
    assert (second.valid, second.kinds, second.ingredients) == (True, ("age",), 1)
    write_manifest(folder / "a.jpg", folder / "third.jpg", ["age"], signer, folder / "first.png")
    third = manifest_of(folder / "third.jpg")
    assert (third.valid, third.ingredients) == (True, 1)
    assert b"style" in (folder / "third.jpg").read_bytes()


def test_a_manifest_that_does_not_fit_does_not_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["sign", str(folder / "a.jpg"), "--kind", "age"]) == 0
    data = bytearray((folder / "a.jpg").read_bytes())
    data[-200] ^= 0x55  # in the picture
    (folder / "a.jpg").write_bytes(data)
    found = manifest_of(folder / "a.jpg")
    assert not found.valid
    assert found.faults
    capsys.readouterr()
    assert command.main(["detect", str(folder / "a.jpg")]) == NOT_FOUND
    assert "does not count: the file was changed after it was signed" in capsys.readouterr().out


def test_an_expired_certificate_signs_nothing_and_proves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = make_identity(folder / "key.pem")
    monkeypatch.setattr(manifests, "VALID", timedelta(hours=1))  # it begins a day ago
    with pytest.raises(ManifestError, match="not valid at time of signing"):
        write_manifest(folder / "a.png", folder / "b.png", ["age"], signer_of(identity, folder / "chain.pem"))
    assert not (folder / "b.png").exists()
    soon = datetime.now(UTC) + timedelta(seconds=4)
    monkeypatch.setattr(manifests, "VALID", timedelta(days=1, seconds=4))
    write_manifest(folder / "a.png", folder / "b.png", ["age"], signer_of(identity, folder / "chain.pem"))
    time.sleep(max((soon - datetime.now(UTC)).total_seconds(), 0) + 1.1)  # certificates know whole seconds
    assert manifest_of(folder / "b.png").faults == ("signingCredential.expired",)
    capsys.readouterr()
    assert command.main(["detect", str(folder / "b.png")]) == NOT_FOUND
    assert "its certificate has expired" in capsys.readouterr().out
    monkeypatch.undo()
    signer_of(identity, folder / "chain.pem")  # the installation's own certificate is made anew
    leaf = x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes())
    assert leaf.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3000)


def test_the_certificate_is_made_once_per_key(folder: Path) -> None:
    chain = folder / "chain.pem"
    identity = make_identity(folder / "one.pem")
    signer_of(identity, chain)
    made = chain.read_bytes()
    signer_of(identity, chain)
    assert chain.read_bytes() == made
    signer_of(make_identity(folder / "two.pem"), chain)
    assert chain.read_bytes() != made
    leaf, issuer = x509.load_pem_x509_certificates(made)
    leaf.verify_directly_issued_by(issuer)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.jpg"], "No such file"),
        (["text.txt"], "its name does not say what it is"),
        (["broken.png"], "cannot be signed"),
        (["a.webm"], "no manifests for video/webm; pictures"),
        (["a.png", "--certificate", "gone.pem", "--certificate-key", "gone.pem"], "gone.pem: No such file"),
        (["a.png", "--certificate", "text.txt", "--certificate-key", "text.txt"], "cannot be used"),
    ],
)
def test_what_cannot_be_signed_is_refused_in_words(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text.txt").write_text("hello")
    (folder / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    named = [str(folder / word) if "." in word else word for word in arguments]
    assert command.main(["sign", *named]) == 2
    assert words in capsys.readouterr().err
    assert not list(folder.glob(".*signing*"))


def test_a_damaged_manifest_is_told(folder: Path) -> None:
    assert command.main(["sign", str(folder / "a.png"), "--kind", "age"]) == 0
    data = bytearray((folder / "a.png").read_bytes())
    data[data.index(b"Latentcam installation") + 12] ^= 1  # in the certificate
    (folder / "a.png").write_bytes(data)
    try:
        found = read_manifest(folder / "a.png")
    except ManifestError:
        return
    assert found is not None
    assert not found.valid
