from __future__ import annotations

from pathlib import Path

from engines.onnx_file import REMEDY
from models.embedded import EMBEDDED, networks, remedy


def test_the_remedy_for_a_shipped_file_is_the_command_that_restores_it() -> None:
    for path in networks():
        command, file = remedy(path).rsplit(" ", 1)
        assert command == "git checkout --"
        assert (EMBEDDED.parent.parent / file).samefile(path)
    assert remedy(Path("/elsewhere/encoder.onnx")) == REMEDY
