"""The segmenter's trainer: labels, composed samples, the loss, resuming, the exported file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.face.texture_space import FACE_OVAL  # noqa: E402
from models.training.data import FaceSet  # noqa: E402
from models.training.segmenter import samples  # noqa: E402
from models.training.segmenter import train as trainer  # noqa: E402
from models.training.segmenter.network import INPUT, SegmenterNet  # noqa: E402

ROWS = 6


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Portraits of discs: dark hair over a skin-coloured oval on grey."""
    rows, columns = np.mgrid[0:256, 0:256]
    oval = np.hypot((rows - 140) / 70, (columns - 128) / 50) < 1
    head = np.hypot((rows - 120) / 100, (columns - 128) / 75) < 1
    image = np.full((256, 256, 3), 150, np.uint8)
    image[head] = (40, 30, 25)
    image[oval] = (200, 150, 125)
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False) - np.pi / 2
    mesh = np.random.default_rng(0).uniform(110, 146, (478, 2)).astype(np.float32)
    mesh[list(FACE_OVAL)] = np.stack([128 + 50 * np.cos(turn), 140 + 70 * np.sin(turn)], 1)
    small = (slice(None, None, 2), slice(None, None, 2))
    return FaceSet(
        images=np.stack([image] * ROWS),
        mesh=np.stack([mesh] * ROWS),
        points5=np.zeros((ROWS, 5, 2), np.float32),
        hair=np.stack([(head & ~oval)[small].astype(np.uint8) * 255] * ROWS),
        person=np.stack([head[small].astype(np.uint8) * 255] * ROWS),
        labels={
            "glasses": np.array([1] + [0] * (ROWS - 1), np.float32),
            "hat": np.zeros(ROWS, np.float32),
            "skin_L": np.full(ROWS, 70, np.float32),
            "yaw": np.zeros(ROWS, np.float32),
            "age": np.full(ROWS, np.nan, np.float32),
            "baldness": np.zeros(ROWS, np.float32),
            "split": np.array(["train"] * ROWS),
        },
    )


@pytest.fixture(scope="module")
def labels(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> samples.Labels:
    return samples.Labels.load(faces, tmp_path_factory.mktemp("labels"))


def test_labels_follow_hair_face_and_person(labels: samples.Labels) -> None:
    hair, face, person = np.moveaxis(labels.values[0].astype(np.float32) / 255, -1, 0)
    forehead, crown, corner = (80, 80), (25, 80), (5, 5)
    assert face[forehead] > 0.9
    assert hair[crown] > 0.9
    assert person[crown] > 0.9
    assert hair[forehead] < 0.1
    assert face[crown] < 0.1
    assert max(hair[corner], face[corner], person[corner]) < 0.1


def test_samples_are_in_range_and_consistent(faces: FaceSet, labels: samples.Labels) -> None:
    composer = samples.Composer(faces, labels, np.arange(ROWS))
    covered = 0
    for seed in range(30):
        sample = composer.draw(np.random.default_rng(seed))
        assert sample.image.shape == (INPUT, INPUT, 3)
        assert sample.image.dtype == np.uint8
        assert sample.target.shape == sample.weight.shape == (INPUT, INPUT, 4)
        assert sample.target.min() >= 0
        assert sample.target.max() <= 1 + 1e-6
        assert sample.weight.min() >= 0
        assert sample.weight.max() <= (1 + samples.HAND_WEIGHT) ** 2
        occluder = sample.target[..., 2] > 0.9
        covered += bool(occluder.any())
        assert sample.target[..., 1][occluder].max(initial=0) < 0.15
    assert 8 < covered < 28


def test_the_same_seed_draws_the_same_sample(faces: FaceSet, labels: samples.Labels) -> None:
    composer = samples.Composer(faces, labels, np.arange(ROWS))
    first, second = (composer.draw(np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.target, second.target)


def test_training_lowers_the_loss_resumes_and_exports(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FaceSet, "load", staticmethod(lambda shared: faces))
    out = tmp_path / "segmenter.onnx"
    command = ["--work", str(tmp_path), "--out", str(out), "--batch", "2", "--device", "cpu", "--rate", "0.003"]
    assert trainer.main([*command, "--steps", "2"]) == 0
    first = torch.load(tmp_path / "last.pt", weights_only=True)
    assert first["step"] == 2
    assert trainer.main([*command, "--steps", "4"]) == 0
    second = torch.load(tmp_path / "last.pt", weights_only=True)
    assert second["step"] == 4
    assert all(bool(torch.isfinite(value).all()) for value in second["ema"].values())
    assert not torch.equal(first["network"]["head.weight"], second["network"]["head.weight"])
    assert out.stat().st_size > 1_000_000
    assert "segmenter.onnx" in capsys.readouterr().out


def test_learning_rate_warms_up_and_fades() -> None:
    rates = [trainer.learning_rate(step, 1000, 1.0) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01, abs=1e-3)
    assert max(rates) > 0.95
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)
    assert all(a >= b for a, b in pairwise(rates[100:]))


def test_unknown_labels_do_not_count(faces: FaceSet, labels: samples.Labels) -> None:
    network = SegmenterNet().eval()
    sample = samples.Composer(faces, labels, np.arange(ROWS)).draw(np.random.default_rng(1))
    unknown = samples.Sample(sample.image, sample.target, np.zeros_like(sample.weight))
    wrong = samples.Sample(sample.image, 1 - sample.target, np.zeros_like(sample.weight))
    with torch.no_grad():
        losses = [float(trainer._loss(network, [s], torch.device("cpu"), 0)) for s in (unknown, wrong)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_rare_portraits_are_drawn_more_often() -> None:
    rows = {
        "plain": (70.0, 0.0, 0.0, 30.0, 0.0),
        "dark": (40.0, 0.0, 0.0, 30.0, 0.0),
        "turned": (70.0, -30.0, 0.0, 30.0, 0.0),
        "unknown": (np.nan, np.nan, np.nan, np.nan, np.nan),
        "bald child with a hat": (70.0, 0.0, 1.0, 4.0, 0.9),
    }
    names = ("skin_L", "yaw", "hat", "age", "baldness")
    columns = np.array(list(rows.values()), np.float32).T
    assert samples.rarity(dict(zip(names, columns, strict=True))).tolist() == [1, 3, 3, 1, 4]
