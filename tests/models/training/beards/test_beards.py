"""What is taught about beards: who has one, pictures, the loss."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.arrays import Floats, Image
from models.editor import Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.face.segmenter import Segmenter
from models.face.texture_space import FACE_OVAL, FaceSpace
from models.training.beards import labels
from models.training.beards.labels import bearded
from models.training.beards.train import BeardNet, Beards, BeardSample, Trainer
from models.training.data import SIZE, FaceSet

SKIN = (190, 150, 130)


class Everywhere(Segmenter):
    """Sees a face everywhere and no hair."""

    def __init__(self) -> None: ...

    def read(self, image: Image) -> Masks:
        none, face = (np.full((64, 64), value, np.float32) for value in (0, 1))
        return Masks(hair=none, face=face, occluder=none, person=face)


@pytest.fixture(scope="module")
def mesh() -> Floats:
    points = np.zeros((478, 2), np.float32)
    points[:468] = FaceSpace.from_tables(read_tables(EMBEDDED)).mean + np.array([32, 40], np.float32)
    return points


@pytest.fixture
def faces(mesh: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaceSet:
    """A bearded man, a shaven one who was looked at, another one, a woman, and a bearded man whom nobody looked at."""
    shaven = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    rough = np.random.default_rng(0).normal(60, 28, (SIZE // 2, SIZE // 2)).clip(0, 255).astype(np.uint8)
    hairy = shaven.copy()
    top, bottom = int(mesh[2, 1]) + 8, int(mesh[list(FACE_OVAL), 1].max())
    grown = cv2.resize(rough, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)[..., None]
    hairy[top:bottom] = grown[top:bottom]
    file = tmp_path / "looked_at.csv"
    file.write_text("id,seen\nbearded,1\nshaven,0\n")
    monkeypatch.setattr(labels, "LOOKED_AT", file)
    eyes = np.stack([mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0), mesh[1], mesh[61], mesh[291]])
    masks = np.zeros((5, 64, 64), np.uint8)
    told = {
        "id": np.array(["bearded", "shaven", "other", "woman", "unseen"]),
        "sex": np.array(["M", "M", "M", "F", "M"]),
    }
    pictures = np.stack([hairy, shaven, shaven, shaven, hairy])
    return FaceSet(pictures, np.stack([mesh] * 5), np.stack([eyes] * 5), masks, masks, told)


def test_who_has_a_beard_is_what_somebody_saw_and_where_it_is_what_rules_find(faces: FaceSet) -> None:
    known = bearded(faces, np.arange(5), Everywhere())
    assert (sorted(known.found), known.alike.tolist(), known.bare.tolist()) == ([0], [1], [2, 3])
    chin = np.s_[32 + 200 : 32 + 218, 32 + 112 : 32 + 144]
    assert known.found[0][chin].mean() > 100
    assert known.found[0][:150].max() == 0


def test_a_picture_shows_its_beard_where_the_network_is_asked_for_it(faces: FaceSet) -> None:
    beards = Beards(faces, Everywhere(), bearded(faces, np.arange(5), Everywhere()))
    with_beard, without = (beards.sample(row, None) for row in (0, 1))
    assert with_beard.given.shape == (5, 96, 96)
    assert with_beard.alpha[0, 60:75, 40:56].mean() > 0.4
    assert with_beard.alpha[0, :20].max() < 0.05
    assert without.alpha.max() == 0
    generator = np.random.default_rng(1)
    several = [beards.draw(generator) for _ in range(12)]
    assert 0 < sum(each.alpha.max() > 0.4 for each in several) < 12
    assert all(each.given.min() >= 0 and each.given.max() <= 1 for each in several)


def test_beards_are_learnt(faces: FaceSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    beards = Beards(faces, Everywhere(), bearded(faces, np.arange(5), Everywhere()))
    batch = BeardSample(*(np.stack(each) for each in zip(*(beards.sample(row, None) for row in (0, 1)), strict=True)))
    trainer = Trainer(tmp_path / "beards.pt")
    lost = [trainer.step(batch) for _ in range(15)]
    assert lost[-1] < 0.5 * lost[0]
    trainer.save()
    assert Trainer(tmp_path / "beards.pt").steps == 15


def test_logits_have_the_size_of_the_input() -> None:
    assert BeardNet().eval()(torch.zeros(1, 5, 96, 96)).shape == (1, 1, 96, 96)
