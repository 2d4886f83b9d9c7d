"""StyleGAN generators under other programs' key names, brought to ours.

The weights are the same; names, layouts and a few conventions differ. StyleGAN2's modulation bias may lack the 1 that
keeps styles around 1, and its upsampling kernels may be turned by 180 degrees, as TensorFlow and PyTorch define the
transposed convolution differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.published.stylegan import stylegan1, stylegan2
from models.published.stylegan.stylegan1 import FUSED_FROM
from models.weights.checkpoints import CheckpointError, UnsafeCheckpoint, load_state, read, tensors_in
from models.weights.pickles import read_ada, read_tensorflow, read_torch

State = dict[str, Tensor]
Stylegan = stylegan1.Generator | stylegan2.Generator

CONTAINERS = "g_ema|generator_smooth|generator|g|state_dict|"
"""Where generators lie in the files of rosinality, GenForce, JoJoGAN and others; averaged weights first."""


def read_stylegan2(path: str | Path) -> tuple[State, Tensor | None]:
    """A StyleGAN2 generator of rosinality's, GenForce's, stylegan2-ada-pytorch's or NVIDIA's TensorFlow program.

    Returns:
        Its state dict with rosinality's keys, and the average w (D,) if the file has it.

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    try:
        saved = read(path)
    except UnsafeCheckpoint:
        return _stylegan2_pickle(path)
    state, average = stylegan2_state(tensors_in(saved, CONTAINERS, origin=str(path)))
    if average is None and isinstance(saved, Mapping) and isinstance(saved.get("latent_avg"), Tensor):
        average = saved["latent_avg"]
    return state, average


def read_stylegan1(path: str | Path) -> State:
    """A StyleGAN generator of InterFaceGAN's, GenForce's or NVIDIA's TensorFlow program.

    Returns:
        Its state dict with InterFaceGAN's keys, the average w among them.

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    try:
        state = tensors_in(read(path), CONTAINERS, origin=str(path))
    except UnsafeCheckpoint:
        return _renamed(from_tensorflow1, read_tensorflow(path))
    return stylegan1_state(state)


def read_mobilestylegan(path: str | Path) -> State:
    """All networks of a MobileStyleGAN checkpoint, as PyTorch Lightning writes it.

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    try:
        return load_state(path, "state_dict")
    except UnsafeCheckpoint:  # its hyperparameters lie beside the tensors
        return tensors_in(read_torch(path), "state_dict", origin=str(path))


def stylegan2_state(state: Mapping[str, Tensor]) -> tuple[State, Tensor | None]:
    """A StyleGAN2's state with rosinality's keys, whichever of the PyTorch programs named them, and its average w."""
    if "mapping.dense0.weight" in state:
        return _renamed(from_genforce2, state), state.get("truncation.w_avg")
    if "synthesis.b4.const" in state:
        return _renamed(from_ada, state), state.get("mapping.w_avg")
    return {key: value for key, value in state.items() if key != "latent_avg"}, state.get("latent_avg")


def stylegan1_state(state: Mapping[str, Tensor]) -> State:
    """A StyleGAN's state with InterFaceGAN's keys, whether InterFaceGAN or GenForce named them."""
    return _renamed(from_genforce1, state) if "mapping.dense0.weight" in state else dict(state)


def load_any(path: str | Path) -> tuple[Stylegan, Tensor]:
    """A generator of any known program and generation, frozen, and its average w (D,).

    Raises:
        CheckpointError: the file is damaged or of another kind.
    """
    try:
        state, average = read_stylegan2(path)
        second = stylegan2.load_generator(state)
    except CheckpointError:
        first = stylegan1.load_generator(read_stylegan1(path))
        return first, first.truncation.w_avg
    return second, second.mean_latent() if average is None else average


def from_ada(state: Mapping[str, Tensor]) -> State:
    """Keys of stylegan2-ada-pytorch's generator as rosinality's. A pure copy: nothing is turned or shifted."""
    out: State = {}
    for index, (weight, bias) in enumerate(_numbered(state, "mapping.fc{}.weight", "mapping.fc{}.bias")):
        out[f"style.{index + 1}.weight"], out[f"style.{index + 1}.bias"] = weight, bias
    out["input.input"] = _at(state, "synthesis.b4.const")[None]
    sides = sorted({int(key.split(".")[1][1:]) for key in state if key.startswith("synthesis.b")})
    noises: list[Tensor] = []
    for side in sides:
        level = int(math.log2(side)) - 3
        for layer in ("conv0", "conv1"):
            source = f"synthesis.b{side}.{layer}."
            if source + "weight" not in state:
                continue
            target = "conv1." if side == 4 else f"convs.{2 * level + int(layer[-1])}."
            out |= _modulated(
                target,
                _at(state, source + "weight"),
                _at(state, source + "affine.weight"),
                _at(state, source + "affine.bias"),
            )
            out[target + "noise.weight"] = _at(state, source + "noise_strength").reshape(1)
            out[target + "activate.bias"] = _at(state, source + "bias")
            noises.append(_at(state, source + "noise_const")[None, None])
        source = f"synthesis.b{side}.torgb."
        target = "to_rgb1." if side == 4 else f"to_rgbs.{level}."
        out |= _modulated(
            target,
            _at(state, source + "weight"),
            _at(state, source + "affine.weight"),
            _at(state, source + "affine.bias"),
        )
        out[target + "bias"] = _at(state, source + "bias").reshape(1, 3, 1, 1)
    return out | _noises(noises)


def from_genforce2(state: Mapping[str, Tensor]) -> State:
    """Keys of GenForce's StyleGAN2 as rosinality's: styles without the 1, upsampling kernels turned."""
    out: State = {}
    for index, (weight, bias) in enumerate(_numbered(state, "mapping.dense{}.weight", "mapping.dense{}.bias")):
        out[f"style.{index + 1}.weight"], out[f"style.{index + 1}.bias"] = weight, bias
    out["input.input"] = _at(state, "synthesis.early_layer.const")
    noises = []
    for index, (weight,) in enumerate(_numbered(state, "synthesis.layer{}.weight")):
        source, target = f"synthesis.layer{index}.", f"convs.{index - 1}." if index else "conv1."
        turned = weight.flip(2, 3) if index % 2 else weight
        out |= _modulated(target, turned, _at(state, source + "style.weight"), _at(state, source + "style.bias") + 1)
        out[target + "noise.weight"] = _at(state, source + "noise_strength").reshape(1)
        out[target + "activate.bias"] = _at(state, source + "bias")
        noises.append(_at(state, source + "noise"))
    for index, (weight,) in enumerate(_numbered(state, "synthesis.output{}.weight")):
        source, target = f"synthesis.output{index}.", f"to_rgbs.{index - 1}." if index else "to_rgb1."
        out |= _modulated(target, weight, _at(state, source + "style.weight"), _at(state, source + "style.bias") + 1)
        out[target + "bias"] = _at(state, source + "bias").reshape(1, 3, 1, 1)
    return out | _noises(noises)


def from_tensorflow2(variables: Mapping[str, NDArray[np.float32]]) -> State:
    """Variables of NVIDIA's TensorFlow StyleGAN2 as rosinality's keys: HWIO kernels, turned where they upsample."""
    state = {name: torch.from_numpy(np.array(value)) for name, value in variables.items()}
    out: State = {}
    for index, (weight, bias) in enumerate(_numbered(state, "Dense{}/weight", "Dense{}/bias")):
        out[f"style.{index + 1}.weight"], out[f"style.{index + 1}.bias"] = weight.T.contiguous(), bias
    out["input.input"] = _at(state, "4x4/Const/const")
    sides = sorted({int(key.split("x")[0]) for key in state if key.endswith("/ToRGB/weight")})
    for side in sides:
        level = int(math.log2(side)) - 3
        layers = (
            {"Conv": "conv1."}
            if side == 4
            else {f"Conv{i}{'' if i else '_up'}": f"convs.{2 * level + i}." for i in (0, 1)}
        )
        for layer, target in (layers | {"ToRGB": "to_rgb1." if side == 4 else f"to_rgbs.{level}."}).items():
            source = f"{side}x{side}/{layer}/"
            weight = _at(state, source + "weight").permute(3, 2, 0, 1)
            out |= _modulated(
                target,
                weight.flip(2, 3) if layer.endswith("_up") else weight,
                _at(state, source + "mod_weight").T,
                _at(state, source + "mod_bias") + 1,
            )
            if layer == "ToRGB":
                out[target + "bias"] = _at(state, source + "bias").reshape(1, 3, 1, 1)
                continue
            out[target + "noise.weight"] = _at(state, source + "noise_strength").reshape(1)
            out[target + "activate.bias"] = _at(state, source + "bias")
    return out | _noises([noise for (noise,) in _numbered(state, "noise{}")])


def from_tensorflow1(variables: Mapping[str, NDArray[np.float32]]) -> State:
    """Variables of NVIDIA's TensorFlow StyleGAN as InterFaceGAN's keys; fused kernels keep TensorFlow's layout."""
    state = {name: torch.from_numpy(np.array(value)) for name, value in variables.items()}
    out: State = {"truncation.w_avg": _at(state, "dlatent_avg")}
    for index, (weight, bias) in enumerate(_numbered(state, "Dense{}/weight", "Dense{}/bias")):
        out |= _dense(f"mapping.dense{index}.", weight.T, bias)
    sides = sorted({int(key.split("x")[0]) for key in state if key.endswith(("/Conv/bias", "/Conv1/bias"))})
    for level, side in enumerate(sides):
        for row, layer in enumerate(("Const", "Conv") if side == 4 else ("Conv0_up", "Conv1"), start=2 * level):
            source, target = f"{side}x{side}/{layer}/", f"synthesis.layer{row}."
            if layer == "Const":
                out[target + "first_layer"] = _at(state, source + "const")
            elif layer == "Conv0_up" and side >= FUSED_FROM:
                out[target + "weight"] = _at(state, source + "weight")
            else:
                out[target + "conv.weight"] = _at(state, source + "weight").permute(3, 2, 0, 1).contiguous()
            out |= _dense(
                target + "epilogue.style_mod.dense.",
                _at(state, source + "StyleMod/weight").T,
                _at(state, source + "StyleMod/bias"),
            )
            out[target + "epilogue.bias"] = _at(state, source + "bias")
            out[target + "epilogue.apply_noise.weight"] = _at(state, source + "Noise/weight")
            out[target + "epilogue.apply_noise.noise"] = _at(state, f"noise{row}")
        source = f"ToRGB_lod{len(sides) - 1 - level}/"
        out[f"synthesis.output{level}.conv.weight"] = _at(state, source + "weight").permute(3, 2, 0, 1).contiguous()
        out[f"synthesis.output{level}.bias"] = _at(state, source + "bias")
    return out


def from_genforce1(state: Mapping[str, Tensor]) -> State:
    """Keys of GenForce's StyleGAN as InterFaceGAN's; fused kernels go back to TensorFlow's layout."""
    out: State = {"truncation.w_avg": _at(state, "truncation.w_avg")}
    for index, (weight, bias) in enumerate(_numbered(state, "mapping.dense{}.weight", "mapping.dense{}.bias")):
        out |= _dense(f"mapping.dense{index}.", weight, bias)
    for row, (style,) in enumerate(_numbered(state, "synthesis.layer{}.style.weight")):
        source, target = f"synthesis.layer{row}.", f"synthesis.layer{row}."
        noise = _at(state, source + "apply_noise.noise")
        if row == 0:
            out[target + "first_layer"] = _at(state, source + "const")
        elif row % 2 == 0 and noise.shape[-1] >= FUSED_FROM:
            out[target + "weight"] = _at(state, source + "weight").permute(2, 3, 1, 0).contiguous()
        else:
            out[target + "conv.weight"] = _at(state, source + "weight")
        out |= _dense(target + "epilogue.style_mod.dense.", style, _at(state, source + "style.bias"))
        out[target + "epilogue.bias"] = _at(state, source + "bias")
        out[target + "epilogue.apply_noise.weight"] = _at(state, source + "apply_noise.weight")
        out[target + "epilogue.apply_noise.noise"] = noise
    for level, (weight, bias) in enumerate(_numbered(state, "synthesis.output{}.weight", "synthesis.output{}.bias")):
        out[f"synthesis.output{level}.conv.weight"], out[f"synthesis.output{level}.bias"] = weight, bias
    return out


def _stylegan2_pickle(path: str | Path) -> tuple[State, Tensor | None]:
    try:
        state = read_ada(path)
    except CheckpointError:
        variables = read_tensorflow(path)
        average = variables.get("dlatent_avg")
        return _renamed(from_tensorflow2, variables), None if average is None else torch.from_numpy(np.array(average))
    return _renamed(from_ada, state), state.get("mapping.w_avg")


def _renamed(rename: Callable[[Mapping[str, Any]], State], theirs: Mapping[str, Any]) -> State:
    """Another program's state under our keys.

    Raises:
        CheckpointError: keys are missing, or a tensor has another rank than that program's.
    """
    try:
        return rename(theirs)
    except (RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"this is no generator of a known program: a tensor is mis-shaped ({error})") from error


def _modulated(target: str, weight: Tensor, style: Tensor, bias: Tensor) -> State:
    return {
        target + "conv.weight": weight.contiguous()[None],
        target + "conv.modulation.weight": style.contiguous(),
        target + "conv.modulation.bias": bias,
    }


def _dense(target: str, weight: Tensor, bias: Tensor) -> State:
    return {target + "linear.weight": weight.contiguous(), target + "wscale.bias": bias}


def _noises(maps: list[Tensor]) -> State:
    return {f"noises.noise_{index}": noise for index, noise in enumerate(maps)}


def _numbered(state: Mapping[str, Tensor], *patterns: str) -> list[tuple[Tensor, ...]]:
    found: list[tuple[Tensor, ...]] = []
    while patterns[0].format(len(found)) in state:
        found.append(tuple(_at(state, pattern.format(len(found))) for pattern in patterns))
    return found


def _at(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"this is no generator of a known program: it has no {key}")
    return state[key]
