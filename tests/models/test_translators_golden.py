"""A few figures of the reference implementations, eight of each: golden set SEED 0, see `models.weights.golden`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.published.alae.network import MappingNetwork
from models.published.lats.network import Generator as LatsGenerator
from models.published.stargan.network import Generator as StarGanGenerator
from models.published.starganv2.network import MappingNetwork as StyleMapping
from models.published.styleflow.editor import CONDITIONS, LIGHTS
from models.published.styleflow.network import Flow
from models.weights.golden import Rule, fill

RuleOf = Callable[[str, tuple[int, ...]], tuple[str, float, float]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def filled(key: str, shape: tuple[int, ...], kind: str, a: float, b: float) -> Tensor:
    return torch.from_numpy(fill(key, Rule(shape, kind, a, b, None), 0))


def fill_network(network: nn.Module, rule_of: RuleOf, prefix: str = "") -> nn.Module:
    """Give every tensor of a network the values of its key."""
    state = network.state_dict()
    for key, value in state.items():
        state[key] = filled(prefix + key, tuple(value.shape), *rule_of(key, tuple(value.shape)))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def plain(gain: float) -> RuleOf:
    """Weights by fan-in, biases small."""
    return lambda key, shape: ("fan", 0, gain) if key.endswith("weight") else ("lin", 0, 0.1)


def assert_golden(got: Tensor, want: list[float]) -> None:
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-5)


def test_stargan() -> None:
    def rule_of(key: str, shape: tuple[int, ...]) -> tuple[str, float, float]:
        if len(shape) > 1:
            return "fan", 0, 0.7 if key.startswith("main.21.") else 1
        return ("lin", 1, 0.1) if key.endswith("weight") else ("lin", 0, 0.1)

    network = fill_network(StarGanGenerator(5), rule_of)
    coarse = filled("input.image.coarse", (1, 3, 8, 8), "lin", 0, 0.4)
    fine = filled("input.image", (1, 3, 128, 128), "lin", 0, 0.4)
    image = (fine + coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)).clamp(-1, 1)
    out = network(image, torch.tensor([[0.0, 1, 0, 1, 1]]))
    assert_golden(out[0, 1, 64, 60:68], STARGAN)


def test_starganv2_styles() -> None:
    network = fill_network(StyleMapping(), plain(1.4), "mapping_network/")
    assert_golden(network(filled("input.z", (1, 16), "lin", 0, 1))[0, 1, :8], STARGANV2)


def test_alae_mapping() -> None:
    network = fill_network(MappingNetwork(256), plain(1.4), "models/mapping_fl_s/")
    assert_golden(network(filled("input.z", (1, 256), "lin", 0, 1))[0, :8], ALAE)


def test_lats_age_latents() -> None:
    network = LatsGenerator(width=2)
    fill_network(
        network.decoder.mlp,
        lambda key, shape: ("lin", 0, 1 if key.endswith("weight_orig") else 0.1),
        "decoder.mlp.",
    )
    with torch.no_grad():
        assert_golden(network.class_latents()[4, :8], LATS)


def test_styleflow_there_and_back_under_another_condition() -> None:
    def rule_of(key: str, shape: tuple[int, ...]) -> tuple[str, float, float]:
        if key.endswith("_layer.weight"):
            return "fan", 0, 1
        if "_hyper_" in key and key.endswith("weight"):
            return "lin", 0, 0.02
        if key.endswith("sqrt_end_time"):
            return "lin", 0.8, 0.05
        return ("abs", 1, 0.1) if key.endswith("running_var") else ("lin", 0, 0.1)

    flow = fill_network(Flow(), rule_of)
    conditions = torch.empty(2, 1, CONDITIONS)
    conditions[:, 0, :LIGHTS] = filled("input.light", (LIGHTS,), "lin", 0, 0.5)
    conditions[0, 0, LIGHTS:] = torch.tensor([1, 0, -12, 5, 0.05, 0.4, 31, 0.2])
    conditions[1, 0, LIGHTS:] = torch.tensor([0, 1, 10, -3, 0.6, 0.1, 55, 0.9])
    z = flow(filled("input.w", (1, 18, 512), "lin", 0, 0.7), conditions[0])
    assert_golden(flow(z, conditions[1], reverse=True)[0, 17, :8], STYLEFLOW)


STARGAN = [-0.3075874, -0.3056545, 0.099278, -0.5613611, 0.1846001, 0.1339551, -0.1948536, -0.5847565]
STARGANV2 = [0.5665354, 2.1087224, 2.392451, -0.9012588, -0.7564872, 1.7306256, 1.2478131, -0.6956241]
ALAE = [0.0437865, 0.0426025, -0.3250023, 2.588748, 2.083827, -0.555243, -0.0900863, -0.0980818]
LATS = [0.3317012, -1.2444587, 0.2638252, -1.0379297, 0.9513388, -0.4245641, -0.7061198, 0.2985426]
STYLEFLOW = [0.0556999, -0.1801914, 0.2192073, -0.2545771, 0.1136632, 0.6020864, 0.9688843, 0.3899856]
