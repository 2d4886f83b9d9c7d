"""Published checkpoints become networks that compute what the torch modules do. All tiny, in the real containers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines.select import load
from models import convert, latents
from models.published.hairmapper.network import LevelMapper
from models.published.stylegan import encoders
from models.published.stylegan.encoders import GradualStyleEncoder, ProgressiveBackboneEncoder
from models.published.stylegan.mobilestylegan import Student
from models.published.stylegan.stylegan1 import Generator as Generator1
from models.published.stylegan.stylegan2 import Generator as Generator2

ROWS, WIDTH = 6, 32


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 1)))
    monkeypatch.setattr(encoders, "WIDTH", WIDTH)
    monkeypatch.setattr(encoders.ReStyle.forward, "__defaults__", (2,))
    torch.manual_seed(0)


def decoder() -> Generator2:
    return Generator2(16, style_dim=WIDTH, mapping_layers=1, channel_multiplier=1 / 128, max_channels=8)


def save(path: Path, parts: dict[str, nn.Module], **rest: object) -> Path:
    state = {prefix + key: value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"state_dict": state, **rest}, path)
    return path


def run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    with load(path, backend="onnxruntime", threads=1) as engine:
        (output,) = engine.run(inputs).values()
    return output


@pytest.mark.parametrize(("system", "encoder"), [("e4e", GradualStyleEncoder), ("restyle", ProgressiveBackboneEncoder)])
def test_inverters(tmp_path: Path, system: str, encoder: type[GradualStyleEncoder]) -> None:
    options = {"encoder_type": {"e4e": "Encoder4Editing"}.get(system, encoder.__name__)}
    average = torch.randn(ROWS, WIDTH)
    file = save(tmp_path / "a.pt", {"encoder.": encoder(ROWS), "decoder.": decoder()}, opts=options, latent_avg=average)
    assert convert.main([system, str(file), "--to", str(tmp_path)]) == 0
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 256, 256)).astype(np.float32)
    codes = run(tmp_path / "encoder.onnx", image=image)
    inverter = encoders.load_inverter(file)
    with torch.no_grad():
        want = inverter.codes(torch.from_numpy(image), rounds=2)
        picture = inverter.generator(want)
    np.testing.assert_allclose(codes, want.numpy(), atol=1e-3)
    np.testing.assert_allclose(run(tmp_path / "generator.onnx", w_plus=codes), picture.numpy(), atol=2e-2)
    first, second = (latents.load(tmp_path / f"semantic_{i}.npz").require("stylegan2-ffhq", "W+") for i in (1, 2))
    assert first.vector @ second.vector == pytest.approx(0, abs=1e-5)
    assert gain(inverter.generator, first.vector) > gain(inverter.generator, second.vector) > 0


def gain(generator: Generator2, way: np.ndarray) -> float:
    """How much a step along a way of W changes the styles of all layers but the later RGB ones."""
    layers = [generator.conv1, generator.to_rgb1, *generator.convs]
    return sum(float(np.square(layer.conv.modulation.weight.detach().numpy() @ way).sum()) for layer in layers)


def test_sam(tmp_path: Path) -> None:
    parts = {
        "encoder.": GradualStyleEncoder(ROWS, 4),
        "pretrained_encoder.": GradualStyleEncoder(ROWS),
        "decoder.": decoder(),
    }
    file = save(tmp_path / "a.pt", parts, latent_avg=torch.randn(ROWS, WIDTH))
    assert convert.main(["sam", str(file), "--to", str(tmp_path)]) == 0
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 256, 256)).astype(np.float32)
    offsets = [run(tmp_path / "ageing.onnx", image=image, age=np.array([age], np.float32)) for age in (20, 70)]
    assert offsets[0].shape == run(tmp_path / "identity.onnx", image=image).shape == (1, ROWS, WIDTH)
    assert not np.allclose(offsets[0], offsets[1])


def test_mappers_and_generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = np.random.default_rng(0).normal(size=(1, 18, 512)).astype(np.float32)
    monkeypatch.setattr(LevelMapper.__init__, "__defaults__", (WIDTH, 8))
    torch.save({"alpha": 0.7, "state_dict": LevelMapper().state_dict()}, tmp_path / "hair.pt")
    assert convert.main(["hairmapper", str(tmp_path / "hair.pt"), "--to", str(tmp_path)]) == 0
    bald = run(tmp_path / "mapper.onnx", w_plus=code[..., :WIDTH])
    assert np.array_equal(bald[:, 8:], code[:, 8:, :WIDTH])
    assert not np.allclose(bald[:, :8], code[:, :8, :WIDTH])

    monkeypatch.setattr(Student.__init__, "__defaults__", ((8, 8, 8),))
    save(tmp_path / "mobile.ckpt", {"student.": Student((8, 8, 8))})
    assert convert.main(["mobilestylegan", str(tmp_path / "mobile.ckpt"), "--to", str(tmp_path / "m")]) == 0
    assert run(tmp_path / "m" / "generator.onnx", w_plus=code).shape == (1, 3, 32, 32)

    torch.save(Generator1(128, WIDTH, max_channels=8, base_channels=512).state_dict(), tmp_path / "one.pth")
    assert convert.main(["stylegan1", str(tmp_path / "one.pth"), "--to", str(tmp_path / "one")]) == 0
    torch.save({"g_ema": decoder().state_dict()}, tmp_path / "two.pt")
    assert convert.main(["stylegan2", str(tmp_path / "two.pt"), "--to", str(tmp_path / "two")]) == 0
    assert run(tmp_path / "one" / "generator.onnx", w_plus=code[:, :12, :WIDTH]).shape == (1, 3, 128, 128)
    assert run(tmp_path / "two" / "generator.onnx", w_plus=code[:, :ROWS, :WIDTH]).shape == (1, 3, 16, 16)
    assert np.load(tmp_path / "one" / "average.npy").shape == (WIDTH,)


def test_a_refused_file_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "a.pt")
    assert convert.main(["sam", str(tmp_path / "a.pt"), "--to", str(tmp_path)]) == 1
    assert "no latent_avg" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.onnx"))
