"""StyleGAN2: its parts against their formulas, its keys against the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.published.stylegan.stylegan2 import Blur, Generator, ModulatedConv2d, Upsample, load_generator, truncate
from models.weights.checkpoints import CheckpointError
from models.weights.golden import Rule, fill

GOLDEN_W = [-0.1650905, 0.4106919, 1.693865, 0.7551632, 1.648411, -0.04367136, 0.3442165, -0.2568535]


@pytest.fixture
def tiny() -> Generator:
    torch.manual_seed(0)
    return Generator(16, style_dim=8, mapping_layers=2, channel_multiplier=1 / 128, max_channels=8).eval()


def per_sample_weights(conv: ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    """The convolution as the paper has it: weights modulated and demodulated per sample."""
    pictures = []
    for image, style in zip(x, conv.modulation(w), strict=True):
        weight = conv.weight[0] * conv.scale * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if conv.upsample:
            pictures.append(conv.blur(F.conv_transpose2d(image[None], weight.transpose(0, 1), stride=2)))
        else:
            pictures.append(F.conv2d(image[None], weight, padding=1))
    return torch.cat(pictures)


@pytest.mark.parametrize("upsample", [False, True])
def test_scaling_activations_equals_scaling_weights(upsample: bool) -> None:
    torch.manual_seed(1)
    conv = ModulatedConv2d(6, 5, 3, 8, upsample=upsample)
    x, w = torch.randn(2, 6, 7, 7), torch.randn(2, 8)
    want = per_sample_weights(conv, x, w)
    assert (conv(x, w) - want).norm() / want.norm() < 1e-6


def zero_insertion_and_fir(image: np.ndarray) -> np.ndarray:
    taps = np.array([1, 3, 3, 1]) / 4
    for axis in (0, 1):
        spread = np.zeros([2 * n if a == axis else n for a, n in enumerate(image.shape)])
        spread[tuple(slice(None, None, 2) if a == axis else slice(None) for a in (0, 1))] = image
        padded = np.pad(spread, [(2, 1) if a == axis else (0, 0) for a in (0, 1)])
        image = np.apply_along_axis(np.convolve, axis, padded, taps, "valid")
    return image


def test_upsampling_is_zero_insertion_and_filter() -> None:
    image = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    got = Upsample(1)(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(got, zero_insertion_and_fir(image), rtol=1e-5, atol=1e-6)


def test_blur_keeps_a_constant_inside() -> None:
    got = Blur(2)(torch.ones(1, 2, 9, 9))
    assert got.shape == (1, 2, 8, 8)
    torch.testing.assert_close(got[:, :, 2:-2, 2:-2], torch.full((1, 2, 4, 4), 4.0))


def test_rows_steer_the_layers_of_their_resolution(tiny: Generator) -> None:
    w = torch.randn(1, tiny.rows, 8)
    base = tiny.synthesize(w, size=8)
    for row in range(tiny.rows):
        moved = w.clone()
        moved[:, row] += 1
        assert torch.equal(tiny.synthesize(moved, size=8), base) == (row > 3), row
        assert not torch.equal(tiny(moved), tiny(w)), row


def test_noise_is_fixed(tiny: Generator) -> None:
    for strength in (part for name, part in tiny.named_parameters() if name.endswith("noise.weight")):
        strength.data.fill_(1)
    w = torch.randn(1, tiny.rows, 8)
    assert torch.equal(tiny(w), tiny(w))


def test_early_stop_gives_every_resolution(tiny: Generator) -> None:
    w = torch.randn(2, tiny.rows, 8)
    assert [tiny.synthesize(w, size).shape[-1] for size in (4, 8, 16)] == [4, 8, 16]


def test_mapping_matches_the_reference() -> None:
    """w of the filled mapping network; the figures are the reference's, of golden set SEED 0, first eight of 512."""
    network = Generator(4)
    for index in range(1, 9):
        for name, shape, scale in (("weight", (512, 512), 100.0), ("bias", (512,), 10.0)):
            key = f"style.{index}.{name}"
            network.get_parameter(key).data = torch.from_numpy(fill(key, Rule(shape, "lin", 0, scale, None), 0))
    z = torch.from_numpy(fill("input.z", Rule((1, 512), "lin", 0, 1, None), 0))
    with torch.no_grad():
        got = network.mapping(z)[0, :8].numpy()
    np.testing.assert_allclose(got, GOLDEN_W, rtol=1e-4)


def test_truncation_ends_at_the_average() -> None:
    w, average = torch.randn(3, 8), torch.randn(8)
    assert torch.equal(truncate(w, average, 0), average.expand(3, 8))
    torch.testing.assert_close(truncate(w, average, 1), w)


def test_size_and_width_are_read_from_the_weights(tiny: Generator) -> None:
    state = {f"decoder.{key}": value for key, value in tiny.state_dict().items() if not key.endswith("kernel")}
    again = load_generator(state, prefix="decoder.")
    w = torch.randn(1, tiny.rows, 8)
    torch.testing.assert_close(again(w), tiny(w))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_a_missing_tensor_is_named(tiny: Generator) -> None:
    state = dict(tiny.state_dict())
    del state["convs.1.noise.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing: convs\.1\.noise\.weight"):
        load_generator(state)


@pytest.mark.parametrize(("name", "size"), [("g_ema_256", 256), ("g_ema_1024", 1024)])
def test_keys_are_the_published_ones(shared: Path, name: str, size: int) -> None:
    rows = (shared / "facts" / "keys" / f"stylegan2_rosinality_{name}.tsv").read_text().splitlines()
    published = {key: shape for key, shape, _ in (row.split("\t") for row in rows)}
    with torch.device("meta"):
        network = Generator(size)
    ours = {key: "x".join(map(str, value.shape)) for key, value in network.state_dict().items()}
    assert ours == published
