from __future__ import annotations

import pytest

from engines.base import EngineError
from engines.onnx_file import open_network


def test_a_whole_file_is_identified_by_its_bytes(network):
    first, same, other = network("a"), network("b"), network("c", size=8)
    assert open_network(first).sha256 == open_network(same).sha256
    assert open_network(first).sha256 != open_network(other).sha256
    assert open_network(first).name == "a"


def test_every_cut_of_a_file_is_refused(network, tmp_path):
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
def test_a_file_that_is_no_network_is_refused(tmp_path, content):
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"foreign\.onnx: "):
        open_network(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"absent\.onnx: No such file"):
        open_network(tmp_path / "absent.onnx")
    with pytest.raises(EngineError, match="directory"):
        open_network(tmp_path)
