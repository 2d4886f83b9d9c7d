"""StarGAN v2: keys with and without high-pass skips, styles, and its editor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.editor import Crop, Editor
from models.published.starganv2 import network as starganv2
from models.published.starganv2.editor import OUTLINE, StarGanV2, StarGanV2Controls, feature_masks, reference_styles
from models.published.starganv2.network import Generator, HighPass, MappingNetwork, StyleEncoder
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "shared" not in request.fixturenames:
        monkeypatch.setattr(starganv2, "MAX_CHANNELS", 8)
        monkeypatch.setattr(starganv2, "FIRST_LAYER", 2**10)
        torch.manual_seed(0)


def test_networks_have_the_published_keys(shared: Path) -> None:
    assert_every_key(Generator(256, high_pass=1), published_keys(shared, "starganv2_generator_celebahq256"))
    assert_every_key(MappingNetwork(), published_keys(shared, "starganv2_mapping"))
    assert_every_key(StyleEncoder(), published_keys(shared, "starganv2_style_encoder"))


def test_high_pass_takes_out_what_is_flat() -> None:
    flat = HighPass(1.0)(torch.full((1, 2, 6, 6), 5.0))
    assert not flat[:, :, 1:-1, 1:-1].any()
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 1
    assert HighPass(2.0)(point)[0, 0, 2, 2] == 4


def test_skips_act_only_where_the_masks_are() -> None:
    network = Generator(256, high_pass=1).eval()
    image, style = torch.rand(1, 3, 256, 256), torch.randn(1, 64)
    nowhere = torch.zeros(1, 1, 64, 64)
    with torch.inference_mode():
        plain = network(image, style)
        assert torch.equal(plain, network(image, style, nowhere, nowhere))
        assert not torch.allclose(plain, network(image, style, nowhere + 1, nowhere + 1))


def make_editor(high_pass: float = 1, style_encoder: TorchEngine | None = None) -> StarGanV2:
    inputs: dict[str, tuple[int, ...]] = {"image": (3, 256, 256), "style": (64,)}
    if high_pass:
        inputs |= {"mask_32": (1, 64, 64), "mask_64": (1, 64, 64)}
    generator = TorchEngine(Generator(256, high_pass), inputs, ("translated",))
    return StarGanV2(generator, TorchEngine(MappingNetwork(), {"z": (16,)}, ("styles",)), style_encoder)


@pytest.mark.parametrize("high_pass", [0, 1])
def test_editor_shows_a_style(high_pass: float) -> None:
    editor = make_editor(high_pass=high_pass)
    assert isinstance(editor, Editor)
    crop = face_crop(256)
    latent = editor.encode(crop, editor.Controls())
    assert StarGanV2Controls(seed=5).neutral()
    assert not rendered(editor, crop, latent, StarGanV2Controls(seed=5)).mask.any()

    controls = StarGanV2Controls(domain="male", seed=5, strength=0.5)
    steered = editor.steer(latent, controls)
    assert np.array_equal(steered, editor.steer(latent, controls))
    assert not np.array_equal(steered, editor.steer(latent, StarGanV2Controls(domain="female", seed=5, strength=0.5)))
    edit = editor.render(crop, latent, steered, controls)
    assert edit.image is not None
    assert edit.mask.max() == pytest.approx(0.5)


def test_without_a_photo_a_reference_is_no_edit() -> None:
    without = make_editor().steer(np.zeros(0, np.float32), StarGanV2Controls(domain="male", style="reference"))
    assert not len(without)


def test_a_photo_gives_its_style() -> None:
    engine = TorchEngine(StyleEncoder(), {"image": (3, 256, 256)}, ("styles",))
    editor = make_editor(style_encoder=engine)
    assert editor.Controls.takes_photo()
    controls = StarGanV2Controls(domain="female", **editor.read_photo(face_crop(256)))
    assert editor.knows_photo(controls.photo)
    steered = editor.steer(np.zeros(0, np.float32), controls)
    np.testing.assert_array_equal(steered, reference_styles(engine, face_crop(256))[0])
    gone = controls.model_copy(update={"photo": "0" * 32})
    assert not editor.knows_photo(gone.photo)
    assert not len(editor.steer(np.zeros(0, np.float32), gone))


def test_feature_masks_lie_on_the_features() -> None:
    crop = face_crop(256)
    mesh = np.full((478, 2), 100.0, np.float32)
    mesh[list(OUTLINE)] = 200.0
    outline, inner = feature_masks(Crop(crop.image, crop.points5, mesh))
    assert inner.shape == outline.shape == (1, 1, 64, 64)
    assert inner[0, 0, 25, 25] > 0.9
    assert inner[0, 0, 50, 50] < 0.01
    assert outline[0, 0, 50, 50] > 0.9


def test_adaptive_normalisation_by_its_formula() -> None:
    norm = starganv2.AdaIN(4, 3)
    x, style = torch.randn(2, 3, 5, 5), torch.randn(2, 4)
    gamma, beta = norm.fc(style).reshape(2, 2, 3, 1, 1).unbind(1)
    centred = x - x.mean((2, 3), keepdim=True)
    want = (1 + gamma) * centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt() + beta
    torch.testing.assert_close(norm(x, style), want)
