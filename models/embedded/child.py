"""The child of the face in front of the camera and of a second parent's photo, without a generator.

Both faces are laid into the texture square (`models.face.texture_space`). The child's shape and skin lie between them,
as in a morph (Beier and Neely 1992), but the face stays the camera's own: eyes, teeth and expression are the live
face's, and what an expression or the head's turn does to a face counts for no one's shape. Then the mixture grows young
as the embedded editor does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.embedded.ageing import (
    COLOUR_SIZE,
    COMPRESSED,
    GROWN,
    Ageing,
    compress_change,
    decompress_change,
    strength_of,
)
from models.embedded.editor import AGE, GLASSES, MALE, READER, read_attributes, read_tables
from models.embedded.scalp import SKIN_BOX
from models.embedded.skin import Skin
from models.face.canvas import Canvas, covered, extend_over_neck, visible
from models.face.imaging import LUMINANCE, log_colour, smoothstep
from models.face.texture_space import SIZE, VERTICES, YAW_MODE, FaceSpace, Fit
from models.references import References, photo_field

YEARS, MALENESS, GROWTH, YOUTH = range(4)
"""Places in the latent: age in centuries, sex (0 a woman's); in a steered one how far the face has grown young, in
steps of `models.embedded.ageing.AGEING_YEARS`, and how much of the growth up to 25 is undone.
"""
TONE = slice(4, 7)
"""Median log colour of the face."""
SHAPE = slice(TONE.stop, TONE.stop + 2 * VERTICES)
"""The mesh on the mean skull, without expression and turn, texture pixels."""
SEEN = slice(SHAPE.stop, SHAPE.stop + COLOUR_SIZE * COLOUR_SIZE)
"""Where the skin is seen: 0 under hair, glasses, or what is in front."""
DETAIL = slice(SEEN.stop, SEEN.stop + COMPRESSED)
"""The skin's log colour without the light on it, as `models.embedded.ageing.compress_change`."""
YOUNGER = slice(DETAIL.stop, DETAIL.stop + COMPRESSED)
"""How the skin grows young over half a lifetime, likewise; in a steered one what is drawn of it."""

LIGHT_SIGMA = 14.0
"""What is broader than this in the texture square counts as light."""
MOST_DETAIL, MOST_TONE = 0.6, 0.6
"""The most by which skin changes in log light: frames and shadows are deeper; how a photo was exposed is unknown."""
BELIEVED, TINT = 0.6, 0.5
"""Shares of the differences of lightness and of colour that are believed: the rest is exposure and white balance."""
FOREIGN = (0.2, 0.4)
"""Between these contrasts in log light what is seen is no skin: hair that no mask found, background, a deep shadow."""
BEARD_ROWS, STUBBLE = (108.0, 122.0), 0.12
"""Between these rows of the square beards begin; children have none: what is darker than this is left out."""
GLASSES_ROWS, WORN = slice(36, 100), (0.3, 0.6)
"""The rows that glasses take, and the probabilities between which they are taken for worn."""
MOST_MOVE = 6.0
"""Texture pixels by which no point moves further: the shapes of two people hardly differ more, turned ones seem to."""
ASIDE, MOST_ASIDE = (1.0, 3.0), 2.0
"""Between these turns of the head, in units of the yaw mode (10 and 30 degrees), the child fades; how far a photo may
be turned.
"""
GROWN_BACK = 0.7
"""Share of the change of shape that is drawn: the whole of it, from the parents' age to a child's, bends the collar."""
YOUNGEST = 10.0
"""Faces below 15 follow the change from 25 to 15 further."""


class ChildControls(Controls):
    """Genes: how much of the second parent. Without a photo there is no child."""

    photo: str = photo_field("Second parent")
    genes: float = Field(0.5, ge=0, le=1, title="Share of the second parent", json_schema_extra={"step": 0.01})
    age: float | None = Field(
        15.0, ge=YOUNGEST, le=40, title="Child's age", json_schema_extra={"unit": "years", "step": 1}
    )

    def neutral(self) -> bool:
        """No second parent."""
        return not self.photo


@dataclass(frozen=True, slots=True)
class Identity:
    """What of a face's shape is the person's own.

    Attributes:
        fleeting: (K, 936) float32, orthonormal: how expressions and the head's turn move the mesh.
        taper: (64, 64) float32, 1 on the face, 0 beyond it, on the lattice.
    """

    fleeting: Floats
    taper: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Identity:
        """Take `fleeting_modes` and `face_taper` (x 255) from named arrays."""
        modes = tables["fleeting_modes"].astype(np.float32).reshape(len(tables["fleeting_modes"]), -1)
        return Identity(modes, tables["face_taper"].astype(np.float32) / np.float32(255))

    def of(self, mesh: Floats, fit: Fit) -> Floats:
        """The mesh's shape, (936,) float32."""
        upright = fit.upright
        shape = ((mesh[:VERTICES] - upright[:, 2]) @ np.linalg.inv(upright[:, :2]).T).astype(np.float32).ravel()
        return np.asarray(shape - self.fleeting.T @ (self.fleeting @ shape), np.float32)

    def moves(self, space: FaceSpace, difference: Floats) -> Floats:
        """A difference of shapes on the lattice, for `Canvas.draw`."""
        bounded = MOST_MOVE * np.tanh(difference.reshape(-1, 2) / MOST_MOVE)
        points = np.vstack([bounded, np.zeros_like(space.ring)])
        field = np.einsum("ijk,ijkd->ijd", space.weights, points[space.corners])
        return extend_over_neck(np.asarray(field * self.taper[..., None], np.float32))


class Child(Editor):
    """The child of the live face and a photo's; see `load`."""

    name = "child"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25)
    Controls = ChildControls
    needs_masks = True
    latent_seconds = 0.5
    encode_seconds = 0.2

    def __init__(
        self, reader: Engine, *, space: FaceSpace, canvas: Canvas, identity: Identity, ageing: Ageing, skin: Skin
    ) -> None:
        self._reader = reader
        self._space = space
        self._canvas = canvas
        self._identity = identity
        self._ageing = ageing
        self._skin = skin
        self._photos = References()
        rows = np.zeros((SIZE, SIZE), np.float32)
        rows[GLASSES_ROWS] = 1
        self._behind_glasses = cv2.GaussianBlur(rows, (0, 0), 4)

    def encode(self, crop: Crop) -> Latent:
        """Read one parent.

        Args:
            crop: the face, with its mesh.

        Returns:
            (90799,) float32; the slices of this module name the parts.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        read = read_attributes(self._reader, crop.image, fit)
        texture = self._space.unwrap(crop.image, fit)
        logs = log_colour(texture)
        detail = logs - cv2.GaussianBlur(logs, (0, 0), LIGHT_SIGMA)
        seen = visible(fit) * (1 - np.maximum(covered(crop, fit), self._foreign(detail)))
        seen = cv2.GaussianBlur(cv2.erode(seen, np.ones((7, 7), np.uint8)), (0, 0), 2)
        seen *= 1 - self._behind_glasses * float(smoothstep(read[GLASSES], *WORN))
        parts = [
            [read[AGE], read[MALE], 0, 0],
            np.median(logs[SKIN_BOX].reshape(-1, 3), axis=0),
            self._identity.of(_mesh(crop), fit),
            cv2.resize(seen, (COLOUR_SIZE, COLOUR_SIZE), interpolation=cv2.INTER_AREA).ravel(),
            compress_change(detail),
            compress_change(self._skin.younger(texture, float(read[MALE]))),
        ]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def controls_of_photo(self, crop: Crop) -> dict[str, Any]:
        """The second parent.

        Raises:
            ValueError: the face is turned too far.
        """
        if abs(self._fit(crop).modes[YAW_MODE]) > MOST_ASIDE:
            raise ValueError("this face looks aside: choose a photo that shows it from the front")
        return {"photo": self._photos.keep(self._balanced(self.encode(crop)))}

    def knows_photo(self, id: str) -> bool:
        """Whether a parent is still known."""
        return id in self._photos

    def steer(self, latent: Latent, controls: ChildControls) -> Latent:
        """Mix the parents, then let the child grow young."""
        other = self._photos.get(controls.photo) if controls.photo else None
        if other is None:
            return latent
        genes = np.float32(controls.genes)
        steered = latent.copy()
        for part in (slice(YEARS, MALENESS + 1), SHAPE):
            steered[part] += genes * (other[part] - latent[part])
        steered[TONE] += genes * _believed(other[TONE] - latent[TONE])
        steered[DETAIL] += genes * _visible(other[DETAIL] - latent[DETAIL], latent[SEEN] * other[SEEN])
        steered[YOUNGER] = 0
        if controls.age is not None:
            shares = (1 - genes, genes)
            ways = [min(strength_of(controls.age - 100 * float(parent[YEARS])), 0) for parent in (latent, other)]
            steered[GROWTH] = sum(share * way for share, way in zip(shares, ways, strict=True))
            steered[YOUTH] = max(0.0, (GROWN - controls.age) / 10)
            for parent, share, way in zip((latent, other), shares, ways, strict=True):
                steered[YOUNGER] -= np.float32(share * way) * parent[YOUNGER]
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """Draw the child on the live face.

        Args:
            crop: the face, with its mesh.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.

        Returns:
            A warp and a residual; the mask is 0 where nothing changes.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        if steered is latent:
            return Edit(mask=np.zeros((size, size), np.float32))
        fit = self._fit(crop)
        frontal = np.float32(1 - float(smoothstep(np.abs(fit.modes[YAW_MODE]), *ASIDE)))
        moves = self._identity.moves(self._space, steered[SHAPE] - latent[SHAPE])
        growth, youth = float(steered[GROWTH]), float(steered[YOUTH])
        moves = moves + np.float32(GROWN_BACK) * self._ageing.moves(float(steered[MALENESS]), growth, youth)
        change = decompress_change(steered[DETAIL] - latent[DETAIL] + steered[YOUNGER])
        change = change + (steered[TONE] - latent[TONE])
        flow, delta, mask = self._canvas.draw(self._space, fit, crop, moves=moves * frontal, change=change * frontal)
        return Edit(mask=mask, delta=delta, flow=flow)

    def _foreign(self, detail: Floats) -> Floats:
        """Where what is seen differs more from its surroundings than skin does, but for brows and lips."""
        contrast = cv2.GaussianBlur(np.abs(detail @ LUMINANCE), (0, 0), 2)
        return np.asarray(smoothstep(contrast, *FOREIGN) * (1 - np.maximum(self._skin.brows, self._skin.lips)))

    def _balanced(self, code: Latent) -> Latent:
        """A photo's code with both halves of the face alike: no light from the side, and no beard."""
        balanced = code.copy()
        seen = code[SEEN].reshape(COLOUR_SIZE, COLOUR_SIZE)
        weight = cv2.resize(seen, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., None] + np.float32(1e-3)
        for part in (DETAIL, YOUNGER):
            skin = decompress_change(code[part]) * weight
            balanced[part] = compress_change((skin + skin[:, ::-1]) / (weight + weight[:, ::-1]))
        balanced[SEEN] = np.maximum(seen, seen[:, ::-1]).ravel()
        light = balanced[DETAIL][: SIZE * SIZE].reshape(SIZE, SIZE)
        low = smoothstep(np.arange(SIZE, dtype=np.float32), *BEARD_ROWS)[:, None] * (1 - self._skin.lips)
        light += low * (np.maximum(light, -STUBBLE) - light)
        return balanced

    def _fit(self, crop: Crop) -> Fit:
        return self._space.fit(_mesh(crop))


def load(load_engine: Callable[[Path], Engine], folder: Path) -> Child:
    """Load the editor.

    Args:
        load_engine: makes an engine of an ONNX file, e.g. `engines.select.load`.
        folder: the embedded pack.

    Raises:
        FileNotFoundError: a file of the pack is missing.
        ValueError: its tables do not fit this version.
    """
    tables = read_tables(folder)
    ageing = Ageing.from_tables(tables)
    identity = Identity.from_tables(tables)
    everywhere = extend_over_neck(np.repeat(identity.taper[..., None], 2, axis=-1))
    return Child(
        load_engine(folder / READER),
        space=FaceSpace.from_tables(tables),
        canvas=Canvas.from_tables(tables, ageing.shape, ageing.youth, everywhere),
        identity=identity,
        ageing=ageing,
        skin=Skin.from_tables(tables),
    )


def _mesh(crop: Crop) -> Floats:
    if crop.mesh is None:
        raise ValueError("the child needs the face mesh")
    return crop.mesh


def _believed(tone: Floats) -> Floats:
    """How much of a difference of skin tone is the people's, not the cameras'."""
    light = tone @ LUMINANCE
    return np.asarray(np.clip(BELIEVED * light, -MOST_TONE, MOST_TONE) + TINT * (tone - light), np.float32)


def _visible(difference: Floats, seen: Floats) -> Floats:
    """A difference of detail where both parents show skin."""
    small = seen.reshape(COLOUR_SIZE, COLOUR_SIZE)
    light = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    weight = np.concatenate([light.ravel(), np.repeat(small.ravel(), 3)])
    return np.asarray(np.clip(difference, -MOST_DETAIL, MOST_DETAIL) * weight, np.float32)
