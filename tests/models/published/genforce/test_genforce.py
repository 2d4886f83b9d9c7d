"""PGGAN, in-domain inversion and the encoder of style vectors: their keys, the editor in Z, directions in a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.editor import Edit
from models.latents import Direction, LatentError
from models.published.genforce import idinvert, pggan, samples, styles
from models.published.genforce.editor import Pggan, normalized
from models.published.stylegan import directions, stylegan1
from models.published.stylegan.directions import Published
from models.weights.checkpoints import CheckpointError
from models.weights.pickles import read_object
from tests.models.translators import TorchEngine, face_crop, published_keys

D, SIDE = 8, 16


def small() -> pggan.Generator:
    torch.manual_seed(0)
    return pggan.Generator([6, 5, 4], D).eval()


def test_both_programs_keys_give_one_generator() -> None:
    network = small()
    theirs = network.state_dict() | {"lod": torch.zeros(())}
    interfacegan = {
        key.replace(".weight", ".conv.weight").replace(".bias", ".wscale.bias"): value for key, value in theirs.items()
    }
    z = torch.randn(2, 1, D)
    for state in (theirs, interfacegan):
        loaded = pggan.load_generator(state)
        assert loaded.size == SIDE
        assert torch.equal(loaded(z), network(z))
    assert torch.allclose(network(3 * z), network(z), atol=1e-4)  # the length of z does not count
    with pytest.raises(CheckpointError, match=r"layer3\.bias"):
        pggan.load_generator({key: value for key, value in theirs.items() if key != "layer3.bias"})


def test_networks_have_the_published_keys(shared: Path) -> None:
    with torch.device("meta"):
        generator, encoder = (samples.SAMPLES[name]().module for name in ("pggan", "genforce-y-encoder"))
    ours = {key: tuple(value.shape) for key, value in generator.state_dict().items()}
    theirs = published_keys(shared, "interfacegan_pggan_generator_1024")
    assert ours == {key.replace(".conv.", ".").replace(".wscale.", "."): s for key, s in theirs.items() if key != "lod"}
    ours = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    assert ours == published_keys(shared, "genforce_encoder_y_ffhq256")
    assert isinstance(encoder, styles.Encoder)
    assert encoder.size == 256


def test_the_encoder_of_inversion_is_as_wide_as_its_file() -> None:
    torch.manual_seed(0)
    network = idinvert.Encoder([4, 6, 8], D).eval()
    loaded = idinvert.load_encoder(network.state_dict())
    image = torch.randn(2, 3, SIDE, SIDE)
    assert loaded.size == SIDE
    assert torch.equal(loaded(image), network(image))
    assert loaded(image).shape == (2, 6, D)
    with pytest.raises(CheckpointError, match="missing"):
        idinvert.load_encoder({})


def test_style_vectors_are_what_the_layers_make_of_w() -> None:
    torch.manual_seed(0)
    generator = stylegan1.Generator(SIDE, D, max_channels=6, base_channels=64).eval()
    lengths, w = styles.lengths_of(generator), torch.randn(1, 6, D)
    want = generator(w)
    rows = []
    for index, name in enumerate(generator.synthesis.layers):
        dense = generator.get_submodule(f"synthesis.{name}.epilogue.style_mod.dense")
        row = dense(w[:, index])
        rows.append(torch.nn.functional.pad(row, (0, max(lengths) - row.shape[1])))
    torch.testing.assert_close(styles.takes_styles(generator)(torch.stack(rows, 1)), want)


def test_heads_that_give_no_whole_rows_are_refused() -> None:
    encoder = styles.Encoder([(4, 1)] * 3, (4, 4), [8, 8], [8, 8])
    with pytest.raises(CheckpointError, match="its heads give 16 values"):
        styles.load_encoder(encoder.state_dict(), [8, 9])


def boundary(space: str = "Z") -> Direction:
    return Direction("age", np.eye(D, dtype=np.float32)[0] * 2, "pggan-celebahq", space)  # type: ignore[arg-type]


def engine() -> TorchEngine:
    return TorchEngine(small(), {"w_plus": (1, D)}, ("image",))


def shown(editor: Pggan, controls: Any) -> Edit:
    crop = face_crop(SIDE)
    latent = editor.encode(crop, controls)
    return editor.render(crop, latent, editor.steer(latent, controls), controls)


def test_without_an_encoder_a_drawn_face_is_shown_and_moved() -> None:
    editor = Pggan(engine(), {"age": boundary()})
    assert editor.Controls(age=1).neutral()
    assert editor.Controls.completed({"age": 1.0}) == {"age": 1.0, "show": True}
    pictures = [shown(editor, editor.Controls(show=True, **moved)).image for moved in ({}, {"seed": 3}, {"age": 1}, {})]
    assert all(picture is not None for picture in pictures)
    first, other, older, again = (np.asarray(picture) for picture in pictures)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, older)


def test_codes_move_along_the_unit_normal_from_their_customary_length() -> None:
    editor = Pggan(engine(), {"age": boundary()})
    latent = np.full(D, 5, np.float32)
    z = editor.steer(latent, editor.Controls(show=True))
    np.testing.assert_allclose(z, normalized(latent))
    assert np.linalg.norm(z) == pytest.approx(D**0.5)
    moved = editor.steer(latent, editor.Controls(show=True, age=0.5))
    np.testing.assert_allclose(moved - z, 1.5 * np.eye(D)[0], atol=1e-6)


def test_with_an_encoder_the_face_itself_changes() -> None:
    encoder = TorchEngine(_Mean(), {"image": (3, SIDE, SIDE)}, ("w_plus",))
    editor = Pggan(engine(), {"age": boundary()}, encoder)
    assert not shown(editor, editor.Controls()).mask.any()
    edit = shown(editor, editor.Controls(age=1))
    assert edit.delta is not None
    assert edit.image is None
    assert np.abs(edit.delta).max() > 1


class _Mean(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((1, 2, 3))[:, None, None] + torch.arange(D)


def test_a_boundary_of_another_space_is_refused() -> None:
    with pytest.raises(LatentError, match="lives in W"):
        Pggan(engine(), {"age": boundary("W")})


def test_a_direction_in_a_pickle_is_read_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(1, 14, D)).astype(np.float32)
    saved: Any = {"boundary": values, "meta_data": {"manipulate_layers": [2, 3]}}
    np.save(tmp_path / "gender.npy", saved)
    row = Published("", "idinvert", "gender", "stylegan1-idinvert", "W+", "", "2:5")
    monkeypatch.setattr(directions, "_identify", lambda path: row)
    found = directions.load_published(tmp_path / "gender.npy", "stylegan1-idinvert")
    np.testing.assert_array_equal(found.vector, values[0])
    assert found.rows == (2, 5)


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "it ran")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros(3), "no single object"),
        (np.array([{}, {}], object), "no single object"),
        (b"\x93NUMPY\x09\x00", "holds no object"),
        (b"", "holds no object"),
    ],
)
def test_what_numpy_did_not_write_of_one_object_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "x.npy").write_bytes(content)
    else:
        np.save(tmp_path / "x.npy", content)
    with pytest.raises(CheckpointError, match=message):
        read_object(tmp_path / "x.npy")


def test_code_in_a_direction_stays_inert(tmp_path: Path) -> None:
    saved: Any = {"boundary": _Bomb(tmp_path / "ran")}
    np.save(tmp_path / "x.npy", saved)
    assert b"write_text" in (tmp_path / "x.npy").read_bytes()
    assert not isinstance(read_object(tmp_path / "x.npy")["boundary"], np.ndarray)
    assert not (tmp_path / "ran").exists()
