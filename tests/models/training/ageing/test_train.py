from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.training.ageing.evaluate import FeatureDistance, load_network
from models.training.ageing.guides import draw_guide
from models.training.ageing.networks import GUIDE_SCALE, AgeCritic, HeadAger, conditions_of, label_of
from models.training.ageing.plan import Plan
from models.training.ageing.prepare import edge_fade
from models.training.ageing.samples import Sample, Samples, _spoil
from models.training.ageing.train import START, Trainer, export_state
from models.training.ageing.views import WRONG_BY, unwrap, vary, wrong_age

UNGUIDED = torch.tensor([1.0] * 8 + [0.0])[:, None, None]
PLAN = Plan(pairs=1, journeys=1, alone=0, critics_every=1, critics_alone=1, rounds_from=0, own_inputs=1.0)


class FlatSamples(Samples):
    """Grey portraits of random ages."""

    def __init__(self) -> None:
        """Needs no faces."""

    def pair(self, generator: np.random.Generator) -> Sample:
        return flat_sample(generator, source=25.0, target=70.0)

    def journey(self, generator: np.random.Generator) -> Sample:
        return flat_sample(generator, source=30.0, target=75.0)

    def real(self, generator: np.random.Generator) -> Sample:
        return flat_sample(generator, source=70.0, target=70.0)


def flat_sample(generator: np.random.Generator, source: float, target: float) -> Sample:
    planes = np.zeros((9, 256, 256), np.float32)
    planes[:3] = generator.uniform(-1, 1)
    planes[3:6] = 1
    axis = np.linspace(40, 215, 64, dtype=np.float32)
    return Sample(
        planes=planes,
        photograph=planes[:3] + np.float32(0.1),
        nodes=np.stack(np.meshgrid(axis, axis), axis=-1),
        head=np.array([[2, 0, 10], [0, 2, 10]], np.float32),
        male=1.0,
        source=source,
        target=target,
        own=30.0,
    )


def test_an_untrained_network_changes_nothing() -> None:
    network = HeadAger().eval()
    ages = (torch.tensor([value]) for value in (1.0, 30.0, 75.0))
    with torch.no_grad():
        change = network(torch.rand(1, 9, 64, 64) * UNGUIDED, conditions_of(*ages))
    assert change.shape == (1, 3, 64, 64)
    assert not change.any()


def test_a_guide_is_drawn_in_the_light_of_the_face() -> None:
    network = HeadAger().eval()
    planes = torch.zeros(1, 9, 64, 64)
    planes[:, 3:6] = 1
    planes[:, 8] = GUIDE_SCALE * 0.1
    planes[:, :3, :, 32:] = -1.9
    ages = (torch.tensor([value]) for value in (1.0, 30.0, 75.0))
    with torch.no_grad():
        change = network(planes, conditions_of(*ages))
    assert float(change[0, 0, 5, 5]) == pytest.approx((2 + 16 / 64) * (np.exp(0.1) - 1), rel=1e-4)
    assert change[..., 40:].max() < 0.2 * change[..., :24].max()


def test_nothing_changes_beside_hair_and_person() -> None:
    network = HeadAger().eval()
    torch.nn.init.normal_(network.leave.weight)
    planes = torch.rand(1, 9, 64, 64)
    planes[:, [3, 5], :, :32] = 0
    with torch.no_grad():
        change = network(planes, conditions_of(*(torch.tensor([value]) for value in (1.0, 30.0, 75.0))))
    assert not change[..., :32].any()
    assert change[..., 32:].any()


def test_hair_that_grows_old_gains_no_colour() -> None:
    torch.manual_seed(0)
    network = HeadAger().eval()
    torch.nn.init.normal_(network.leave.weight)
    planes = torch.zeros(1, 9, 64, 64)
    planes[:, 3:6] = 1
    planes[:, 0] = 0.2
    for target, gains in ((75.0, False), (20.0, True)):
        with torch.no_grad():
            change = network(planes, conditions_of(*(torch.tensor([value]) for value in (1.0, 40.0, target))))
        changed = planes[:, :3] + change
        colour = (changed.amax(1) - changed.amin(1)).max()
        assert (float(colour) > 0.2 + 1e-4) == gains
        assert (changed[:, 0] >= changed[:, 2] - 1e-5).all(), "hair turned blue"


def test_the_target_age_reaches_every_level() -> None:
    network = HeadAger().eval()
    torch.nn.init.normal_(network.leave.weight)
    torch.nn.init.normal_(network.modulate.weight)
    planes = torch.rand(1, 9, 64, 64)
    with torch.no_grad():
        young, old = (
            network(planes, conditions_of(*(torch.tensor([value]) for value in (1.0, 30.0, age))))
            for age in (25.0, 75.0)
        )
    assert (young - old).abs().mean() > 1e-3


def test_a_critic_that_learns_tells_a_wrong_age_from_a_right_one() -> None:
    torch.manual_seed(0)
    critic = AgeCritic(3)
    picture = torch.rand(2, 3, 64, 64)
    _, right = critic(picture, label_of(torch.ones(2), torch.full((2,), 70.0)))
    _, wrong = critic(picture, label_of(torch.ones(2), torch.full((2,), 25.0)))
    assert [verdict.shape[1] for verdict in right] == [1, 1]
    assert all((a - b).abs().mean() > 1e-2 for a, b in zip(right, wrong, strict=True))


@pytest.mark.parametrize("age", [16.0, 30.0, 52.0, 85.0])
def test_a_wrong_age_is_far_from_the_right_one(age: float) -> None:
    generator = np.random.default_rng(0)
    wrong = wrong_age(torch.full((200,), age), generator)
    assert (wrong - age).abs().min() >= WRONG_BY - 1e-3
    assert wrong.min() >= 16
    assert wrong.max() <= 88


def test_spoiling_keeps_the_difference_of_a_pair_in_place() -> None:
    both = np.full((256, 256, 6), 120, np.float32)
    both[100:140, 100:140, 3:] = 160
    for seed in range(20):
        spoiled = _spoil(both.copy(), np.random.default_rng(seed))
        difference = np.abs(spoiled[..., 3:] - spoiled[..., :3]).mean(axis=2)
        assert difference[110:130, 110:130].mean() > 4 * difference[:80, :80].mean() + 1


def test_varied_views_differ_and_keep_their_shape() -> None:
    view = torch.rand(3, 5, 48, 48)
    varied = vary(view, np.random.default_rng(0))
    assert varied.shape == view.shape
    assert (varied - view).abs().mean() > 1e-2


def test_a_guide_lies_where_the_texture_lies() -> None:
    relief = np.zeros((192, 192), np.float32)
    relief[96, 48] = 1
    axis = (np.arange(192, dtype=np.float32) + 0.5) / 192
    drawn = draw_guide(relief, np.stack(np.meshgrid(axis, axis), axis=-1))
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert (int(row), int(column)) == (96, 48)
    outside = draw_guide(relief, np.full((4, 4, 2), 1.5, np.float32))
    assert not outside.any()


def test_unwrapping_samples_the_lattice() -> None:
    ramp = torch.arange(256, dtype=torch.float32).expand(1, 1, 256, 256)
    axis = torch.linspace(50, 200, 64)
    nodes = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[None]
    texture = unwrap(ramp, nodes)
    assert texture.shape == (1, 1, 192, 192)
    assert float(texture[0, 0, 90, 0]) == pytest.approx(50, abs=1)
    assert float(texture[0, 0, 90, -1]) == pytest.approx(200, abs=1)


def test_an_edge_fades_to_nothing() -> None:
    fade = edge_fade(256)
    assert fade[0].max() == 0
    assert fade[128, 128] == 1


def test_the_kernel_distance_of_alike_sets_is_near_zero_and_grows() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.normal(0, 1, (80, 30)).astype(np.float32) for _ in range(2))
    scale = np.ones(30, np.float32)
    near = FeatureDistance.distance(a, b, scale)
    far = FeatureDistance.distance(a, b + 1, scale)
    assert abs(near) < 0.1 * far


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "head_ager.pt"
    trainer = Trainer(FlatSamples(), PLAN, torch.device("cpu"), path)
    first = trainer.one_step()
    assert first["near"] > 0
    assert len(trainer.memory) == 1
    kept = trainer.memory[0]
    assert (kept.source, kept.target) == (75.0, 30.0)
    trainer.one_step()
    trainer.save()
    again = Trainer(FlatSamples(), PLAN, torch.device("cpu"), path)
    assert (again.step, again.taught) == (2, 2)
    for one, other in zip(trainer.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)
    network = load_network(path)
    wanted = trainer.average.module.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())


def test_workers_draw_what_the_step_asks_for(tmp_path: Path) -> None:
    plan = replace(PLAN, pairs=2, rounds_from=10)
    trainer = Trainer(FlatSamples(), plan, torch.device("cpu"), tmp_path / "head_ager.pt", workers=2)
    for _ in range(2):
        assert [len(samples) for samples in trainer._draw()] == [2, 1, 3]
    assert trainer.one_step()["near"] > 0


def test_training_goes_on_from_a_small_state(tmp_path: Path) -> None:
    trainer = Trainer(FlatSamples(), PLAN, torch.device("cpu"), tmp_path / "head_ager.pt")
    trainer.one_step()
    trainer.one_step()
    trainer.save()
    small = tmp_path / "small" / "head_ager.pt"
    small.parent.mkdir()
    export_state(tmp_path / "head_ager.pt", small)
    assert small.stat().st_size < 0.3 * (tmp_path / "head_ager.pt").stat().st_size
    again = Trainer(FlatSamples(), PLAN, torch.device("cpu"), small)
    assert again.step == 2
    for one, other in zip(trainer.average.module.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=2e-3)
    again.one_step()


def test_a_stopped_training_saves_and_returns(tmp_path: Path) -> None:
    trainer = Trainer(FlatSamples(), replace(PLAN, alone=10), torch.device("cpu"), tmp_path / "head_ager.pt")
    trainer.stop()
    trainer.run(60)
    assert (tmp_path / "head_ager.pt").is_file()
    assert trainer.step == 0


def test_the_state_that_a_training_starts_from_is_small_and_fits() -> None:
    assert START.stat().st_size < 10_000_000
    network = load_network(START)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
