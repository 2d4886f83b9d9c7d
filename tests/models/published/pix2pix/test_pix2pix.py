"""pix2pix and CoupleGenerator: keys, dropout as an input, and the editor of the other half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from models.editor import Editor
from models.published.pix2pix.editor import OtherHalf, OtherHalfControls
from models.published.pix2pix.network import (
    BatchMoments,
    Norm,
    UNet,
    couple_generator,
    from_tensorflow,
    load_couple_generator,
    load_reference,
    norm_of,
    rename_reference_key,
)
from models.weights.checkpoints import CheckpointError
from tests.models.editing import image_of, rendered
from tests.models.translators import TorchEngine, face_crop, published_keys


def small(norm: Norm = "batch moments") -> UNet:
    torch.manual_seed(0)
    return UNet(width=2, norm=norm).eval()


def last_channels(network: UNet) -> int:
    """Channels of the last but one level."""
    last = network.up[-1]
    assert isinstance(last, torch.nn.ConvTranspose2d)
    return last.out_channels


def keep_maps(network: UNet, value: float = 1.0) -> list[torch.Tensor]:
    channels = last_channels(network)
    return [torch.full((1, channels, side, side), value) for side in network.dropouts]


@pytest.mark.parametrize(
    ("name", "norm"), [("pix2pix_unet256_batchnorm", "batch"), ("pix2pix_unet256_instancenorm", "instance")]
)
def test_network_has_the_published_keys(shared: Path, name: str, norm: Norm) -> None:
    keys = {rename_reference_key(key): shape for key, shape in published_keys(shared, name).items()}
    have = {key: tuple(value.shape) for key, value in UNet(norm=norm).state_dict().items()}
    assert have == keys


def test_couple_generator_reads_every_tensorflow_variable(shared: Path) -> None:
    shapes = published_keys(shared, "couplegenerator_tf")
    read: set[str] = set()

    class Arrays(dict[str, np.ndarray]):
        def __getitem__(self, key: str) -> np.ndarray:
            read.add(key)
            return np.full(shapes[key], len(read), np.float32)

    network = load_couple_generator(from_tensorflow(Arrays()))
    assert read == set(shapes)
    assert network.down[7].weight.shape == (512, 512, 4, 4)


def test_unknown_keys_stay_unknown() -> None:
    assert rename_reference_key("model.model.1.model.3.model.9.weight") is None
    assert rename_reference_key("features.0.weight") is None
    state = {f"model.{key}": value for key, value in small().state_dict().items()}
    with pytest.raises(CheckpointError, match="missing"):
        load_reference(state)


def test_batch_moments_are_those_of_each_picture() -> None:
    norm = BatchMoments(3).train()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    pictures = torch.randn(2, 3, 5, 5)
    alone = torch.cat(
        [F.batch_norm(picture[None], None, None, norm.weight, norm.bias, training=True) for picture in pictures]
    )
    torch.testing.assert_close(norm(pictures), alone)


def test_dropout_stands_still_and_ones_switch_it_off() -> None:
    network = small()
    image = torch.rand(1, 3, 256, 256) * 2 - 1
    with torch.inference_mode():
        plain = network(image)
        assert torch.equal(plain, network(image, *keep_maps(network)))
        halved = keep_maps(network)
        halved[0][:, ::2] = 0
        dropped = network(image, *halved)
        assert torch.equal(dropped, network(image, *halved))
    assert not torch.allclose(plain, dropped)


class Nested(nn.Module):
    """A U-Net whose levels lie in each other, with the authors' key names, as they test it."""

    def __init__(self, levels: int, norm: str, width: int = 2) -> None:
        super().__init__()
        self.model = self._level(0, levels, norm, [3, *(width * min(2**level, 8) for level in range(levels))])

    def _level(self, level: int, levels: int, norm: str, channels: list[int]) -> nn.Module:
        above, own, bias = channels[level], channels[level + 1], norm == "instance"
        make: type[nn.Module] = nn.InstanceNorm2d if bias else nn.BatchNorm2d
        inner = level == levels - 1
        down = nn.Conv2d(above, own, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(own * (1 if inner else 2), above, 4, 2, 1, bias=bias or level == 0)
        middle = [] if inner else [self._level(level + 1, levels, norm, channels)]
        if level == 0:
            return nn.Sequential(down, *middle, nn.ReLU(), up, nn.Tanh())
        norms = [] if inner else [make(own)]
        return Skip(nn.Sequential(nn.LeakyReLU(0.2), down, *norms, *middle, nn.ReLU(), up, make(above)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class Skip(nn.Module):
    """x and what is made of it, side by side."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1)


@pytest.mark.parametrize(
    ("levels", "norm", "dropouts"), [(5, "batch", ()), (7, "batch", (4, 8)), (9, "instance", (4, 8, 16, 32))]
)
def test_other_depths_follow_from_the_file(levels: int, norm: Norm, dropouts: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = Nested(levels, norm).train()
    # The outermost level is a block in the authors' program as well.
    state = {f"model.{key}": value for key, value in theirs.state_dict().items()}
    ours = load_reference(state, norm_of(state))
    assert (ours.levels, ours.size, ours.dropouts) == (levels, 2**levels, dropouts)
    image = torch.rand(1, 3, 2**levels, 2**levels) * 2 - 1
    if norm == "batch":
        # A map of one pixel has no spread of its own in training mode; two sizes up it has.
        image = torch.rand(1, 3, 2 ** (levels + 1), 2 ** (levels + 1)) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


def test_couple_generator_takes_512_pixels() -> None:
    torch.manual_seed(0)
    network = couple_generator(width=2).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 512, 512), *keep_maps(network)).shape == (1, 3, 512, 512)


def editor() -> OtherHalf:
    network = small()
    channels = last_channels(network)
    inputs: dict[str, tuple[int | None, ...]] = {"image": (3, 256, 256)}
    inputs |= {f"keep_{side}": (channels, side, side) for side in network.dropouts}
    return OtherHalf({"AtoB": TorchEngine(network, inputs, ("translated",))})


def test_editor_shows_the_translation_of_a_seed() -> None:
    other = editor()
    assert isinstance(other, Editor)
    crop = face_crop(256)
    latent = other.encode(crop, other.Controls())
    assert OtherHalfControls(seed=3).neutral()
    assert not rendered(other, crop, latent, OtherHalfControls(seed=3)).mask.any()

    steered = other.steer(latent, OtherHalfControls(which="AtoB", seed=3))
    assert set(np.unique(steered)) == {0, 2}
    assert np.array_equal(steered, other.steer(latent, OtherHalfControls(which="AtoB", seed=3)))
    assert not np.array_equal(steered, other.steer(latent, OtherHalfControls(which="AtoB", seed=4)))

    first = other.render(crop, latent, steered, OtherHalfControls(which="AtoB", seed=3))
    again = other.render(crop, latent, steered, OtherHalfControls(which="AtoB", seed=3))
    other_seed = rendered(other, crop, latent, OtherHalfControls(which="AtoB", seed=4))
    np.testing.assert_array_equal(image_of(first), image_of(again))
    assert not np.array_equal(image_of(first), image_of(other_seed))


def test_only_what_is_there_can_be_chosen() -> None:
    controls = editor().Controls
    assert issubclass(controls, OtherHalfControls)
    assert controls(which="AtoB").which == "AtoB"
    with pytest.raises(ValidationError):
        controls(which="BtoA")


def test_an_absent_direction_is_named() -> None:
    with pytest.raises(ValueError, match="no weights for BtoA; there is AtoB"):
        editor().steer(np.zeros(4, np.float32), OtherHalfControls(which="BtoA"))
