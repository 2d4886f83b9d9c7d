from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from models.arrays import Floats, Latent
from models.editor import Crop, Editor, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.child import DETAIL, SEEN, SHAPE, TONE, YEARS, YOUTH, Child, ChildControls, load
from models.face.texture_space import FaceSpace
from models.training.data import FaceSet
from models.training.editor.statistics import fleeting_modes
from tests.models.editing import delta_of, flow_of

SIZE = 320


class Reader(Engine):
    """A reader that says: 40 years, a woman."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("head", (None, 3, 112, 112), np.dtype(np.float32)),)
    outputs = (TensorSpec("attributes", (None, 8), np.dtype(np.float32)),)
    glasses = -4.0

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"attributes": np.array([[0.4, -4, 0, 0, self.glasses, -4, 0, 0.6]], np.float32)}


class MakeFace(Protocol):
    """Makes a face of a grey level and a mesh."""

    def __call__(self, level: float = 100, mean: Floats = ...) -> Crop: ...


@pytest.fixture(scope="module")
def space() -> FaceSpace:
    return FaceSpace.load(EMBEDDED / TABLES)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def editor(reader: Reader) -> Child:
    return load(lambda path: reader, EMBEDDED)


@pytest.fixture
def face(space: FaceSpace) -> MakeFace:
    def make(level: float = 100, mean: Floats = space.mean) -> Crop:
        mesh = np.zeros((478, 2), np.float32)
        mesh[:468] = mean + np.array([64, 88], np.float32)
        image = (level + np.random.default_rng(0).normal(0, 4, (SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
        nothing = np.zeros((128, 128), np.float32)
        return Crop(image, mesh[[33, 263, 4, 61, 291]], mesh, Masks(nothing, nothing, nothing, nothing))

    return make


def child_of(editor: Child, live: Crop, photo: Crop, **controls: Any) -> tuple[Latent, Latent]:
    chosen = ChildControls(**editor.read_photo(photo), **controls)
    latent = editor.encode(live, editor.Controls())
    return latent, editor.steer(latent, chosen)


def of_a_photo(editor: Child, photo: Crop) -> ChildControls:
    return ChildControls(**editor.read_photo(photo))


def test_it_is_an_editor_that_takes_photos(editor: Child) -> None:
    assert isinstance(editor, Editor)
    assert editor.Controls.takes_photo()
    assert ChildControls().neutral()
    assert not ChildControls(photo="ab").neutral()


def test_without_a_photo_nothing_changes(editor: Child, face: MakeFace) -> None:
    latent = editor.encode(face(), editor.Controls())
    for controls in (ChildControls(), ChildControls(photo="0123")):
        steered = editor.steer(latent, controls)
        assert not editor.render(face(), latent, steered, controls).mask.any()


def test_a_photo_is_known_by_what_was_read_of_it(editor: Child, face: MakeFace) -> None:
    first, again, other = (editor.read_photo(face(level))["photo"] for level in (100, 100, 160))
    assert first == again != other
    assert editor.knows_photo(first)
    assert not editor.knows_photo("0123")


def test_the_child_lies_between_its_parents(editor: Child, face: MakeFace) -> None:
    latent, steered = child_of(editor, face(100), face(140), genes=0.5, age=None)
    other = editor.encode(face(140), editor.Controls())
    assert 0.05 < (steered[TONE] - latent[TONE]).mean() < 0.5 * (other[TONE] - latent[TONE]).mean()
    _, none = child_of(editor, face(100), face(140), genes=0, age=None)
    np.testing.assert_allclose(none, np.where(np.arange(len(none)) < DETAIL.stop, latent, 0), atol=1e-5)
    _, all_of_it = child_of(editor, face(100), face(140), genes=1, age=None)
    np.testing.assert_allclose(all_of_it[SHAPE], editor.encode(face(140), editor.Controls())[SHAPE], atol=1e-3)


def test_a_parents_broad_nose_makes_the_nose_broader(editor: Child, face: MakeFace, space: FaceSpace) -> None:
    mean = space.mean.copy()
    for wing, way in ((48, -1), (278, 1)):
        near = np.exp(-((space.mean - space.mean[wing]) ** 2).sum(1) / 2 / 8**2)
        mean[:, 0] += 5 * way * near
    live = face()
    latent, steered = child_of(editor, live, face(mean=mean), age=None)
    flow = flow_of(editor.render(live, latent, steered, of_a_photo(editor, face(mean=mean))))
    assert live.mesh is not None
    left, right = (tuple(live.mesh[wing].astype(int)[::-1]) for wing in (48, 278))
    assert flow[left][0] > 1 > -1 > flow[right][0]  # half of the difference, from within
    assert np.abs(flow[live.mesh[152].astype(int)[1], live.mesh[152].astype(int)[0]]).max() < 0.5


def test_a_smile_is_nobodys_shape(editor: Child, face: MakeFace, space: FaceSpace) -> None:
    with np.load(EMBEDDED / TABLES) as tables:
        fleeting = tables["fleeting_modes"].astype(np.float32)
    smiling = face(mean=space.mean + 20 * fleeting[0])
    latent, steered = child_of(editor, face(), smiling, genes=1, age=None)
    moved = np.abs(steered[SHAPE] - latent[SHAPE]).max()
    assert moved < 0.2 * 20 * np.abs(fleeting[0]).max()


def test_a_child_is_younger_than_its_parents(editor: Child, face: MakeFace) -> None:
    live = face()
    _, none = child_of(editor, live, face(), age=None)
    latent, fifteen = child_of(editor, live, face(), age=15)
    assert none[YOUTH] == 0
    assert fifteen[YOUTH] == pytest.approx(1)
    controls = of_a_photo(editor, face())
    flows = [flow_of(editor.render(live, latent, steered, controls)) for steered in (none, fifteen)]
    assert np.abs(flows[0]).max() < 0.05
    assert np.abs(flows[1]).max() > 1
    _, forty = child_of(editor, live, face(), age=40)
    assert forty[YEARS] == latent[YEARS]
    np.testing.assert_allclose(flow_of(editor.render(live, latent, forty, controls)), flows[0], atol=0.02)


def test_what_hides_skin_is_not_mixed(editor: Child, reader: Reader, face: MakeFace) -> None:
    assert editor.encode(face(), editor.Controls())[SEEN].reshape(48, 48)[15:25, 12:36].min() > 0.9
    reader.glasses = 4.0
    seen = editor.encode(face(), editor.Controls())[SEEN].reshape(48, 48)
    assert seen[13:22, 12:36].max() < 0.1
    assert seen[32:40, 18:30].min() > 0.9


def test_light_from_the_side_stays_out_of_the_child(editor: Child, face: MakeFace) -> None:
    photo = face()
    spot = photo.image.astype(np.float32)
    spot[170:200, 95:125] *= 1.25
    photo = Crop(spot.astype(np.uint8), photo.points5, photo.mesh, photo.masks)
    _, steered = child_of(editor, face(), photo, genes=1, age=None)
    light = steered[DETAIL][: 192 * 192].reshape(192, 192)
    np.testing.assert_allclose(light[60:150, 30:90], light[60:150, 162:102:-1][:, :60], atol=0.35)
    assert abs(light[85:110, 35:60].mean() - light[85:110, 132:157].mean()) < 0.02


def test_turned_photos_are_refused_and_turned_faces_left_alone(editor: Child, face: MakeFace, space: FaceSpace) -> None:
    turned = face(mean=space.mean + 3.5 * space.spread[0] * space.modes[0])
    with pytest.raises(ValueError, match="looks aside"):
        editor.read_photo(turned)
    latent, steered = child_of(editor, turned, face(140), genes=1)
    edit = editor.render(turned, latent, steered, of_a_photo(editor, face(140)))
    assert np.abs(flow_of(edit)).max() < 0.01
    assert np.abs(delta_of(edit)).max() < 0.01


def test_a_face_without_a_mesh_is_an_error(editor: Child, face: MakeFace) -> None:
    bare = face()
    with pytest.raises(ValueError, match="mesh"):
        editor.encode(Crop(bare.image, bare.points5), editor.Controls())


def test_fleeting_modes_hold_the_smile(shared: Path) -> None:
    faces = FaceSet.load(shared)
    space = FaceSpace.load(EMBEDDED / TABLES)
    modes = fleeting_modes(faces, space, faces.split("train")[::4]).reshape(6, -1)
    np.testing.assert_allclose(modes @ modes.T, np.eye(6), atol=1e-4)
    with np.load(EMBEDDED / TABLES) as tables:
        shipped = tables["fleeting_modes"].astype(np.float32).reshape(6, -1)
    cosines = np.linalg.svd(modes @ shipped.T, compute_uv=False)
    assert cosines.min() > 0.8
