"""Which kind of edit a look is, in the words of the mark's payload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream.look import Layer

BY_CONTROL: Mapping[str, str] = {
    "age": "age",
    "target_age": "age",
    "young": "age",
    "bald": "hair removal",
    "hair_grey": "hair colour",
    "black_hair": "hair colour",
    "blond_hair": "hair colour",
    "brown_hair": "hair colour",
    "smile": "expression",
    "male": "identity",
    "gender": "identity",
    "style": "style",
    "which": "style",
}
"""Controls, of whatever editor, whose names say what they do."""
BY_EDITOR: Mapping[str, str] = {
    "hair": "hair colour",
    "child": "child",
    "babygan": "child",
    "babygan-stylegan1": "child",
    "hairmapper": "hair removal",
    "lats": "age",
    "sam": "age",
    "fran": "age",
}
"""Editors of the catalog that do one thing."""


def kinds_of(layers: Iterable[Layer]) -> frozenset[str]:
    """The kinds of edit of the active layers, of `stream.mark.payload.KINDS`; "other" where no name tells."""
    kinds: set[str] = set()
    for layer in layers:
        if layer.name in BY_EDITOR:
            kinds.add(BY_EDITOR[layer.name])
            continue
        neutral = type(layer.controls)()
        moved = {name for name in type(layer.controls).model_fields if _differs(layer, neutral, name)}
        kinds |= {BY_CONTROL.get(name, "other") for name in moved} or {"other"}
    return frozenset(kinds)


def _differs(layer: Layer, neutral: object, name: str) -> bool:
    return bool(getattr(layer.controls, name) != getattr(neutral, name, None))
