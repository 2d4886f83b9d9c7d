"""pbaylies' inversion: each term of its loss, its stopping, its average of the best."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

from models.inversion_pbaylies import (
    Perception,
    Recipe,
    invert,
    log_cosh,
    nearest,
    redraw_outliers,
    sharpened,
)
from models.perceptual.lpips import LAYERS, Lpips, load_lpips
from models.perceptual.msssim import SHARES, _ssim, ms_ssim
from models.perceptual.vgg16 import Vgg16, load_vgg16, total_variation
from models.weights.checkpoints import CheckpointError


def pooled(image: Tensor) -> list[Tensor]:
    return [F.avg_pool2d(image, 32)]


def draws(codes: Tensor) -> Tensor:
    """A code of three colours."""
    return codes[:, 0, :3, None, None].expand(-1, -1, 256, 256) + 0.0


PLAIN = Recipe(features=0, pixels=1.5, structure=0, perceptual=0, penalty=0, threshold=0.0, rate=0.05, patience=200)


def test_sharpening_is_pillows_detail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    wanted = np.asarray(PIL.Image.fromarray(pixels).filter(PIL.ImageFilter.DETAIL)).astype(int)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)
    got = ((sharpened(tensor)[0] + 1) * 127.5).round().numpy().transpose(1, 2, 0).astype(int)
    assert np.abs(got - wanted).max() <= 1


def test_log_cosh_neither_overflows_nor_is_off() -> None:
    x = torch.tensor([-500.0, -1.0, 0.0, 2.0, 500.0])
    want = np.mean([500 - math.log(2), math.log(math.cosh(1)), 0, math.log(math.cosh(2)), 500 - math.log(2)])
    assert float(log_cosh(x)) == pytest.approx(want, rel=1e-5)


def test_nearest_keeps_the_corners() -> None:
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert nearest(picture, 2).flatten().tolist() == [0, 3, 12, 15]


def test_one_scale_is_ssim() -> None:
    random = np.random.default_rng(1)
    one = random.random((1, 1, 40, 40)).astype(np.float32)
    other = np.clip(one + 0.2 * random.random(one.shape), 0, 1).astype(np.float32)
    _, whole = structural_similarity(  # type: ignore[no-untyped-call]
        one[0, 0], other[0, 0], data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    got, _ = _ssim(torch.from_numpy(one), torch.from_numpy(other), 1.0)
    assert float(got) == pytest.approx(float(whole[5:-5, 5:-5].mean()), abs=1e-4)
    same = torch.rand(1, 3, 176, 176)
    assert float(ms_ssim(same, same, 1.0)) == pytest.approx(1.0)
    flipped = (1 - same).requires_grad_(True)
    unlike = ms_ssim(same, flipped, 1.0)
    assert float(unlike.detach()) < 0.2
    unlike.backward()  # type: ignore[no-untyped-call]
    assert flipped.grad is not None
    assert torch.isfinite(flipped.grad).all()  # though contrasts below nought count as nought
    assert sum(SHARES) == pytest.approx(1, abs=1e-3)


def test_entries_far_out_are_drawn_anew() -> None:
    codes = torch.tensor([[[0.5, 2.5, -3.0, 1.9]]])
    redraw_outliers(codes, torch.Generator().manual_seed(0))
    assert codes[0, 0, 0] == 0.5
    assert codes[0, 0, 3] == pytest.approx(1.9)
    assert codes.abs().max() < 2.5


def test_the_descent_averages_its_best_and_stops_when_idle() -> None:
    image = torch.full((1, 3, 256, 256), 0.3)
    guess = torch.zeros(1, 2, 4)
    found = invert(image, draws, guess, torch.zeros(4), Perception(pooled), recipe=PLAIN)  # type: ignore[arg-type]
    assert found.steps <= 100
    torch.testing.assert_close(found.codes[0, 0, :3], torch.full((3,), 0.3), atol=0.02, rtol=0)
    seen: list[int] = []
    patient = Recipe(features=0, pixels=0, structure=0, perceptual=0, penalty=0.0, patience=3)
    invert(
        image,
        draws,  # type: ignore[arg-type]
        guess,
        torch.zeros(4),
        Perception(pooled),
        recipe=patient,
        progress=lambda s, *_: seen.append(s),
    )
    assert seen == [0, 1, 2, 3]


def test_the_penalty_pulls_to_the_average() -> None:
    image = torch.zeros(1, 3, 256, 256)
    losses: list[float] = []
    recipe = Recipe(steps=1, features=0, pixels=0, structure=0, perceptual=0)
    average = torch.tensor([1.0, 1.0, 1.0, 1.0])
    invert(
        image,
        lambda codes: draws(codes) * 0,  # type: ignore[arg-type]
        torch.zeros(1, 2, 4),
        average,
        Perception(pooled),
        recipe=recipe,
        progress=lambda _, __, loss: losses.append(loss),
    )
    assert losses[0] == pytest.approx(0.5 * 4)  # half of the row's length times the mean distance


def small_vgg(monkeypatch: pytest.MonkeyPatch) -> Vgg16:
    monkeypatch.setattr("models.perceptual.vgg16.STAGES", ((4, 2), (4, 2), (4, 3), (4, 3), (4, 3)))
    torch.manual_seed(0)
    return Vgg16()


def test_vgg_and_lpips_read_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_vgg(monkeypatch)
    torch.save(network.state_dict() | {"classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg.pth")
    vgg = load_vgg16(tmp_path / "vgg.pth")
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    found = vgg(picture, ("conv3_3",))["conv3_3"]
    assert found.shape == (1, 4, 16, 16)
    assert (found >= 0).all()
    torch.save({f"lin{place}.model.1.weight": torch.ones(1, 4, 1, 1) for place in range(5)}, tmp_path / "lpips.pth")
    lpips = load_lpips(tmp_path / "lpips.pth", vgg)
    assert float(lpips(picture, picture)) == 0
    assert float(lpips(picture, -picture)) > 0.01
    with pytest.raises(CheckpointError, match="holds no weights of LPIPS"):
        load_lpips(tmp_path / "vgg.pth", vgg)
    with pytest.raises(CheckpointError, match="not on Keras'"):
        Lpips(Vgg16(caffe=True), [torch.ones(4)] * len(LAYERS))


def write_keras_vgg(path: Path, network: Vgg16, below: str = "") -> None:
    with h5py.File(path, "w") as file:
        for layer, place in network.places.items():
            name = f"block{layer[4]}_conv{layer[6]}"
            weight = network.features[place - 1].weight.detach().permute(2, 3, 1, 0).numpy()  # type: ignore[operator]
            file.create_dataset(f"{below}{name}/{name}_W_1:0", data=weight)
            file.create_dataset(f"{below}{name}/{name}_b_1:0", data=network.features[place - 1].bias.detach().numpy())  # type: ignore[operator]


def test_vgg_reads_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_vgg(monkeypatch)
    write_keras_vgg(tmp_path / "vgg.h5", network)
    write_keras_vgg(tmp_path / "whole.h5", network, "model_weights/")
    torch.testing.assert_close(load_vgg16(tmp_path / "whole.h5").state_dict(), network.state_dict())
    read = load_vgg16(tmp_path / "vgg.h5")
    assert read.caffe
    torch.testing.assert_close(read.state_dict(), network.state_dict())
    grey = torch.zeros(1, 3, 32, 32)
    taken: list[Tensor] = []
    read.features.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    read.read_normalised = lambda x, layers: taken.append(x) or {}  # type: ignore[method-assign, func-returns-value]
    read(grey, ())
    torch.testing.assert_close(taken[-1][0, :, 0, 0], 127.5 - torch.tensor([103.939, 116.779, 123.68]))
    (tmp_path / "bad.h5").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="holds no VGG16 of Keras"):
        load_vgg16(tmp_path / "bad.h5")


def data_in_another_file(file: Any) -> None:
    secret = Path(file.filename).with_name("secret.bin")
    secret.write_bytes(bytes(16))
    del file["block1_conv1/block1_conv1_b_1:0"]
    file.create_dataset("block1_conv1/block1_conv1_b_1:0", shape=(4,), dtype="f4", external=[(str(secret), 0, 16)])


def terabytes(file: Any) -> None:
    file.create_dataset("block1_conv1/more", shape=(1 << 20, 1 << 20), dtype="f4", compression="gzip")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (data_in_another_file, "lies in another file"),
        (terabytes, "is compressed"),
        (lambda file: file.__setitem__("model_weights", h5py.ExternalLink("other.h5", "/")), "is a link"),
        (lambda file: file.__setitem__("block6_conv1", h5py.SoftLink("/block1_conv1")), "is a link"),
        (lambda file: file.__setitem__("block1_conv1/again", file["block1_conv1"]), "two weights"),
        (lambda file: file.pop("block2_conv1/block2_conv1_b_1:0"), "block2_conv1 has no kernel and bias"),
    ],
)
def test_a_hostile_file_of_keras_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], object], message: str
) -> None:
    network = small_vgg(monkeypatch)
    write_keras_vgg(tmp_path / "other.h5", network)
    write_keras_vgg(tmp_path / "vgg.h5", network)
    with h5py.File(tmp_path / "vgg.h5", "r+") as file:
        change(file)
    with pytest.raises(CheckpointError, match=message):
        load_vgg16(tmp_path / "vgg.h5")


def test_total_variation_is_a_sum() -> None:
    picture = torch.zeros(2, 1, 3, 3)
    picture[0, 0, 1, 1] = 1
    assert float(total_variation(picture)) == pytest.approx(4 / 2)
