"""Keras's files: what they describe is computed, and a hostile one is refused before it costs anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.published.stylegan import keras_encoder
from models.published.stylegan.keras_encoder import load_keras_encoder
from models.weights.checkpoints import CheckpointError
from models.weights.hdf5 import Bounds, KerasFile, read_keras
from models.weights.keras_graph import build_keras
from tests.models.keras_files import Weights, image, layer, model, small_encoder, write

SIDE, ROWS, WIDTH = 64, 4, 32


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keras_encoder, "STYLE_DIM", WIDTH)
    write(tmp_path / "encoder.h5", *small_encoder(SIDE, ROWS, WIDTH))
    return tmp_path / "encoder.h5"


def test_an_encoder_reads_a_picture_as_keras_prepares_it(file: Path) -> None:
    encoder = load_keras_encoder(file)
    picture = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    _, weights = small_encoder(SIDE, ROWS, WIDTH)
    torch.testing.assert_close(encoder(picture), by_hand(picture, weights), rtol=1e-4, atol=1e-4)


def by_hand(picture: Tensor, weights: Weights) -> Tensor:
    """The small encoder once more, in Keras's order of axes where it has one."""
    w = {name.split("/", 1)[1]: torch.from_numpy(values) for name, values in weights.items()}
    x = (picture.flip(1) + 1) * 127.5 - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    x = F.conv2d(F.pad(x, (3, 3, 3, 3)), w["conv1/kernel:0"].permute(3, 2, 0, 1), w["conv1/bias:0"], 4)
    x = (x - w["bn/moving_mean:0"][:, None, None]) / (w["bn/moving_variance:0"] + 1.001e-5).sqrt()[:, None, None]
    x = F.relu(x * w["bn/gamma:0"][:, None, None] + w["bn/beta:0"][:, None, None])
    x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2).permute(0, 2, 3, 1)  # even sides: only the far one
    x = F.elu(x @ w["conv2d_1/kernel:0"][0, 0] + w["conv2d_1/bias:0"])
    first = x = x.reshape(len(x), ROWS * WIDTH // 16, 16)
    for index in (1, 2):
        name = f"locally_connected1d_{index}"
        x = F.elu(torch.einsum("ntc,tcf->ntf", x, w[f"{name}/kernel:0"]) + w[f"{name}/bias:0"]).transpose(1, 2)
    return (x + first).reshape(-1, ROWS, WIDTH)


def test_names_that_tensorflow_has_numbered_are_found(tmp_path: Path, file: Path) -> None:
    described, weights = small_encoder(SIDE, ROWS, WIDTH)
    renamed = {name.replace("conv1/", "conv1_3/").replace("bias:0", "bias_1:0"): v for name, v in weights.items()}
    write(tmp_path / "again.h5", described, renamed)
    picture = torch.zeros(1, 3, SIDE, SIDE)
    assert torch.equal(load_keras_encoder(tmp_path / "again.h5")(picture), load_keras_encoder(file)(picture))


def test_squeeze_and_excitation_is_known_by_its_place_and_other_code_is_not_run() -> None:
    squeeze: list[dict[str, Any]] = [
        image(32),
        layer("Lambda", "lambda_1", "image", function=["4wEA", None, None], function_type="lambda"),
        layer("Conv2D", "a", "lambda_1", kernel_size=[1, 1], padding="same", use_bias=False),
        layer("Swish", "swish_1", "a"),
        layer("Conv2D", "b", "swish_1", kernel_size=[1, 1], padding="same", use_bias=False),
        layer("Activation", "gate", "b", activation="sigmoid"),
        layer("Multiply", "multiply_1", "gate", "image"),
    ]
    eye = np.eye(3, dtype=np.float32)[None, None]
    weights = {("a", "kernel"): eye, ("b", "kernel"): eye}
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean = picture.mean((2, 3), keepdim=True)
    got = build_keras(KerasFile(model("m", squeeze), weights))(picture)
    torch.testing.assert_close(got, (picture * torch.sigmoid(F.silu(mean))).permute(0, 2, 3, 1))
    squeeze[-1] = layer("Add", "multiply_1", "gate", "image")
    with pytest.raises(CheckpointError, match="code in a file is never run"):
        build_keras(KerasFile(model("m", squeeze), weights))


def replace(file: h5py.File, value: object) -> None:
    del file.attrs["model_config"]
    file.attrs["model_config"] = value


def add_circle(file: h5py.File) -> None:
    group = file.create_group("model_weights/circle")
    group["again"] = group


def add_link(file: h5py.File, link: object) -> None:
    file["model_weights/more"] = link


def add(file: h5py.File, **options: Any) -> None:
    file.create_dataset("model_weights/layer/weight", **options)


def add_outside(file: h5py.File) -> None:
    data = Path(file.filename).with_name("secret.bin")
    data.write_bytes(bytes(64))
    add(file, shape=(16,), dtype="f4", external=[(str(data), 0, 64)])


def add_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource(file["model_weights/resnet50/conv1/bias:0"])
    file["model_weights/layer"] = file.create_group("elsewhere")
    file["elsewhere"].create_virtual_dataset("weight", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.pop("model_config"), "no model_config"),
        (lambda file: replace(file, 3), "is no text"),
        (lambda file: file.attrs.modify("model_config", b"[" * 100_000), "damaged or no file"),
        (lambda file: file.attrs.modify("model_config", b"[]"), "describes no model"),
        (lambda file: add_link(file, h5py.ExternalLink("/etc/passwd", "/")), "is a link"),
        (lambda file: add_link(file, h5py.SoftLink("/model_weights")), "is a link"),
        (add_circle, "groups in a circle"),
        (add_outside, "lies in another file"),
        (add_virtual, "lies in another file"),
        (lambda file: add(file, shape=(64, 64), dtype="f4", compression="gzip"), "compressed"),
        (lambda file: add(file, shape=(1 << 14, 1 << 14), dtype="f4"), "never written"),
        (lambda file: add(file, data=np.zeros(3, "i4")), "not floating point"),
        (lambda file: add(file, data=["a", "b"]), "not floating point"),
        (lambda file: add(file, data=np.zeros(3, "f4")), "belong to no layer"),
        (lambda file: file["model_weights"].create_dataset("w", data=np.zeros(3, "f4")), "belongs to no layer"),
        (lambda file: file.pop("model_weights/conv2d_1"), "'conv2d_1': it has no kernel"),
        (lambda file: file.pop("model_weights"), "has no model_weights"),
    ],
)
def test_a_hostile_or_damaged_file_is_refused(file: Path, change: Callable[[h5py.File], object], message: str) -> None:
    with h5py.File(file, "r+") as opened:
        change(opened)
    with pytest.raises(CheckpointError, match=message):
        load_keras_encoder(file)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_cut_file_is_damaged(file: Path, cut: float) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * cut)])
    with pytest.raises(CheckpointError):
        read_keras(file)


def test_more_than_the_bounds_is_not_read(file: Path) -> None:
    for bounds in (Bounds(file=1000), Bounds(weights=1000), Bounds(description=1000), Bounds(objects=5)):
        with pytest.raises(CheckpointError, match=r"more|too long"):
            read_keras(file, bounds)


@pytest.mark.parametrize(
    ("index", "replacement", "message"),
    [
        (2, layer("Conv3D", "conv2d_1", "resnet50"), "kind 'Conv3D' are not read"),
        (3, layer("Reshape", "reshape_1", "conv2d_1", target_shape="abc"), "target_shape is 'abc'"),
        (3, layer("Reshape", "reshape_1", "conv2d_1", target_shape=[7, 11]), "do not fit each other"),
        (4, layer("LocallyConnected1D", "locally_connected1d_1", "reshape_1", kernel_size=[3]), "more than one step"),
        (5, layer("Permute", "permute_1", "permute_2", dims=[2, 1]), "reads itself"),
        (5, layer("Permute", "permute_1", "nobody", dims=[2, 1]), "no layer 'nobody'"),
        (8, layer("Activation", "add_1", "permute_2", activation="__import__"), "'__import__' is none of"),
        (0, layer("InputLayer", "image", batch_input_shape=[None, 9000, 9000, 3]), "no square colour picture"),
    ],
)
def test_a_description_that_fits_no_encoder_is_refused(
    file: Path, index: int, replacement: dict[str, Any], message: str
) -> None:
    with h5py.File(file, "r+") as opened:
        described = json.loads(opened.attrs["model_config"])
        described["config"]["layers"][index] = replacement
        opened.attrs.modify("model_config", json.dumps(described).encode())
    with pytest.raises(CheckpointError, match=message):
        load_keras_encoder(file)


def test_a_picture_in_place_of_codes_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", model("m", [image(32), layer("Activation", "end", "image", activation="relu")]), {})
    with h5py.File(tmp_path / "x.h5", "r+") as opened:
        opened.create_group("model_weights")
    with pytest.raises(CheckpointError, match="not codes"):
        load_keras_encoder(tmp_path / "x.h5")
