"""StyleGAN: its parts against their formulas, its keys against the published ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from models.published.stylegan.stylegan1 import (
    Epilogue,
    FusedUpsamplingLayer,
    Generator,
    UpsamplingLayer,
    load_generator,
)
from models.weights.checkpoints import CheckpointError


@pytest.fixture
def tiny() -> Generator:
    torch.manual_seed(0)
    return Generator(16, style_dim=8, max_channels=8, base_channels=64).eval()


def test_epilogue_normalises_before_the_style() -> None:
    torch.manual_seed(0)
    epilogue = Epilogue(4, 8, side=6)
    epilogue.apply_noise.weight.data.normal_()
    x, w = torch.randn(2, 4, 6, 6), torch.randn(2, 8)
    scale, shift = epilogue.style_mod.dense(w).reshape(2, 2, 4, 1, 1).unbind(1)
    want = F.instance_norm(F.leaky_relu(epilogue.apply_noise(x), 0.2), eps=1e-8) * (scale + 1) + shift
    torch.testing.assert_close(epilogue(x, w), want, rtol=1e-4, atol=1e-5)


def test_fused_upsampling_is_nearest_and_convolution() -> None:
    """Inside the border both orders are the same linear map, up to the factor that the four-fold spreading adds."""
    torch.manual_seed(0)
    fused, plain = FusedUpsamplingLayer(3, 2, 8, 8), UpsamplingLayer(3, 2, 8, 8)
    plain.conv.weight.data = fused.weight.data.permute(3, 2, 0, 1).flip(2, 3)
    plain.epilogue.load_state_dict(fused.epilogue.state_dict())
    x, w = torch.randn(1, 3, 4, 4), torch.randn(1, 8)
    torch.testing.assert_close(fused(x, w), plain(x, w), rtol=1e-4, atol=1e-5)


def test_each_row_steers_one_layer(tiny: Generator) -> None:
    w = torch.randn(1, tiny.rows, 8)
    seen = []
    for layer in tiny.synthesis.layers:
        tiny.synthesis.get_submodule(layer).register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    tiny(w)
    assert len(seen) == tiny.rows
    for row, style in enumerate(seen):
        assert torch.equal(style, w[:, row])


def test_truncation_pulls_the_coarse_rows_only(tiny: Generator) -> None:
    tiny.truncation.w_avg.fill_(1)
    w = torch.zeros(1, tiny.rows, 8)
    got = tiny.truncate(w, psi=0.25, rows=2)
    assert torch.all(got[:, :2] == 0.75)
    assert torch.all(got[:, 2:] == 0)
    assert torch.equal(tiny.truncate(w[:, 0], 0.25, 2), got)


def test_size_and_width_are_read_from_the_weights(tiny: Generator) -> None:
    state = {key: value for key, value in tiny.state_dict().items() if key != "truncation.truncation"}
    again = load_generator(state)
    w = torch.randn(1, tiny.rows, 8)
    torch.testing.assert_close(again(w), tiny(w))


def test_a_missing_tensor_is_named(tiny: Generator) -> None:
    state = dict(tiny.state_dict())
    del state["synthesis.layer3.epilogue.apply_noise.noise"]
    with pytest.raises(CheckpointError, match=r"1 missing: synthesis\.layer3\.epilogue\.apply_noise\.noise"):
        load_generator(state)


def test_keys_are_the_published_ones(shared: Path) -> None:
    lines = (shared / "facts" / "keys" / "interfacegan_stylegan_generator_1024.tsv").read_text().splitlines()
    with torch.device("meta"):
        network = Generator(1024)
    ours = {key: "x".join(map(str, value.shape)) or "scalar" for key, value in network.state_dict().items()}
    assert ours == {key: shape for key, shape, _ in (line.split("\t") for line in lines)}
