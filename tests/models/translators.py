"""What the tests of the one-pass editors share: an engine around a torch module, and a crop of a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.base import Array, Engine, TensorSpec
from models.editor import Crop, Masks

FLOAT = np.dtype(np.float32)


class TorchEngine(Engine):
    """A torch module as an engine: any batch, inputs in the order of the module's arguments."""

    backend = "torch"
    precision = "f32"

    def __init__(
        self, module: nn.Module, inputs: Mapping[str, tuple[int | None, ...]], outputs: tuple[str, ...]
    ) -> None:
        self.module = module.eval()
        self.inputs = tuple(TensorSpec(name, (None, *shape), FLOAT) for name, shape in inputs.items())
        self.outputs = tuple(TensorSpec(name, (None,), FLOAT) for name in outputs)
        self.calls = 0

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.calls += 1
        with torch.inference_mode():
            results = self.module(*(torch.from_numpy(np.ascontiguousarray(inputs[spec.name])) for spec in self.inputs))
        if isinstance(results, torch.Tensor):
            results = (results,)
        return {spec.name: result.numpy() for spec, result in zip(self.outputs, results, strict=True)}


def face_crop(size: int, masks: bool = True) -> Crop:
    """A drawn face of `size` pixels, its five points and its masks."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    shade = (120 + 80 * np.cos(6 * x) * np.sin(5 * y))[..., None] + np.array([30, 0, -30], np.float32)
    points = np.array([(0.38, 0.45), (0.62, 0.45), (0.5, 0.58), (0.41, 0.7), (0.59, 0.7)], np.float32) * size
    side = 64
    v, u = np.mgrid[:side, :side].astype(np.float32) / side
    face = (((u - 0.5) / 0.22) ** 2 + ((v - 0.57) / 0.28) ** 2 < 1).astype(np.float32)
    hair = ((((u - 0.5) / 0.3) ** 2 + ((v - 0.45) / 0.33) ** 2 < 1) & (face == 0)).astype(np.float32)
    person = np.maximum(np.maximum(face, hair), ((v > 0.8) & (abs(u - 0.5) < 0.4)).astype(np.float32))
    occluder = ((u < 0.4) & (v > 0.65) & (v < 0.75)).astype(np.float32)
    return Crop(
        np.clip(shade, 0, 255).astype(np.uint8),
        points,
        masks=Masks(hair, face, occluder, person) if masks else None,
    )


def published_keys(shared: Path, name: str, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a system's checkpoint, as its own program makes them."""
    keys = {}
    for line in (shared / "facts" / "keys" / f"{name}.tsv").read_text().splitlines():
        key, size, _ = line.split("\t")
        if key.startswith(prefix):
            keys[key[len(prefix) :]] = () if size == "scalar" else tuple(map(int, size.split("x")))
    return keys


def assert_every_key(module: nn.Module, keys: Mapping[str, tuple[int, ...]], ignored: Sequence[str] = ()) -> None:
    """The module has the published tensors, no more, no fewer, of the published shapes."""
    read = {key: shape for key, shape in keys.items() if not any(fnmatchcase(key, pattern) for pattern in ignored)}
    have = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    assert have == read
