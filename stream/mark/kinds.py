"""Which kind of edit a look is, in the words of the mark's payload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream.look import Layer

BY_CONTROL: Mapping[str, str] = {
    "age": "age",
    "age_hair": "age",
    "target_age": "age",
    "young": "age",
    "bald": "hair removal",
    "bald_sides": "hair removal",
    "baldness": "hair removal",
    "receding_hairline": "hair removal",
    "hair_grey": "hair colour",
    "grey_brows": "hair colour",
    "grey_hair": "hair colour",
    "white_hair": "hair colour",
    "black_hair": "hair colour",
    "blond_hair": "hair colour",
    "brown_hair": "hair colour",
    "smile": "expression",
    "expression": "expression",
    "emotion_angry": "expression",
    "emotion_surprise": "expression",
    "angry": "expression",
    "contemptuous": "expression",
    "disgusted": "expression",
    "fearful": "expression",
    "happy": "expression",
    "neutral_face": "expression",
    "sad": "expression",
    "surprised": "expression",
    "male": "identity",
    "gender": "identity",
    "style": "style",
    "which": "style",
}
"""Controls, of whatever editor, whose names say what they do."""
HELPERS = ("detail", "rows", "seed", "strength", "photo", "domain", "source_age", "model")
"""Controls that say how, not what; those that begin with "hold_" are others."""
BY_EDITOR: Mapping[str, str] = {
    "hair": "hair colour",
    "child": "child",
    "babygan": "child",
    "babygan-stylegan1": "child",
    "hairmapper": "hair removal",
    "lats": "age",
    "sam": "age",
    "fran": "age",
    "pggan": "identity",
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
        telling = {name for name in moved if name not in HELPERS and not name.startswith("hold_")}
        kinds |= {BY_CONTROL.get(name, "other") for name in telling} or {"other"}
    return frozenset(kinds)


def _differs(layer: Layer, neutral: object, name: str) -> bool:
    return bool(getattr(layer.controls, name) != getattr(neutral, name, None))
