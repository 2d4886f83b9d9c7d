"""Encoders into W+: keys as published, e4e apart from pSp, and checkpoints in their authors' container."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engines.graph.flops import count_flop
from engines.onnx_file import open_network
from models.published.stylegan import encoders
from models.published.stylegan.encoders import (
    BackboneEncoder,
    Encoder4Editing,
    FromAverage,
    GradualStyleEncoder,
    ProgressiveBackboneEncoder,
    ReStyle,
    load_encoder,
    load_inverter,
)
from models.published.stylegan.samples import Refinement
from models.published.stylegan.stylegan2 import Generator
from models.weights.checkpoints import CheckpointError
from models.weights.export import random_picture, write_network

ROWS = 6


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of the same shape, narrow enough to initialise in a test."""
    monkeypatch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 1)))
    monkeypatch.setattr(encoders, "WIDTH", 32)
    torch.manual_seed(0)


def tiny_generator() -> Generator:
    return Generator(16, style_dim=32, mapping_layers=1, channel_multiplier=1 / 128, max_channels=8).eval()


@pytest.mark.parametrize(
    ("name", "kind", "rows", "channels"),
    [
        ("psp_encoder", GradualStyleEncoder, 18, 3),
        ("psp_encoder_sketch_nc1", GradualStyleEncoder, 18, 1),
        ("e4e_encoder", Encoder4Editing, 18, 3),
        ("e4e_encoder_cars512", Encoder4Editing, 16, 3),
        ("sam_encoder_nc4", GradualStyleEncoder, 18, 4),
    ],
)
def test_keys_are_the_published_ones(
    shared: Path, name: str, kind: type[GradualStyleEncoder], rows: int, channels: int
) -> None:
    lines = (shared / "facts" / "keys" / f"{name}.tsv").read_text().splitlines()
    published = {key: shape for key, shape, _ in (line.split("\t") for line in lines)}
    with torch.device("meta"):
        network = kind(rows, channels)
    ours = {key: "x".join(map(str, value.shape)) or "scalar" for key, value in network.state_dict().items()}
    assert ours == published


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("psp_ffhq_encode", GradualStyleEncoder),
        ("e4e_ffhq_encode", Encoder4Editing),
        ("restyle_psp_ffhq", BackboneEncoder),
        ("restyle_e4e_ffhq", ProgressiveBackboneEncoder),
    ],
)
def test_whole_checkpoints_hold_encoder_and_decoder(
    shared: Path, name: str, kind: type[GradualStyleEncoder | BackboneEncoder]
) -> None:
    lines = (shared / "facts" / "keys" / f"{name}_state_dict.tsv").read_text().splitlines()
    with torch.device("meta"):
        parts = {"encoder": kind(), "decoder": Generator(1024)}
    ours = {f"{part}.{key}" for part, network in parts.items() for key in network.state_dict()}
    assert ours == {line.split("\t")[0] for line in lines}


@pytest.mark.usefixtures("tiny")
def test_e4e_adds_its_rows_to_the_first() -> None:
    psp = GradualStyleEncoder(ROWS).eval()
    e4e = load_encoder(psp.state_dict(), "Encoder4Editing", prefix="")
    image = torch.randn(2, 3, 256, 256)
    rows, codes = psp(image), e4e(image)
    assert codes.shape == (2, ROWS, 32)
    torch.testing.assert_close(codes[:, 0], rows[:, 0])
    torch.testing.assert_close(codes[:, 1:], rows[:, :1] + rows[:, 1:])


@pytest.mark.usefixtures("tiny")
def test_restyle_shows_the_encoder_what_it_drew() -> None:
    average = torch.randn(ROWS, 32)
    network = ReStyle(ProgressiveBackboneEncoder(ROWS).eval(), tiny_generator(), average).eval()
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        first = average + network.encoder(torch.cat([image, network.draw(average[None])], 1))
        second = first + network.encoder(torch.cat([image, network.draw(first)], 1))
        torch.testing.assert_close(network(image, rounds=2), second)


@pytest.mark.usefixtures("tiny")
def test_the_file_of_restyle_has_the_picture_of_the_average_in_it(tmp_path: Path) -> None:
    network = ReStyle(BackboneEncoder(ROWS).eval(), tiny_generator(), torch.randn(ROWS, 32)).eval()
    costs = []
    for module in (network, Refinement(network)):
        write_network(module, {"image": random_picture(256)}, ["w_plus"], tmp_path / "encoder.onnx")
        costs.append(count_flop(open_network(tmp_path / "encoder.onnx")))
    assert costs[0] == costs[1]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("options", "kind", "shift"),
    [
        ({"encoder_type": "Encoder4Editing", "start_from_latent_avg": True}, Encoder4Editing, 1.0),
        ({"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": False}, GradualStyleEncoder, 0.0),
        ({}, GradualStyleEncoder, 1.0),
    ],
)
def test_options_choose_the_network(
    tmp_path: Path, options: dict[str, object], kind: type[GradualStyleEncoder], shift: float
) -> None:
    encoder, decoder = kind(ROWS).eval(), tiny_generator()
    state = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    state |= {f"decoder.{key}": value for key, value in decoder.state_dict().items()}
    average = torch.randn(ROWS, 32)
    torch.save({"state_dict": state, "opts": options, "latent_avg": average}, tmp_path / "a.pt")
    inverter = load_inverter(tmp_path / "a.pt")
    assert type(inverter.encoder) is kind
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(inverter.codes(image), FromAverage(encoder, shift * average)(image))
        w = torch.randn(1, ROWS, 32)
        torch.testing.assert_close(inverter.generator(w), decoder(w))


@pytest.mark.usefixtures("tiny")
def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no encoder of type 'Fancy'"):
        load_encoder(GradualStyleEncoder(ROWS).state_dict(), "Fancy", prefix="")
