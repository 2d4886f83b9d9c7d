"""Looks as small pictures of one's own face: the presets of the editors that ship, drawn on one photo."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from models.arrays import Image
from stream.photos import face_of, still
from stream.runtime import Runtime
from stream.settings import Settings
from stream.strip import head_of

DRAWN = 320
"""Height in pixels at which the head is edited."""
HEIGHT, WIDTH = 120, 96
"""Of a thumbnail, pixels."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One look.

    Attributes:
        editor: name of its editor, "" for the photo as it is.
        title: of the preset.
        controls: that it sets.
    """

    editor: str
    title: str
    controls: dict[str, Any]


def looks_of(runtime: Runtime, editors: Collection[str] | None = None) -> list[Thumbnail]:
    """The photo as it is, then every preset of the editors that ship and are ready.

    Args:
        runtime: whose editors they are.
        editors: names of those that may be used; None for all.
    """
    allowed = [entry for entry in runtime.entries.values() if editors is None or entry.name in editors]
    rows = [entry for entry in allowed if entry.state == "ready" and not entry.networks]
    presets = [Thumbnail(row.name, each.title, dict(each.controls)) for row in rows for each in row.presets]
    return [Thumbnail("", "Original", {}), *presets]


def draw_thumbnails(
    runtime: Runtime, photo: Image, editors: Collection[str] | None = None
) -> tuple[list[Thumbnail], Image]:
    """The largest face of a photo in every look.

    Args:
        runtime: the loaded networks.
        photo: (H, W, 3) uint8 BGR.
        editors: as for `looks_of`.

    Returns:
        The looks, and (HEIGHT, WIDTH * looks, 3) uint8 BGR, from left to right.

    Raises:
        PhotoError: there is no face.
        EngineError: a network has no time now, or cannot be loaded.
    """
    head = head_of(photo, face_of(runtime, photo))
    scale = DRAWN / head.shape[0]
    head = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    looks, pictures = looks_of(runtime, editors), list[Image]()
    for look in looks:
        shown = head
        if look.editor:
            wanted = {"editor": look.editor, "controls": look.controls, "faces": "largest"}
            shown = still(head, runtime.pipeline(), runtime.look(Settings(), wanted)).image
        pictures.append(cv2.resize(shown, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    return looks, np.concatenate(pictures, axis=1)
