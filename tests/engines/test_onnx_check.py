from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import trial
from engines.base import EngineError
from engines.onnx_file import open_network
from tests.engines.conftest import MakeNetwork, convolutions
from tests.fuzz.onnx_fields import external_model, loop_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(16))
    (tmp_path / "w.bin").write_bytes(bytes(16))
    return folder / "strange.onnx"


@pytest.mark.parametrize(
    "location",
    ["*/_ORT_MEM_ADDR_/*", "x/_ORT_MEM_ADDR_", "/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "\\w.bin",
     "..\\w.bin", "", ".", "absent.bin", "link.bin", "w.bin\0"],
)  # fmt: skip
def test_external_data_outside_of_the_folder_are_refused(path: Path, location: str) -> None:
    (path.parent / "link.bin").symlink_to(path.parent.parent / "w.bin")
    path.write_bytes(external_model(location).SerializeToString())
    with pytest.raises(EngineError, match=r"strange\.onnx: external data at"):
        open_network(path)


@pytest.mark.parametrize(
    "entries", [{"offset": "4"}, {"length": "1000"}, {"offset": "-1"}, {"length": "x"}, {"offset": "9" * 30}]
)
def test_external_data_beyond_their_file_are_refused(path: Path, entries: dict[str, str]) -> None:
    path.write_bytes(external_model("w.bin", **entries).SerializeToString())
    with pytest.raises(EngineError, match="external data"):
        open_network(path)


def test_external_data_in_the_folder_are_part_of_the_identity(path: Path) -> None:
    path.write_bytes(external_model("w.bin", offset="0", length="16").SerializeToString())
    before = open_network(path).sha256
    assert open_network(path).sha256 == before
    (path.parent / "w.bin").write_bytes(np.ones(4, np.float32).tobytes())
    assert open_network(path).sha256 != before


@pytest.mark.parametrize("trips", [1 << 60, 100_000, None])
def test_long_loops_are_refused_before_a_library_sees_them(path: Path, trips: int | None) -> None:
    path.write_bytes(loop_model(trips).SerializeToString())
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"strange\.onnx: it has a loop"):
        open_network(path)
    assert time.monotonic() - began < 5


def test_short_loops_pass_and_nested_ones_multiply(path: Path) -> None:
    path.write_bytes(loop_model(20, levels=3).SerializeToString())
    assert open_network(path).name == "strange"
    path.write_bytes(loop_model(30, levels=3).SerializeToString())
    with pytest.raises(EngineError, match="27,000 trips"):
        open_network(path)


def test_loops_of_a_constant_node_are_bounded(path: Path) -> None:
    model = loop_model(5)
    constants = [tensor for tensor in model.graph.initializer if tensor.name != "trips"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    for value in ({"value_int": 1 << 60}, {"value": numpy_helper.from_array(np.array(1 << 60))}):
        strange = onnx.ModelProto()
        strange.CopyFrom(model)
        strange.graph.node.insert(0, helper.make_node("Constant", [], ["trips"], **value))
        path.write_bytes(strange.SerializeToString())
        with pytest.raises(EngineError, match="1,152,921,504,606,846,976 trips"):
            open_network(path)


def test_graphs_nested_too_deeply_are_refused(path: Path) -> None:
    path.write_bytes(loop_model(1, levels=20).SerializeToString())
    with pytest.raises(EngineError, match="graphs in graphs"):
        open_network(path)


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="kernel0", data_type=TensorProto.FLOAT, dims=[1 << 40]),
        TensorProto(name="kernel0", data_type=TensorProto.FLOAT, dims=[-1], raw_data=b"1234"),
        TensorProto(name="kernel0", data_type=TensorProto.FLOAT, dims=[2], raw_data=b"1234"),
        TensorProto(name="kernel0", data_type=99, dims=[1], raw_data=b"1234"),
        TensorProto(name="kernel0", data_type=TensorProto.FLOAT, dims=[1] * 17, raw_data=b"1234"),
    ],
    ids=["no values", "negative", "too few", "unknown type", "too many axes"],
)
def test_tensors_whose_shape_does_not_fit_are_refused(path: Path, tensor: TensorProto) -> None:
    model = convolutions()
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="a tensor"):
        open_network(path)


def test_every_shipped_network_passes() -> None:
    root = Path(__file__).resolve().parents[2] / "models" / "embedded"
    files = sorted(root.rglob("*.onnx"))
    assert files
    for file in files:
        open_network(file)


def test_a_foreign_network_is_tried_in_a_child_once(
    network: MakeNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network()
    cache = tmp_path / "cache"
    trial.require(path, backend="onnxruntime", precision="f32", threads=1, cache_dir=cache)
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: pytest.fail("it was tried again"))
    trial.require(path, backend="onnxruntime", precision="f32", threads=1, cache_dir=cache)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("does", "reason"),
    [("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"), ("time.sleep(60)", "longer than 1 s")],
    ids=["crash", "hang"],
)
def test_a_network_that_crashes_a_library_is_refused(
    network: MakeNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    (tmp_path / "strange_trial.py").write_text(f"import os, signal, time\n{does}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(trial, "MODULE", "strange_trial")
    monkeypatch.setattr(trial, "LONGEST_S", 1.0)
    with pytest.raises(EngineError, match=rf"small\.onnx: .*{reason}"):
        trial.require(network(), backend="auto", precision="auto", threads=1, cache_dir=tmp_path / "cache")


def test_a_trial_of_no_network_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engines.trial", str(tmp_path / "absent.onnx"), '{"backend": "auto"}'],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert "absent.onnx: No such file" in done.stderr
