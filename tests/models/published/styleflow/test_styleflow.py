"""StyleFlow: its keys, its solvers, its rows, and its editor."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.editor import Crop, Editor
from models.published.styleflow import network as styleflow
from models.published.styleflow.editor import (
    ATTRIBUTES,
    CONDITIONS,
    LIGHTS,
    StyleFlow,
    StyleFlowControls,
    assumed_attributes,
    keep_rows,
    light_condition,
    target_condition,
)
from models.published.styleflow.network import Flow, Relabel, dormand_prince, runge_kutta4
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys

FEATURES = 8


def small_flow() -> Flow:
    torch.manual_seed(0)
    flow = Flow(FEATURES, layers=2).eval()
    state = flow.state_dict()
    for norm in ("chain.0", "chain.2"):
        torch.nn.init.normal_(state[f"{norm}.weight"], std=0.1)
        torch.nn.init.normal_(state[f"{norm}.running_mean"], std=0.1)
    return flow


def test_flow_has_the_published_keys(shared: Path) -> None:
    assert_every_key(Flow(), published_keys(shared, "styleflow_cnf_modellarge10k"), styleflow.UNUSED_KEYS)


def swirl(t: Tensor, x: Tensor) -> Tensor:
    return torch.stack([x[1], -x[0]]) * (1 + t)


@pytest.mark.parametrize("reverse", [False, True])
def test_solvers_follow_a_known_path(reverse: bool) -> None:
    x = torch.tensor([1.0, 0.0], dtype=torch.float64)
    start, stop = torch.tensor(0.0, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    angle = 4.0  # the integral of 1 + t over 0..2
    want = torch.tensor([math.cos(angle), -math.sin(angle)], dtype=torch.float64)
    if reverse:
        x, want, start, stop = want, x, stop, start
    torch.testing.assert_close(dormand_prince(swirl, x, start, stop), want, atol=1e-4, rtol=0)
    torch.testing.assert_close(runge_kutta4(swirl, x, start, stop, 100), want, atol=1e-6, rtol=0)


def test_a_flow_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styleflow, "MAX_STEPS", 20)
    with pytest.raises(ArithmeticError, match="outside its range"):
        dormand_prince(lambda t, x: x * x, torch.tensor([1.0]), torch.tensor(0.0), torch.tensor(2.0))


def test_the_inverse_brings_latents_back() -> None:
    flow = small_flow()
    w, condition = torch.randn(2, 5, FEATURES), torch.randn(2, CONDITIONS) * 0.1
    with torch.inference_mode():
        z = flow(w, condition)
        assert not torch.allclose(z, w)
        torch.testing.assert_close(flow(z, condition, reverse=True), w, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(flow(w, condition, steps=8), z, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(Relabel(flow)(w, condition, condition), w, atol=1e-4, rtol=1e-3)


def test_targets_are_exaggerated_by_degree() -> None:
    condition = np.arange(CONDITIONS, dtype=np.float32)
    wanted = target_condition(condition, "baldness", 0.1, 0.6)
    assert wanted[LIGHTS + 4] == pytest.approx(0.1 + 2 * 0.5)
    assert np.array_equal(np.delete(wanted, LIGHTS + 4), np.delete(condition, LIGHTS + 4))


def test_lights_mix_from_the_own_light() -> None:
    condition = np.zeros(CONDITIONS, np.float32)
    condition[:LIGHTS] = 1
    presets = np.stack([np.full(LIGHTS, 3), np.full(LIGHTS, -1)]).astype(np.float32)
    wanted = light_condition(condition, presets, np.array([0.5, 0.25], np.float32))
    np.testing.assert_allclose(wanted[:LIGHTS], 1 + 0.5 * 2 - 0.25 * 2)


def test_rows_are_inclusive() -> None:
    kept = keep_rows(np.ones((18, 2), np.float32), np.zeros((18, 2), np.float32), ATTRIBUTES["age"].rows)
    assert np.flatnonzero(kept[:, 0]).tolist() == [4, 5, 6, 7]


class Codes(torch.nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=(2, 3))[:, :, None].expand(-1, 3, 18 * FEATURES // 3).reshape(-1, 18, FEATURES)


class Drawing(torch.nn.Module):
    def forward(self, w_plus: Tensor) -> Tensor:
        return w_plus.mean(1)[:, :3, None, None].expand(-1, 3, 64, 64)


def make_editor(lights: NDArray[np.float32] | None = None) -> StyleFlow:
    inputs = {"w": (18, FEATURES), "condition": (CONDITIONS,), "wanted": (CONDITIONS,)}
    return StyleFlow(
        TorchEngine(Codes(), {"image": (3, 32, 32)}, ("w_plus",)),
        TorchEngine(Drawing(), {"w_plus": (18, FEATURES)}, ("image",)),
        TorchEngine(Relabel(small_flow()), inputs, ("edited",)),
        lights,
        size=32,
    )


def test_editor_changes_one_attribute_in_its_rows() -> None:
    editor = make_editor()
    assert isinstance(editor, Editor)
    crop = face_crop(32)
    latent = editor.encode(crop, editor.Controls())
    assert np.array_equal(editor.steer(latent, StyleFlowControls()), latent)
    steered = editor.steer(latent, StyleFlowControls(glasses=1.0))
    before, after = (code[CONDITIONS:].reshape(18, FEATURES) for code in (latent, steered))
    assert np.flatnonzero(abs(after - before).max(1) > 1e-6).tolist() == [2, 3]
    edit = editor.render(crop, latent, steered, StyleFlowControls(glasses=1.0))
    assert edit.delta is not None
    assert edit.delta.shape == (32, 32, 3)
    assert edit.image is None
    drawn = rendered(editor, crop, latent, StyleFlowControls(glasses=1.0, detail="full"))
    assert drawn.image is not None
    assert drawn.image.shape == (32, 32, 3)


def published_lights() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(700, LIGHTS)).astype(np.float32)


def test_another_light_moves_its_rows_from_the_mean_light() -> None:
    lights = published_lights()
    editor = make_editor(lights)
    latent = editor.encode(face_crop(32), editor.Controls())
    np.testing.assert_allclose(latent[:LIGHTS], lights.mean(0), atol=1e-6)
    steered = editor.steer(latent, StyleFlowControls(light_left=0.25, light_above=0.5))
    mean = lights.mean(0)
    wanted = mean + 0.25 * (lights[8] - mean) + 0.5 * (lights[547] - mean)
    flow = Relabel(small_flow())
    w = torch.from_numpy(latent[CONDITIONS:]).reshape(1, 18, FEATURES)
    condition = torch.from_numpy(latent[None, :CONDITIONS].copy())
    lit = condition.clone()
    lit[0, :LIGHTS] = torch.from_numpy(wanted)
    with torch.inference_mode():
        edited = flow(w, condition, lit)[0].numpy()
    before, after = w[0].numpy(), steered[CONDITIONS:].reshape(18, FEATURES)
    np.testing.assert_allclose(after[7:12], edited[7:12], atol=1e-5)
    np.testing.assert_array_equal(np.delete(after, range(7, 12), 0), np.delete(before, range(7, 12), 0))
    assert abs(after - before).max() > 1e-3


def test_a_light_without_the_published_ones_is_refused() -> None:
    editor = make_editor()
    with pytest.raises(ValueError, match=r"light\.npy"):
        editor.steer(editor.encode(face_crop(32), editor.Controls()), StyleFlowControls(light_front=1.0))
    with pytest.raises(ValueError, match="not the authors"):
        make_editor(np.zeros((34, LIGHTS), np.float32))


def test_several_attributes_are_changed_in_turn() -> None:
    editor = make_editor()
    latent = editor.encode(face_crop(32), editor.Controls())
    age = editor.steer(latent, StyleFlowControls(age=60))
    bald_first = editor.steer(latent, StyleFlowControls(age=60, baldness=0.8))
    alone = editor.steer(editor.steer(latent, StyleFlowControls(baldness=0.8)), StyleFlowControls(age=60))
    np.testing.assert_allclose(bald_first, alone, atol=1e-5)
    assert not np.allclose(age, bald_first, atol=1e-3)


def test_a_turned_head_has_yaw() -> None:
    crop = face_crop(32)
    straight = assumed_attributes(crop)
    points = crop.points5.copy()
    points[2, 0] += 2
    turned = assumed_attributes(Crop(crop.image, points))
    assert straight[2] == pytest.approx(0, abs=0.5)
    assert turned[2] > 5
