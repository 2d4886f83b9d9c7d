"""Latent editors: what a slider does to the code, and what reaches the picture. Networks are tiny and untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.base import Engine
from engines.graph.export import export
from engines.select import load
from models.editor import Editor
from models.latents import Components, Direction, LatentError
from models.published.stylegan.conversion import Picture
from models.published.stylegan.editor import CoordinateSlider, LatentEditor, Slider
from models.published.stylegan.stylegan2 import Generator
from models.published.stylegan.wplus import resize_pictures
from tests.models.editing import controls_of, delta_of, image_of, rendered
from tests.models.translators import TorchEngine, face_crop

ROWS, WIDTH, SIDE = 10, 16, 64


class FlatEncoder(torch.nn.Module):
    """Reads a code off the picture's coarse brightness, so that another picture gives another code."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.rows = torch.nn.Linear(3 * 4 * 4, ROWS * WIDTH)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.rows(torch.nn.functional.adaptive_avg_pool2d(image, 4).flatten(1)).reshape(-1, ROWS, WIDTH)


def engines() -> tuple[TorchEngine, TorchEngine]:
    torch.manual_seed(0)
    generator = Generator(SIDE, style_dim=WIDTH, mapping_layers=1, channel_multiplier=1 / 32, max_channels=8)
    return (
        TorchEngine(FlatEncoder(), {"image": (3, SIDE, SIDE)}, ("w_plus",)),
        TorchEngine(Picture(generator), {"w_plus": (ROWS, WIDTH)}, ("image",)),
    )


def way(name: str, seed: int, **fields: object) -> Direction:
    vector = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return Direction(**{"name": name, "vector": vector, "generator": "toy"} | fields).unit()  # type: ignore[arg-type]


def module_of(engine: Engine) -> torch.nn.Module:
    """The network that an engine of this test runs."""
    assert isinstance(engine, TorchEngine)
    return engine.module


@pytest.fixture
def editor() -> LatentEditor:
    components = Components(
        np.zeros(WIDTH, np.float32), np.eye(WIDTH, dtype=np.float32), np.ones(WIDTH, np.float32), "toy"
    )
    return LatentEditor(
        *engines(),
        "toy",
        {
            "age": Slider(way("age", 0, rows=(0, 8)), 3.0),
            "smile": Slider(way("smile", 1), 2.0),
            "white_hair": CoordinateSlider(components, 3, (7, 10), -4.0, "White hair"),
        },
        {"smile": way("smile", 1)},
        size=SIDE,
    )


def code_of(latent: np.ndarray) -> np.ndarray:
    return latent.reshape(ROWS, WIDTH)


def test_it_is_an_editor(editor: LatentEditor) -> None:
    assert isinstance(editor, Editor)
    fields = editor.Controls.model_fields
    assert list(fields) == ["age", "smile", "white_hair", "hold_smile", "rows", "detail"]
    assert fields["white_hair"].title == "White hair"
    assert editor.Controls().neutral()
    assert controls_of(editor, hold_smile=True, detail="full").neutral()
    assert not controls_of(editor, age=0.1).neutral()


def test_a_slider_moves_the_published_rows_by_its_reach(editor: LatentEditor) -> None:
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    moved = code_of(editor.steer(latent, controls_of(editor, age=0.5))) - code_of(latent)
    np.testing.assert_allclose(moved[:8], np.tile(1.5 * way("age", 0).vector, (8, 1)), atol=1e-5)
    assert not moved[8:].any()


def test_rows_can_be_chosen(editor: LatentEditor) -> None:
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    moved = code_of(editor.steer(latent, controls_of(editor, age=1.0, rows="middle"))) - code_of(latent)
    assert [bool(row.any()) for row in moved] == [False] * 4 + [True] * 4 + [False] * 2


def test_what_is_held_does_not_move(editor: LatentEditor) -> None:
    latent, smile = editor.encode(face_crop(SIDE), editor.Controls()), way("smile", 1).vector
    free = code_of(editor.steer(latent, controls_of(editor, age=1.0))) - code_of(latent)
    kept = code_of(editor.steer(latent, controls_of(editor, age=1.0, hold_smile=True))) - code_of(latent)
    assert abs(free[0] @ smile) > 0.1
    assert abs(kept[0] @ smile) < 1e-4
    assert np.linalg.norm(kept[0]) == pytest.approx(3.0, rel=1e-4)
    smiling = code_of(editor.steer(latent, controls_of(editor, smile=1.0, hold_smile=True))) - code_of(latent)
    assert smiling[0] @ smile == pytest.approx(2.0, rel=1e-4)


def test_a_component_is_set(editor: LatentEditor) -> None:
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    own = code_of(latent)
    full = code_of(editor.steer(latent, controls_of(editor, white_hair=1.0)))
    half = code_of(editor.steer(latent, controls_of(editor, white_hair=0.5)))
    assert full[7, 3] - own[7, 3] == pytest.approx(-4.0 - own[0, 3], abs=1e-4)
    np.testing.assert_allclose(half, (own + full) / 2, atol=1e-5)


def test_delta_is_the_difference_of_the_drawings(editor: LatentEditor) -> None:
    crop = face_crop(SIDE)
    latent = editor.encode(crop, editor.Controls())
    steered = editor.steer(latent, controls_of(editor, age=1.0))
    edit = editor.render(crop, latent, steered, controls_of(editor, age=1.0))
    with torch.no_grad():
        own, wanted = module_of(editor.generator)(torch.from_numpy(np.stack([code_of(latent), code_of(steered)])))
    difference = (wanted.clamp(-1, 1) - own.clamp(-1, 1)).numpy().transpose(1, 2, 0) * 127.5
    assert edit.image is None
    np.testing.assert_allclose(delta_of(edit), difference, atol=1e-3)
    assert np.abs(delta_of(edit)).max() > 1


def test_full_shows_the_drawing(editor: LatentEditor) -> None:
    crop = face_crop(SIDE)
    latent = editor.encode(crop, editor.Controls())
    edit = rendered(editor, crop, latent, controls_of(editor, age=1.0, detail="full"))
    assert edit.image is not None
    assert image_of(edit).shape == (SIDE, SIDE, 3)
    assert edit.opacity is None
    assert edit.delta is None
    assert edit.mask.max() > 0.9


def test_no_move_is_no_edit(editor: LatentEditor) -> None:
    crop = face_crop(SIDE)
    latent = editor.encode(crop, editor.Controls())
    assert not rendered(editor, crop, latent, editor.Controls()).mask.any()


def test_a_direction_of_another_generator_is_refused() -> None:
    stranger = Slider(way("age", 0, generator="stylegan1-ffhq"), 3.0)
    with pytest.raises(LatentError, match="belongs to stylegan1-ffhq, not to toy"):
        LatentEditor(*engines(), "toy", {"age": stranger})
    with pytest.raises(LatentError, match="belongs to other"):
        LatentEditor(*engines(), "toy", {}, {"age": way("age", 0, generator="other")})


@pytest.mark.parametrize(("have", "want"), [(8, 8), (8, 4), (8, 3), (8, 12)])
def test_fitted(have: int, want: int) -> None:
    ramp = np.broadcast_to(np.linspace(-1, 1, have, dtype=np.float32), (2, 3, have, have))
    got = resize_pictures(ramp, want)
    assert got.shape == (2, 3, want, want)
    assert got.dtype == np.float32
    assert got.mean() == pytest.approx(0, abs=1e-6)


def test_exported_networks_run_the_editor(tmp_path: Path, editor: LatentEditor) -> None:
    export(module_of(editor.encoder), {"image": torch.rand(1, 3, SIDE, SIDE)}, ["w_plus"], tmp_path / "encoder.onnx")
    export(module_of(editor.generator), {"w_plus": torch.randn(1, ROWS, WIDTH)}, ["image"], tmp_path / "generator.onnx")
    parts = [load(tmp_path / f"{name}.onnx", backend="onnxruntime", threads=1) for name in ("encoder", "generator")]
    exported = LatentEditor(parts[0], parts[1], "toy", {"age": Slider(way("age", 0, rows=(0, 8)), 3.0)})
    assert exported.crop.size == SIDE
    crop = face_crop(SIDE)
    controls = controls_of(exported, age=1.0)
    edits = []
    for each in (editor, exported):
        latent = each.encode(crop, each.Controls())
        edits.append(rendered(each, crop, latent, controls_of(each, **controls.model_dump(include={"age"}))))
    np.testing.assert_allclose(delta_of(edits[1]), delta_of(edits[0]), atol=0.05)
