"""FRAN: its keys, its blur, and its editor with one window and with nine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from models.editor import Editor
from models.published.fran import editor as fran
from models.published.fran.editor import Fran, FranControls
from models.published.fran.network import BlurPool, UNet, load_network
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys


def engine(width: int = 2) -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(UNet(width), {"image": (3, None, None), "ages": (2,)}, ("delta",))


def test_network_has_the_published_keys(shared: Path) -> None:
    assert_every_key(UNet(), published_keys(shared, "fran_unet"))


def test_constants_may_be_missing() -> None:
    network = UNet()
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("filt")}
    loaded = load_network(state)
    assert all(torch.equal(a, b) for a, b in zip(network.buffers(), loaded.buffers(), strict=True))


@pytest.mark.parametrize(("stride", "side"), [(1, 8), (2, 4)])
def test_blur_keeps_the_mean_of_a_flat_picture(stride: int, side: int) -> None:
    blurred = BlurPool(2, stride)(torch.full((1, 2, 8 if stride == 1 else 7, 8 if stride == 1 else 7), 3.0))
    assert blurred.shape == (1, 2, side, side)
    torch.testing.assert_close(blurred, torch.full_like(blurred, 3.0))


def test_ages_reach_the_network_in_centuries() -> None:
    network = UNet(2).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        got = network(image, torch.tensor([[25.0, 60.0]]))
        planes = torch.tensor([0.25, 0.60])[None, :, None, None].expand(1, 2, 32, 32)
        features = network.init_conv(torch.cat([image, planes], 1))
        want = network.final_conv(network.up4(*_deeper(network, features)))
    torch.testing.assert_close(got, want)


def _deeper(network: UNet, level0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    level1 = network.down1(level0)
    level2 = network.down2(level1)
    level3 = network.down3(level2)
    up = network.up1(network.down4(level3), level3)
    return network.up3(network.up2(up, level2), level1), level0


def test_editor_adds_the_residual_and_keeps_the_picture_in_range() -> None:
    editor = Fran(_Brighten(0.6), size=64)
    assert isinstance(editor, Editor)
    crop = face_crop(64)
    latent = editor.encode(crop, editor.Controls())
    assert FranControls(source_age=50).neutral()
    unchanged = rendered(editor, crop, latent, FranControls(source_age=50))
    assert not unchanged.mask.any()

    edit = rendered(editor, crop, latent, FranControls(source_age=30, target_age=70))
    assert edit.delta is not None
    np.testing.assert_allclose(edit.delta, np.minimum(153, 255 - crop.image.astype(np.float32)), atol=1e-3)


def test_windows_blend_into_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fran, "WINDOW", 128)
    network = _Brighten(0.25)
    editor = Fran(network, size=128).for_still()
    assert editor.crop.size == 256
    crop = face_crop(256)
    controls = FranControls(source_age=30, target_age=70)
    edit = rendered(editor, crop, editor.encode(crop, controls), controls)
    assert network.batches == [1] * 9
    assert edit.delta is not None
    inner = np.s_[20:-20, 20:-20]  # beyond, only the faded border of a window reaches
    want = np.minimum(63.75, 255 - crop.image.astype(np.float32))
    np.testing.assert_allclose(edit.delta[inner], want[inner], atol=1e-3)
    assert edit.delta[0].max() < 1


def test_windows_fade_as_the_authors_do(shared: Path) -> None:
    mask = PIL.Image.open(shared / "facts" / "directions" / "fran" / "mask512.jpg").convert("L")
    difference = np.abs(fran.window_fade(512) - np.asarray(mask, np.float32) / 255)
    assert difference.mean() < 0.01
    assert difference.max() < 0.08


class _Brighten(TorchEngine):
    def __init__(self, amount: float) -> None:
        super().__init__(torch.nn.Identity(), {"image": (3, None, None), "ages": (2,)}, ("delta",))
        self.amount = amount
        self.batches: list[int] = []

    def _run(self, inputs):  # type: ignore[no-untyped-def]
        self.batches.append(len(inputs["image"]))
        return {"delta": np.full_like(inputs["image"], self.amount)}
