from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines import apart
from models.weights import pickles
from models.weights.checkpoints import CheckpointError
from tests.fuzz import mutations
from tests.fuzz import pickles as fuzzed

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.pkl"


@pytest.mark.parametrize("seed", fuzzed.seeds()[:3], ids=["protocol 2", "protocol 3", "protocol 4"])
def test_arrays_of_every_protocol_come_back(path: Path, seed: bytes) -> None:
    path.write_bytes(seed)
    got = pickles.read_tensorflow(path)
    assert np.array_equal(got["4x4/Const/const"], np.arange(12, dtype=np.float32).reshape(1, 3, 4))
    assert np.array_equal(got["dlatent_avg"], np.ones((2, 3)))
    assert np.array_equal(got["big"], [1, 2])
    assert got["lod"] == 2.5


def test_tensors_come_back(path: Path) -> None:
    path.write_bytes(fuzzed.seeds()[3])
    (name, tensor), *rest = pickles.read_ada(path).items()
    assert (name, rest) == ("fc.weight", [])
    assert torch.equal(tensor, torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "array",
    [np.array(["ab"]), np.array([(1, 2.0)], "i4,f4"), np.array([None]), np.array([1j]), np.zeros((1,) * 9)],
    ids=["text", "records", "objects", "complex", "too many axes"],
)
def test_arrays_of_anything_but_numbers_are_refused(path: Path, array: Any) -> None:
    path.write_bytes(pickle.dumps((array,), 4))
    with pytest.raises(CheckpointError, match="array"):
        pickles.read_tensorflow(path)


MUTATE = """
import random, sys
from pathlib import Path
from tests.fuzz import mutations, pickles
seeds, rng = pickles.seeds(), random.Random(int(sys.argv[1]))
words = (*mutations.WORDS, *pickles.WORDS)
for _ in range(2500):
    pickles.target(mutations.mutated(seeds, rng, words))
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_mutated_pickles_do_not_crash_the_process(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MUTATE, str(number)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x3f.",  # an index of the memo for which 8 GB are allocated
        b"cnumpy\ndtype\n(X\x02\0\0\0f4I0\nI1\ntR(I3\nX\x01\0\0\0<NNNI-1\nI-1\nI63\ntb.",  # flags of objects
        b"cnumpy\ndtype\n(X\x02\0\0\0O8I0\nI1\ntR.",  # pointers
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\0\0\0itemsK\x01sb.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\0\0\0__dict__K\x01sb.",
        b"\x82\x01.",
    ],
    ids=["memo", "dtype flags", "objects", "deep lists", "attributes of a dict", "a changed function", "extension"],
)
def test_hostile_pickles_are_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for read in (pickles.read_ada, pickles.read_tensorflow):
        with pytest.raises(CheckpointError, match=r"a\.pkl"):
            read(path)


def network(state: dict[str, Any]) -> pickles._Box:
    box = pickles._Box()
    box.state = state
    return box


def test_networks_that_contain_themselves_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = network({})
    ring.state["components"] = ring.state["_modules"] = {"a": ring}
    tree = network({})
    for _ in range(30):  # two to the thirtieth visits
        tree = network({"components": {"a": tree, "b": tree}, "_modules": {"a": tree, "b": tree}})
    path.write_bytes(b"")
    for made in (ring, tree):
        monkeypatch.setattr(pickles, "_replay", lambda _, made=made: {"G_ema": made, -1: made})
        with pytest.raises(CheckpointError):
            pickles.read_ada(path)
        monkeypatch.setattr(pickles, "_replay", lambda _, made=made: (made,))
        with pytest.raises(CheckpointError, match="more parts"):
            pickles.read_tensorflow(path)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (7,), (1,)), (6, (1,), (1,)), (-1, (1,), (1,)), (0, (2, 3), (1,)), (0, (1 << 40,), (0,)), (0, (-2,), (1,))],
)
def test_a_tensor_beyond_its_storage_is_refused(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
        wrap_storage=torch.arange(6.0).untyped_storage(), dtype=torch.float32, _internal=True
    )
    assert torch.equal(pickles._tensor(storage, 1, (2,), (3,)), torch.tensor([1.0, 4.0]))
    with pytest.raises(pickle.UnpicklingError):
        pickles._tensor(storage, offset, size, stride)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_crash_of_a_conversion_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(
        "import os, signal\nfrom engines import apart\nif apart.inside():\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "raise SystemExit(apart.run('crashing', []))\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "crashing"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: {apart.ended(-signal.SIGSEGV)}"]


def test_the_command_converts_apart(path: Path, tmp_path: Path) -> None:
    path.write_bytes(mutations.mutated([b"\x80\x02nothing"], random.Random(1)))
    command = [sys.executable, "-m", "models.convert", "stylegan2", str(path), "--to", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
