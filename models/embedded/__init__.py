"""The editors that ship with the project and their weights; MODEL_CARD.md says on what these were trained."""

from pathlib import Path

EMBEDDED = Path(__file__).resolve().parent
"""Folder of the shipped weights."""
TRACKER = EMBEDDED / "tracker"
"""Folder of the shipped face pack, detector and landmarks; its own, as insightface loads every network of a folder."""
