from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines import accuracy, backends
from engines.backends.cuda_device import find_driver
from engines.backends.onnxruntime import OnnxRuntime, OnnxRuntimeEngine
from engines.base import Array, BackendUnavailable, Engine, EngineError, OutOfMemory, Precision
from engines.cache import Cache
from engines.networks import PROJECT_FILE
from engines.onnx_file import PRECISE, Network
from engines.select import available, load
from tests.engines.conftest import MakeNetwork


class Absent:
    name = "absent"
    builds_long = False

    def probe(self) -> None:
        raise BackendUnavailable("its driver is missing")

    def fingerprint(self) -> None:
        raise AssertionError("probe() failed")

    def precisions(self, network: Network) -> None:
        raise AssertionError("probe() failed")

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        raise AssertionError("probe() failed")


class Wrong(OnnxRuntime):
    """ONNX Runtime with outputs that are off by a factor, per precision."""

    name = "wrong"

    def __init__(self, **factors: float) -> None:
        self.factors: dict[Any, float] = dict(factors)  # by precision
        self.loaded: list[str] = []

    def probe(self) -> str:
        return "a faulty device"

    def fingerprint(self) -> str:
        return "faulty 1.0"

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        return tuple(self.factors)

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        self.loaded.append(precision)
        factor = self.factors[precision]

        class WrongEngine(OnnxRuntimeEngine):
            backend = "wrong"

            def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
                return {name: value * np.float32(factor) for name, value in super()._run(inputs).items()}

        return WrongEngine(network, precision, None, threads)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Any:
    return tmp_path / "cache"


def use(monkeypatch: pytest.MonkeyPatch, *known: Any) -> None:
    monkeypatch.setattr(backends, "known_backends", lambda: known)


def test_a_network_loads_and_runs_by_default(network: MakeNetwork, cache_dir: Path) -> None:
    engine = load(network(), threads=1, cache_dir=cache_dir)
    assert engine.run({"image": np.zeros((1, 3, 16, 16), np.float32)})["out"].shape == (1, 4, 16, 16)
    assert engine.backend in {"openvino", "onnxruntime"}


def test_auto_takes_the_first_that_works_and_says_why(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, Absent(), OnnxRuntime())
    with caplog.at_level(logging.DEBUG, "engines.select"):
        engine = load(network(), cache_dir=cache_dir)
    assert engine.backend == "onnxruntime"
    assert engine.notes == ("absent: its driver is missing",)
    assert "absent: its driver is missing" in caplog.text


def test_naming_a_backend_makes_its_absence_an_error(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    use(monkeypatch, Absent(), OnnxRuntime())
    with pytest.raises(BackendUnavailable, match="its driver is missing"):
        load(network(), backend="absent", cache_dir=cache_dir)
    with pytest.raises(BackendUnavailable, match="unknown backend 'cuda'; known: auto, absent, onnxruntime"):
        load(network(), backend="cuda", cache_dir=cache_dir)


def test_no_backend_at_all_lists_every_reason(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    use(monkeypatch, Absent(), Wrong(f16=2.0))
    with pytest.raises(EngineError, match=r"no backend .*absent: its driver is missing; wrong: .*in f16: .*outside"):
        load(network(), cache_dir=cache_dir)


def test_available_lists_every_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Absent(), Wrong())
    assert available() == [("absent", False, "its driver is missing"), ("wrong", True, "a faulty device")]


def test_a_wrong_precision_falls_back_to_the_next_loudly(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, Wrong(f16=1.5, f32=1.0), OnnxRuntime())
    engine = load(network(), cache_dir=cache_dir)
    assert (engine.backend, engine.precision) == ("wrong", "f32")
    assert any(record.levelno == logging.WARNING and "wrong in f16" in record.getMessage() for record in caplog.records)
    assert "outside tolerance" in engine.notes[0]


def test_a_wrong_backend_falls_back_to_the_next_loudly(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, Wrong(f16=1.5, f32=float("nan")), OnnxRuntime())
    engine = load(network(), cache_dir=cache_dir)
    assert engine.backend == "onnxruntime"
    assert "wrong in f16" in engine.notes[0]
    assert "wrong in f32" in engine.notes[0]
    assert "trying the next backend" in caplog.text


def test_a_network_that_one_backend_cannot_compile_goes_to_the_next(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Wrong):
        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            raise network.broken("MaxUnpool is not supported")

    use(monkeypatch, Picky(f32=1.0), OnnxRuntime())
    engine = load(network(), cache_dir=cache_dir)
    assert engine.backend == "onnxruntime"
    assert "MaxUnpool is not supported" in engine.notes[0]
    assert "MaxUnpool is not supported" in caplog.text


def test_a_precision_that_does_not_build_falls_back_to_the_next(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Wrong):
        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            if precision == "f16":
                raise EngineError("no kernel for a convolution in half")
            return super().load(network, precision, threads=threads, cache=cache)

    use(monkeypatch, Picky(f16=1.0, f32=1.0))
    engine = load(network(), cache_dir=cache_dir)
    assert engine.precision == "f32"
    assert engine.notes == ("wrong in f16: no kernel for a convolution in half",)
    assert "no kernel for a convolution in half" in caplog.text
    with pytest.raises(EngineError, match="no kernel"):
        load(network(), precision="f16", cache_dir=cache_dir)


@pytest.mark.parametrize(("error", "tries"), [(EngineError("unknown layer"), 1), (OutOfMemory("8 GiB wanted"), 2)])
def test_a_lack_of_memory_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path, error: Exception, tries: Any
) -> None:
    tried = []

    class Failing(Wrong):
        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            if precision == "f16":
                tried.append(precision)
                raise error
            return super().load(network, precision, threads=threads, cache=cache)

    use(monkeypatch, Failing(f16=1.0, f32=1.0))
    path = network()
    for _ in range(2):
        assert load(path, cache_dir=cache_dir).precision == "f32"
    assert len(tried) == tries


def test_an_engine_that_fails_its_comparison_is_closed(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    closed = []

    class Failing(Wrong):
        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            engine = super().load(network, precision, threads=threads, cache=cache)

            def fail(inputs: Mapping[str, Array]) -> dict[str, Array]:
                raise OutOfMemory("no memory for a call")

            engine._run = fail  # type: ignore[method-assign]
            engine.close = lambda: closed.append(precision)  # type: ignore[method-assign]
            return engine

    use(monkeypatch, Failing(f16=1.0, f32=1.0), OnnxRuntime())
    assert load(network(), cache_dir=cache_dir).backend == "onnxruntime"
    assert closed == ["f16", "f32"]


def test_what_takes_minutes_is_built_once(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    backend = Wrong(f16=1.0, f32=1.0)
    backend.builds_long = True
    use(monkeypatch, backend)
    monkeypatch.setattr(accuracy, "best_ms", lambda engine, inputs: pytest.fail("timed"))
    assert load(network(), cache_dir=cache_dir).precision == "f16"
    assert backend.loaded == ["f16"]


def test_a_wrong_precision_that_was_asked_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    use(monkeypatch, Wrong(f16=1.5, f32=1.0), OnnxRuntime())
    with pytest.raises(EngineError, match="wrong in f16: relative L2 5"):
        load(network(), backend="wrong", precision="f16", cache_dir=cache_dir)


def test_the_choice_is_remembered(monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path) -> None:
    backend = Wrong(f16=1.5, f32=1.0)
    use(monkeypatch, backend)
    path = network()
    first = load(path, cache_dir=cache_dir)
    assert backend.loaded == ["f16", "f32"]
    second = load(path, cache_dir=cache_dir)
    assert backend.loaded == ["f16", "f32", "f32"]
    assert second.notes == first.notes
    (entry,) = cache_dir.iterdir()
    assert b'"relative_l2"' in entry.read_bytes()  # the verdict is stored beside it


def test_an_engine_that_had_to_be_built_again_is_judged_again(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    class Rebuilt(Wrong):
        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            engine = super().load(network, precision, threads=threads, cache=cache)
            engine.built = len(self.loaded) in (1, 2)  # and the second one is wrong
            self.factors["f16"] = 1.5 if len(self.loaded) == 1 else self.factors["f16"]
            return engine

    backend = Rebuilt(f16=1.0)
    use(monkeypatch, backend, OnnxRuntime())
    path = network()
    assert load(path, cache_dir=cache_dir).backend == "wrong"
    for _ in range(2):
        assert load(path, cache_dir=cache_dir).backend == "onnxruntime"
    assert backend.loaded == ["f16"] * 4


def test_a_network_that_asks_for_fp32_gets_it(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    backend = Wrong(f16=1.0, f32=1.0)
    use(monkeypatch, backend)
    path = network()
    model = onnx.load(path)
    model.metadata_props.add(key=PRECISE, value="1")
    onnx.save(model, path)
    assert load(path, cache_dir=cache_dir).precision == "f32"
    assert backend.loaded == ["f32"]
    assert load(path, precision="f16", cache_dir=cache_dir).precision == "f16"  # unless one insists


def test_another_network_is_another_choice(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    backend = Wrong(f32=1.0)
    use(monkeypatch, backend)
    load(network("a"), cache_dir=cache_dir)
    load(network("a", size=8), cache_dir=cache_dir)
    assert len(list(cache_dir.iterdir())) == 2


def test_rewording_the_probe_keeps_the_choice(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    backend = Wrong(f16=1.5, f32=1.0)
    use(monkeypatch, backend)
    path = network()
    load(path, cache_dir=cache_dir)
    monkeypatch.setattr(Wrong, "probe", lambda self: "a device, described in other words")
    load(path, cache_dir=cache_dir)
    assert backend.loaded == ["f16", "f32", "f32"]  # f16 is not tried again
    monkeypatch.setattr(Wrong, "fingerprint", lambda self: "faulty 1.1")
    load(path, cache_dir=cache_dir)
    assert backend.loaded[3:] == ["f16", "f32"]


def test_an_unknown_precision_is_refused(network: MakeNetwork, cache_dir: Path) -> None:
    with pytest.raises(BackendUnavailable, match="unknown precision 'f8'; known: auto, f32, bf16, f16"):
        load(network(), precision="f8", cache_dir=cache_dir)


def test_the_callers_remedy_is_given_for_a_broken_file(network: MakeNetwork, cache_dir: Path) -> None:
    path = network()
    path.write_bytes(b"")
    with pytest.raises(EngineError, match=r"small\.onnx: the file is empty; mend it with: ask the author"):
        load(path, cache_dir=cache_dir, remedy="ask the author")


def test_the_fastest_that_passes_stays(monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path) -> None:
    use(monkeypatch, Wrong(f16=1.0, f32=1.0))
    for times, want in [((1.0, 2.0), "f16"), ((2.0, 1.0), "f32"), ((1.0, 1.04), "f32"), ((1.0, 1.2), "f16")]:
        taken = iter(times)
        monkeypatch.setattr(accuracy, "best_ms", lambda engine, inputs, taken=taken: next(taken))
        engine = load(network(), cache_dir=cache_dir / f"{times}")
        assert engine.precision == want
        assert "ms a call" in engine.notes[0]


def test_a_broken_file_is_refused_before_any_backend(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, cache_dir: Path
) -> None:
    use(monkeypatch, Absent())
    path = network()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(EngineError, match=r"small\.onnx: the file is cut.*mend it with: "):
        load(path, cache_dir=cache_dir)


def test_a_cache_that_cannot_be_written_is_no_failure(network: MakeNetwork, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert load(network(), threads=1, cache_dir=tmp_path / "file" / "cache").precision


def test_choosing_an_engine_imports_nothing_heavy() -> None:
    """The default product runs without torch, and `onnx` only serves exporting and measuring."""
    code = (
        "import sys, engines.select; engines.select.available();"
        "print(sorted({'torch', 'onnx', 'tensorrt', 'tensorrt_rtx', 'torch2trt'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_FILE.parent
    )
    if "tensorrt" in run.stdout or "torch" in run.stdout:
        find_driver()  # only where there is a GPU to ask
    assert "onnx'" not in run.stdout
