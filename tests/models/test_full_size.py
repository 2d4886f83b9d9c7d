"""Networks for measuring speed: written without anybody's checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.flop_counter import FlopCounterMode

from engines.graph.flops import count_flop
from engines.onnx_file import open_network
from models import figures, full_size
from models.published.stylegan.checks.keras_encoder import network_of
from models.weights.golden import Golden

PARITY = Path(__file__).parents[1] / "fixtures" / "parity"


def test_a_network_is_written_whole_and_the_same_every_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert full_size.main([str(tmp_path / folder), "hairmapper"]) == 0
    first, second = (open_network(tmp_path / folder / "hairmapper.onnx") for folder in ("a", "b"))
    assert first.sha256 == second.sha256
    assert count_flop(first) == 2 * 8 * 8 * 512 * 512  # eight rows through eight layers


def test_the_encoder_of_stylegan_is_as_large_as_the_one_that_keras_makes() -> None:
    network = network_of(Golden.load(PARITY / "keras_resnet50v2.npz"))
    _, example, _ = full_size.NETWORKS["stylegan1-encoder"]()
    with FlopCounterMode(display=False) as counter:
        network(*example.values())
    counted = figures.known()["stylegan1-encoder"]
    numbers = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
    assert counter.get_total_flops() / 1e9 == pytest.approx(counted.gflop, abs=1e-3)
    assert 4 * numbers / 1e6 == pytest.approx(counted.megabytes, abs=0.1)


def test_a_name_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        full_size.main([str(tmp_path), "e5e"])
    assert "there is no e5e" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_light_ones_are_some_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(full_size, "write_network", lambda module, example, outputs, path: written.append(path.stem))
    for name in full_size.NETWORKS:
        monkeypatch.setitem(full_size.NETWORKS, name, full_size.NETWORKS["hairmapper"])
    assert full_size.main([str(tmp_path), "--light"]) == 0
    assert set(written) == set(full_size.LIGHT)
    written.clear()
    assert full_size.main([str(tmp_path)]) == 0
    assert set(written) == {*full_size.NETWORKS}
