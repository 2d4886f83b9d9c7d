"""Backends of other packages: each test installs a small distribution in a folder on sys.path."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines import select
from engines.backends import GROUP, known_backends
from engines.base import BackendUnavailable, EngineError
from tests.engines.conftest import MakeNetwork

Install = Callable[..., None]

GOOD = """
from engines.backends.onnxruntime import OnnxRuntime

class Stub(OnnxRuntime):
    name = "stub"

    def probe(self):
        return "a stub on a test"

    def load(self, network, precision, *, threads, cache):
        engine = super().load(network, precision, threads=threads, cache=cache)
        engine.backend = self.name
        return engine
"""


def method(name: str, value: str) -> tuple[str, str]:
    """A change of `GOOD` that makes a method return an expression."""
    return "    def probe", f"    def {name}(self, *_):\n        return {value}\n\n    def probe"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    """Installs a package with one module and one entry point: `install(source, name="stub")`."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    known_backends.cache_clear()

    def make(source: str, name: str = "stub") -> None:
        info = tmp_path / "site" / "stub_backend-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stub-backend\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = stub_backend:Stub\n")
        (tmp_path / "site" / "stub_backend.py").write_text(source)

    yield make
    sys.modules.pop("stub_backend", None)
    known_backends.cache_clear()


def reason(name: str = "stub") -> str:
    """Why the plug-in is unavailable."""
    (row,) = [row for row in select.available()[:1] if row.backend == name]
    assert not row.usable
    return row.reason


def test_a_plug_in_is_preferred_and_checked_like_any_backend(
    install: Install, network: MakeNetwork, tmp_path: Path
) -> None:
    install(GOOD)
    assert select.available()[0] == ("stub", True, "a stub on a test")
    engine = select.load(network(), cache_dir=tmp_path / "cache")
    assert (engine.backend, engine.precision) == ("stub", "f32")
    (entry,) = (tmp_path / "cache").iterdir()
    assert b"stub-backend 1.2: " in entry.read_bytes()  # another version of the package is compared again


def test_its_wrong_results_are_rejected(install: Install, network: MakeNetwork, tmp_path: Path) -> None:
    zeros = "engine._run = lambda inputs: {'out': inputs['image'] * 0}\n        return engine\n"
    install(GOOD.replace("return engine\n", zeros))
    engine = select.load(network(), cache_dir=tmp_path / "cache")
    assert engine.backend != "stub"
    assert "outside tolerance" in engine.notes[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import no_such_library", "does not load: ModuleNotFoundError"),
        ("raise RuntimeError('no licence')", "does not load: RuntimeError.*no licence"),
        ("", "does not load: AttributeError"),
        ("Stub = object", "is no backend: it has no name, builds_long, probe, "),
        (GOOD.replace('"stub"', '"other"'), "gives a backend of another name, 'other'"),
        (GOOD.replace('return "a stub on a test"', "raise OSError('cable')"), "OSError.*cable"),
    ],
    ids=["import", "exception", "no class", "no backend", "other name", "probe"],
)
def test_a_broken_plug_in_is_a_reason(
    install: Install, network: MakeNetwork, tmp_path: Path, source: str, expected: str
) -> None:
    install(source)
    assert re.search(expected, reason())
    engine = select.load(network(), threads=1, cache_dir=tmp_path / "cache")
    assert engine.notes[0].startswith("stub: the plug-in stub ")
    with pytest.raises(BackendUnavailable):
        select.load(network(), backend="stub", cache_dir=tmp_path / "cache")


def test_a_plug_in_may_not_replace_a_built_in_backend(install: Install) -> None:
    install(GOOD, name="onnxruntime")
    assert "has the name of a built-in backend" in reason("onnxruntime")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("engine = super()", "raise KeyError('layer'); engine = super()"), "the plug-in stub failed: KeyError"),
        (("return engine\n", "engine._run = None\n        return engine\n"), "comparison failed: TypeError"),
        (method("precisions", "('f8',)"), "not known: f8"),
        (method("precisions", "()"), "not known: none"),
        (method("precisions", "1 / 0"), "ZeroDivision"),
        (method("fingerprint", "1 / 0"), "ZeroDivision"),
    ],
    ids=["load", "run", "unknown precision", "no precision", "precisions", "fingerprint"],
)
def test_a_plug_in_that_fails_later_gives_way_to_the_next(
    install: Install, network: MakeNetwork, tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    install(GOOD.replace(*change))
    engine = select.load(network(), threads=1, cache_dir=tmp_path / "cache")
    assert engine.backend != "stub"
    assert expected in engine.notes[0]
    with pytest.raises(EngineError, match=expected):
        select.load(network(), backend="stub", cache_dir=tmp_path / "cache")
    assert engine.run({"image": np.zeros((1, 3, 16, 16), np.float32)})["out"].shape == (1, 4, 16, 16)
