"""What is measured rather than learnt by descent: how shape and skin change with age, and with a smile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.embedded.ageing import AGEING_YEARS
from models.embedded.scalp import SKIN_BOX
from models.embedded.skin import middle_band
from models.face.imaging import LUMINANCE, log_colour
from models.face.texture_space import SIZE, VERTICES, FaceSpace
from models.training.data import FaceSet

YOUNG, OLD = (20.0, 33.0), (64.0, 90.0)
"""Ages of those who share what the young and the old have, years."""
GROWN, LEAST_AGE = 25.0, 11.0
"""From the first age on change is linear; below it faces grow; children under the second are left out."""
CLOSED_LIPS = 0.035
"""The gap between the lips over the distance of the eyes' outer corners below which a mouth is closed."""
CIRCUMSTANCES = (("smile", 1.0), ("mouth_open", 1.0), ("yaw", 20.0), ("pitch", 15.0), ("skin_L", 20.0))
"""What else a face's look depends on, and its unit."""
FAINT_SMILE = 0.25
SHAPE_EMPHASIS, MOUTH_EMPHASIS = 1.75, 1.0
"""A mean over many moves less than one face does; chosen by age and identity. Lips would part."""
SEXES = ("F", "M")
FOLD_SIGMA = 7.0
"""What is finer than this counts as a fold or wrinkle, texture pixels."""

EYES_AND_MOUTH = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
"""Mesh points around the openings, which wrinkles keep off."""
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))


def textures_of(faces: FaceSet, space: FaceSpace) -> NDArray[np.uint8]:
    """Every portrait's face unwrapped, (N, 192, 192, 3) uint8 RGB."""
    return np.stack([space.unwrap(faces.images[row], space.fit(faces.mesh[row])) for row in range(len(faces))])


def skin_field(space: FaceSpace) -> Floats:
    """Where skin may change in the texture square: the face without eyes and mouth, feathered; (192, 192) float32."""
    face = _polygons(space, [tuple(range(VERTICES))])
    face = cv2.GaussianBlur(cv2.erode(face, np.ones((11, 11), np.uint8)), (0, 0), 5)
    openings = cv2.dilate(_polygons(space, EYES_AND_MOUTH), np.ones((5, 5), np.uint8))
    return np.asarray(face * (1 - cv2.GaussianBlur(openings, (0, 0), 2)))


def brow_field(space: FaceSpace) -> Floats:
    """The eyebrows, feathered; (192, 192) float32."""
    return np.asarray(cv2.GaussianBlur(cv2.dilate(_polygons(space, BROWS), np.ones((3, 3), np.uint8)), (0, 0), 2))


def lip_field(space: FaceSpace) -> Floats:
    """The lips and what is between them, feathered; (192, 192) float32."""
    lips = cv2.dilate(_polygons(space, EYES_AND_MOUTH[2:]), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.GaussianBlur(lips, (0, 0), 2))


def face_taper(space: FaceSpace) -> Floats:
    """1 on the face, 0 well outside, on the lattice."""
    face = cv2.dilate(_polygons(space, [tuple(range(VERTICES))]), np.ones((21, 21), np.uint8))
    taper = cv2.resize(cv2.GaussianBlur(face, (0, 0), 7), space.corners.shape[:2], interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(taper * 1.1 - 0.1, 0, 1))


def people(faces: FaceSet, rows: Rows, sex: str, ages: tuple[float, float]) -> Rows:
    """Frontal people without hat or glasses of one sex and age."""
    labels = faces.labels
    chosen = (
        (labels["sex"][rows] == sex)
        & (labels["age"][rows] >= ages[0])
        & (labels["age"][rows] <= ages[1])
        & (np.abs(labels["yaw"][rows]) < 16)
        & (labels["hat"][rows] != 1)
        & (labels["glasses"][rows] != 1)
    )
    return rows[chosen]


@dataclass(frozen=True, slots=True)
class Trend:
    """How something measured on faces depends on age, at equal expression, pose, skin tone and source.

    The old smile more on their portraits than the young, and come from other collections: a plain difference of means
    takes half of a smile for age.

    Attributes:
        young: (...) float32, its mean at 25 years, with a trace of a smile.
        ageing: (...) float32, its change from 25 years over the next `AGEING_YEARS`.
        youth: (...) float32, its change from 25 years to 15.
        smile: (...) float32, its change from no smile to a whole one.
    """

    young: Floats
    ageing: Floats
    youth: Floats
    smile: Floats


def trend(faces: FaceSet, rows: Rows, measured: Iterable[Floats]) -> Trend:
    """Fit a trend by ridge regression.

    Args:
        faces: the portraits.
        rows: the people, of one sex.
        measured: what was measured on each of them, arrays of one shape in the order of `rows`.
    """
    labels = faces.labels
    age = labels["age"][rows].astype(np.float64)
    columns = [
        np.ones(len(rows)),
        (np.maximum(age, GROWN) - GROWN) / AGEING_YEARS,
        np.clip(GROWN - age, 0, GROWN - LEAST_AGE) / 10,
        *(np.nan_to_num(labels[name][rows]) / unit for name, unit in CIRCUMSTANCES),
        np.abs(labels["yaw"][rows]) / 20,
        *(labels["source"][rows] == source for source in sorted(set(labels["source"]))[1:]),
    ]
    inputs = np.stack(columns, 1).astype(np.float64)
    penalty = np.eye(inputs.shape[1]) * 4
    penalty[0, 0] = penalty[1, 1] = 0
    products: Any = 0.0
    shape: tuple[int, ...] = ()
    for line, values in zip(inputs, measured, strict=True):
        shape = values.shape
        products = products + line[:, None] * values.ravel()[None]
    weights = np.linalg.solve(inputs.T @ inputs + penalty, products)
    usual = inputs.mean(0)
    usual[1:4] = 0, 0, FAINT_SMILE
    return Trend(*(x.reshape(shape).astype(np.float32) for x in (usual @ weights, *weights[1:4])))


def trend_rows(faces: FaceSet, rows: Rows, sex: str) -> Rows:
    """People of one sex from whom trends are taken: facing the camera, bare-headed, eyes open."""
    labels = faces.labels
    kept = (labels["sex"] == sex) & (labels["age"] >= LEAST_AGE) & (np.abs(labels["yaw"]) < 25)
    kept &= (labels["hat"] != 1) & (labels["eyes_closed"] < 0.5)
    return rows[kept[rows]]


def ageing_shape(faces: FaceSet, space: FaceSpace, rows: Rows) -> tuple[Floats, Floats]:
    """How women's and men's faces move over half a lifetime, and from 25 years to 15.

    Returns:
        Twice (2, 64, 64, 2) float32, texture pixels on the lattice, symmetrical and emphasised.
    """
    taper = face_taper(space)
    mouth = cv2.resize(cv2.GaussianBlur(lip_field(space), (0, 0), 4), taper.shape, interpolation=cv2.INTER_AREA)
    taper *= SHAPE_EMPHASIS - (SHAPE_EMPHASIS - MOUTH_EMPHASIS) * mouth
    found: list[list[Floats]] = [[], []]
    for sex in SEXES:
        chosen = trend_rows(faces, rows, sex)
        moves = trend(faces, chosen, (faces.mesh[row, :VERTICES] for row in chosen))
        for fields, moved in zip(found, (moves.ageing, moves.youth), strict=True):
            fields.append(_on_lattice(space, moved) * taper[..., None])
    return np.asarray(found[0], np.float32), np.asarray(found[1], np.float32)


def skin_trends(faces: FaceSet, textures: NDArray[np.uint8], rows: Rows, glasses: NDArray[np.bool_]) -> dict[str, Any]:
    """How women's and men's skin looks at 25 and changes with age: the tables of `models.embedded.skin.Skin`.

    The broad part of the luminance is left out: it tells how the old were photographed rather than how they look.

    Args:
        faces: the portraits.
        textures: (N, 192, 192, 3) uint8 RGB, all of them unwrapped.
        rows: the people.
        glasses: (N,) bool, who wears some.
    """
    colour, young, change = [], [], []
    for sex in SEXES:
        chosen = trend_rows(faces, rows, sex)
        chosen = chosen[~glasses[chosen]]
        skin = trend(faces, chosen, (_relative(textures[row]) for row in chosen))
        ageing, at_25 = (_symmetrical(x) for x in (skin.ageing, skin.young))
        colour.append(_without_light(ageing))
        young.append(middle_band(at_25 @ LUMINANCE))
        change.append(middle_band(ageing @ LUMINANCE))
    found: dict[str, list[Any]] = {"colour": colour, "young": young, "change": change}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def smile_trends(faces: FaceSet, space: FaceSpace, textures: NDArray[np.uint8], rows: Rows) -> tuple[Floats, Floats]:
    """How a face smiles with its lips closed, the mean of women and men.

    Lips that part show teeth, which a warp cannot; so only closed mouths are measured. The skull holds still: portraits
    are aligned by the mouth, too.

    Returns:
        (64, 64, 2) float32, texture pixels on the lattice, and (192, 192, 3) float32, log colour; symmetrical.
    """
    mesh = faces.mesh
    gap = np.linalg.norm(mesh[:, 13] - mesh[:, 14], axis=1) / np.linalg.norm(mesh[:, 33] - mesh[:, 263], axis=1)
    shapes, skins = [], []
    for sex in SEXES:
        chosen = trend_rows(faces, rows, sex)
        chosen = chosen[gap[chosen] < CLOSED_LIPS]
        shapes.append(trend(faces, chosen, (_on_skull(space, mesh[row]) for row in chosen)).smile)
        skin = trend(faces, chosen, (_relative(textures[row]) for row in chosen)).smile
        skins.append(_without_light(_symmetrical(skin)))
    shape = _on_lattice(space, np.mean(shapes, axis=0)) * face_taper(space)[..., None]
    return np.asarray(shape, np.float32), np.mean(skins, axis=0)


def fleeting_modes(faces: FaceSet, space: FaceSpace, rows: Rows) -> Floats:
    """How expressions and the head's turn move the mesh, whoever's it is.

    Returns:
        (6, 468, 2) float32, orthonormal.
    """
    labels = faces.labels
    rows = rows[np.isfinite(labels["yaw"][rows]) & np.isfinite(labels["pitch"][rows])]
    yaw = labels["yaw"][rows] / 20
    fleeting = [labels["smile"], labels["mouth_open"], labels["eyes_closed"], labels["pitch"] / 15]
    columns = [np.ones(len(rows)), labels["age"][rows] / AGEING_YEARS, labels["sex"][rows] == "M"]
    inputs = np.stack([*columns, yaw, np.abs(yaw), *(x[rows] for x in fleeting)], 1).astype(np.float64)
    meshes = np.stack([_on_skull(space, faces.mesh[row]).ravel() for row in rows])
    weights = ridge(inputs, meshes, 1.0)[len(columns) :]
    return np.asarray(np.linalg.qr(weights.T)[0].T.reshape(-1, VERTICES, 2), np.float32)


def ridge(inputs: NDArray[Any], outputs: NDArray[Any], strength: float) -> Floats:
    """Weights of a ridge regression (Hoerl and Kennard 1970) whose first input, the constant, is not held back."""
    penalty = np.eye(inputs.shape[1]) * strength
    penalty[0, 0] = 0
    return np.asarray(np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ outputs), np.float32)


def _on_lattice(space: FaceSpace, moved: Floats) -> Floats:
    """Moves of the mesh, (468, 2), as symmetrical ones of the lattice, (64, 64, 2); the ring stays."""
    field = np.einsum("ijk,ijkd->ijd", space.weights, np.vstack([moved, np.zeros_like(space.ring)])[space.corners])
    return np.asarray((field + field[:, ::-1] * np.array([-1, 1])) / 2)


def _on_skull(space: FaceSpace, mesh: Floats) -> Floats:
    """A mesh in texture pixels, its skull laid on the mean's; (468, 2) float32."""
    upright = space.fit(mesh).upright
    return np.asarray((mesh[:VERTICES] - upright[:, 2]) @ np.linalg.inv(upright[:, :2]).T, np.float32)


def _symmetrical(picture: Floats) -> Floats:
    return np.asarray((picture + picture[:, ::-1]) / 2, np.float32)


def _without_light(change: Floats) -> Floats:
    """A change of log colour without most of its broad luminance, which tells how portraits were lit."""
    broad = cv2.GaussianBlur(change @ LUMINANCE, (0, 0), 22)
    return np.asarray(cv2.GaussianBlur(change, (0, 0), 1.0) - 0.8 * broad[..., None], np.float32)


def _relative(texture: NDArray[np.uint8]) -> Floats:
    logs = log_colour(texture)
    return np.asarray(logs - np.median(logs[SKIN_BOX].reshape(-1, 3), axis=0))


def _polygons(space: FaceSpace, groups: Any) -> Floats:
    drawn = np.zeros((SIZE, SIZE), np.float32)
    for group in groups:
        cv2.fillConvexPoly(drawn, cv2.convexHull(space.mean[list(group)].astype(np.int32)), 1)
    return drawn
