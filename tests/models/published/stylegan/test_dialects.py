"""Generators of other programs: every published key is used, and weights land where they belong."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.published.stylegan import stylegan1, stylegan2
from models.published.stylegan.dialects import (
    from_ada,
    from_genforce1,
    from_genforce2,
    from_tensorflow1,
    from_tensorflow2,
    read_stylegan1,
    read_stylegan2,
)
from models.weights.checkpoints import CheckpointError, load_into, load_state
from models.weights.pickles import read_ada, read_tensorflow, read_torch
from tests.models.translators import published_keys


@pytest.mark.parametrize(
    ("name", "convert", "unread"),
    [
        ("stylegan2ada_G_ema_1024", from_ada, ("resample_filter", "mapping.w_avg")),
        ("genforce_stylegan2_ffhq1024_generator", from_genforce2, ("kernel", "w_avg")),
        ("genforce_stylegan_ffhq1024_generator", from_genforce1, ("kernel", "lod")),
        ("genforce_stylegan_ffhq256_generator", from_genforce1, ("kernel", "lod")),
    ],
)
def test_every_published_key_is_used(shared: Path, name: str, convert: Any, unread: tuple[str, ...]) -> None:
    keys = {key: shape for key, shape in published_keys(shared, name).items() if not key.endswith(unread)}
    keys |= {"truncation.w_avg": (512,)} if convert is from_genforce1 else {}
    state = convert({key: torch.empty(shape, device="meta") for key, shape in keys.items()})
    size = 256 if "256" in name else 1024
    with torch.device("meta"):
        network = stylegan1.Generator(size) if convert is from_genforce1 else stylegan2.Generator(size)
    constants = stylegan1.CONSTANTS + stylegan2.CONSTANTS
    report = load_into(network, state, optional=constants)
    assert report.usable
    assert not report.extra
    assert report.loaded == len(keys)


def modulated(state: dict[str, Tensor], ours: str) -> tuple[Tensor, Tensor, Tensor]:
    weight, style, bias = (state[f"{ours}.conv.{name}"] for name in ("weight", "modulation.weight", "modulation.bias"))
    return weight[0], style, bias


@pytest.fixture
def two() -> stylegan2.Generator:
    torch.manual_seed(0)
    return stylegan2.Generator(16, style_dim=8, mapping_layers=2, channel_multiplier=1 / 128, max_channels=8).eval()


@pytest.fixture
def one() -> stylegan1.Generator:
    torch.manual_seed(0)
    return stylegan1.Generator(128, style_dim=8, max_channels=8, base_channels=512).eval()


LAYERS = {
    "conv1": (4, "Conv"),
    "convs.0": (8, "Conv0_up"),
    "convs.1": (8, "Conv1"),
    "convs.2": (16, "Conv0_up"),
    "convs.3": (16, "Conv1"),
}
COLOURS = {"to_rgb1": 4, "to_rgbs.0": 8, "to_rgbs.1": 16}


def as_ada(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {"synthesis.b4.const": state["input.input"][0], "mapping.w_avg": torch.arange(8.0)}
    for index in range(2):
        out |= {f"mapping.fc{index}.{name}": state[f"style.{index + 1}.{name}"] for name in ("weight", "bias")}
    for index, (ours, (side, layer)) in enumerate(LAYERS.items()):
        theirs = f"synthesis.b{side}.conv{0 if '_up' in layer else 1}."
        names = (theirs + "weight", theirs + "affine.weight", theirs + "affine.bias")
        out |= dict(zip(names, modulated(state, ours), strict=True))
        out[theirs + "noise_strength"] = state[f"{ours}.noise.weight"][0]
        out[theirs + "bias"] = state[f"{ours}.activate.bias"]
        out[theirs + "noise_const"] = state[f"noises.noise_{index}"][0, 0]
    for ours, side in COLOURS.items():
        theirs = f"synthesis.b{side}.torgb."
        names = (theirs + "weight", theirs + "affine.weight", theirs + "affine.bias")
        out |= dict(zip(names, modulated(state, ours), strict=True))
        out[theirs + "bias"] = state[f"{ours}.bias"].flatten()
    return out


def as_tensorflow2(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    out = {"4x4/Const/const": state["input.input"], "dlatent_avg": torch.arange(8.0)}
    for index in range(2):
        out[f"Dense{index}/weight"] = state[f"style.{index + 1}.weight"].T
        out[f"Dense{index}/bias"] = state[f"style.{index + 1}.bias"]
    for index, (ours, (side, layer)) in enumerate(LAYERS.items()):
        weight, style, bias = modulated(state, ours)
        theirs = f"{side}x{side}/{layer}/"
        out[theirs + "weight"] = (weight.flip(2, 3) if "_up" in layer else weight).permute(2, 3, 1, 0)
        out[theirs + "mod_weight"], out[theirs + "mod_bias"] = style.T, bias - 1
        out[theirs + "noise_strength"] = state[f"{ours}.noise.weight"][0]
        out[theirs + "bias"] = state[f"{ours}.activate.bias"]
        out[f"noise{index}"] = state[f"noises.noise_{index}"]
    for ours, side in COLOURS.items():
        weight, style, bias = modulated(state, ours)
        theirs = f"{side}x{side}/ToRGB/"
        out[theirs + "weight"] = weight.permute(2, 3, 1, 0)
        out[theirs + "mod_weight"], out[theirs + "mod_bias"] = style.T, bias - 1
        out[theirs + "bias"] = state[f"{ours}.bias"].flatten()
    return {key: value.numpy() for key, value in out.items()}


def as_tensorflow1(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    out = {"dlatent_avg": state["truncation.w_avg"], "lod": torch.zeros(())}
    for index in range(8):
        out[f"Dense{index}/weight"] = state[f"mapping.dense{index}.linear.weight"].T
        out[f"Dense{index}/bias"] = state[f"mapping.dense{index}.wscale.bias"]
    for row in range(12):
        side, ours = 4 << row // 2, f"synthesis.layer{row}."
        layer = {0: "Const", 1: "Conv"}.get(row, ("Conv0_up", "Conv1")[row % 2])
        theirs = f"{side}x{side}/{layer}/"
        if ours + "first_layer" in state:
            out[theirs + "const"] = state[ours + "first_layer"]
        elif ours + "weight" in state:
            out[theirs + "weight"] = state[ours + "weight"]
        else:
            out[theirs + "weight"] = state[ours + "conv.weight"].permute(2, 3, 1, 0)
        out[theirs + "StyleMod/weight"] = state[ours + "epilogue.style_mod.dense.linear.weight"].T
        out[theirs + "StyleMod/bias"] = state[ours + "epilogue.style_mod.dense.wscale.bias"]
        out[theirs + "bias"] = state[ours + "epilogue.bias"]
        out[theirs + "Noise/weight"] = state[ours + "epilogue.apply_noise.weight"]
        out[f"noise{row}"] = state[ours + "epilogue.apply_noise.noise"]
    for level in range(6):
        out[f"ToRGB_lod{5 - level}/weight"] = state[f"synthesis.output{level}.conv.weight"].permute(2, 3, 1, 0)
        out[f"ToRGB_lod{5 - level}/bias"] = state[f"synthesis.output{level}.bias"]
    return {key: value.detach().numpy() for key, value in out.items()}


def assert_same(got: dict[str, Tensor], network: torch.nn.Module) -> None:
    want = network.state_dict()
    for key, value in got.items():
        torch.testing.assert_close(value, want[key], msg=key)
    rest = {key for key in want if key not in got}
    assert all(key.endswith(("kernel", "lod", "truncation.truncation")) for key in rest)


def test_ada_is_a_copy(two: stylegan2.Generator) -> None:
    assert_same(from_ada(as_ada(dict(two.state_dict()))), two)


def test_tensorflow_kernels_are_turned(two: stylegan2.Generator, one: stylegan1.Generator) -> None:
    assert_same(from_tensorflow2(as_tensorflow2(dict(two.state_dict()))), two)
    assert_same(from_tensorflow1(as_tensorflow1(dict(one.state_dict()))), one)


def test_a_foreign_network_is_refused() -> None:
    for convert in (from_ada, from_genforce1, from_genforce2):
        with pytest.raises(CheckpointError, match="no generator of a known program"):
            convert({"x": torch.zeros(1)})


@pytest.fixture
def nvidia() -> Iterator[dict[str, Any]]:
    """Stand-ins for NVIDIA's modules, only while a pickle is written."""

    def reconstruct(meta: dict[str, Any]) -> None:
        raise AssertionError("the pickle was run")

    names: dict[str, dict[str, Any]] = {"dnnlib": {}, "dnnlib.tflib": {}, "torch_utils": {}}
    names |= {"dnnlib.util": {"EasyDict": type("EasyDict", (dict,), {})}}
    names |= {"dnnlib.tflib.network": {"Network": type("Network", (), {})}}
    names |= {"torch_utils.persistence": {"_reconstruct_persistent_obj": reconstruct}}
    members: dict[str, Any] = {}
    for name, content in names.items():
        module = ModuleType(name)
        for key, value in content.items():
            value.__module__, value.__qualname__ = name, key
            setattr(module, key, value)
        members |= content
        sys.modules[name] = module
    yield members
    for name in names:
        sys.modules.pop(name, None)


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith(("dnnlib", "torch_utils"))]:
        del sys.modules[name]


def ada_module(members: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """A module tree as stylegan2-ada-pytorch pickles it."""
    children: dict[str, dict[str, Tensor]] = {}
    parameters = {}
    for key, value in tensors.items():
        head, _, rest = key.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = value
        else:
            parameters[key] = torch.nn.Parameter(value.detach().clone())
    state = {
        "_parameters": parameters,
        "_buffers": {},
        "_modules": {name: ada_module(members, below) for name, below in children.items()},
    }
    meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": "Generator", "state": state}

    class Persistent:
        def __reduce__(self) -> tuple[Any, ...]:
            return members["_reconstruct_persistent_obj"], (members["EasyDict"](meta),)

    return Persistent()


def test_an_ada_pickle_is_read_without_running_it(
    tmp_path: Path, nvidia: dict[str, Any], two: stylegan2.Generator
) -> None:
    tensors = as_ada(dict(two.state_dict()))
    data = pickle.dumps({"G_ema": ada_module(nvidia, tensors), "training_set_kwargs": nvidia["EasyDict"](path="x")})
    forget()
    (tmp_path / "net.pkl").write_bytes(data)
    got = read_ada(tmp_path / "net.pkl")
    assert got.keys() == tensors.keys()
    assert "dnnlib" not in sys.modules
    state, average = read_stylegan2(tmp_path / "net.pkl")
    assert_same(state, two)
    assert average is not None
    assert torch.equal(average, torch.arange(8.0))


def test_tensorflow_pickles_are_read_without_running_them(
    tmp_path: Path, nvidia: dict[str, Any], one: stylegan1.Generator, two: stylegan2.Generator
) -> None:
    def network(variables: dict[str, np.ndarray], **components: Any) -> Any:
        made = nvidia["Network"]()
        made.__dict__ = {"version": 4, "variables": list(variables.items()), "components": components}
        return made

    files = {"one.pkl": as_tensorflow1(dict(one.state_dict())), "two.pkl": as_tensorflow2(dict(two.state_dict()))}
    for name, variables in files.items():
        own = {"dlatent_avg": variables.pop("dlatent_avg")}
        average = network(own, synthesis=network(variables), mapping=network({}))
        (tmp_path / name).write_bytes(pickle.dumps((network({}), network({}), average)))
    forget()
    assert_same(read_stylegan1(tmp_path / "one.pkl"), one)
    state, mean = read_stylegan2(tmp_path / "two.pkl")
    assert_same(state, two)
    assert mean is not None
    assert torch.equal(mean, torch.arange(8.0))


class Exploit:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_pickle_runs(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": Exploit(target), "x": eval}, protocol))
    for reader in (read_ada, read_tensorflow, read_stylegan1, read_stylegan2):
        with pytest.raises(CheckpointError):
            reader(tmp_path / "a.pkl")
    assert not target.exists()


def test_lightning_files_are_read_without_running_them(tmp_path: Path) -> None:
    target = tmp_path / "made"
    torch.save({"state_dict": {"w": torch.arange(3.0)}, "hyper_parameters": Exploit(target)}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="refused"):
        load_state(tmp_path / "a.ckpt", "state_dict")
    assert torch.equal(read_torch(tmp_path / "a.ckpt")["state_dict"]["w"], torch.arange(3.0))
    assert not target.exists()
    with pytest.raises(CheckpointError, match="no zip file"):
        read_torch(tmp_path / "b.ckpt")
    with zipfile.ZipFile(tmp_path / "a.ckpt", "a") as archive:
        archive.writestr("a/constants.pkl", b"")  # TorchScript's mark
    with pytest.raises(CheckpointError, match="no zip file"):
        read_torch(tmp_path / "a.ckpt")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K", b"hello", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f"])
def test_damaged_pickles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pkl"):
        read_ada(tmp_path / "a.pkl")
