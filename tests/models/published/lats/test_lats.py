"""LATS: its keys, its modulation, the path through the age classes, and its editor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from models.editor import Editor
from models.published.lats import editor as lats
from models.published.lats.editor import Lats, LatsControls, class_weights
from models.published.lats.network import UNUSED_KEYS, Ageing, Generator, ModulatedConv2d
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys


def small_generator() -> Generator:
    torch.manual_seed(0)
    return Generator(width=2, latent=8).eval()


def small_editor(*models: str) -> Lats:
    inputs = {"image": (3, 256, 256), "class_weights": (6,)}
    return Lats({model: TorchEngine(Ageing(small_generator()), inputs, ("aged",)) for model in models})


def test_generator_has_the_published_keys(shared: Path) -> None:
    assert_every_key(Generator(), published_keys(shared, "lats_generator"), UNUSED_KEYS)


@pytest.mark.parametrize("upsample", [False, True])
def test_scaling_activations_equals_scaling_weights(upsample: bool) -> None:
    torch.manual_seed(1)
    conv = ModulatedConv2d(6, 5, 4, upsample)
    torch.nn.init.normal_(conv.bias)
    x, w = torch.randn(2, 6, 8, 8), torch.randn(2, 4)
    pictures = []
    for row, style in zip(x, 1 + conv.mlp_class_std(w), strict=True):
        weight = conv.weight * conv.scale * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        picture = row.repeat_interleave(2, 1).repeat_interleave(2, 2) if upsample else row
        out = F.conv2d(F.pad(picture[None], (1, 1, 1, 1), mode="reflect"), weight) + conv.bias
        if upsample:
            kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
            out = F.conv2d(out, kernel.expand(5, 1, 3, 3), padding=1, groups=5)
        pictures.append(out)
    torch.testing.assert_close(conv(x, w), torch.cat(pictures), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("age", "want"),
    [
        (0, [1, 0, 0, 0, 0, 0]),
        (8, [0, 0, 1, 0, 0, 0]),
        (12.5, [0, 0, 0.5, 0.5, 0, 0]),
        (47, [0, 0, 0, 0, 0.5, 0.5]),
        (70, [0, 0, 0, 0, 0, 1]),
    ],
)
def test_ages_lie_between_the_classes(age: float, want: list[float]) -> None:
    np.testing.assert_allclose(class_weights(age), want, atol=1e-6)


def test_classes_are_mixed_after_the_mapping() -> None:
    generator = small_generator().double()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64) * 2 - 1
    with torch.inference_mode():
        latents = generator.class_latents()
        mixed = 0.3 * latents[3:4] + 0.7 * latents[4:5]
        want = generator.decoder(generator.id_encoder(image), mixed)
        weights = torch.tensor([[0, 0, 0, 0.3, 0.7, 0]], dtype=torch.float64)
        torch.testing.assert_close(generator(image, weights), want)
        torch.testing.assert_close(Ageing(generator)(image, weights), want)


def test_editor_shows_the_aged_head() -> None:
    editor = small_editor("female")
    assert isinstance(editor, Editor)
    crop = face_crop(256)
    latent = editor.encode(crop, editor.Controls())
    assert LatsControls(model="male").neutral()
    assert not rendered(editor, crop, latent, LatsControls()).mask.any()

    steered = editor.steer(latent, LatsControls(age=40))
    np.testing.assert_allclose(steered, class_weights(40))
    edit = editor.render(crop, latent, steered, LatsControls(age=40))
    assert edit.image is not None
    assert edit.image.shape == (256, 256, 3)
    assert edit.mask.max() > 0.9


def test_an_absent_model_is_named() -> None:
    editor = small_editor("female")
    with pytest.raises(ValueError, match="male model is not installed"):
        editor.steer(editor.encode(face_crop(256), editor.Controls()), LatsControls(age=40, model="male"))


def test_the_network_sees_head_and_neck_on_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    editor = small_editor("male")
    engine = editor._generators["male"]
    seen: list[np.ndarray] = []
    run = engine.run

    def watched(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        seen.append(inputs["image"])
        return run(inputs)

    monkeypatch.setattr(engine, "run", watched)
    crop = face_crop(256)
    latent = editor.encode(crop, editor.Controls())
    rendered(editor, crop, latent, LatsControls(age=40, model="male"))
    picture = np.round((seen[0][0] + 1) * 127.5)
    assert np.all(picture[:, 0, 0] == lats.GREY)  # background
    assert not np.all(picture[:, 150, 128] == lats.GREY)  # face
    assert not np.all(picture[:, 235, 128] == lats.GREY)  # neck
    assert np.all(picture[:, 235, 40] == lats.GREY)  # shoulder


def test_the_drawn_head_is_what_is_not_grey() -> None:
    picture = np.full((3, 64, 64), lats.GREY / 127.5 - 1, np.float32)
    picture[0, 16:48, 16:48] = 0.8
    picture[:, 28:32, 28:32] = lats.GREY / 127.5 - 1  # a grey eye is no hole
    mask = lats._drawn(picture)
    assert mask[30, 30] > 0.99
    assert mask[4, 4] == 0
