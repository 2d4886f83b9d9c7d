"""What StyleFlow's flow is conditioned on, read of a face: eight attributes, and the light as spherical harmonics.

Age, gender, glasses, baldness and smile come from the attribute encoder of the embedded editors, the pose from the face
mesh, the beard from how much darker lip and chin are than the cheeks, the light from the shading of the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.base import Engine
from models.arrays import Floats, Points
from models.editor import Crop
from models.embedded.attributes import AGE, BALD, GLASSES, MALE, SMILE, read_attributes
from models.embedded.scalp import LIGHT_ESTIMATE, ScalpModel
from models.face.beard import beard_darkness
from models.face.canvas import covered
from models.face.imaging import LUMINANCE, log_colour
from models.face.texture_space import FaceSpace


@dataclass(frozen=True, slots=True)
class PoseModel:
    """Six points of a head and how far they lie behind the nose tip; the depths are those that OpenCV's tutorials on
    head pose use, with the outer eye corners `width` apart."""

    points: tuple[int, ...] = (1, 152, 33, 263, 61, 291)
    """Of the MediaPipe mesh: nose tip, chin, outer eye corners, mouth corners."""
    depths: tuple[float, ...] = (0, -65, -135, -135, -125, -125)
    width: float = 450.0


@dataclass(frozen=True, slots=True)
class BeardScale:
    """What the darkness of upper lip and chin says of a beard, log luminance below the cheeks (`models.face.beard`)."""

    bare: float = 0.25
    """At most this at a bare chin."""
    full: float = 1.0
    """The same at a dense beard."""


@dataclass(frozen=True, slots=True)
class LightModel:
    """The face as a part of an ellipsoid in the texture square, and how well shading tells the light."""

    centre: tuple[float, float] = (95.5, 92.0)
    """Column and row that face the camera."""
    radii: tuple[float, float] = (85.0, 110.0)
    """Half axes, texture pixels."""
    variance: float = 0.03
    """Of a measured shade, which light does not explain."""


POSE, BEARD, LIGHT = PoseModel(), BeardScale(), LightModel()


class AttributeReader:
    """Reads faces for `StyleFlow`. A crop without a mesh cannot be read.

    Args:
        reader: engine of the embedded editors' attribute encoder.
        space: of their texture square.
        scalp: its estimate of light.
        lights: (N, 9) lights of the authors' samples: what is likely, and how bright.
    """

    def __init__(self, reader: Engine, space: FaceSpace, scalp: ScalpModel, lights: Floats) -> None:
        self._reader, self._space, self._scalp = reader, space, scalp
        self._likely = lights.mean(0, dtype=np.float64)
        self._spread = np.cov(lights.T.astype(np.float64))

    def __call__(self, crop: Crop) -> Floats:
        """Read a face.

        Returns:
            (17,) float32: nine lights as DPR (Zhou et al., ICCV 2019) gives them, then gender, glasses, yaw and pitch
            in degrees, baldness, beard, age in years, expression.

        Raises:
            ValueError: the crop has no mesh.
        """
        if crop.mesh is None:
            raise ValueError("the face's own attributes cannot be read without its mesh")
        fit = self._space.fit(crop.mesh)
        read = read_attributes(self._reader, crop.image, fit)
        texture, hidden = self._space.unwrap(crop.image, fit), covered(crop, fit)
        yaw, pitch = head_pose(crop.mesh, self._space.mean)
        beard = float(read[MALE]) * beard_of(log_colour(texture) @ LUMINANCE, self._space.mean)
        light = self._light(self._scalp.light(texture, hidden), yaw, pitch)
        attributes = [read[MALE], read[GLASSES], yaw, pitch, read[BALD], beard, 100 * read[AGE], read[SMILE]]
        return np.concatenate([light, attributes]).astype(np.float32)

    def _light(self, coefficients: Floats, yaw: float, pitch: float) -> Floats:
        """The likeliest light (9,) under which a head so turned has this shading.

        Brightness cannot be told from the colour of the skin: it is the samples'.
        """
        basis = harmonics(turned(face_normals(), yaw, pitch))
        usual = basis @ self._likely
        shades = usual * np.exp(self._scalp.shading_of_light(coefficients))
        gain = (
            self._spread @ basis.T @ np.linalg.inv(basis @ self._spread @ basis.T + LIGHT.variance * np.eye(len(basis)))
        )
        return np.asarray(self._likely + gain @ (shades - usual), np.float32)


def head_pose(mesh: Floats, mean: Floats) -> tuple[float, float]:
    """Yaw and pitch of a head in degrees: positive where it looks to the right of the picture, and up.

    By scaled orthography (DeMenthon and Davis 1995): the affine map from a head to the picture, made a rotation. The
    average face looks straight ahead.

    Args:
        mesh: (>= 468, 2) float32, pixels.
        mean: (468, 2) float32, the average mesh.
    """
    places = head_points(mean)
    seen = mesh[list(POSE.points)].astype(np.float64) * (1, -1)
    rows, *_ = np.linalg.lstsq(places - places.mean(0), seen - seen.mean(0), rcond=None)
    across, up = rows.T
    left, _, right = np.linalg.svd(np.stack([across, up]), full_matrices=False)
    across, up = left @ right
    forward = np.cross(across, up)
    # The columns of the rotation are the head's axes in the picture's; the third is where the face looks.
    looks = np.array([across[2], up[2], forward[2]])
    return float(np.degrees(np.arctan2(looks[0], looks[2]))), float(np.degrees(np.arcsin(np.clip(looks[1], -1, 1))))


def head_points(mean: Floats) -> Points:
    """`PoseModel`'s points on the average face, (6, 3): right, up, towards the camera, texture pixels."""
    flat = mean[list(POSE.points)].astype(np.float64) * (1, -1)
    scale = np.linalg.norm(flat[2] - flat[3]) / POSE.width
    return np.column_stack([flat, scale * np.asarray(POSE.depths)])


def beard_of(luminance: Floats, mean: Floats) -> float:
    """How much of a beard there is, 0..1.

    Args:
        luminance: (192, 192) float32, log luminance of the texture square.
        mean: (468, 2) float32, the mesh in it.
    """
    darker = beard_darkness(luminance, mean)
    return float(np.clip((darker - BEARD.bare) / (BEARD.full - BEARD.bare), 0, 1))


def face_normals() -> Points:
    """(48, 3) where each cell of the light estimate's grid faces: right, up, towards the camera; unit length."""
    (rows, columns), (across, down) = LIGHT_ESTIMATE.box, LIGHT_ESTIMATE.size
    x = columns.start + (np.arange(across) + 0.5) * (columns.stop - columns.start) / across
    y = rows.start + (np.arange(down) + 0.5) * (rows.stop - rows.start) / down
    grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    right = (grid[:, 0] - LIGHT.centre[0]) / LIGHT.radii[0]
    up = (LIGHT.centre[1] - grid[:, 1]) / LIGHT.radii[1]
    near = np.sqrt(np.maximum(1 - right**2 - up**2, 0.01))
    normals = np.stack([right, up, near], 1)
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True), np.float64)


def turned(normals: Points, yaw: float, pitch: float) -> Points:
    """Normals (N, 3) of a head that turns to the right of the picture by `yaw` and up by `pitch` degrees."""
    y, p = np.radians(yaw), np.radians(pitch)
    about_up = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_right = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    return np.asarray(normals @ (about_up @ about_right).T)


def harmonics(normals: Points) -> Points:
    """(N, 9) irradiance that each light coefficient gives a surface (Ramamoorthi and Hanrahan 2001), in DPR's order.

    Args:
        normals: (N, 3) right, up, towards the camera. DPR's axes are right, away from the camera, up.
    """
    x, z, y = normals[:, 0], normals[:, 1], -normals[:, 2]
    first, second, third = np.pi, 2 * np.pi / 3, np.pi / 4
    root = np.sqrt(1 / np.pi)
    return np.stack(
        [
            first * 0.5 * root * np.ones_like(x),
            *(second * np.sqrt(3) / 2 * root * axis for axis in (y, z, x)),
            *(third * np.sqrt(15) / 2 * root * product for product in (y * x, y * z)),
            third * np.sqrt(5) / 4 * root * (3 * z * z - 1),
            third * np.sqrt(15) / 2 * root * x * z,
            third * np.sqrt(15) / 4 * root * (x * x - y * y),
        ],
        axis=1,
    )
