"""The kinds of edit that a mark names, from the controls that are moved."""

from __future__ import annotations

from typing import Any

import pytest

from models import catalog
from stream.look import Layer
from stream.mark.kinds import BY_CONTROL, BY_EDITOR, kinds_of
from stream.mark.payload import KINDS
from tests.stream.conftest import Tint, TintControls


def layer(name: str, **controls: Any) -> Layer:
    return Layer(name, Tint(), catalog.entry(name).controls()(**controls))


@pytest.mark.parametrize(
    ("name", "controls", "kinds"),
    [
        ("embedded", {"age": 75}, {"age"}),
        ("embedded", {"bald": 1, "smile": 0.5}, {"hair removal", "expression"}),
        ("hair", {"amount": 1}, {"hair colour"}),
        ("stylegan1", {"hold_smile": True, "smile": 1, "detail": "full"}, {"expression"}),
        ("alae", {"big_nose": 3}, {"other"}),
    ],
)
def test_moved_controls_are_named(name: str, controls: dict[str, Any], kinds: set[str]) -> None:
    try:
        made = layer(name, **controls)
    except ValueError:
        pytest.skip("the catalog has other controls")
    assert set(kinds_of([made])) == kinds


def test_layers_add_up_and_a_stranger_is_other() -> None:
    plug_in = Layer("plug-in", Tint(), TintControls(amount=1))
    assert set(kinds_of([layer("embedded", age=75), plug_in])) == {"age", "other"}
    assert kinds_of([]) == frozenset()


def test_every_name_is_a_kind() -> None:
    assert {*BY_CONTROL.values(), *BY_EDITOR.values()} <= set(KINDS)
