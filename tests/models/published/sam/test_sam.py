"""SAM: its halves, its keys, its container."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.published.sam.network import load
from models.published.stylegan import encoders
from models.published.stylegan.encoders import GradualStyleEncoder
from models.published.stylegan.stylegan2 import Generator
from models.weights.checkpoints import CheckpointError

ROWS = 6


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SAM of the same shape, narrow enough for a test."""
    monkeypatch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 1)))
    monkeypatch.setattr(encoders, "WIDTH", 32)
    torch.manual_seed(0)
    parts = {
        "encoder": GradualStyleEncoder(ROWS, 4),
        "pretrained_encoder": GradualStyleEncoder(ROWS, 3),
        "decoder": Generator(16, style_dim=32, mapping_layers=1, channel_multiplier=1 / 128, max_channels=8),
    }
    state = {f"{part}.{key}": value for part, network in parts.items() for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "opts": {}, "latent_avg": torch.randn(ROWS, 32)}, tmp_path / "sam.pt")
    return tmp_path / "sam.pt"


def test_the_age_half_sees_a_plane_of_the_age(checkpoint: Path) -> None:
    sam = load(checkpoint)
    image = torch.randn(2, 3, 256, 256)
    seen: list[torch.Tensor] = []
    sam.ageing.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    codes = sam(image, torch.tensor([20.0, 70.0]))
    assert torch.equal(seen[0][:, :3], image)
    assert torch.all(seen[0][0, 3] == 0.2)
    assert torch.all(seen[0][1, 3] == 0.7)
    torch.testing.assert_close(codes, sam.identity(image) + sam.ageing(image, torch.tensor([20.0, 70.0])))
    assert sam.generator(codes).shape == (2, 3, 16, 16)


def test_a_checkpoint_of_psp_is_refused(checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    saved["state_dict"]["encoder.input_layer.0.weight"] = torch.zeros(16, 3, 3, 3)
    torch.save(saved, checkpoint)
    with pytest.raises(CheckpointError, match="no age channel"):
        load(checkpoint)


def test_keys_are_the_published_ones(shared: Path) -> None:
    lines = (shared / "facts" / "keys" / "sam_ffhq_aging_state_dict.tsv").read_text().splitlines()
    with torch.device("meta"):
        parts = {
            "encoder": GradualStyleEncoder(18, 4),
            "pretrained_encoder": GradualStyleEncoder(),
            "decoder": Generator(1024),
        }
    ours = {
        f"{part}.{key}": "x".join(map(str, value.shape)) or "scalar"
        for part, network in parts.items()
        for key, value in network.state_dict().items()
    }
    assert ours == {key: shape for key, shape, _ in (line.split("\t") for line in lines)}
