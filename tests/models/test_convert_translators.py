"""Small versions of every translator: checkpoint in its authors' container -> networks -> editor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engines import select
from engines.base import Engine
from models.convert import CONVERTERS
from models.editor import AnyEditor, Controls
from models.latents import LatentError
from models.published.alae import network as alae
from models.published.alae.editor import Alae, AlaeControls
from models.published.fran import network as fran
from models.published.fran.editor import Fran, FranControls
from models.published.lats import network as lats
from models.published.lats.editor import Lats, LatsControls
from models.published.pix2pix import network as pix2pix
from models.published.pix2pix.editor import OtherHalf, OtherHalfControls
from models.published.stargan import network as stargan
from models.published.stargan.editor import CELEBA_DOMAINS, CelebaControls, StarGan
from models.published.starganv2 import network as starganv2
from models.published.starganv2.editor import StarGanV2, StarGanV2Controls
from models.published.styleflow import network as styleflow
from models.published.styleflow.editor import StyleFlow, StyleFlowControls
from models.weights.checkpoints import CheckpointError
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, face_crop

CELEBA_KEYS = {"main.1.running_mean": torch.ones(4), "main.1.num_batches_tracked": torch.tensor(3)}


def saved(
    path: Path, *networks: nn.Module, keys: tuple[str, ...] = (), extra: Mapping[str, object] | None = None
) -> Path:
    """Write networks as their authors do: bare, or under keys joined by "/"."""
    content: dict[str, object] = {} if keys else dict(networks[0].state_dict())
    for network, key in zip(networks, keys, strict=False):
        *outer, last = key.split("/")
        level = content
        for name in outer:
            level = level.setdefault(name, {})  # type: ignore[assignment]
        level[last] = dict(network.state_dict())
    content |= extra or {}
    torch.save(content, path)
    return path


def convert(system: str, file: Path, to: Path) -> Callable[[str], Engine]:
    to.mkdir(exist_ok=True)
    CONVERTERS[system](file, to)
    return lambda name: select.load(
        to / name, backend="onnxruntime", precision="f32", threads=1, cache_dir=to / "cache"
    )


def difference(editor: AnyEditor, size: int, controls: Controls) -> float:
    """How much an edit of the drawn face changes, so that a network that does nothing is noticed."""
    crop = face_crop(size)
    latent = editor.encode(crop, editor.Controls())
    edit = rendered(editor, crop, latent, controls)
    if edit.delta is not None:
        return float(abs(edit.delta).max())
    assert edit.image is not None
    return float(abs(edit.image.astype(np.float32) - crop.image).max())


@pytest.fixture(autouse=True)
def still() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_stargan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = stargan.Generator(5, width=4, blocks=1)
    monkeypatch.setattr(stargan, "load_generator", lambda state: network.requires_grad_(False))
    convert("stargan-128", saved(tmp_path / "G.ckpt", network, extra=CELEBA_KEYS), tmp_path / "out")
    load = convert("stargan-labels", saved(tmp_path / "D.ckpt", stargan.Discriminator(128, 5, 2)), tmp_path / "out")
    editor = StarGan(load("generator.onnx"), CELEBA_DOMAINS, load("labels.onnx"))
    assert difference(editor, 128, CelebaControls(blond_hair=1)) > 0.01


def test_lats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = lats.Generator(width=16, latent=32)
    monkeypatch.setattr(lats, "load_generator", lambda state: network.requires_grad_(False))
    load = convert("lats", saved(tmp_path / "net.pth", network), tmp_path / "out")
    editor = Lats({"male": load("ageing.onnx")})
    assert difference(editor, 256, LatsControls(age=40, model="male")) > 1


def test_fran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = fran.UNet(width=2)
    monkeypatch.setattr(fran, "load_network", lambda state: network.requires_grad_(False))
    load = convert("fran", saved(tmp_path / "net.pth", network), tmp_path / "out")
    assert difference(Fran(load("residual.onnx")), 512, FranControls(target_age=70)) > 0.01


@pytest.mark.parametrize("norm", ["batch moments", "instance"])
def test_pix2pix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: pix2pix.Norm) -> None:
    network = pix2pix.UNet(width=2, norm=norm)
    monkeypatch.setattr(pix2pix, "load_reference", lambda state, norm: network.requires_grad_(False))
    load = convert("pix2pix", saved(tmp_path / "net.pth", network), tmp_path / "out")
    editor = OtherHalf({"AtoB": load("AtoB.onnx")})
    assert difference(editor, 256, OtherHalfControls(which="AtoB", seed=2)) > 1


def test_couplegenerator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = pix2pix.couple_generator(width=2)
    monkeypatch.setattr(pix2pix, "from_tensorflow", dict)
    monkeypatch.setattr(pix2pix, "load_couple_generator", lambda state: network.requires_grad_(False))
    variables: dict[str, Any] = {"generator/conv_1/filter:0": np.zeros(1, np.float32)}
    np.savez(tmp_path / "variables.npz", **variables)
    load = convert("couplegenerator", tmp_path / "variables.npz", tmp_path / "out")
    assert difference(OtherHalf({"AtoB": load("AtoB.onnx")}), 512, OtherHalfControls(which="AtoB")) > 1


@pytest.mark.parametrize("high_pass", [0, 1])
def test_starganv2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, high_pass: float) -> None:
    monkeypatch.setattr(starganv2, "MAX_CHANNELS", 8)
    monkeypatch.setattr(starganv2, "FIRST_LAYER", 2**10)
    networks = (starganv2.Generator(256, high_pass), starganv2.MappingNetwork(), starganv2.StyleEncoder())
    file = saved(tmp_path / "net.ckpt", *networks, keys=("generator", "mapping_network", "style_encoder"))
    load = convert("starganv2", file, tmp_path / "out")
    editor = StarGanV2(load("generator.onnx"), load("mapping.onnx"))
    assert difference(editor, 256, StarGanV2Controls(domain="female")) > 1
    assert load("style_encoder.onnx").run({"image": np.zeros((1, 3, 256, 256), np.float32)})["styles"].shape == (
        1,
        2,
        64,
    )


def test_alae(tmp_path: Path) -> None:
    config = alae.Config(layers=6, width=2, latent=8)
    average = nn.Module()
    average.register_buffer("buff", torch.full((12, 8), 0.5))
    file = saved(
        tmp_path / "net.pth",
        alae.Encoder(config),
        alae.Decoder(config),
        average,
        keys=("models/discriminator_s", "models/generator_s", "models/dlatent_avg"),
        extra={"auxiliary": {"epoch": 157}},
    )
    load = convert("alae", file, tmp_path / "out")
    mean = np.load(tmp_path / "out" / "average.npy")
    assert mean.tolist() == [0.5] * 8
    directions = {"smile": np.random.default_rng(0).normal(size=8)}
    editor = Alae(load("encoder.onnx"), load("decoder.onnx"), mean, directions)
    assert editor.crop.size == 128
    assert difference(editor, 128, AlaeControls(smile=5)) > 0.01


def test_styleflow(tmp_path: Path) -> None:
    load = convert("styleflow", saved(tmp_path / "net.pt", styleflow.Flow()), tmp_path / "out")
    encoder = TorchEngine(_Codes(), {"image": (3, 32, 32)}, ("w_plus",))
    generator = TorchEngine(_Drawing(), {"w_plus": (18, 512)}, ("image",))
    editor = StyleFlow(encoder, generator, load("flow.onnx"), size=32)
    assert difference(editor, 32, StyleFlowControls(baldness=1.0)) > 0.001


class _Codes(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=(2, 3)).repeat(1, 18 * 512 // 3).reshape(-1, 18, 512)


class _Drawing(nn.Module):
    def forward(self, w_plus: torch.Tensor) -> torch.Tensor:
        return w_plus.mean(1)[:, :3, None, None].expand(-1, 3, 32, 32)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "net.pth", nn.Linear(2, 2))
    for system in set(CONVERTERS) - {"couplegenerator"}:
        with pytest.raises((CheckpointError, LatentError)):
            CONVERTERS[system](file, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
