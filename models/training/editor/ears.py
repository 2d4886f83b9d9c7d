"""`python -m models.training.editor.ears`: make the ear that `models.embedded.lent_ears` lends."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import EARS, TABLES
from models.embedded.body_behind_hair import SKIN
from models.embedded.lent_ears import COLUMNS, DOWN, FINE, LENDING, MOST_RELIEF, OUT, ROWS
from models.face.imaging import LUMINANCE, log_colour
from models.face.texture_space import FaceSpace, Fit
from models.training.bodies.labels import body_label
from models.training.data import FaceSet, shared_folder

LENDER, POINT, SIDE = "t2i_s2_Expression_x_Sex_1_8", 234, -1
"""The portrait (SFHQ-T2I, MIT), the point of its mesh beside the ear, and the ear's side in the picture."""
SURE = 11
"""Pixels of the relief around an edge that a label may be wrong by."""
ROUNDS = 4
"""Of GrabCut (Rother et al. 2004)."""
OVER_CHEEK, CONTRAST = (0.04, 0.01, 0.055), (0.095, 0.14, 0.165)
"""Median log RGB of an ear over that of the cheek beside it, and its deviation: of 466 ears in photographs, the
latter a tenth more, as they are blurred a little.
"""
COLOURED = np.float32(0.5)
"""Share of its changes of colour that is lent: the lender has red lobes."""
MEASURED = ((3.0, 16.0), (-20.0, 25.0))
"""Distances outwards and down, texture pixels, over which both are measured."""
SMOOTH = 1.5
"""Gaussian of the silhouette, pixels of the relief."""


def main(argv: list[str]) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m models.training.editor.ears", description=__doc__)
    parser.add_argument("--out", type=Path, default=EMBEDDED / EARS)
    options = parser.parse_args(argv)
    faces = FaceSet.load(shared_folder())
    row = int(np.flatnonzero(faces.labels["id"] == LENDER)[0])
    with np.load(EMBEDDED / TABLES, allow_pickle=False) as file:
        space = FaceSpace.from_tables({name: file[name] for name in file.files})
    table = lent_ear(faces, row, space.fit(faces.mesh[row]))
    part = options.out.with_suffix(".part")
    with part.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **{f"ear_{name}": of_it for name, of_it in table.items()})
    part.replace(options.out)
    print(f"{options.out.name}: {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


def lent_ear(faces: FaceSet, row: int, fit: Fit) -> dict[str, NDArray[Any]]:
    """Silhouette, relief and reach of the ear of a portrait."""
    image, masks = faces.image(row), (faces.mask("person", row), faces.mask("hair", row))
    label = (body_label(image, faces.mesh[row], *masks) == SKIN).astype(np.float32)
    at = _frame(fit)
    picture = cv2.remap(image, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    labelled = (cv2.remap(label, at, None, cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    alpha = _silhouette(picture, labelled)
    logs = log_colour(picture)
    column = int((-LENDING.cheek - OUT[0]) * FINE)
    strip = cv2.blur(logs, (2 * FINE + 1, 1))[:, column : column + 1]
    cheek = cv2.GaussianBlur(strip, (0, 0), sigmaX=1e-3, sigmaY=LENDING.smooth * FINE, borderType=cv2.BORDER_REPLICATE)
    relief = _as_usual(_continued(logs - cheek, alpha), alpha)
    reach = float((np.flatnonzero((alpha > 0.5).sum(0) > 2 * FINE)[-1] + 1) / FINE + OUT[0])
    return {
        "alpha": np.rint(alpha * 255).astype(np.uint8),
        "relief": np.rint(np.clip(relief / MOST_RELIEF, -1, 1) * 127).astype(np.int8),
        "reach": np.float32(reach),
    }


def _frame(fit: Fit) -> Floats:
    """(`ROWS`, `COLUMNS`, 2) float32: where the frame lies in the picture, mirrored so that the ear is on the right."""
    across, down = fit.upright[:, :2], fit.upright[:, 2]
    anchor = np.linalg.inv(across) @ (fit.points[POINT] - down)
    x = anchor[0] + SIDE * ((np.arange(COLUMNS) + 0.5) / FINE + OUT[0])
    y = anchor[1] + (np.arange(ROWS) + 0.5) / FINE + DOWN[0]
    places = np.stack(np.meshgrid(x, y), -1)
    return np.asarray(places @ across.T + down - 0.5, np.float32)


def _silhouette(picture: NDArray[np.uint8], labelled: NDArray[np.uint8]) -> Floats:
    """(`ROWS`, `COLUMNS`) float32 in 0..1: head and ear, found by colour near the edge of their label."""
    told = np.where(labelled > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    told[cv2.erode(labelled, np.ones((SURE, SURE), np.uint8)) > 0] = cv2.GC_FGD
    told[cv2.dilate(labelled, np.ones((SURE + 2, SURE + 2), np.uint8)) == 0] = cv2.GC_BGD
    told[:, : int(-OUT[0] * FINE) - 2 * FINE] = cv2.GC_FGD
    cv2.grabCut(picture, told, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = ((told == cv2.GC_FGD) | (told == cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(found)
    largest = 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA]))
    return np.asarray(cv2.GaussianBlur((parts == largest).astype(np.float32), (0, 0), SMOOTH))


def _as_usual(relief: Floats, alpha: Floats) -> Floats:
    """A relief as light and as deep as ears are; that of the lender has hard light."""
    (left, right), (top, bottom) = MEASURED
    rows, columns = (
        slice(*(int((y - DOWN[0]) * FINE) for y in (top, bottom))),
        slice(*(int((x - OUT[0]) * FINE) for x in (left, right))),
    )
    ear = relief[rows, columns][alpha[rows, columns] > 0.9]
    scale = np.array(CONTRAST, np.float32) / ear.std(0)
    usual = (relief - np.median(ear, 0)) * scale
    light = (usual @ LUMINANCE)[..., None]
    return np.asarray(light + COLOURED * (usual - light) + np.array(OVER_CHEEK, np.float32), np.float32)


def _continued(relief: Floats, alpha: Floats) -> Floats:
    """A relief whose edge goes on beyond the silhouette: mixed pixels there show the lender's backdrop."""
    inside = cv2.erode((alpha > 0.5).astype(np.uint8), np.ones((FINE + 2, FINE + 2), np.uint8))
    _, nearest = cv2.distanceTransformWithLabels(1 - inside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(inside)
    values = np.zeros((nearest.max() + 1, 3), np.float32)
    values[nearest[rows, columns]] = relief[rows, columns]
    return np.asarray(np.where(inside[..., None] > 0, relief, values[nearest]), np.float32)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
