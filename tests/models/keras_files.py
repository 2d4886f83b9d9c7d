"""Files of Keras in small: a model's description and weights as `model.save("x.h5")` of Keras 2 lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
"""Path below `model_weights` -> values."""


def layer(kind: str, name: str, *sources: str, **config: Any) -> dict[str, Any]:
    """The description of a layer."""
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def model(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The description of a graph from its first layer to its last."""
    start, end = layers[0]["name"], layers[-1]["name"]
    config = {"name": name, "layers": layers, "input_layers": [[start, 0, 0]], "output_layers": [[end, 0, 0]]}
    return {"class_name": "Functional", "name": name, "config": config}


def image(side: int, name: str = "image") -> dict[str, Any]:
    return layer("InputLayer", name, batch_input_shape=[None, side, side, 3])


def small_encoder(side: int, rows: int, width: int) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """An encoder as `stylegan-encoder` makes them, on a trunk of two layers: its description and its weights."""
    cells, channels = 8, rows * width // 64
    steps = width // 2
    parts = rows * width // steps
    stride = side // cells // 2
    trunk = model(
        "resnet50",
        [
            image(side, "trunk_image"),
            layer("ZeroPadding2D", "pad", "trunk_image", padding=[[3, 3], [3, 3]]),
            layer("Conv2D", "conv1", "pad", kernel_size=[7, 7], strides=[stride, stride], padding="valid"),
            layer("BatchNormalization", "bn", "conv1", axis=[3], epsilon=1.001e-5),
            layer("Activation", "relu", "bn", activation="relu"),
            layer("MaxPooling2D", "pool", "relu", pool_size=[3, 3], strides=[2, 2], padding="same"),
        ],
    )
    described = model(
        "model_1",
        [
            image(side),
            trunk | {"name": "resnet50", "inbound_nodes": [[["image", 1, 0, {}]]]},
            layer("Conv2D", "conv2d_1", "resnet50", kernel_size=[1, 1], activation="elu", use_bias=True),
            layer("Reshape", "reshape_1", "conv2d_1", target_shape=[parts, steps]),
            layer("LocallyConnected1D", "locally_connected1d_1", "reshape_1", kernel_size=[1], activation="elu"),
            layer("Permute", "permute_1", "locally_connected1d_1", dims=[2, 1]),
            layer("LocallyConnected1D", "locally_connected1d_2", "permute_1", kernel_size=[1], activation="elu"),
            layer("Permute", "permute_2", "locally_connected1d_2", dims=[2, 1]),
            layer("Add", "add_1", "permute_2", "reshape_1"),
            layer("Reshape", "reshape_2", "add_1", target_shape=[rows, width]),
        ],
    )
    random = np.random.default_rng(0)
    shapes = {
        "resnet50/conv1/kernel:0": (7, 7, 3, 8),
        "resnet50/conv1/bias:0": (8,),
        "resnet50/bn/gamma:0": (8,),
        "resnet50/bn/beta:0": (8,),
        "resnet50/bn/moving_mean:0": (8,),
        "resnet50/bn/moving_variance:0": (8,),
        "conv2d_1/conv2d_1/kernel:0": (1, 1, 8, channels),
        "conv2d_1/conv2d_1/bias:0": (channels,),
        "locally_connected1d_1/locally_connected1d_1/kernel:0": (parts, steps, steps),
        "locally_connected1d_1/locally_connected1d_1/bias:0": (parts, steps),
        "locally_connected1d_2/locally_connected1d_2/kernel:0": (steps, parts, parts),
        "locally_connected1d_2/locally_connected1d_2/bias:0": (steps, parts),
    }
    weights = {}
    for name, shape in shapes.items():
        spread = float(np.prod(shape[:-1])) ** -0.5 if "kernel" in name else 0.3
        weights[name] = (random.normal(size=shape) * spread + name.endswith(("variance:0", "gamma:0"))).astype("f4")
    weights["resnet50/bn/moving_variance:0"] = np.abs(weights["resnet50/bn/moving_variance:0"]) + np.float32(0.1)
    return described, weights


def write(path: Path, described: object, weights: Weights) -> None:
    """Write a file as Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(described).encode()
        file.attrs["keras_version"] = b"2.2.4"
        for name, values in weights.items():
            file[f"model_weights/{name}"] = values
