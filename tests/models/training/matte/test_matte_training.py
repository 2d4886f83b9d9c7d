"""The matte's trainer: the network before and after export, the loss, resuming, cloth over hair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from models.embedded.matte import CHANNELS, COARSE  # noqa: E402
from models.training.matte import train as trainer  # noqa: E402
from models.training.matte.network import Deployed, MatteNet  # noqa: E402
from models.training.matte.scenes import Layers, cover_with_cloth  # noqa: E402

SIDE = 64


def batch(count: int = 3) -> list[Tensor]:
    """Pictures whose left half is hair, dark, which the reading has a quarter too far left."""
    given = torch.full((count, CHANNELS, SIDE, SIDE), 0.8)
    given[:, :COARSE, :, : SIDE // 2] = 0.1
    given[:, COARSE] = 0
    given[:, COARSE, :, : SIDE // 4] = 1
    truth = torch.zeros(count, 1, SIDE, SIDE)
    truth[..., : SIDE // 2] = 1
    return [given, truth, torch.ones_like(truth), torch.full_like(truth, 0.5)]


def test_an_untrained_network_gives_the_reading() -> None:
    given, *_ = batch()
    alpha = torch.sigmoid(MatteNet().eval()(given))
    assert (alpha.round() == given[:, COARSE : COARSE + 1]).all()


@pytest.mark.parametrize("size", [(64, 96), (32, 32)])
def test_what_is_exported_computes_the_same(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = MatteNet().eval()
    torch.nn.init.normal_(network.leave.weight, 0, 0.1)
    given = torch.rand(2, CHANNELS, *size)
    with torch.no_grad():
        torch.testing.assert_close(Deployed(network)(given), torch.sigmoid(network(given)), atol=1e-5, rtol=0)


def test_it_learns_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    learner = trainer.Trainer(torch.device("cpu"), tmp_path / "matte.pt")
    learner.optimizer.param_groups[0]["lr"] = 5e-3
    losses = [learner.step(*batch())["plain"] for _ in range(30)]
    assert losses[0] > 0.2
    assert losses[-1] < 0.5 * losses[0]
    learner.save()
    again = trainer.Trainer(torch.device("cpu"), tmp_path / "matte.pt")
    assert again.steps == 30
    for mine, kept in zip(learner.average.state_dict().values(), again.average.state_dict().values(), strict=True):
        assert torch.equal(mine, kept)


def test_what_is_not_judged_teaches_nothing() -> None:
    torch.manual_seed(0)
    learner = trainer.Trainer(torch.device("cpu"), Path("none.pt"))
    given, truth, judged, contrast = batch()
    values = learner.step(given, truth, torch.zeros_like(judged), contrast)
    assert values["absolute"] == values["composition"] == values["gradients"] == values["plain"] == 0


def test_cloth_hides_hair_and_may_be_read_as_hair() -> None:
    rng = np.random.default_rng(0)
    alpha = np.zeros((256, 256), np.float32)
    alpha[40:120, 60:200] = 1
    picture = np.full((256, 256, 3), 100, np.float32)
    none = np.zeros_like(alpha)
    for _ in range(8):
        covered = cover_with_cloth(Layers(picture, alpha, np.ones_like(alpha), alpha, alpha, none), rng)
        assert covered.alpha.sum() < alpha.sum()
        assert (covered.readable >= covered.alpha).all()
        assert covered.readable[80, 130] > 0.99
        hidden = (covered.readable > 0.9) & (covered.alpha < 0.1)
        assert hidden.any()
        assert np.abs(covered.picture - picture)[hidden].mean() > 5


def test_committed_weights_are_finite() -> None:
    """Statistics of batches overflow half precision."""
    for name, each in torch.load(trainer.START, map_location="cpu", weights_only=True).items():
        assert torch.isfinite(each.float()).all(), name
