"""VGG16's convolutions (Simonyan and Zisserman 2015), as perceptual losses read them.

The user brings the weights: torchvision's, or Keras', which pbaylies' encoder reads. They are two trainings of one
network: their distances differ in scale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import CheckpointError, build, load_state
from models.weights.hdf5 import read_weights

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage; a pooling follows each."""
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, 0..1."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of ImageNet's blue, green and red, 0..255: what Keras' `preprocess_input` subtracts before VGG16 and ResNet50."""
KERNEL_AXES, BIAS_AXES = 4, 1
"""By which Keras' weights of a layer are told apart, as old files number their names."""
LAYERS = tuple(f"conv{stage}_{number}" for stage, (_, count) in enumerate(STAGES, 1) for number in range(1, count + 1))


class Vgg16(nn.Module):
    """Feature maps behind the ReLU of named convolutions.

    Args:
        caffe: the weights take BGR, 0..255, less the mean colour, as Keras' do; torchvision's take normalised RGB.
    """

    def __init__(self, *, caffe: bool = False) -> None:
        super().__init__()
        self.caffe = caffe
        layers: list[nn.Module] = []
        self.places: dict[str, int] = {}
        channels = 3
        for stage, (width, count) in enumerate(STAGES, 1):
            for number in range(1, count + 1):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                self.places[f"conv{stage}_{number}"] = len(layers) - 1
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        mean, deviation = (CAFFE_MEAN, (1.0, 1.0, 1.0)) if caffe else (IMAGENET_MEAN, IMAGENET_DEVIATION)
        self.register_buffer("mean", torch.tensor(mean, device="cpu")[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation, device="cpu")[:, None, None], persistent=False)

    def forward(self, image: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Read a picture.

        Args:
            image: (N, 3, S, S) RGB in [-1, 1].
            layers: of `LAYERS`.

        Returns:
            Feature maps (N, C, S', S') by layer.
        """
        x = (image + 1) * 127.5 if self.caffe else (image + 1) / 2
        x = x.flip(1) if self.caffe else x
        return self.read_normalised((x - self.get_buffer("mean")) / self.get_buffer("deviation"), layers)

    def read_normalised(self, x: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """As `forward`, of a picture that is normalised already."""
        wanted = {self.places[layer]: layer for layer in layers}
        found: dict[str, Tensor] = {}
        for place, module in enumerate(self.features):
            x = module(x)
            if place in wanted:
                found[wanted[place]] = x
            if len(found) == len(wanted):
                break
        return found


def load_vgg16(path: Path) -> Vgg16:
    """VGG16, frozen; what classifies is left out.

    Args:
        path: torchvision's `vgg16-397923af.pth`, or Keras' `vgg16_weights_tf_dim_ordering_tf_kernels(_notop).h5`.

    Raises:
        CheckpointError: the file is another one, or damaged, or uses what its writer does not.
    """
    if path.suffix == ".h5":
        return build(lambda: Vgg16(caffe=True), _from_keras(path))
    state: Mapping[str, Tensor] = load_state(path, "state_dict|")
    return build(Vgg16, {key: value for key, value in state.items() if key.startswith("features.")})


def _from_keras(path: Path) -> dict[str, Tensor]:
    by_layer: dict[str, dict[int, Tensor]] = {}
    try:
        found = read_weights(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path} holds no VGG16 of Keras: {error}") from error
    for (layer, _), values in found.items():
        by_layer.setdefault(layer, {})[values.ndim] = torch.from_numpy(values)
    state: dict[str, Tensor] = {}
    for layer, place in Vgg16().places.items():
        name = f"block{layer[4]}_conv{layer[6]}"
        weights = by_layer.get(name, {})
        if weights.keys() != {KERNEL_AXES, BIAS_AXES}:
            raise CheckpointError(f"{path} holds no VGG16 of Keras: {name} has no kernel and bias")
        state[f"features.{place - 1}.weight"] = weights[KERNEL_AXES].permute(3, 2, 0, 1).contiguous()
        state[f"features.{place - 1}.bias"] = weights[BIAS_AXES]
    return state


def total_variation(image: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbours, per picture (N, C, H, W) -> scalar, the mean over pictures."""
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().sum()
    return (down + right) / len(image)


def mean_difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    """Mean squared difference of feature maps, summed over the layers."""
    return torch.stack([F.mse_loss(found[layer], wanted[layer]) for layer in wanted]).sum()
