from __future__ import annotations

import sys
from types import ModuleType

import pytest

from models.parts import run_part


def test_a_part_gets_its_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ModuleType("toy_part")
    given: list[list[str]] = []
    monkeypatch.setattr(part, "main", given.append, raising=False)
    monkeypatch.setitem(sys.modules, "toy_part", part)
    assert run_part("toy", "toy_{part}", ("part",), ["part", "--minutes", "1"]) == 0
    assert given == [["--minutes", "1"]]


@pytest.mark.parametrize("argv", [[], ["another"], ["--help"]])
def test_other_names_print_the_parts(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_part("toy", "toy_{part}", ("part", "whole"), argv) == 2
    assert capsys.readouterr().err == "usage: python -m toy {part,whole} [options]\n"
