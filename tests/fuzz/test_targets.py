"""Every parser of strangers' bytes, ten seconds each; longer by `python -m tests.fuzz NAME --seconds N`."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz import harness, mutations

SECONDS = 10.0
SEED = 11


@pytest.mark.parametrize("name", harness.names())
def test_mutated_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    run = harness.run(name, SECONDS, SEED)
    assert run.fault is None, f"{run.fault.reason}: {run.fault.save(tmp_path, name)}\n{run.fault.output}"
    assert run.calls > 0


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second, other = (itertools.islice(mutations.inputs([b"abcdef"], seed), 50) for seed in (1, 1, 2))
    same = list(first)
    assert same == list(second)
    assert same != list(other)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A target that raises, dies or hangs by its input's first byte."""
    package = tmp_path / "strange"
    package.mkdir()
    (package / "faulty.py").write_text(
        "import os, signal, time\n"
        "def seeds():\n    return [b'fine']\n"
        "def target(data: bytes):\n"
        "    assert data[:1] != b'a'\n"
        "    if data[:1] == b'b':\n        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if data[:1] == b'c':\n        time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(harness, "CALL_S", 1.0)
    return "strange.faulty"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"a", "an exception"), (b"b", "died of SIGSEGV"), (b"c", "took more than 1 s")],
    ids=["raises", "dies", "hangs"],
)
def test_a_fault_is_reported_with_its_input(faulty: str, data: bytes, reason: str, tmp_path: Path) -> None:
    run = harness.run(faulty, 1.0, inputs=[b"fine", data, b"never tried"])
    assert run.fault is not None
    assert (run.calls, run.fault.input) == (2, data)
    assert reason in run.fault.reason
    assert run.fault.save(tmp_path / "out", faulty).read_bytes() == data


def test_the_command_lists_the_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(harness.names())
