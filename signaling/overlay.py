"""The message that lets the page draw what lies behind an edit over the picture. Its size is bounded."""

from __future__ import annotations

from base64 import b64encode

import numpy as np

from models.arrays import Floats
from signaling import control
from stream.frame import Output

LONGEST = 28 * 1024
"""Characters of a message, at most. `stream.overlay` bounds the faces, their outlines and the points of each."""


def overlay_message(output: Output, size: tuple[int, int]) -> control.Overlay:
    """What the page draws over a frame.

    Args:
        output: of the frame.
        size: width and height of the frame in pixels.
    """
    from stream.overlay import overlay_of  # noqa: PLC0415  heavy

    faces = [
        control.FaceDrawn(
            id=face.id,
            edited=face.edited,
            mesh="" if face.mesh is None else pack_points(face.mesh, size),
            quad="" if face.quad is None else pack_points(face.quad, size),
            outlines=[
                control.OutlineDrawn(mask=line.mask, points=pack_points(line.points, size)) for line in face.outlines
            ],
        )
        for face in overlay_of(output)
    ]
    stages = {stage: round(ms, 2) for stage, ms in output.trace.ms.items()}
    return control.Overlay(faces=faces, stages=stages, detected=output.trace.detected)


def pack_points(points: Floats, size: tuple[int, int]) -> str:
    """Points (N, 2) in pixels as base64 of uint16, x and y in turn, little endian: 0 is -1, 65535 is 2 pictures."""
    parts = (points / np.array(size, np.float32) + 1) / 3
    return b64encode(np.rint(np.clip(np.nan_to_num(parts), 0, 1) * 65535).astype("<u2").tobytes()).decode()
