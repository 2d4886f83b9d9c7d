"""`python -m models.catalog`: every editor, with its controls, weights, licence, and whether it can run here."""

from __future__ import annotations

import sys

from models.editor import AnyEditor, Controls
from models.embedded import EMBEDDED
from models.entry import Entry, LoadEngine, Preset, Weights
from models.published import entries

__all__ = ["ENTRIES", "Entry", "LoadEngine", "Preset", "UnknownEditor", "Weights", "entry"]


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
    from models.embedded.editor import EmbeddedControls  # noqa: PLC0415

    return EmbeddedControls


def _embedded(load_engine: LoadEngine) -> AnyEditor:
    from models.embedded.editor import load  # noqa: PLC0415

    return load(load_engine, EMBEDDED)


def _child_controls() -> type[Controls]:
    from models.embedded.child import ChildControls  # noqa: PLC0415

    return ChildControls


def _child(load_engine: LoadEngine) -> AnyEditor:
    from models.embedded.child import load  # noqa: PLC0415

    return load(load_engine, EMBEDDED)


def _hair_controls() -> type[Controls]:
    from models.embedded.hair import HairControls  # noqa: PLC0415

    return HairControls


def _hair(load_engine: LoadEngine) -> AnyEditor:
    from models.embedded.hair import Hair  # noqa: PLC0415

    return Hair()


OWN = "trained by this project on openly licensed portraits, see models/embedded/MODEL_CARD.md"

ENTRIES: dict[str, Entry] = {
    row.name: row
    for row in (
        Entry(
            "embedded",
            "Age, hair loss, smile",
            "Older or younger, receding to bald, grey hair, a smile. Ships with Latentcam and runs on a plain CPU.",
            _embedded_controls,
            _embedded,
            tuple(
                Weights(EMBEDDED / name, "MIT", OWN)
                for name in (
                    "editor_reader.onnx",
                    "editor_ager.onnx",
                    "hair_removal.onnx",
                    "editor_tables.npz",
                    "segmenter.onnx",
                )
            ),
            (
                Preset("20 years older", {"age": 65}),
                Preset("Younger", {"age": 25}),
                Preset("Bald", {"bald": 1.0}),
                Preset("Older and bald", {"age": 70, "bald": 1.0}),
                Preset("Smile", {"smile": 0.8}),
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
        Entry(
            "child",
            "Child of two",
            "What a child of yours and of a second parent's photo might look like. Ships with Latentcam.",
            _child_controls,
            _child,
            tuple(
                Weights(EMBEDDED / name, "MIT", OWN)
                for name in ("editor_reader.onnx", "editor_tables.npz", "segmenter.onnx")
            ),
        ),
        *entries(),
    )
}


NOTE = """Published editors give their authors' numbers under weights by formula (`python -m models.parity`) and edit a
video of a real face in small (tests/models/test_published_live.py). No file of their authors was at hand."""


def table() -> str:
    """The catalog as lines of text: name, state, size of the download, licence, what it does, its controls."""
    rows = [("EDITOR", "STATE", "SIZE", "LICENCE", "CONTROLS")]
    for row in ENTRIES.values():
        size = f"{row.size / 1e6:.0f} MB" if row.size else "?"
        rows.append((row.name, row.state, size, row.licence, ", ".join(row.controls().model_fields)))
    widths = [max(len(line[column]) for line in rows) for column in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + f"  {line[3]}\n    {line[4]}"
        for line in rows
    )


def main() -> int:
    """`python -m models.catalog`: print the table."""
    print(table())
    print("\n`python -m models.fetch EDITOR` fetches what an editor needs, once you have accepted its licence.")
    print(NOTE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
