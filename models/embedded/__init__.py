"""The editors that ship with the project and their weights; MODEL_CARD.md says on what these were trained."""

from pathlib import Path

from engines.onnx_file import REMEDY

EMBEDDED = Path(__file__).resolve().parent
"""Folder of the shipped weights."""
TRACKER = EMBEDDED / "tracker"
"""Folder of the shipped face pack, detector and landmarks; its own, as insightface loads every network of a folder."""


def networks() -> list[Path]:
    """The ONNX files that ship with the project."""
    return sorted(EMBEDDED.rglob("*.onnx"))


def remedy(path: Path) -> str:
    """What a user does about a damaged network: a shipped one is restored by a command."""
    if not path.is_relative_to(EMBEDDED):
        return REMEDY
    return f"git checkout -- {path.relative_to(EMBEDDED.parent.parent).as_posix()}"
