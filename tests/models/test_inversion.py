"""Inversion: the descent finds a code that draws the face, stays near the guess, and refuses what it cannot do."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from models import inversion
from models.inversion import Weights, invert, read_face, trunk_features
from models.inversion_base import InversionError
from models.published.stylegan import encoders, stylegan1
from models.published.stylegan.encoders import Encoder4Editing
from models.published.stylegan.stylegan2 import Generator

ROWS, WIDTH = 6, 32


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 1)))
    monkeypatch.setattr(encoders, "WIDTH", WIDTH)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(16, style_dim=WIDTH, mapping_layers=1, channel_multiplier=1 / 64, max_channels=16)
    return network.eval().requires_grad_(False)


def pooled(image: Tensor) -> list[Tensor]:
    return [torch.nn.functional.avg_pool2d(image, 16)]


def face_of(generator: Generator, codes: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.nn.functional.interpolate(generator(codes), (256, 256), mode="area")


def test_descent_finds_the_face(generator: Generator) -> None:
    wanted = torch.randn(1, ROWS, WIDTH) * 0.5
    image = face_of(generator, wanted)
    seen: list[float] = []
    found = invert(
        image, generator, torch.zeros(1, ROWS, WIDTH), pooled, steps=60, progress=lambda _, __, loss: seen.append(loss)
    )
    assert len(seen) == 61
    assert found.first == seen[0]
    assert found.best == min(seen)
    assert found.best < 0.5 * found.first
    before, after = (
        (face_of(generator, codes) - image).abs().mean() for codes in (torch.zeros_like(wanted), found.codes)
    )
    assert after < 0.5 * before


def test_no_steps_give_the_guess(generator: Generator) -> None:
    guess = torch.randn(1, ROWS, WIDTH)
    found = invert(face_of(generator, guess), generator, guess, pooled, steps=0)
    assert torch.equal(found.codes, guess)
    assert found.best == found.first


def test_a_strong_pull_keeps_the_guess(generator: Generator) -> None:
    guess = torch.zeros(1, ROWS, WIDTH)
    image = face_of(generator, torch.randn(1, ROWS, WIDTH))
    free = invert(image, generator, guess, pooled, steps=20)
    held = invert(image, generator, guess, pooled, steps=20, weights=Weights(guess=1000.0))
    assert held.codes.norm() < 0.2 * free.codes.norm()


def test_what_does_not_fit_is_refused(generator: Generator) -> None:
    guess = torch.zeros(1, ROWS, WIDTH)
    with pytest.raises(InversionError, match="must be"):
        invert(torch.zeros(1, 3, 128, 96), generator, guess, pooled)
    with pytest.raises(InversionError, match="diverged at step 0"):
        invert(torch.full((1, 3, 256, 256), torch.nan), generator, guess, pooled, steps=2)


@pytest.mark.usefixtures("tiny")
def test_trunk_features_take_any_number_of_channels() -> None:
    for channels in (1, 3, 4, 6):
        levels = trunk_features(Encoder4Editing(ROWS, channels).eval())(torch.zeros(1, 3, 256, 256))
        assert [level.shape[-1] for level in levels] == [64, 32, 16]


def test_pictures_are_read_as_rgb(tmp_path: Path) -> None:
    red = np.zeros((300, 300, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "a.png"), red)
    face = read_face(tmp_path / "a.png")
    assert face.shape == (1, 3, 256, 256)
    assert torch.all(face[0, 0] == 1)
    assert torch.all(face[0, 1:] == -1)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n broken"])
def test_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InversionError, match=r"this (is no JPEG|picture is damaged)"):
        read_face(tmp_path / "a.png")


def test_a_picture_that_is_not_square_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(InversionError, match="20x10"):
        read_face(tmp_path / "a.png")


@pytest.mark.usefixtures("tiny")
def test_command(tmp_path: Path, generator: Generator, capsys: pytest.CaptureFixture[str]) -> None:
    state = {f"encoder.{key}": value for key, value in Encoder4Editing(ROWS).state_dict().items()}
    state |= {f"decoder.{key}": value for key, value in generator.state_dict().items()}
    saved = {"state_dict": state, "opts": {"encoder_type": "Encoder4Editing"}, "latent_avg": torch.zeros(ROWS, WIDTH)}
    torch.save(saved, tmp_path / "e4e.pt")
    cv2.imwrite(str(tmp_path / "face.png"), np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8))
    arguments = [str(tmp_path / "face.png"), "--checkpoint", str(tmp_path / "e4e.pt"), "--steps", "3"]
    assert inversion.main([*arguments, "--to", str(tmp_path / "code.npy")]) == 0
    assert "3/3" in capsys.readouterr().out
    assert np.load(tmp_path / "code.npy").shape == (ROWS, WIDTH)
    bare = arguments[:-2]
    for preset in ([], ["--preset", "pbaylies"]):
        assert inversion.main([*bare, *preset, "--steps", "0", "--to", str(tmp_path / "guess")]) == 0
        said = capsys.readouterr().out
        assert "0/0" in said
        assert f"{tmp_path / 'guess.npy'}: loss" in said, "as NumPy names it"
    assert (tmp_path / "guess.npy").exists()
    assert inversion.main([*arguments, "--to", str(tmp_path / "none" / "code.npy")]) == 1
    refused = capsys.readouterr()
    assert (refused.out, "none does not exist; make it first" in refused.err) == ("", True)
    with pytest.raises(SystemExit):
        inversion.main([*bare, "--steps", "-1", "--to", str(tmp_path / "code.npy")])
    other = stylegan1.Generator(16, style_dim=8, max_channels=8, base_channels=64)
    torch.save(other.state_dict(), tmp_path / "one.pth")
    more = ["--generator", str(tmp_path / "one.pth"), "--to", str(tmp_path / "one.npy")]
    assert inversion.main([*arguments, *more]) == 0
    assert np.load(tmp_path / "one.npy").shape == (6, 8)
    assert inversion.main([str(tmp_path / "none.png"), *arguments[1:], "--to", str(tmp_path / "code.npy")]) == 1
