"""A checkpoint with a key missing, or of another shape or rank, is refused by name; nothing else is raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models import convert
from models.published.alae import network as alae
from models.published.fran import network as fran
from models.published.hairmapper import network as hairmapper
from models.published.lats import network as lats
from models.published.sam import network as sam
from models.published.stargan import network as stargan
from models.published.starganv2 import network as starganv2
from models.published.styleflow import network as styleflow
from models.published.stylegan import dialects, encoders, mobilestylegan, stylegan1, stylegan2
from models.published.stylegan.encoders import load_encoder
from models.weights.checkpoints import CheckpointError, parts_under, shape_of

ALAE = alae.Config(3, 4, 8)
ROWS, WIDTH = 6, 32


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 1)))
    monkeypatch.setattr(encoders, "WIDTH", WIDTH)


def stylegan_2() -> stylegan2.Generator:
    return stylegan2.Generator(16, WIDTH, 1, 1 / 64, 16)


SYSTEMS: Mapping[str, tuple[Callable[[], nn.Module], Callable[[Mapping[str, Tensor]], Any]]] = {
    "alae encoder": (lambda: alae.Encoder(ALAE), lambda state: alae.load_encoder(state, alae.config_of(state))),
    "alae decoder": (lambda: alae.Decoder(ALAE), lambda state: alae.load_decoder(state, alae.decoder_config(state))),
    "alae mapping": (lambda: alae.MappingNetwork(8, 2), alae.load_mapping),
    "encoder": (lambda: encoders.Encoder4Editing(ROWS), lambda state: load_encoder(state, "Encoder4Editing", "")),
    "fran": (lambda: fran.UNet(2), fran.load_network),
    "hairmapper": (lambda: hairmapper.LevelMapper(8, 2), hairmapper.load_mapper),
    "lats": (lambda: lats.Generator(8, 16), lats.load_generator),
    "styleflow": (lambda: styleflow.Flow(8, 3, 2), styleflow.load_flow),
    "mobilestylegan": (lambda: mobilestylegan.Student((8, 8)), lambda state: mobilestylegan.load_student(state, "")),
    "stargan": (lambda: stargan.Generator(3, 4, 1), stargan.load_generator),
    "stargan labels": (lambda: stargan.Discriminator(64, 3, 2), stargan.load_discriminator),
    "starganv2": (lambda: starganv2.Generator(256, 0.0, 8), starganv2.load_generator),
    "starganv2 mapping": (lambda: starganv2.MappingNetwork(2, 4, 8), starganv2.load_mapping),
    "starganv2 styles": (lambda: starganv2.StyleEncoder(256, 2, 8), starganv2.load_style_encoder),
    "stylegan1": (lambda: stylegan1.Generator(16, 16, 16, 256), stylegan1.load_generator),
    "stylegan2": (stylegan_2, stylegan2.load_generator),
}
SIZING = (
    "init_conv",
    "fc0",
    "mlp.model",
    "layers.",
    "chain.0.",
    "from_rgb",
    "style_1",
    "to_rgb",
    "fc.weight",
    "input_layer.0",
    "bias",
    "conv1",
    "main.0",
    "conv2",
    "shared.0",
)
"""Parts of keys whose shapes tell how large a network is."""
CONSTANTS = ("kernel", "blur.weight", "num_batches_tracked")
"""Keys that a file may lack."""
WRONG = (None, (), (13,), (7, 5), (0, 3, 1, 1), (1, 1, 1, 1, 1))


@pytest.mark.parametrize("system", SYSTEMS)
def test_keys_of_another_shape(system: str) -> None:
    make, load = SYSTEMS[system]
    with torch.device("meta"):
        state = make().state_dict()
    keys = [key for key in state if any(part in key for part in SIZING) and not key.endswith(CONSTANTS)]
    assert keys
    for key in keys[:6] + keys[-6:]:
        for shape in WRONG:
            wrong = dict(state)
            del wrong[key]
            if shape is not None:
                wrong[key] = torch.empty(shape, device="meta")
            with pytest.raises(CheckpointError):
                load(wrong)


def test_parts_are_counted_by_their_numbers() -> None:
    state = {key: torch.zeros(1) for key in ("a.0.w", "a.2.b", "ab.7.w", "b3.w")}
    assert [parts_under(state, prefix) for prefix in ("a.", "b", "none.")] == [3, 4, 0]
    assert parts_under({"a.999999999.w": torch.zeros(1)}, "a.") == 1


def test_shapes_of_another_rank_do_not_count() -> None:
    state = {"a": torch.zeros(2, 3), "empty": torch.zeros(0, 3)}
    assert shape_of(state, "a", (4, 4)) == (2, 3)
    assert shape_of(state, "a", (4,)) == (4,)
    assert shape_of(state, "empty", (4, 4)) == shape_of(state, "none", (4, 4)) == (4, 4)


LAYER = ("weight", "noise", "bias", "style.weight", "style.bias", "noise_strength")


def test_another_programs_tensors() -> None:
    with pytest.raises(CheckpointError, match="mis-shaped"):
        dialects.stylegan2_state(
            {
                "mapping.dense0.weight": torch.zeros(2, 2),
                "mapping.dense0.bias": torch.zeros(2),
                "synthesis.early_layer.const": torch.zeros(1),
                **{
                    f"synthesis.layer{i}.{name}": torch.zeros(1) for i in (0, 1) for name in ("weight", "noise", "bias")
                },
                **{f"synthesis.layer{i}.style.{name}": torch.zeros(1) for i in (0, 1) for name in ("weight", "bias")},
                **{f"synthesis.layer{i}.noise_strength": torch.zeros(()) for i in (0, 1)},
            }
        )


@pytest.mark.parametrize("average", [torch.zeros(3), torch.zeros(ROWS + 1, WIDTH), "none", torch.zeros(())])
def test_averages_that_do_not_fit(tmp_path: Path, average: object) -> None:
    parts = {
        "encoder.": encoders.GradualStyleEncoder(ROWS, 4),
        "pretrained_encoder.": encoders.GradualStyleEncoder(ROWS),
        "decoder.": stylegan_2(),
    }
    state = {prefix + key: value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"state_dict": state, "opts": ["no", "options"], "latent_avg": average}, tmp_path / "a.pt")
    for load in (encoders.load_inverter, sam.load):
        with pytest.raises(CheckpointError, match="latent_avg"):
            load(tmp_path / "a.pt")


FOREIGN: Mapping[str, Callable[[Path], object]] = {
    "list": lambda path: torch.save([1, 2], path),
    "tensor": lambda path: torch.save(torch.zeros(3), path),
    "other network": lambda path: torch.save({"state_dict": {"a": torch.zeros(1)}, "opts": 5, "latent_avg": [1]}, path),
    "arrays": lambda path: save_arrays(path, a=np.zeros(3)),
    "objects": lambda path: save_arrays(path, a=np.array([{}], dtype=object)),
    "truncated": lambda path: path.write_bytes(b"\x80\x02junk"),
    "empty": Path.touch,
}


def save_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("system", sorted(convert.CONVERTERS))
def test_a_foreign_file_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], system: str, kind: str
) -> None:
    FOREIGN[kind](tmp_path / "file.pt")
    assert convert.main([system, str(tmp_path / "file.pt"), "--to", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("alpha", ["much", [1.0], None, torch.zeros(2)])
def test_a_strength_that_is_no_number(tmp_path: Path, alpha: object) -> None:
    torch.save({"state_dict": hairmapper.LevelMapper().state_dict(), "alpha": alpha}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no alpha"):
        hairmapper.load(tmp_path / "a.pt")
