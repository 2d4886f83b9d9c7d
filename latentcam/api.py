"""What a plug-in may rely on: the contract of editors, and a row of the catalog. See docs/editors.md."""

from __future__ import annotations

from latentcam import enter_tree

enter_tree()

from models.arrays import Floats, Image, Latent  # noqa: E402
from models.crops import CropSpec  # noqa: E402
from models.editor import Controls, Crop, Edit, Editor, Inpainting, Masks  # noqa: E402
from models.entry import Entry, LoadEngine, Preset, Weights  # noqa: E402

__all__ = [
    "Controls",
    "Crop",
    "CropSpec",
    "Edit",
    "Editor",
    "Entry",
    "Floats",
    "Image",
    "Inpainting",
    "Latent",
    "LoadEngine",
    "Masks",
    "Preset",
    "Weights",
]
