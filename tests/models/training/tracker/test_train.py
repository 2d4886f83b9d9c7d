from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.arrays import Image
from models.training.data import FaceSet
from models.training.scenes import backgrounds, geometry, pasting
from models.training.scenes.portraits import Portraits
from models.training.scenes.views import drop_jaw, lower_lids
from models.training.tracker.detector import (
    ANCHORS,
    STRIDES,
    Detector,
    DetectorSamples,
    anchor_grid,
    assign,
    detector_loss,
)
from models.training.tracker.landmarks import CROP, POINTS, LandmarkNet, LandmarkSamples, landmark_loss, to_target
from models.training.tracker.scenes import Pasted, Scene, SceneSamples
from models.training.tracker.train import fit


@pytest.fixture(scope="module")
def portraits(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Portraits:
    faces = FaceSet.load(shared)
    return Portraits.of(faces, faces.split("train")[::8])


@pytest.fixture(scope="module")
def stock(portraits: Portraits) -> Image:
    return backgrounds.pool(np.random.default_rng(0), 4, 128, portraits)


def test_matrices_compose_in_order() -> None:
    turn = geometry.rotation(np.array([3, 4], np.float32), 90, 2.0, np.array([10, 20], np.float32))
    assert geometry.transform(np.array([[3, 4], [4, 4]], np.float32), turn) == pytest.approx(
        np.array([[10, 20], [10, 22]]), abs=1e-4
    )
    move = np.array([[1, 0, 5], [0, 1, 0]], np.float32)
    both = geometry.compose_matrices(move, turn)
    assert geometry.transform(np.array([[3, 4]], np.float32), both)[0] == pytest.approx([15, 20], abs=1e-4)


def test_mirrored_meshes_name_the_other_side(portraits: Portraits) -> None:
    order = geometry.mirror_order(portraits.mesh[:300])
    assert order[33] == 263
    assert order[61] == 291
    assert order[geometry.LEFT_EYE] == geometry.RIGHT_EYE
    assert order[13] == 13
    assert order[14] == 14


def test_boxes_reach_the_hairline(portraits: Portraits) -> None:
    mesh = portraits.mesh[0]
    left, top, right, bottom = geometry.face_box(mesh)
    assert top < mesh[:, 1].min()
    assert (left, right, bottom) == pytest.approx((mesh[:, 0].min(), mesh[:, 0].max(), mesh[:, 1].max()))


def test_pasting_puts_the_face_where_the_matrix_says(portraits: Portraits) -> None:
    rng = np.random.default_rng(1)
    canvas = np.zeros((400, 500, 3), np.uint8)
    matrix = np.array([[0.5, 0, 200], [0, 0.5, 100]], np.float32)
    pasting.paste(rng, canvas, image=portraits.images[0], person=np.full((128, 128), 255, np.uint8), matrix=matrix)
    touched = np.argwhere(canvas.any(2))
    assert touched.min(0) == pytest.approx([100, 200], abs=2)
    assert touched.max(0) == pytest.approx([227, 327], abs=2)


def test_dark_skin_and_turned_heads_are_drawn_more_often() -> None:
    mesh = np.full((4, 478, 2), 128, np.float32)
    mesh[:, geometry.EARS[0], 0], mesh[:, geometry.EARS[1], 0] = 80, 176
    mesh[2:, geometry.NOSE, 0] = 150
    images = np.full((4, 256, 256, 3), 180, np.uint8)
    images[1::2] = 60
    plain = Portraits(images, np.zeros((4, 128, 128), np.uint8), mesh, np.zeros((4, 5, 2), np.float32))
    balanced = plain.balanced()
    assert np.bincount(balanced.drawn).tolist() == [1, 3, 2, 4]
    rng = np.random.default_rng(0)
    drawn = np.bincount([balanced.draw(rng) for _ in range(2000)])
    assert drawn / 200 == pytest.approx([1, 3, 2, 4], abs=0.4)
    assert np.bincount([plain.draw(rng) for _ in range(2000)]) / 500 == pytest.approx([1, 1, 1, 1], abs=0.2)


@pytest.mark.parametrize("faces", [0, 1, 6])
def test_scenes_have_finite_labels_on_any_count(portraits: Portraits, stock: Image, faces: int) -> None:
    scenes = SceneSamples(portraits, stock, np.random.default_rng(faces))
    scene = scenes.scene(180, 320, faces=faces)
    assert scene.picture.shape == (180, 320, 3)
    assert len(scene.boxes) == len(scene.points5) == len(scene.ignored) <= faces
    assert np.isfinite(scene.boxes).all()


def test_hidden_faces_are_known_by_their_pixels() -> None:
    picture = np.random.default_rng(0).integers(1, 200, (100, 100, 3)).astype(np.uint8)
    square = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    face = Pasted.of(picture, np.resize(square, (478, 2)))
    assert face.visible(picture) == pytest.approx(1, abs=0.01)
    picture[:, :40] = 255
    assert face.visible(picture) == pytest.approx(0.5, abs=0.04)
    cut = Pasted.of(picture, np.resize(square, (478, 2)) + np.array([60, 0], np.float32))
    assert cut.visible(picture) == pytest.approx(0.5, abs=0.04)
    gone = Pasted.of(picture, np.resize(square, (478, 2)) + np.array([300, 0], np.float32))
    assert gone.visible(picture) == 0


def test_landmark_samples_hold_the_face_in_the_crop(portraits: Portraits, stock: Image) -> None:
    samples = LandmarkSamples(portraits, stock, np.random.default_rng(2))
    batch = samples.batch(40)
    assert batch.crops.shape == (40, CROP, CROP, 3)
    present = batch.presence == 1
    assert 0 < present.sum() < 40
    assert np.abs(batch.points[present]).mean() < 0.7
    assert (np.abs(batch.points[present]) < 1.1).mean() > 0.97


def test_targets_count_from_the_outer_edges() -> None:
    corners = np.array([[-0.5, -0.5], [CROP - 0.5, CROP - 0.5]], np.float32)
    assert to_target(corners) == pytest.approx(np.array([[-1, -1], [1, 1]]))


def test_anchors_follow_the_outputs() -> None:
    network = Detector().eval()
    with torch.no_grad():
        outputs = network(torch.zeros(1, 3, 64, 96))
    assert len(outputs) == 9
    rows = [64 // stride * (96 // stride) * ANCHORS for stride in STRIDES]
    for index, width in enumerate((1, 4, 10)):
        assert [tuple(o.shape) for o in outputs[3 * index : 3 * index + 3]] == [(1, r, width) for r in rows]
    centres, strides, _ = anchor_grid(64, 96)
    assert len(centres) == sum(rows)
    assert centres[2].tolist() == [8, 0]
    assert strides[-1] == 32


def test_an_anchor_answers_for_the_face_of_its_size() -> None:
    box = np.array([[100, 80, 160, 150]], np.float32)
    scene = Scene(
        np.zeros((320, 320, 3), np.uint8), box, np.zeros((1, 5, 2), np.float32), np.array([False]), np.array([0])
    )
    grid = anchor_grid(320, 320)
    kinds, boxes, _ = assign(scene, grid)
    assert set(grid[2][kinds == 1]) == {64}
    assert (boxes[kinds == 1] == box).all()
    assert (np.abs(grid[0][kinds == 1] - [130, 115]) <= 16).all()


def test_ignored_faces_teach_nothing() -> None:
    box = np.array([[100, 80, 160, 150]], np.float32)
    scene = Scene(
        np.zeros((320, 320, 3), np.uint8), box, np.zeros((1, 5, 2), np.float32), np.array([True]), np.array([0])
    )
    kinds, _, _ = assign(scene, anchor_grid(320, 320))
    assert (kinds == 1).sum() == 0
    assert (kinds == -1).sum() > 0


def has_gradient(weight: torch.nn.Parameter) -> bool:
    return weight.grad is not None and bool(torch.isfinite(weight.grad).all())


def test_losses_are_finite_and_reach_every_weight(portraits: Portraits, stock: Image) -> None:
    rng = np.random.default_rng(3)
    cpu = torch.device("cpu")
    detector = Detector()
    samples = DetectorSamples(SceneSamples(portraits, stock, rng))
    losses = detector_loss(detector, samples.batch(4), cpu)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    assert all(has_gradient(p) for p in detector.parameters())
    network = LandmarkNet()
    losses = landmark_loss(network, LandmarkSamples(portraits, stock, rng).batch(4), cpu)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    assert all(has_gradient(p) for p in network.parameters())


def test_a_mouth_opens_and_eyes_close(portraits: Portraits) -> None:
    mesh = portraits.mesh[0].astype(np.float64)
    opened = drop_jaw(mesh, 0.3)
    assert opened[14, 1] > mesh[14, 1] + 5
    assert opened[13] == pytest.approx(mesh[13])
    assert opened[10] == pytest.approx(mesh[10])
    closed = lower_lids(mesh, 1.0, 0.0)
    assert np.linalg.norm(closed[159] - closed[145]) < 0.1 * np.linalg.norm(mesh[159] - mesh[145])
    assert closed[386] == pytest.approx(mesh[386])


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    steps = []

    def step(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        steps.append(1)
        return {"total": model(torch.ones(2, 3)).square().mean()}

    def train(minutes: float) -> None:
        network = torch.nn.Linear(3, POINTS)
        fit(network, step, path=tmp_path / "n.pt", device=torch.device("cpu"), minutes=minutes, renew=lambda: None)

    train(0.002)
    first = torch.load(tmp_path / "n.pt", weights_only=True)
    assert first["steps"] == len(steps)
    train(0.002)
    assert torch.load(tmp_path / "n.pt", weights_only=True)["steps"] == first["steps"]
    train(0.004)
    again = torch.load(tmp_path / "n.pt", weights_only=True)
    assert again["steps"] == len(steps) > first["steps"]
    assert again["seconds"] >= 0.004 * 60
