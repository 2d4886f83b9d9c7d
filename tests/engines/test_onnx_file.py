from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import EngineError
from engines.onnx_file import Network, open_network, range_property, recorded_range
from tests.engines.conftest import MakeNetwork, convolutions


def test_a_whole_file_is_identified_by_its_bytes(network: MakeNetwork) -> None:
    first, same, other = network("a"), network("b"), network("c", size=8)
    assert open_network(first).sha256 == open_network(same).sha256
    assert open_network(first).sha256 != open_network(other).sha256
    assert open_network(first).name == "a"


def test_every_cut_of_a_file_is_refused(network: MakeNetwork, tmp_path: Path) -> None:
    whole = network().read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in {0, 1, 2, 5, len(whole) // 2, len(whole) - 1, *range(3, len(whole), 97)}:
        cut.write_bytes(whole[:length])
        with pytest.raises(EngineError, match=r"cut\.onnx: .*mend it with: "):
            open_network(cut)


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        b"<!doctype html><title>404</title>",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        bytes(1000),
        b"\xff" * 1000,
    ],
    ids=["lfs pointer", "html", "png", "zeros", "ones"],
)
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"foreign\.onnx: "):
        open_network(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"absent\.onnx: No such file"):
        open_network(tmp_path / "absent.onnx")
    with pytest.raises(EngineError, match="directory"):
        open_network(tmp_path)


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """Protobuf fields as a stranger may write them: any number, type, length and order, whole or not."""
    number = draw(st.sampled_from([1, 2, 7, 8, 14, 25, 1 << 28]))
    wire = draw(st.sampled_from([2, 0, 1, 3, 5]))
    length = st.sampled_from([0, 1, 2, 1 << 16, 1 << 31, 1 << 62, 1 << 63, 1 << 69])
    return varint(number << 3 | wire) + draw(st.one_of(st.binary(max_size=40), length.map(varint)))


@st.composite
def nested(draw: st.DrawFn) -> bytes:
    """A metadata field whose content is fields again, well-formed or not."""
    content = b"".join(draw(st.lists(fields(), max_size=3)))
    return varint(14 << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def read_or_refuse(path: Path) -> Network | None:
    """The network, or None where the file is refused; any other exception than ours fails the test."""
    try:
        return open_network(path)
    except EngineError:
        return None


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "strange.onnx"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(content=st.one_of(st.binary(max_size=200), st.lists(st.one_of(fields(), nested()), max_size=8).map(b"".join)))
def test_bytes_of_a_stranger_are_read_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    read_or_refuse(file)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_network_is_read_or_refused(file: Path, data: st.DataObject) -> None:
    whole = convolutions().SerializeToString()
    start = data.draw(st.integers(0, len(whole) - 1))
    file.write_bytes(whole[:start] + data.draw(st.binary(max_size=12)) + whole[start + data.draw(st.integers(0, 12)) :])
    read_or_refuse(file)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(properties=st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=5))
def test_every_property_comes_back(file: Path, properties: dict[str, str]) -> None:
    model = convolutions()
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, file)
    network = read_or_refuse(file)
    assert network is not None
    assert network.properties == properties


@given(
    name=st.text(max_size=20),
    low=st.floats(-60000, 60000, width=16),
    high=st.floats(-60000, 60000, width=16),
)
@settings(derandomize=True, deadline=None)
def test_a_range_comes_back_unless_it_is_empty(name: str, low: float, high: float) -> None:
    key, value = range_property(name, low, high)
    recorded = recorded_range({key: value}, name)
    assert recorded == (pytest.approx((low, high), rel=1e-5) if float(f"{low:g}") < float(f"{high:g}") else None)
