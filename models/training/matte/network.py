"""The network of the embedded pack's masks: a trunk that knows what is what, and a refiner that draws their edges.

The trunk (`SegmenterNet`) reads the crop at 160 px. The refiner reads the crop at 256 px and the trunk's features, and
adds to the trunk's logits what makes hair a matte: strands and soft edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from engines.graph.export import export as write_onnx
from models.training.segmenter.train import CHANNELS, INPUT, ConvBlock, ResidualBlock, SegmenterNet

SIDE = 256
"""Side of the network's input and of its masks in pixels."""


class MatteNet(nn.Module):
    """Trunk and refiner.

    `forward`: (N, 3, 256, 256) float RGB in 0..1 -> (N, 4, 256, 256) logits in the order of `CHANNELS`; 0.8 GFLOP.
    """

    def __init__(self, near: int = 16, wide: int = 32) -> None:
        super().__init__()
        self.trunk = SegmenterNet()
        self.register_buffer("area", _area_weights())
        self.look = ConvBlock(12 + 16, near)
        self.widen = ConvBlock(near, wide, 2)
        self.context = nn.Conv2d(32, wide, 1)
        self.think = ResidualBlock(wide)
        self.narrow = nn.Conv2d(wide, near, 1)
        self.draw = ConvBlock(near, near)
        self.head = nn.Conv2d(near, 4 * len(CHANNELS), 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> Tensor:
        small = functional.pixel_shuffle(functional.conv2d(image, self.area, stride=8, groups=3), 5)
        logits, fine, coarse = self.trunk.read(small)
        x = self.look(torch.cat([functional.pixel_unshuffle(image * 2 - 1, 2), _sized(fine, SIDE // 2)], 1))
        y = self.think(torch.relu(self.widen(x) + _sized(self.context(coarse), SIDE // 4)))
        y = self.draw(x + _sized(self.narrow(y), SIDE // 2))
        return _sized(logits, SIDE) + functional.pixel_shuffle(self.head(y), 2)


def _sized(x: Tensor, side: int) -> Tensor:
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def _area_weights() -> Tensor:
    """(75, 1, 8, 8): means over areas that make 5 pixels of 8, for each colour, as `cv2.INTER_AREA` does."""
    ratio = SIDE / INPUT
    edges = np.arange(6) * ratio
    ways = np.zeros((5, 8), np.float32)
    for i in range(5):
        for j in range(8):
            ways[i, j] = max(0.0, min(edges[i + 1], j + 1) - max(edges[i], j)) / ratio
    kernels = np.einsum("ai,bj->abij", ways, ways).reshape(25, 1, 8, 8)
    return torch.from_numpy(np.tile(kernels, (3, 1, 1, 1)))


class _Deployed(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


def export(network: nn.Module, path: Path) -> float:
    """Write the network as ONNX and compare the file with torch.

    Input `image` (N, 3, 256, 256) float32 RGB 0..1, output `masks` (N, 4, 256, 256) float32 in [0, 1].

    Returns:
        The largest difference, relative to the largest output.

    Raises:
        EngineError: the file computes something else; nothing is written.
    """
    example = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return write_onnx(_Deployed(network), {"image": example}, ["masks"], path)


def load_trunk(trunk: SegmenterNet, path: Path) -> None:
    """Take a trunk's weights from the ONNX file of `python -m models.training segmenter`.

    The file holds convolutions with their batch norms folded in; these become the identity, and a shift.

    Raises:
        ValueError: the file holds another network.
    """
    graph = onnx.load(path).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = [node for node in graph.node if node.op_type == "Conv"]
    layers = list(_convolutions(trunk))
    if len(found) != len(layers):
        raise ValueError(f"{path.name} has {len(found)} convolutions, expected {len(layers)}")
    for node, (convolution, norm) in zip(found, layers, strict=True):
        weight, bias = (torch.from_numpy(weights[name].copy()) for name in node.input[1:3])
        if weight.shape != convolution.weight.shape:
            raise ValueError(f"{path.name}: {node.name} is {tuple(weight.shape)}")
        with torch.no_grad():
            convolution.weight.copy_(weight)
            if norm is None:
                assert convolution.bias is not None
                convolution.bias.copy_(bias)
            else:
                norm.weight.fill_(float(np.sqrt(1 + norm.eps)))
                norm.bias.copy_(bias)


def _convolutions(trunk: SegmenterNet) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution and the batch norm behind it, in the order of computing."""
    pending: nn.Conv2d | None = None
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            if pending is not None:
                yield pending, None
            pending = module
        elif isinstance(module, nn.BatchNorm2d) and pending is not None:
            yield pending, module
            pending = None
    if pending is not None:
        yield pending, None
