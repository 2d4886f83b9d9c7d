"""More poses and expressions than the portraits have: heads turned, jaws dropped, lids lowered by warping the mesh.

The portraits look at the camera with closed mouths. Depth comes from a mesh network of the teachers (labelling only),
the picture is warped piecewise linearly between the points, as 300W-LP does it (Zhu et al. 2016).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay
from tqdm import tqdm

from models.arrays import Floats, Image
from models.training.data import SIZE
from models.training.scenes.geometry import eye_distance
from models.training.scenes.portraits import Portraits

MESH_TEACHER = "teachers/mp_face_landmarks_256.onnx"
GRID = 128
LEFT_LIDS = ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155))
RIGHT_LIDS = ((466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382))
"""Pairs (upper lid, lower lid) of the mesh."""
LIPS_LINE = (61, 291)
UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
CHIN = 152
EARS = (234, 454)
WIDEST_YAW = 50.0
"""Degrees; beyond it the far side of the face folds too far to be warped."""
POINTS5 = (468, 473, 1, 61, 291)
"""Mesh points beside the five points."""


def with_views(portraits: Portraits, shared: Path, cache: Path, per_face: int = 2) -> Portraits:
    """The portraits and `per_face` warped views of each, kept in `cache`.

    Args:
        portraits: the originals.
        shared: the folder that holds `teachers/`.
        cache: folder for the result.
        per_face: how many views to add per face.
    """
    key = hashlib.sha256(portraits.mesh.tobytes() + bytes([per_face])).hexdigest()[:12]
    path = cache / f"views_{key}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f"views_{key}.part.npz"
        views = _render_all(portraits, depths(portraits, shared / MESH_TEACHER), per_face)
        np.savez(part, images=views.images, person=views.person, mesh=views.mesh, points5=views.points5)
        part.replace(path)
    with np.load(path) as views:
        return Portraits(
            np.concatenate([portraits.images, views["images"]]),
            np.concatenate([portraits.person, views["person"]]),
            np.concatenate([portraits.mesh, views["mesh"]]),
            np.concatenate([portraits.points5, views["points5"]]),
        )


def depths(portraits: Portraits, teacher: Path) -> Floats:
    """Depth of every mesh point in picture pixels, away from the camera positive: (N, 478)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(teacher), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = np.zeros(portraits.mesh.shape[:2], np.float32)
    for row in tqdm(range(len(portraits)), desc="depth"):
        low, high = portraits.mesh[row].min(0), portraits.mesh[row].max(0)
        scale = 256 / (1.5 * float((high - low).max()))
        middle = (low + high) / 2
        matrix = np.array([[scale, 0, 128 - scale * middle[0]], [0, scale, 128 - scale * middle[1]]], np.float32)
        crop = cv2.warpAffine(portraits.images[row], matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        points = session.run(None, {name: crop[None].astype(np.float32) / 255})[0].reshape(-1, 3)
        found[row] = points[:478, 2] / scale
    return found


def _render_all(portraits: Portraits, depth: Floats, per_face: int) -> Portraits:
    rng = np.random.default_rng(0)
    triangles = np.asarray(Delaunay(_mean_shape(portraits.mesh)).simplices)
    count = len(portraits) * per_face
    images = np.zeros((count, SIZE, SIZE, 3), np.uint8)
    person = np.zeros((count, *portraits.person.shape[1:]), np.uint8)
    mesh = np.zeros((count, *portraits.mesh.shape[1:]), np.float32)
    points5 = np.zeros((count, 5, 2), np.float32)
    for index in tqdm(range(count), desc="views"):
        row = index // per_face
        moved, moved_depth = _pose(rng, portraits.mesh[row], depth[row])
        images[index], person[index] = warp(
            rng,
            image=portraits.images[row],
            person=portraits.person[row],
            mesh=portraits.mesh[row],
            moved=moved,
            depth=moved_depth,
            triangles=triangles,
        )
        mesh[index] = moved
        points5[index] = portraits.points5[row] + (moved - portraits.mesh[row])[list(POINTS5)]
    return Portraits(images, person, mesh, points5)


def _mean_shape(mesh: Floats) -> Floats:
    frontal = np.abs(mesh[:, 1, 0] - mesh[:, LIPS_LINE, 0].mean(1)) < 0.04 * eye_distance(mesh)
    return np.asarray((mesh[frontal] if frontal.any() else mesh).mean(0))


def _pose(rng: np.random.Generator, mesh: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """A new position of every point and its depth after a random expression and turn."""
    shape = np.column_stack([mesh, depth]).astype(np.float64)
    if rng.random() < 0.5:
        shape[:, :2] = drop_jaw(shape[:, :2], float(rng.uniform(0.05, 0.45)))
    if rng.random() < 0.4:
        shape[:, :2] = lower_lids(shape[:, :2], float(rng.uniform(0.3, 0.95)), float(rng.uniform(0.3, 0.95)))
    across = shape[EARS[1]] - shape[EARS[0]]
    present = float(np.rad2deg(np.arctan2(across[2], across[0])))
    turned = rng.random() < 0.8
    yaw = float(rng.uniform(-WIDEST_YAW, WIDEST_YAW)) - present if turned else 0.0
    pitch = float(rng.uniform(-18, 18)) if turned else 0.0
    centre = shape.mean(0)
    centre[2] = np.quantile(shape[:, 2], 0.9)
    sy, cy = np.sin(np.deg2rad(yaw)), np.cos(np.deg2rad(yaw))
    sp, cp = np.sin(np.deg2rad(pitch)), np.cos(np.deg2rad(pitch))
    turn = np.array([[cy, 0, -sy], [sp * sy, cp, sp * cy], [cp * sy, -sp, cp * cy]])
    moved = (shape - centre) @ turn.T + centre
    return moved[:, :2].astype(np.float32), moved[:, 2].astype(np.float32)


def drop_jaw(mesh: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    """Open the mouth by about `amount` eye distances; (478, 2) upright."""
    left, right = mesh[LIPS_LINE[0]], mesh[LIPS_LINE[1]]
    line = (left[1] + right[1]) / 2
    half = abs(right[0] - left[0]) / 2
    drop = amount * float(eye_distance(mesh.astype(np.float32)))
    below = np.clip((mesh[:, 1] - line) / max(mesh[CHIN, 1] - line, 1.0), 0, 1)
    side = np.abs(mesh[:, 0] - (left[0] + right[0]) / 2)
    weight = np.where(below > 0, 1 - 0.6 * np.clip(side / (3.2 * half), 0, 1) ** 2, 0.0)
    weight[below > 0] *= np.clip(0.25 + below[below > 0] * 2.5, 0, 1)
    for index in INNER_LOWER:
        weight[index] = 1 - 0.75 * min(1.0, side[index] / half) ** 2
    for index in (146, 91, 181, 84, 17, 314, 405, 321, 375):
        weight[index] = 1 - 0.7 * min(1.0, side[index] / half) ** 2
    weight[list(UPPER_LIP)] = 0.0
    weight[[61, 291, 78, 308]] = 0.2
    moved = mesh.copy()
    moved[:, 1] += weight * drop
    return moved


def lower_lids(mesh: NDArray[np.float64], left: float, right: float) -> NDArray[np.float64]:
    """Close the eyes by the given fractions; (478, 2)."""
    moved = mesh.copy()
    for pairs, amount in ((LEFT_LIDS, left), (RIGHT_LIDS, right)):
        for upper, lower in pairs:
            moved[upper] += amount * 0.95 * (mesh[lower] - mesh[upper])
    return moved


def warp(
    rng: np.random.Generator,
    *,
    image: Image,
    person: Image,
    mesh: Floats,
    moved: Floats,
    depth: Floats,
    triangles: NDArray[np.int32],
) -> tuple[Image, Image]:
    """Warp a portrait so that its mesh lands on `moved`.

    Args:
        rng: colours the inside of an opened mouth.
        image: (256, 256, 3) uint8 RGB.
        person: (128, 128) uint8.
        mesh: (478, 2) where the points are.
        moved: (478, 2) where they go.
        depth: (478,) depth after the move; the farthest points are hidden behind the cheek.
        triangles: (T, 3) the mesh's topology, to find what turns away.

    Returns:
        The warped picture and person mask.
    """
    corners = moved[triangles]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    before = mesh[triangles]
    facing = area * np.cross(before[:, 1] - before[:, 0], before[:, 2] - before[:, 0]) > 0
    kept = np.zeros(len(mesh), bool)
    kept[triangles[facing].ravel()] = True
    kept[triangles[~facing].ravel()] = False
    kept &= depth <= np.quantile(depth, 0.98)
    kept[468:] = False
    steps = np.linspace(-8, SIZE + 7, 9, dtype=np.float32)
    ring = np.array([(x, y) for x in steps for y in steps if x in (steps[0], steps[-1]) or y in (steps[0], steps[-1])])
    inside = kept & (moved > 0).all(1) & (moved < SIZE - 1).all(1)
    where = np.concatenate([moved[inside], ring]) + rng.normal(0, 1e-3, (int(inside.sum()) + len(ring), 2))
    source = LinearNDInterpolator(where, np.concatenate([mesh[inside], ring]))
    axis = (np.arange(GRID, dtype=np.float32) + 0.5) * (SIZE / GRID) - 0.5
    coarse = source(*np.meshgrid(axis, axis)).astype(np.float32)
    lookup = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    picture = cv2.remap(image, lookup, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    half = (coarse - 0.5) / 2
    mask = cv2.remap(person, half, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    _fill_mouth(rng, picture, mesh, moved)
    return picture, mask


def _fill_mouth(rng: np.random.Generator, picture: Image, mesh: Floats, moved: Floats) -> None:
    """Paint the inside of a mouth that was closed before: dark, often with upper teeth."""

    def gap(points: Floats) -> float:
        return float(np.linalg.norm(points[13] - points[14]) / max(float(eye_distance(points)), 1.0))

    if gap(moved) < gap(mesh) + 0.04:
        return
    outline = np.concatenate([moved[list(INNER_UPPER)], moved[list(INNER_LOWER)][::-1]])
    brightness = float(picture[np.int32(np.clip(moved[:, 1], 0, 255)), np.int32(np.clip(moved[:, 0], 0, 255))].mean())
    dark = np.array([0.35, 0.15, 0.13]) * brightness * rng.uniform(0.4, 1.2)
    fill = picture.copy()
    cv2.fillPoly(fill, [np.int32(np.round(outline * 8))], [float(v) for v in dark], cv2.LINE_AA, shift=3)
    if rng.random() < 0.6:
        share = float(rng.uniform(0.15, 0.45))
        upper, lower = moved[list(INNER_UPPER)], moved[list(INNER_LOWER)]
        teeth = np.concatenate([upper, (upper * (1 - share) + lower * share)[::-1]])
        tone = [float(v) for v in np.array([1.3, 1.25, 1.15]) * min(brightness, 190) * rng.uniform(0.7, 1.0)]
        cv2.fillPoly(fill, [np.int32(np.round(teeth * 8))], tone, cv2.LINE_AA, shift=3)
    picture[:] = cv2.GaussianBlur(fill, (0, 0), 0.8) if rng.random() < 0.5 else fill
