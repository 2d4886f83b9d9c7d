"""What is measured of the heads of the bald: where the skull ends, and how its skin is lit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.embedded.scalp import CENTER, LIGHT_MODES, SKIN_BOX, outline_features, shading_of
from models.face.imaging import LUMINANCE, log_colour
from models.face.texture_space import VERTICES, FaceSpace, Fit
from models.training.data import SIZE as PORTRAIT
from models.training.data import FaceSet
from models.training.editor.statistics import ridge

ANGLES, RADII = 37, 24
SHORT_HAIR = 0.95
"""The skull's outline over that of a close-cropped head."""


def scalp_tables(faces: FaceSet, space: FaceSpace, rows: Rows) -> dict[str, NDArray[Any]]:
    """The statistics of `models.embedded.scalp.ScalpModel`, from the bald."""
    labels = faces.labels
    adult = (labels["age"][rows] > 20) & (labels["hat"][rows] != 1)
    area, yaw, baldness = labels["hair_area"][rows], np.abs(labels["yaw"][rows]), labels["baldness"][rows]
    bald = rows[adult & (baldness > 0.85) & (yaw < 35) & (area < 0.06)]
    turned = rows[adult & (labels["sex"][rows] == "M") & ~(baldness > 0.85) & (yaw > 10) & (yaw < 45) & (area < 0.1)]

    views = [view for row in bald for view in _both_ways(faces, space, row)]
    cropped = [view for row in turned for view in _both_ways(faces, space, row)]
    fits = [space.fit(view.mesh) for view in [*views, *cropped]]
    radii = np.stack([_outline(view.person, fit) for view, fit in zip([*views, *cropped], fits, strict=True)])
    radii[len(views) :] *= SHORT_HAIR
    features = np.stack([outline_features(fit) for fit in fits])
    outline = np.stack([_robust_ridge(features, radii[:, angle], 4.0) for angle in range(ANGLES)])
    outline = cv2.GaussianBlur(outline, (1, 13), 0, sigmaY=2.0, borderType=cv2.BORDER_REPLICATE)

    shading, light = [], []
    for view, fit, own in zip(views, fits, radii, strict=False):
        if view.hair_area > 0.03:
            continue
        edge = 0.97 * np.where(np.isfinite(own), own, outline @ outline_features(fit))
        logs = log_colour(space.unwrap(view.image, fit))
        shading.append(_polar_colour(view.image, fit, edge) - np.median(logs[SKIN_BOX].reshape(-1, 3), axis=0))
        light.append(shading_of(logs))
    colours, lights = np.asarray(shading), np.asarray(light)
    middle = lights.mean(0)
    modes = np.linalg.svd(lights - middle, full_matrices=False)[2][:LIGHT_MODES]
    modes = modes / ((lights - middle) @ modes.T).std(0)[:, None]
    mean: NDArray[Any] = np.median(colours, axis=0)
    inputs = np.column_stack([np.ones(len(lights)), (lights - middle) @ modes.T])
    outputs = np.clip(colours - mean, -0.8, 0.5).reshape(len(colours), -1)
    weights = ridge(inputs, outputs, 8.0).reshape(LIGHT_MODES + 1, ANGLES, RADII, 3)
    mean, weights = _less_colour(mean + weights[0]), _less_colour(weights[1:])
    return {
        "scalp_outline": outline.astype(np.float32),
        "scalp_mean": mean.astype(np.float16),
        "scalp_shading": weights.astype(np.float16),
        "scalp_light_mean": middle.astype(np.float32),
        "scalp_light_modes": modes.astype(np.float32),
    }


def _less_colour(logs: NDArray[Any]) -> Floats:
    """The bald of the portraits are older and more tanned than most who try it: keep most of what is not luminance."""
    luminance = (logs @ LUMINANCE)[..., None]
    return np.asarray(luminance + 0.8 * (logs - luminance), np.float32)


@dataclass(frozen=True, slots=True)
class _View:
    """A portrait, or its mirror image."""

    image: NDArray[np.uint8]
    person: Floats
    mesh: Floats
    hair_area: float


def _both_ways(faces: FaceSet, space: FaceSpace, row: int) -> list[_View]:
    """A portrait and its mirror image; a vertex's partner is the one that lies where its mirror image would."""
    area = float(faces.labels["hair_area"][row])
    image, person, mesh = faces.image(row), faces.mask("person", row), faces.mesh[row, :VERTICES]
    middle = float(space.mean[:, 0].mean())
    mirrored = np.column_stack([2 * middle - space.mean[:, 0], space.mean[:, 1]])
    partner = np.argmin(((space.mean[None] - mirrored[:, None]) ** 2).sum(2), axis=1)
    other = np.column_stack([PORTRAIT - 1 - mesh[partner, 0], mesh[partner, 1]]).astype(np.float32)
    flipped = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(person[:, ::-1])
    return [_View(image, person, mesh, area), _View(*flipped, other, area)]


def _outline(person: Floats, fit: Fit) -> Floats:
    """Where the person ends, seen from between the brows; NaN where the portrait ends first."""
    lengths = np.arange(30, 150, dtype=np.float32)
    radii = np.full(ANGLES, np.nan, np.float32)
    for index, way in enumerate(_directions()):
        points = (np.array(CENTER) + lengths[:, None] * way) @ fit.upright[:, :2].T + fit.upright[:, 2]
        seen = cv2.remap(person, points[None].astype(np.float32), None, cv2.INTER_LINEAR)[0]
        outside = np.flatnonzero(seen < 0.5)
        inside_portrait = (points[:, 0] > 3) & (points[:, 0] < PORTRAIT - 4) & (points[:, 1] > 4)
        if len(outside) and inside_portrait[: outside[0] + 1].all():
            radii[index] = lengths[outside[0]]
    return radii


def _polar_colour(image: NDArray[np.uint8], fit: Fit, edge: NDArray[Any]) -> Floats:
    share = (np.arange(RADII) + 0.5) / RADII
    points = np.array(CENTER) + (share[None, :, None] * edge[:, None, None]) * _directions()[:, None]
    where = (points @ fit.upright[:, :2].T + fit.upright[:, 2]).astype(np.float32)
    soft = cv2.GaussianBlur(image, (0, 0), 1.5)
    return log_colour(cv2.remap(soft, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _directions() -> Floats:
    angles = np.linspace(0, np.pi, ANGLES)
    return np.stack([np.cos(angles), -np.sin(angles)], 1).astype(np.float32)


def _robust_ridge(inputs: NDArray[Any], outputs: NDArray[Any], strength: float) -> Floats:
    kept = np.isfinite(outputs)
    weights = np.zeros(inputs.shape[1], np.float32)
    for _ in range(4):
        weights = ridge(inputs[kept], outputs[kept], strength)
        error = np.abs(outputs - inputs @ weights)
        kept = np.isfinite(outputs) & (error < 2.5 * 1.48 * np.nanmedian(error))
    return weights
