"""StyleALAE: its keys, its resampling, the attribute edit, and its editor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.editor import Editor
from models.published.alae import network as alae
from models.published.alae.editor import Alae, AlaeControls, coordinates, edit, rows
from models.published.alae.network import (
    CELEBA_128,
    CELEBA_HQ_256,
    FFHQ,
    Config,
    Decoder,
    Encoder,
    FixedNoise,
    MappingNetwork,
    load_decoder,
)
from models.published.alae.rows import ALAE_DIRECTIONS
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys

SMALL = Config(layers=4, width=4, latent=8)


@pytest.mark.parametrize(
    ("name", "config"), [("ffhq", FFHQ), ("celeba_hq256", CELEBA_HQ_256), ("celeba128", CELEBA_128)]
)
def test_networks_have_the_published_keys(shared: Path, name: str, config: Config) -> None:
    parts: dict[str, Callable[[], torch.nn.Module]] = {
        "discriminator_s": lambda: Encoder(config),
        "generator_s": lambda: Decoder(config),
        "mapping_fl_s": lambda: MappingNetwork(config.latent),
    }
    for part, make in parts.items():
        with torch.device("meta"):
            network = make()
        assert_every_key(network, published_keys(shared, f"alae_{name}", f"models/{part}/"))


def test_a_fused_kernel_downsamples_like_convolution_and_mean() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(5, 3, 3, 3)
    fused = F.conv2d(x, alae._spread_kernel(weight) * 0.25, stride=2, padding=1)
    torch.testing.assert_close(fused, F.avg_pool2d(F.conv2d(x, weight, padding=1), 2), atol=1e-5, rtol=1e-4)


def test_a_missing_constant_is_made() -> None:
    network = Decoder(SMALL)
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("blur.weight")}
    loaded = load_decoder(state, SMALL)
    name = "decode_block.1.blur.weight"
    assert torch.equal(loaded.state_dict()[name], network.state_dict()[name])


def test_an_edit_sets_coordinates_taken_before_the_first_move() -> None:
    rng = np.random.default_rng(0)
    w, average = rng.normal(size=(2, 8)).astype(np.float32)
    directions = {name: rng.normal(size=8) for name in ("smile", "young")}
    had = coordinates(w, average, directions)
    assert had["smile"] == pytest.approx((w.astype(float) - average) @ directions["smile"])
    np.testing.assert_allclose(edit(w, average, directions, had), w, atol=1e-6)
    moved = edit(w, average, directions, {"smile": had["smile"] + 2, "young": had["young"] - 1})
    np.testing.assert_allclose(moved - w, 2 * directions["smile"] - directions["young"], atol=1e-6)


def test_the_finest_rows_keep_the_face() -> None:
    codes = rows(np.zeros(4, np.float32), np.ones(4, np.float32), layers=9)
    assert codes.shape == (18, 4)
    assert codes[:16].min() == 1
    assert codes[16:].max() == 0


def make_editor() -> Alae:
    torch.manual_seed(0)
    encoder = TorchEngine(Encoder(SMALL), {"image": (3, SMALL.size, SMALL.size)}, ("w",))
    decoder = Decoder(SMALL)
    for name, parameter in decoder.named_parameters():
        if "noise_weight" in name:
            torch.nn.init.normal_(parameter)
    drawing = TorchEngine(FixedNoise(decoder), {"w": (2 * SMALL.layers, SMALL.latent)}, ("image",))
    directions = {"smile": np.random.default_rng(0).normal(size=SMALL.latent)}
    return Alae(encoder, drawing, np.zeros(SMALL.latent, np.float32), directions)


def test_editor_adds_the_difference_or_shows_the_drawing() -> None:
    editor = make_editor()
    assert isinstance(editor, Editor)
    crop = face_crop(SMALL.size)
    latent = editor.encode(crop, editor.Controls())
    assert latent.shape == (SMALL.latent,)
    untouched = rendered(editor, crop, latent, AlaeControls())
    assert untouched.delta is not None
    assert not untouched.delta.any()

    added = rendered(editor, crop, latent, AlaeControls(smile=3))
    assert added.image is None
    assert added.delta is not None
    assert abs(added.delta).max() > 0.1
    shown = rendered(editor, crop, latent, AlaeControls(smile=3, detail="full"))
    assert shown.image is not None
    assert shown.opacity is not None
    assert shown.opacity.min() == 1


def test_a_direction_that_is_not_there_is_named() -> None:
    editor = make_editor()
    with pytest.raises(ValueError, match="no direction for young"):
        editor.steer(np.zeros(SMALL.latent, np.float32), AlaeControls(young=3))


def test_a_direction_of_another_model_is_refused() -> None:
    encoder = TorchEngine(Encoder(SMALL), {"image": (3, SMALL.size, SMALL.size)}, ("w",))
    decoder = TorchEngine(FixedNoise(Decoder(SMALL)), {"w": (2 * SMALL.layers, SMALL.latent)}, ("image",))
    with pytest.raises(ValueError, match=r"direction smile is .512,., W .8,.: it is of another model"):
        Alae(encoder, decoder, np.zeros(SMALL.latent, np.float32), {"smile": np.zeros(512)})


def test_published_directions_have_their_controls(shared: Path) -> None:
    assert set(ALAE_DIRECTIONS) == set(AlaeControls.model_fields) - {"detail"}
    for number in ALAE_DIRECTIONS.values():
        assert np.load(shared / "facts" / "directions" / "alae" / f"direction_{number}.npy").shape == (FFHQ.latent,)
