"""HairMapper: which rows move, its keys, its container."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.published.hairmapper.network import UNUSED, LevelMapper, load, remix
from models.weights.checkpoints import CheckpointError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = dict(LevelMapper().state_dict()) | {UNUSED[0]: torch.zeros(512)}
    torch.save({"alpha": 0.5, "state_dict": state}, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def test_coarse_rows_move_by_the_mapper(checkpoint: Path) -> None:
    mapper = load(checkpoint)
    codes = torch.randn(2, 18, 512)
    edited = mapper.remove(codes)
    torch.testing.assert_close(edited[:, :8] - codes[:, :8], 0.6 * mapper.mapper(codes[:, :8]), atol=1e-5, rtol=1e-4)
    assert torch.equal(edited[:, 8:], codes[:, 8:])
    assert torch.equal(mapper.remove(codes, 0.0), codes)


def test_remix_gives_fine_rows_back() -> None:
    edited, original = torch.ones(1, 18, 4), torch.zeros(1, 18, 4)
    mixed = remix(edited, original)
    assert torch.all(mixed[:, :7] == 1)
    torch.testing.assert_close(mixed[:, 7:], torch.full((1, 11, 4), 0.2))


def test_a_checkpoint_without_strength_is_refused(checkpoint: Path) -> None:
    torch.save({"state_dict": torch.load(checkpoint, weights_only=True)["state_dict"]}, checkpoint)
    with pytest.raises(CheckpointError, match="no alpha"):
        load(checkpoint)


def test_keys_are_the_published_ones(shared: Path) -> None:
    lines = (shared / "facts" / "keys" / "hairmapper_levelmapper.tsv").read_text().splitlines()
    with torch.device("meta"):
        ours = {key: "x".join(map(str, value.shape)) for key, value in LevelMapper().state_dict().items()}
    assert ours | {UNUSED[0]: "512"} == {key: shape for key, shape, _ in (line.split("\t") for line in lines)}
