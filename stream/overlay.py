"""What lies behind an edit, as lines to draw over the picture: mesh, crop and outlines of the masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from stream.frame import Drawn, Output

MOST_FACES = 4
MOST_LINES = 3
"""Outlines of one mask, the longest ones."""
MOST_POINTS = 48
"""Points of one outline."""
TOLERANCE = 0.006
"""Most by which an outline is simplified, in sides of the crop."""
INSIDE = 0.5
"""Values of a mask from which on a pixel counts as inside."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The edge of one part of a mask.

    Attributes:
        mask: "edit", "hair", "face" or "occluder".
        points: (N, 2) float32, N at most `MOST_POINTS`, frame pixels; closed.
    """

    mask: str
    points: Floats


@dataclass(frozen=True, slots=True)
class FaceOverlay:
    """What is known of one face.

    Attributes:
        id: of the face.
        edited: whether the picture shows an edit of it.
        mesh: (478, 2) float32, frame pixels; None where five points are known only.
        quad: (4, 2) float32, corners of the crop of the uppermost layer, frame pixels; None without an edit.
        outlines: of the masks in that crop.
    """

    id: int
    edited: bool
    mesh: Floats | None
    quad: Floats | None
    outlines: tuple[Outline, ...]


def overlay_of(output: Output) -> tuple[FaceOverlay, ...]:
    """What to draw over a frame: at most `MOST_FACES` faces, the largest ones."""
    faces = sorted(output.faces, key=lambda face: float(face.box[0] - face.box[2]))[:MOST_FACES]
    found = []
    for face in faces:
        layers = output.drawn.get(face.id, ())
        uppermost = layers[-1] if layers else None
        found.append(
            FaceOverlay(
                face.id,
                face.id in output.edited,
                face.mesh,
                None if uppermost is None else uppermost.placement.quad.corners(),
                () if uppermost is None else tuple(_outlines(uppermost)),
            )
        )
    return tuple(found)


def _outlines(drawn: Drawn) -> Iterator[Outline]:
    yield from _edges("edit", drawn.mask, drawn)
    if drawn.masks is not None:
        for name in ("hair", "face", "occluder"):
            yield from _edges(name, getattr(drawn.masks, name), drawn)


def _edges(name: str, mask: Floats, drawn: Drawn) -> Iterator[Outline]:
    """The longest outlines of a mask that has the crop's extent and any resolution."""
    inside = (mask > INSIDE).astype(np.uint8)
    found, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    scale = drawn.placement.size / len(mask)
    turn, shift = drawn.placement.to_frame[:, :2], drawn.placement.to_frame[:, 2]
    for edge in sorted(found, key=len, reverse=True)[:MOST_LINES]:
        line = cv2.approxPolyDP(edge, TOLERANCE * len(mask), closed=True)[:, 0]
        if len(line) < 3:
            continue
        if len(line) > MOST_POINTS:
            line = line[np.linspace(0, len(line), MOST_POINTS, endpoint=False).astype(int)]
        points = (line.astype(np.float32) + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
        yield Outline(name, np.asarray(points @ turn.T + shift, np.float32))
