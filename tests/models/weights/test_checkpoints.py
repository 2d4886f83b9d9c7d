"""Checkpoints: every key is accounted for, and no file runs code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from models.weights.checkpoints import (
    CheckpointError,
    UnsafeCheckpoint,
    build,
    load_into,
    load_state,
    pickle_imports,
    read,
    report_rest,
)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


class Exploit:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_state_is_found_in_its_container(tmp_path: Path) -> None:
    state = small().state_dict()
    torch.save({"models": {"g_s": state}, "opts": {"n": 1}}, tmp_path / "a.pt")
    assert load_state(tmp_path / "a.pt", "g_ema|models/g_s").keys() == state.keys()
    with pytest.raises(CheckpointError, match=r"no tensors under 'state_dict'; it holds models, opts"):
        load_state(tmp_path / "a.pt", "state_dict")


def test_bare_state(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "a.pt")
    assert "0.weight" in load_state(tmp_path / "a.pt")


def test_report_names_every_kind_of_key() -> None:
    state = dict(small().state_dict())
    del state["0.bias"]
    state["0.weight"] = torch.zeros(2, 4)
    state["other"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        load_into(small(), state)
    message = str(caught.value)
    assert "1 missing: 0.bias" in message
    assert "0.weight is 2x4, not 2x3" in message
    assert "1 extra: other" in message


def test_nothing_is_loaded_when_something_does_not_fit() -> None:
    module = small()
    before = module[0].bias.clone()  # type: ignore[index]
    state = dict(small().state_dict())
    state["0.weight"] = torch.zeros(2, 4)
    with pytest.raises(CheckpointError):
        load_into(module, state)
    assert torch.equal(module[0].bias, before)  # type: ignore[index]


def test_extra_keys_are_reported_not_fatal() -> None:
    state = {f"g.{key}": value for key, value in small().state_dict().items()}
    state["g.note"] = torch.zeros(1)
    state["g.loss.w"] = torch.zeros(1)
    report = load_into(small(), state, prefix="g.", ignored=["loss.*"])
    assert report.usable
    assert report.extra == ("note",)


def test_keys_of_no_network_are_named(caplog: pytest.LogCaptureFixture) -> None:
    report_rest({"g.w": torch.zeros(1), "face_pool.w": torch.zeros(1)}, ("g.", "d."), "a.pt")
    (record,) = caplog.records
    assert record.getMessage() == "a.pt: 1 keys belong to no network here: face_pool.w"
    report_rest({"g.w": torch.zeros(1)}, ("g.",), "a.pt")
    assert len(caplog.records) == 1


def test_build_fills_a_meta_module_and_zeros_optional_buffers() -> None:
    source = small()
    state = {key: value for key, value in source.state_dict().items() if not key.endswith("tracked")}
    module = build(small, state, optional=["*.num_batches_tracked"])
    assert not any(tensor.is_meta for tensor in module.state_dict().values())
    assert not module.training
    x = torch.ones(4, 3)
    assert torch.equal(module(x), source.eval()(x))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, legacy: bool) -> None:
    target = tmp_path / "made"
    torch.save({"x": Exploit(target)}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeCheckpoint, match="convert") as caught:
        read(tmp_path / "a.pt")
    assert any(name.endswith("mkdir") for name in caught.value.calls)
    assert not target.exists()


def test_plain_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Exploit(tmp_path / "made")))
    with pytest.raises(UnsafeCheckpoint):
        read(tmp_path / "a.pkl")
    assert pickle_imports(tmp_path / "a.pkl")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken", b"\x80\x02", b"\x80\x02junk"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pt"):
        read(tmp_path / "a.pt")


def test_truncated_zip(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError):
        read(tmp_path / "a.pt")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read(tmp_path / "a.pt")
