"""Shared engines: one for each file, precision and lateness."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import select
from models.embedded import EMBEDDED
from stream.networks import EngineSettings, Networks

NETWORK = EMBEDDED / "segmenter.onnx"


@pytest.fixture
def networks(tmp_path: Path) -> Iterator[Networks]:
    networks = Networks(EngineSettings(backend="onnxruntime", precision="f32", cache_dir=tmp_path))
    yield networks
    networks.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of every engine that is loaded."""
    calls: list[dict[str, Any]] = []
    load = select.load

    def counted(path: Path, **options: Any) -> Any:
        calls.append(options)
        return load(path, **options)

    monkeypatch.setattr(select, "load", counted)
    return calls


def test_one_engine_is_shared(networks: Networks, asked: list[dict[str, Any]]) -> None:
    assert networks.load(NETWORK) is networks.load(NETWORK)
    assert networks.load(NETWORK, precision="f32") is networks.load(NETWORK), "the precision of the settings"
    assert len(asked) == 1
    assert (asked[0]["precision"], asked[0]["threads"]) == ("f32", 1)


def test_another_lateness_or_precision_is_another_engine(networks: Networks, asked: list[dict[str, Any]]) -> None:
    first = networks.load(NETWORK)
    assert networks.load(NETWORK, late=math.inf) is not first
    assert networks.load(NETWORK, precision="auto") is not first
    assert [options["precision"] for options in asked] == ["f32", "f32", "auto"]
    assert [info.network for info in networks.loaded()] == ["segmenter.onnx"] * 3


def test_closing_frees_them(networks: Networks) -> None:
    networks.load(NETWORK)
    networks.close()
    assert networks.loaded() == []
