"""A control is one module: nothing else names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded import EMBEDDED, controls
from models.embedded.attributes import TABLES, read_tables
from models.embedded.control import Control, Pack
from models.embedded.controls import find_controls
from models.embedded.editor import EmbeddedEditor, _over, controls_model, load
from models.face.canvas import NECK_NODES
from models.face.texture_space import FaceSpace
from tests.models.editing import delta_of, flow_of, image_of, opacity_of, rendered
from tests.models.embedded.test_editor import stub

BLUSH = """
import numpy as np
from pydantic import Field
from models.embedded.control import Control, Layer, SkinChange

class Blush(Control):
    fields = {"blush": (float, Field(0.0, ge=0, le=1, title="Blush"))}
    length = 2

    @classmethod
    def load(cls, pack):
        assert "ageing_skin" in pack.tables
        return cls()

    def reach(self):
        return (self.lifted(1),)

    def lifted(self, amount):
        moves = np.zeros((74, 64, 2), np.float32)
        moves[-1, 5] = 4 * amount
        return moves

    def read(self, reading):
        return np.array([0.25, len(reading.texture)], np.float32)

    def steer(self, now, wanted, controls):
        pass

    def skin(self, way, own):
        assert own.tolist() == [0.25, 192]
        if way.controls.blush == 0:
            return None
        colour = np.zeros((192, 192, 3), np.float32)
        colour[..., 0] = own[0] * way.controls.blush
        return SkinChange(colour, self.lifted(way.controls.blush))

    def draw(self, way, own):
        if way.controls.blush < 1:
            return None
        mask = np.zeros(way.crop.image.shape[:2], np.float32)
        mask[:4] = 1
        return Layer(mask, image=np.full_like(way.crop.image, 9), opacity=mask)
"""


@pytest.fixture
def with_blush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "blush.py").write_text(BLUSH)
    monkeypatch.setattr(controls, "__path__", [*controls.__path__, str(tmp_path)])
    yield
    sys.modules.pop("models.embedded.controls.blush", None)
    vars(controls).pop("blush", None)


def face() -> Crop:
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 88])
    nothing = np.zeros((128, 128), np.float32)
    masks = Masks(nothing, nothing, nothing, nothing)
    image = np.zeros((320, 320, 3), np.uint8) + np.array([120, 100, 85], np.uint8)
    return Crop(image, mesh[[33, 263, 4, 61, 291]], mesh, masks)


def test_the_page_shows_the_fields_in_the_order_of_the_modules() -> None:
    assert list(controls_model(find_controls()).model_fields) == [
        "age",
        "age_hair",
        "bald",
        "bald_sides",
        "hair_grey",
        "grey_brows",
        "smile",
        "stubble",
    ]


def test_a_module_more_is_a_control_more(with_blush: None) -> None:
    found = find_controls()
    model = controls_model(found)
    assert list(model.model_fields) == [
        "age",
        "age_hair",
        "bald",
        "bald_sides",
        "blush",
        "hair_grey",
        "grey_brows",
        "smile",
        "stubble",
    ]
    editor: EmbeddedEditor = load(stub, EMBEDDED)
    crop, at_rest = face(), model()
    latent = editor.encode(crop, at_rest)
    assert not rendered(editor, crop, latent, at_rest).mask.any()
    half = rendered(editor, crop, latent, model.model_validate({"blush": 0.5}))
    assert delta_of(half)[..., 0].max() > 5
    assert np.abs(delta_of(half)[..., 1:]).max() < 1
    assert half.image is None
    whole = rendered(editor, crop, latent, model.model_validate({"blush": 1, "smile": 1}))
    assert image_of(whole)[0, 0].tolist() == [9, 9, 9]
    assert opacity_of(whole)[:4].min() == 1
    assert np.abs(flow_of(whole)).max() > np.abs(flow_of(half)).max()


def test_the_canvas_reaches_as_far_as_the_controls_ask(with_blush: None) -> None:
    [blush] = [control for control in find_controls() if "blush" in control.fields]
    without = [control for control in find_controls() if control is not blush]
    assert not any(np.abs(moves[..., -1, 5, :]).max() > 1 for control in without for moves in _reach(control))
    [moves] = _reach(blush)
    assert moves.shape == (64 + NECK_NODES, 64, 2)
    editor = load(stub, EMBEDDED)
    assert editor._canvas.reach[:, 1].max() == (64 + NECK_NODES) * 3


def _reach(control: type[Control]) -> tuple[Floats, ...]:
    return control.load(Pack(read_tables(EMBEDDED), lambda name: stub(EMBEDDED / name))).reach()


def test_replacements_lie_over_each_other() -> None:
    image, below = np.full((1, 2, 3), 200, np.uint8), np.full((1, 2, 3), 100, np.uint8)
    upper, lower = np.array([[0.5, 0.0]], np.float32), np.array([[0.5, 1.0]], np.float32)
    picture, opacity = _over(image, upper, below, lower)
    np.testing.assert_allclose(opacity, [[0.75, 1.0]])
    assert picture[0, :, 0].tolist() == [167, 100]
