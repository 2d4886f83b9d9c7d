"""What boundaries do, to be looked at: a strip of faces per boundary, and how much every score moves along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.boundaries.fitting import Fitted, effects
from models.published.drawing import to_image
from models.published.stylegan.wplus import resize_pictures

FACES = 4
"""Rows of a strip."""
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Its columns, standard deviations of the samples along the boundary."""
MEASURED, MEASURED_STEP = 24, 2.0
"""Faces whose scores are compared, and how far they are moved."""
CELL = 160
"""Side of a picture of a strip in pixels."""

Draw = Callable[[Floats], Floats]
"""Latents (N, D) -> pictures (N, 3, S, S) in [-1, 1]."""
Score = Callable[[Floats], Mapping[str, Floats]]
"""Pictures -> scores by name."""


def write_report(
    folder: Path, latents: Floats, found: tuple[Mapping[str, Fitted], Mapping[str, str]], draw: Draw, score: Score
) -> Path:
    """Write `report.md` with a strip per boundary.

    Args:
        folder: where to.
        latents: (N, D), the faces that are shown are its first ones.
        found: the boundaries by name, and by name why there is none, see `models.boundaries.fitting.fit_all`.
        draw: the generator.
        score: what scored the samples.

    Returns:
        The report's path.
    """
    fitted, refused = found
    folder.mkdir(parents=True, exist_ok=True)
    before = score(draw(latents[:MEASURED]))
    names = list(before)
    rows = []
    for name, each in fitted.items():
        cv2.imwrite(str(folder / f"{name}.jpg"), strip(latents[:FACES], each.boundary.vector, draw)[..., ::-1])
        moved = latents[:MEASURED] + np.float32(MEASURED_STEP) * each.boundary.vector
        rows.append((name, effects(before, score(draw(moved)))))
    lines = [
        "# Boundaries",
        "",
        "| boundary | held-out accuracy | samples | score of the extremes | cosine with the unconditional one |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {each.accuracy:.1%} | {each.samples} | {each.low:.2f} to {each.high:.2f} | {each.cosine:.2f} |"
            for name, each in fitted.items()
        ),
        *(f"| {name} | none: {reason} | | | |" for name, reason in refused.items()),
        "",
        f"Mean change of every score at +{MEASURED_STEP:g} standard deviations, {len(latents[:MEASURED])} faces:",
        "",
        f"| along | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {name} | {' | '.join(f'{moved[each]:+.2f}' for each in names)} |" for name, moved in rows),
        "",
        f"Strips: {', '.join(f'{step:+g}' for step in STEPS)} standard deviations.",
        *(f"\n## {name}\n\n![{name}]({name}.jpg)" for name in fitted),
        "",
    ]
    path = folder / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def strip(latents: Floats, vector: Floats, draw: Draw, steps: Sequence[float] = STEPS) -> Image:
    """Faces (rows) along a boundary (columns), (faces * CELL, steps * CELL, 3) uint8 RGB."""
    rows = []
    for w in latents:
        pictures = resize_pictures(draw(np.stack([w + np.float32(step) * vector for step in steps])), CELL)
        rows.append(np.hstack([to_image(picture) for picture in pictures]))
    return np.vstack(rows)
