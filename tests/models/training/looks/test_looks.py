"""What is taught about hair of another look: pictures, the network, the loss."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.strands import measure_light, measure_look
from models.face.imaging import LUMINANCE
from models.face.texture_space import FaceSpace
from models.training.data import SIZE, FaceSet
from models.training.looks.networks import HairLookNet, LookCritic, widened
from models.training.looks.portraits import Portraits, with_hair
from models.training.looks.scenes import LookScenes, draw_batch
from models.training.looks.train import Trainer

SKIN = (190, 150, 130)
HAIR = {"grey-white": (185, 180, 172), "black": (32, 28, 26), "brown": (86, 60, 44)}
WINDOW = 96


@pytest.fixture(scope="module")
def portraits() -> tuple[FaceSet, Portraits]:
    """Three people with short hair above their faces, one of each colour, and one with a hat."""
    points = np.zeros((478, 2), np.float32)
    points[:468] = FaceSpace.from_tables(read_tables(EMBEDDED)).mean + np.array([32, 60], np.float32)
    eyes = np.stack([points[[33, 133]].mean(0), points[[263, 362]].mean(0), points[1], points[61], points[291]])
    generator, pictures, looks, lights = np.random.default_rng(0), [], [], []
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[20:90, 40:216] = 1
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    colours = [*HAIR, "brown"]
    for name in colours:
        strands = cv2.GaussianBlur(generator.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), 1.2, sigmaY=9)
        hair = np.array(HAIR[name]) * np.exp(0.2 * strands / strands.std())[..., None]
        picture = np.array(SKIN) + alpha[..., None] * (hair - np.array(SKIN))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        look = measure_look(pictures[-1].astype(np.float32), alpha)
        assert look is not None
        looks.append(look.pack())
        lights.append(measure_light(pictures[-1], np.array(SKIN, np.float32)).pack())
    count = len(colours)
    labels = {
        "hair_colour": np.array(colours),
        "source": np.array(["uk_parliament"] * count),
        "crop_px": np.full(count, 256.0),
        "hat": np.array([0.0, 0, 0, 1]),
        "baldness": np.zeros(count),
        "outside_fraction": np.zeros(count),
    }
    masks = np.zeros((count, 128, 128), np.uint8)
    faces = FaceSet(np.stack(pictures), np.stack([points] * count), np.stack([eyes] * count), masks, masks, labels)
    read = Portraits(
        np.arange(count),
        np.stack([np.round(alpha * 255).astype(np.uint8)] * count),
        np.stack(looks),
        np.stack(lights),
        np.tile(np.array(SKIN, np.float32), (count, 1)),
    )
    return faces, read


@pytest.fixture(scope="module")
def scenes(portraits: tuple[FaceSet, Portraits]) -> LookScenes:
    faces, read = portraits
    return LookScenes(faces, read, with_hair(faces, read, np.arange(len(faces))), faces.labels["hair_colour"])


def light_of(planes: Floats, alpha: Floats) -> float:
    return float(np.median(LUMINANCE @ ((planes[:3] + 2) * 64)[:, alpha > 0.95]))


def test_who_wears_a_hat_teaches_nothing(portraits: tuple[FaceSet, Portraits]) -> None:
    assert with_hair(*portraits, np.arange(4)).tolist() == [0, 1, 2]


def test_a_pair_is_a_photograph_and_the_same_with_other_hair(scenes: LookScenes) -> None:
    generator = np.random.default_rng(3)
    changed = []
    for _ in range(6):
        sample = scenes.pair(generator)
        assert sample.given.shape == (4, SIZE, SIZE)
        beside = widened(torch.from_numpy(sample.alpha[None]), 9)[0].numpy() < 0.01
        away = np.abs(cv2.blur((sample.given[:3] - sample.truth).transpose(1, 2, 0), (9, 9)))
        assert away[beside[0]].mean() < 0.03, "skin and backdrop are those of the photograph"
        hair = sample.alpha[0]
        changed.append(abs(light_of(sample.given, hair) - light_of(sample.truth, hair)))
        np.testing.assert_allclose(sample.looks[3:6], sample.own[3:6], atol=1e-5)
        told = np.log(light_of(sample.truth, hair) + 4) - 4
        assert abs(sample.looks[3] - told) < 0.12
    assert max(changed) > 60


def test_a_journey_asks_for_the_look_of_the_photograph_that_goes_with_it(scenes: LookScenes) -> None:
    generator = np.random.default_rng(4)
    for _ in range(4):
        sample = scenes.journey(generator)
        told = np.log(light_of(sample.truth, sample.alpha[0]) + 4) - 4
        assert abs(sample.own[3] - told) < 0.12
        assert abs(sample.looks[3] - sample.own[3]) < 0.6, "in much the same light"


def test_a_batch_is_windows_of_pairs_and_journeys(scenes: LookScenes) -> None:
    batch = draw_batch(scenes, 2, 1, WINDOW, np.random.default_rng(5))
    assert batch.given.shape == (3, 4, WINDOW, WINDOW)
    assert batch.truth.shape == (3, 3, WINDOW, WINDOW)
    assert batch.paired.ravel().tolist() == [1, 1, 0]
    assert (batch.given[:, 3].mean((1, 2)) > 0.02).all()


def test_looks_are_learnt(scenes: LookScenes, tmp_path: Path) -> None:
    torch.manual_seed(0)
    batch = draw_batch(scenes, 3, 1, WINDOW, np.random.default_rng(6))
    trainer = Trainer(torch.device("cpu"), tmp_path / "looks.pt")
    lost = [trainer.step(batch)["absolute"] for _ in range(25)]
    assert lost[-1] < 0.6 * lost[0]
    trainer.save()
    assert Trainer(torch.device("cpu"), tmp_path / "looks.pt").steps == 25


def test_nothing_is_drawn_beyond_hair() -> None:
    network = HairLookNet()
    torch.nn.init.normal_(network.leave.weight)
    given = torch.zeros(1, 4, 64, 64)
    given[:, 3, :16] = 1
    change = network(given, torch.zeros(1, 8))
    assert change.shape == (1, 3, 64, 64)
    assert change[:, :, :16].abs().mean() > 0
    assert not change[:, :, 24:].any()


def test_a_critic_sees_hair_alone() -> None:
    critic, generator = LookCritic(), torch.Generator().manual_seed(0)
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[:, :, :20] = 1
    one, other = (torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    other[:, :, :40] = one[:, :, :40]
    looks = torch.zeros(1, 8)
    _, first = critic(one, alpha, looks)
    _, second = critic(other, alpha, looks)
    assert all(torch.equal(*each) for each in zip(first, second, strict=True))
