"""Every editor: name, controls, presets, weights with their origin and licence, and whether it can run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engines.base import Engine
from models.editor import Controls, Editor

EMBEDDED = Path(__file__).resolve().parent / "embedded"

State = Literal["ready", "needs weights", "needs a GPU"]
LoadEngine = Callable[[Path], Engine]


@dataclass(frozen=True, slots=True)
class Weights:
    """One file an editor needs.

    Attributes:
        path: where it is looked for.
        licence: SPDX name or words.
        origin: where it comes from, in words or as an address.
        size: bytes, 0 if unknown.
        sha256: hex digest; empty if its authors publish none.
    """

    path: Path
    licence: str
    origin: str
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """Named positions of an editor's controls."""

    title: str
    controls: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the catalog.

    Attributes:
        name: what settings and the command line call it.
        title: what the page calls it.
        description: one sentence for a user.
        controls: gives the model of its controls, without loading a network.
        load: makes the editor; the networks come through the given function.
        weights: the files it needs.
        presets: shown as buttons.
    """

    name: str
    title: str
    description: str
    controls: Callable[[], type[Controls]]
    load: Callable[[LoadEngine], Editor]
    weights: tuple[Weights, ...] = ()
    presets: tuple[Preset, ...] = field(default=())

    @property
    def missing(self) -> tuple[Weights, ...]:
        return tuple(weights for weights in self.weights if not weights.path.is_file())

    @property
    def state(self) -> State:
        return "needs weights" if self.missing else "ready"

    @property
    def licence(self) -> str:
        return ", ".join(dict.fromkeys(weights.licence for weights in self.weights))


class UnknownEditor(LookupError):
    """There is no editor of that name; the message lists those there are."""


def entry(name: str) -> Entry:
    """The catalog's row for an editor.

    Raises:
        UnknownEditor: there is none of that name.
    """
    if name not in ENTRIES:
        raise UnknownEditor(f"there is no editor {name!r}; there are: {', '.join(sorted(ENTRIES))}")
    return ENTRIES[name]


def _embedded_controls() -> type[Controls]:
    from models.embedded_editor import EmbeddedControls  # noqa: PLC0415

    return EmbeddedControls


def _embedded(load_engine: LoadEngine) -> Editor:
    from models.embedded_editor import load  # noqa: PLC0415

    return load(load_engine, EMBEDDED)


def _hair_controls() -> type[Controls]:
    from models.hair import HairControls  # noqa: PLC0415

    return HairControls


def _hair(load_engine: LoadEngine) -> Editor:
    from models.hair import Hair  # noqa: PLC0415

    return Hair()


OWN = "trained by this project on openly licensed portraits, see models/embedded/MODEL_CARD.md"

ENTRIES: dict[str, Entry] = {
    row.name: row
    for row in (
        Entry(
            "embedded",
            "Age and hair loss",
            "Older or younger, a receding hairline to bald, grey hair. Ships with Latentcam and runs on a plain CPU.",
            _embedded_controls,
            _embedded,
            tuple(
                Weights(EMBEDDED / name, "MIT", OWN)
                for name in ("editor_reader.onnx", "editor_ager.onnx", "editor_tables.npz", "segmenter.onnx")
            ),
            (
                Preset("20 years older", {"age": 65}),
                Preset("Younger", {"age": 25}),
                Preset("Bald", {"bald": 1.0}),
                Preset("Older and bald", {"age": 70, "bald": 1.0}),
            ),
        ),
        Entry(
            "hair",
            "Hair colour",
            "Another hair colour on your own hair, with its lights and strands. Ships with Latentcam.",
            _hair_controls,
            _hair,
            (Weights(EMBEDDED / "segmenter.onnx", "MIT", OWN),),
            (
                Preset("Blond", {"colour": "blond", "amount": 1.0}),
                Preset("Red", {"colour": "red", "amount": 1.0}),
                Preset("Black", {"colour": "black", "amount": 1.0}),
                Preset("Grey", {"colour": "grey", "amount": 1.0}),
            ),
        ),
    )
}
