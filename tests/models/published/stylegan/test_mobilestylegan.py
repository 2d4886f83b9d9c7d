"""MobileStyleGAN: the wavelet, the folded norm, the rows, the keys."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from models.published.stylegan.mobilestylegan import (
    IGNORED,
    FixedNoise,
    MappingNetwork,
    ModulatedDepthwiseConv2d,
    Student,
    from_w_plus,
    inverse_haar,
)


def haar(image: np.ndarray) -> np.ndarray:
    """Orthonormal Haar analysis of (H, W): low, then the details along y, along x, along both."""
    a, b, c, d = image[::2, ::2], image[::2, 1::2], image[1::2, ::2], image[1::2, 1::2]
    return np.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]) / 2


def test_inverse_haar_undoes_the_transform() -> None:
    images = np.random.default_rng(0).normal(size=(3, 8, 6)).astype(np.float32)
    bands = np.stack([haar(image) for image in images])
    coefficients = np.concatenate([bands[:, 0], bands[:, 1:].reshape(9, 4, 3)])
    got = inverse_haar(torch.from_numpy(coefficients)[None])[0].numpy()
    np.testing.assert_allclose(got, images, atol=1e-6)


def test_depthwise_convolution_is_one_separable_kernel() -> None:
    torch.manual_seed(0)
    conv = ModulatedDepthwiseConv2d(4, 6)
    conv.get_buffer("style_inv").uniform_(0.5, 1.5)
    x, w = torch.randn(2, 4, 5, 5), torch.randn(2, 512)
    kernel = conv.weight_permute * conv.weight_dw.transpose(0, 1) * conv.scale
    norm = (kernel * conv.get_buffer("style_inv")[0]).square().sum((1, 2, 3), keepdim=True).sqrt()
    want = F.conv2d(x * conv.modulation(w)[:, :, None, None], kernel / norm, padding=1)
    torch.testing.assert_close(conv(x, w), want, rtol=1e-4, atol=1e-5)


def test_rows_of_stylegan2_find_their_layers() -> None:
    w_plus = torch.arange(18.0)[None, :, None].expand(1, 18, 2)
    rows = from_w_plus(w_plus)[0, :, 0].int().tolist()
    assert len(rows) == 23
    assert rows[:7] == [0, 1, 2, 3, 3, 4, 5]
    assert rows[19:22] == [13, 14, 15]


def test_pictures_stand_still() -> None:
    torch.manual_seed(0)
    student = Student(width=(8, 8, 8)).eval()
    for name, parameter in student.named_parameters():
        if name.endswith("noise.weight"):
            parameter.data.fill_(0.5)
    w = torch.randn(2, 18, 512)
    with torch.no_grad():
        first, second, other = FixedNoise(student)(w), FixedNoise(student)(w), FixedNoise(student, seed=1)(w)
    assert first.shape == (2, 3, 32, 32)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_it_stops_at_a_size_with_the_picture_of_that_block() -> None:
    torch.manual_seed(0)
    student = Student(width=(8, 8, 8)).eval()
    w = torch.randn(1, 18, 512)
    with torch.no_grad():
        small, whole, larger = (FixedNoise(student, size)(w) for size in (16, 32, 512))
        noise = [FixedNoise(student).get_buffer(f"noise_{index}") for index in range(3)]
        want = inverse_haar(student.coefficients(from_w_plus(w), noise)[0])
    assert torch.equal(small, want)
    assert whole.shape == larger.shape == (1, 3, 32, 32)


def test_keys_are_the_published_ones(shared: Path) -> None:
    lines = (shared / "facts" / "keys" / "mobilestylegan_student_and_mapping.tsv").read_text().splitlines()
    published = {key: shape for key, shape, _ in (line.split("\t") for line in lines)}
    with torch.device("meta"):
        parts = {"student.": Student(), "mapping_net.": MappingNetwork()}
    ours = {
        prefix + key: "x".join(map(str, value.shape))
        for prefix, network in parts.items()
        for key, value in network.state_dict().items()
    }
    rest = {key for key in published if key not in ours}
    assert {key: shape for key, shape in published.items() if key in ours} == ours
    assert all(any(fnmatchcase(key.removeprefix("student."), pattern) for pattern in IGNORED) for key in rest)
