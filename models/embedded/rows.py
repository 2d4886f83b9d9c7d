"""The editors that ship with the project, in the catalog."""

from __future__ import annotations

from models.embedded import EMBEDDED, child, editor, hair
from models.entry import Entry, Preset, Weights

OWN = "trained by this project on openly licensed portraits, see models/embedded/MODEL_CARD.md"


def _files(*names: str) -> tuple[Weights, ...]:
    return tuple(Weights(EMBEDDED / name, "MIT", OWN) for name in names)


def entries() -> tuple[Entry, ...]:
    """One row per editor."""
    return (
        Entry(
            name="embedded",
            place=2,
            title="Age, hair loss, smile",
            description="Older or younger, receding to bald, grey hair, a smile. "
            "Ships with Latentcam and runs on a plain CPU.",
            controls=lambda: editor.EmbeddedControls,
            load=lambda load_engine: editor.load(load_engine, EMBEDDED),
            weights=_files(
                "editor_reader.onnx",
                "hair_removal.onnx",
                "body_behind_hair.onnx",
                "hair_matte.onnx",
                "hair_look.onnx",
                "beard.onnx",
                "editor_tables.npz",
                "editor_creases.npz",
                "editor_ears.npz",
                "segmenter.onnx",
            ),
            presets=(
                Preset("20 years older", {"age": "+20"}),
                Preset("20 years younger", {"age": "-20"}),
                Preset("Bald", {"bald": 1.0}),
                Preset("Older and bald", {"age": "+30", "bald": 1.0}),
                Preset("Smile", {"smile": 0.8}),
            ),
        ),
        Entry(
            name="hair",
            place=3,
            title="Hair colour",
            description="Another hair colour on your own hair, with its lights and strands. Ships with Latentcam.",
            controls=lambda: hair.HairControls,
            load=lambda load_engine: hair.load(load_engine, EMBEDDED),
            weights=_files("hair_matte.onnx", "beard.onnx", "segmenter.onnx"),
            presets=(
                Preset("Blond", {"colour": "blond", "amount": 1.0}),
                Preset("Red", {"colour": "red", "amount": 1.0}),
                Preset("Black", {"colour": "black", "amount": 1.0}),
                Preset("Grey", {"colour": "grey", "amount": 1.0}),
            ),
        ),
        Entry(
            name="child",
            place=0,
            title="Child of two",
            description="What a child of yours and of a second parent's photo might look like. Ships with Latentcam.",
            controls=lambda: child.ChildControls,
            load=lambda load_engine: child.load(load_engine, EMBEDDED),
            weights=_files("editor_reader.onnx", "editor_tables.npz", "segmenter.onnx"),
        ),
    )
