"""What bodies look like without hair over them, as labels of portraits.

They are computed from the person masks and, between skin and cloth, from colour (GrabCut, Rother et al. 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.arrays import Floats, Image, Rows
from models.embedded.body_behind_hair import BACKDROP, CLOTH, SKIN
from models.face.imaging import LUMINANCE, log_colour, smoothstep
from models.face.texture_space import FACE_OVAL
from models.training.data import WORK, FaceSet

UNKNOWN = 3
"""The label of a portrait's own hair."""
LABELS = WORK / "hair" / "bodies.npz"
MOUTH = (61, 291)
"""Mesh points of the corners of the mouth."""


@dataclass(frozen=True, slots=True)
class LabelRecipe:
    """How skin is told from cloth.

    Attributes:
        smooth: Gaussian of the picture, pixels.
        core: side of the square by which the face's oval is eroded, where its skin is measured, pixels.
        chroma: deviation of the log colour of skin, without its light.
        dark, bright: logs of light over that of the face, below and above which nothing is skin.
        least: likeness below which nothing is skin.
        rounds: of GrabCut.
        hair: probability from which a portrait's own hair is unknown.
        around: side of the square around it that is unknown too, pixels.
        beside: what lies above the mouth within so many half widths of the face is head, whatever its colour.
    """

    smooth: float = 1.0
    core: int = 31
    chroma: float = 0.16
    dark: tuple[float, float] = (-1.5, -0.9)
    bright: tuple[float, float] = (0.45, 0.8)
    least: float = 0.15
    rounds: int = 3
    hair: float = 0.3
    around: int = 3
    beside: float = 1.25


RECIPE = LabelRecipe()


def body_label(image: Image, mesh: Floats, person: Floats, hair: Floats) -> NDArray[np.uint8]:
    """What each pixel of a portrait shows: `BACKDROP`, `SKIN`, `CLOTH`, or `UNKNOWN` on its hair.

    Args:
        image: (256, 256, 3) uint8 RGB.
        mesh: (478, 2) float32, pixels.
        person, hair: (256, 256) float32 in 0..1.

    Returns:
        (256, 256) uint8.
    """
    oval = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(oval, [np.rint(mesh[list(FACE_OVAL)]).astype(np.int32)], 1)
    logs = log_colour(cv2.GaussianBlur(image, (0, 0), RECIPE.smooth))
    core = (cv2.erode(oval, np.ones((RECIPE.core, RECIPE.core), np.uint8)) > 0) & (hair < RECIPE.hair)
    away = logs - np.median(logs[core if core.any() else oval > 0], 0)
    light = away @ LUMINANCE
    chroma = np.square(away - light[..., None]).sum(2)
    alike = (
        np.exp(-chroma / RECIPE.chroma**2) * smoothstep(light, *RECIPE.dark) * (1 - smoothstep(light, *RECIPE.bright))
    )
    body = person > 0.5
    told = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    told[alike > 0.5] = cv2.GC_PR_FGD
    told[~body | (hair > 0.5)] = cv2.GC_BGD
    told[oval > 0] = cv2.GC_FGD
    cv2.grabCut(image, told, None, np.zeros((1, 65)), np.zeros((1, 65)), RECIPE.rounds, cv2.GC_INIT_WITH_MASK)
    skin = ((told == cv2.GC_FGD) | (told == cv2.GC_PR_FGD)) & ((alike > RECIPE.least) | (oval > 0))
    opened = cv2.morphologyEx(skin.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts = cv2.connectedComponents(opened)
    skin = np.isin(parts, np.setdiff1d(np.unique(parts[oval > 0]), [0]))
    # ears and temples in the shade
    rows, columns = np.indices(oval.shape)
    across = np.abs(columns - mesh[list(FACE_OVAL), 0].mean()) / (np.ptp(mesh[list(FACE_OVAL), 0]) / 2)
    skin |= (rows < mesh[list(MOUTH), 1].mean()) & (across < RECIPE.beside)
    label = np.full(oval.shape, BACKDROP, np.uint8)
    label[body] = CLOTH
    label[(body & skin) | (oval > 0)] = SKIN
    near = cv2.dilate((hair > RECIPE.hair).astype(np.uint8), np.ones((RECIPE.around, RECIPE.around), np.uint8)) > 0
    label[near & (oval == 0)] = UNKNOWN
    return label


def body_labels(faces: FaceSet, rows: Rows, path: Path = LABELS) -> dict[int, NDArray[np.uint8]]:
    """Labels of portraits by row; those of `path` are taken, others are made and kept there."""
    kept: dict[int, NDArray[np.uint8]] = {}
    if path.is_file():
        with np.load(path) as file:
            kept = dict(zip(file["rows"].tolist(), file["labels"], strict=True))
    missing = [int(row) for row in rows if int(row) not in kept]
    for row in tqdm(missing, desc="bodies", disable=not missing):
        masks = (faces.mask("person", row), faces.mask("hair", row))
        kept[row] = body_label(faces.image(row), faces.mesh[row], *masks)
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, rows=np.array(list(kept)), labels=np.stack(list(kept.values())))
        part.replace(path)
    return kept
