"""The child of the live face and of a second parent's photo, without a generator.

Both faces are unwrapped into the texture square (`models.face.texture_space`). Shape and skin of the child lie between
those of the parents, as in a morph (Beier and Neely 1992). Eyes, teeth and expression stay those of the live face;
changes of shape by expression or yaw are left out. Then the mixture is made younger as in the embedded editor.
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
from models.embedded.attributes import AGE, GLASSES, MALE, READER, read_attributes, read_tables
from models.embedded.scalp import SKIN_BOX
from models.embedded.skin import Skin
from models.face.canvas import Canvas, covered, extend_over_neck, visible
from models.face.imaging import LUMINANCE, log_colour, smoothstep
from models.face.texture_space import SIZE, VERTICES, YAW_MODE, FaceSpace, Fit
from models.photo_codes import References, photo_field

YEARS, MALENESS, GROWTH, YOUTH = range(4)
"""Places in the latent: age in centuries; sex, 0 female to 1 male; only in a steered latent, the strength of growing
younger in units of `models.embedded.ageing.AGEING_YEARS`, and the share of the growth up to 25 that is undone.
"""
TONE = slice(4, 7)
"""Median log colour of the face."""
SHAPE = slice(TONE.stop, TONE.stop + 2 * VERTICES)
"""The mesh relative to the mean skull, without expression and yaw, texture pixels."""
SEEN = slice(SHAPE.stop, SHAPE.stop + COLOUR_SIZE * COLOUR_SIZE)
"""Visibility of the skin, 0..1: 0 under hair, glasses or an occluder."""
DETAIL = slice(SEEN.stop, SEEN.stop + COMPRESSED)
"""Log colour of the skin without the light on it, from `models.embedded.ageing.compress_change`."""
YOUNGER = slice(DETAIL.stop, DETAIL.stop + COMPRESSED)
"""Change of the skin towards youth, likewise; in a steered latent the part that is drawn."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """How the skin of two people is mixed. Lights are log units, lengths texture pixels.

    Attributes:
        light_sigma: Gaussian that separates the light on a face from its skin.
        most_detail: bound of a change of detail; glasses and shadows are deeper.
        most_tone: bound of a change of lightness; the exposure of a photo is unknown.
        lightness: share of a difference in lightness that is taken; the rest counts as exposure.
        tint: share of a difference in colour that is taken; the rest counts as white balance.
        foreign: contrasts over which a place stops to count as skin: hair without a mask, backdrop, a deep shadow.
        foreign_sigma: Gaussian of that contrast.
    """

    light_sigma: float = 14.0
    most_detail: float = 0.6
    most_tone: float = 0.6
    lightness: float = 0.6
    tint: float = 0.5
    foreign: tuple[float, float] = (0.2, 0.4)
    foreign_sigma: float = 2.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What of a parent is not passed on. Rows are those of the texture square.

    Attributes:
        beard_rows: rows over which a beard begins.
        stubble: darkness, log units, from which skin below counts as beard.
        glasses_rows: rows that glasses cover.
        glasses: probabilities of glasses over which they count as worn.
    """

    beard_rows: tuple[float, float] = (108.0, 122.0)
    stubble: float = 0.12
    glasses_rows: tuple[int, int] = (36, 100)
    glasses: tuple[float, float] = (0.3, 0.6)


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """Bounds of the change of shape.

    Attributes:
        most_move: bound of a displacement, texture pixels; two people hardly differ more, turned heads seem to.
        turned: turns of the head over which the child fades, units of the yaw mode (10 to 30 degrees).
        most_turned: largest turn of a photo, units of the yaw mode.
        growth: share of the change of shape with age that is drawn; all of it bends the collar.
    """

    most_move: float = 6.0
    turned: tuple[float, float] = (1.0, 3.0)
    most_turned: float = 2.0
    growth: float = 0.7


MIXING = Mixing()
REMOVED = Removed()
LIMITS = ShapeLimits()
YOUNGEST = 10.0
"""Lowest age of a child, years. Below 15 the change from 25 to 15 is continued."""


class ChildControls(Controls):
    """Share of the second parent and age of the child. Without a photo nothing is edited."""

    photo: str = photo_field("Second parent")
    genes: float = Field(
        0.5, ge=0, le=1, title="Share of the second parent", json_schema_extra={"step": 0.01, "needs": "photo"}
    )
    age: float | None = Field(
        15.0,
        ge=YOUNGEST,
        le=40,
        title="Child's age",
        json_schema_extra={"unit": "years", "step": 1, "needs": "photo", "lifespan": True},
    )

    def neutral(self) -> bool:
        """No second parent."""
        return not self.photo

    def idle(self) -> str:
        return "" if self.photo else "choose a photo of the second parent"


@dataclass(frozen=True, slots=True)
class Identity:
    """The part of the shape of a face that belongs to the person.

    Attributes:
        fleeting: (K, 936) float32, orthonormal displacements of the mesh by expressions and yaw.
        taper: (64, 64) float32, 1 on the face, 0 beyond it, on the lattice.
    """

    fleeting: Floats
    taper: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Identity:
        """Read `fleeting_modes` and `face_taper` (stored as 0..255) from named arrays."""
        modes = tables["fleeting_modes"].astype(np.float32).reshape(len(tables["fleeting_modes"]), -1)
        return Identity(modes, tables["face_taper"].astype(np.float32) / np.float32(255))

    def of(self, mesh: Floats, fit: Fit) -> Floats:
        """Shape of a mesh without expression and yaw, (936,) float32 texture pixels."""
        upright = fit.upright
        shape = ((mesh[:VERTICES] - upright[:, 2]) @ np.linalg.inv(upright[:, :2]).T).astype(np.float32).ravel()
        return np.asarray(shape - self.fleeting.T @ (self.fleeting @ shape), np.float32)

    def moves(self, space: FaceSpace, difference: Floats) -> Floats:
        """Displacement of the lattice for a difference of shapes (936,), as `Canvas.draw` takes it."""
        bounded = LIMITS.most_move * np.tanh(difference.reshape(-1, 2) / LIMITS.most_move)
        points = np.vstack([bounded, np.zeros_like(space.ring)])
        field = np.einsum("ijk,ijkd->ijd", space.weights, points[space.corners])
        return extend_over_neck(np.asarray(field * self.taper[..., None], np.float32))


class Child(Editor[ChildControls]):
    """The child of two faces on any engine; see `load`."""

    name = "child"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25, edge="repeated")
    Controls = ChildControls
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
        self.references: References = References()
        rows = np.zeros((SIZE, SIZE), np.float32)
        rows[slice(*REMOVED.glasses_rows)] = 1
        self._behind_glasses = cv2.GaussianBlur(rows, (0, 0), 4)

    def encode(self, crop: Crop, controls: ChildControls) -> Latent:
        """Read one parent.

        Args:
            crop: the face, with its mesh.
            controls: of no influence.

        Returns:
            (90799,) float32; the slices of this module name the parts.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        read = read_attributes(self._reader, crop.image, fit)
        texture = self._space.unwrap(crop.image, fit)
        logs = log_colour(texture)
        detail = logs - cv2.GaussianBlur(logs, (0, 0), MIXING.light_sigma)
        seen = visible(fit) * (1 - np.maximum(covered(crop, fit), self._not_skin(detail)))
        seen = cv2.GaussianBlur(cv2.erode(seen, np.ones((7, 7), np.uint8)), (0, 0), 2)
        seen *= 1 - self._behind_glasses * float(smoothstep(read[GLASSES], *REMOVED.glasses))
        parts = [
            [read[AGE], read[MALE], 0, 0],
            np.median(logs[SKIN_BOX].reshape(-1, 3), axis=0),
            self._identity.of(_mesh(crop), fit),
            cv2.resize(seen, (COLOUR_SIZE, COLOUR_SIZE), interpolation=cv2.INTER_AREA).ravel(),
            compress_change(detail),
            compress_change(self._skin.younger(texture, float(read[MALE]))),
        ]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """The second parent.

        Raises:
            ValueError: the face is turned too far.
        """
        if abs(self._fit(crop).modes[YAW_MODE]) > LIMITS.most_turned:
            raise ValueError("this face looks aside: choose a photo that shows it from the front")
        return {"photo": self.references.keep(self._make_symmetric(self.encode(crop, ChildControls())))}

    def knows_photo(self, id: str) -> bool:
        """Whether a parent is still known."""
        return id in self.references

    def steer(self, latent: Latent, controls: ChildControls) -> Latent:
        """Mix the parents, then make the mixture younger. The latent itself without a known second parent."""
        other = self.references.get(controls.photo) if controls.photo else None
        if other is None:
            return latent
        genes = np.float32(controls.genes)
        steered = latent.copy()
        for part in (slice(YEARS, MALENESS + 1), SHAPE):
            steered[part] += genes * (other[part] - latent[part])
        steered[TONE] += genes * _trusted_tone(other[TONE] - latent[TONE])
        steered[DETAIL] += genes * _mask_detail(other[DETAIL] - latent[DETAIL], latent[SEEN] * other[SEEN])
        steered[YOUNGER] = 0
        if controls.age is not None:
            shares = (1 - genes, genes)
            ways = [min(strength_of(controls.age - 100 * float(parent[YEARS])), 0) for parent in (latent, other)]
            steered[GROWTH] = sum(share * way for share, way in zip(shares, ways, strict=True))
            steered[YOUTH] = max(0.0, (GROWN - controls.age) / 10)
            for parent, share, way in zip((latent, other), shares, ways, strict=True):
                steered[YOUNGER] -= np.float32(share * way) * parent[YOUNGER]
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: ChildControls) -> Edit:
        """Draw the child on the live face.

        Args:
            crop: the face, with its mesh.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.
            controls: a second parent must be known for there to be an edit.

        Returns:
            A warp and a residual; the mask is 0 where nothing changes.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        if not self.knows_photo(controls.photo):
            return Edit(mask=np.zeros((size, size), np.float32))
        fit = self._fit(crop)
        frontal = np.float32(1 - float(smoothstep(np.abs(fit.modes[YAW_MODE]), *LIMITS.turned)))
        moves = self._identity.moves(self._space, steered[SHAPE] - latent[SHAPE])
        growth, youth = float(steered[GROWTH]), float(steered[YOUTH])
        moves = moves + np.float32(LIMITS.growth) * self._ageing.moves(float(steered[MALENESS]), growth, youth)
        change = decompress_change(steered[DETAIL] - latent[DETAIL] + steered[YOUNGER])
        change = change + (steered[TONE] - latent[TONE])
        flow, delta, mask = self._canvas.draw(self._space, fit, crop, moves=moves * frontal, change=change * frontal)
        return Edit(mask=mask, delta=delta, flow=flow)

    def _not_skin(self, detail: Floats) -> Floats:
        """Where the contrast is too high for skin, except on brows and lips: (192, 192) float32 in 0..1."""
        contrast = cv2.GaussianBlur(np.abs(detail @ LUMINANCE), (0, 0), MIXING.foreign_sigma)
        return np.asarray(smoothstep(contrast, *MIXING.foreign) * (1 - np.maximum(self._skin.brows, self._skin.lips)))

    def _make_symmetric(self, code: Latent) -> Latent:
        """The latent of a photo, made symmetric against light from the side, and without beard."""
        balanced = code.copy()
        seen = code[SEEN].reshape(COLOUR_SIZE, COLOUR_SIZE)
        weight = cv2.resize(seen, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)[..., None] + np.float32(1e-3)
        for part in (DETAIL, YOUNGER):
            skin = decompress_change(code[part]) * weight
            balanced[part] = compress_change((skin + skin[:, ::-1]) / (weight + weight[:, ::-1]))
        balanced[SEEN] = np.maximum(seen, seen[:, ::-1]).ravel()
        light = balanced[DETAIL][: SIZE * SIZE].reshape(SIZE, SIZE)
        low = smoothstep(np.arange(SIZE, dtype=np.float32), *REMOVED.beard_rows)[:, None] * (1 - self._skin.lips)
        light += low * (np.maximum(light, -REMOVED.stubble) - light)
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


def _trusted_tone(tone: Floats) -> Floats:
    """The part of a difference of skin tone that is due to the people rather than to the cameras."""
    light = tone @ LUMINANCE
    return np.asarray(
        np.clip(MIXING.lightness * light, -MIXING.most_tone, MIXING.most_tone) + MIXING.tint * (tone - light),
        np.float32,
    )


def _mask_detail(difference: Floats, seen: Floats) -> Floats:
    """A difference of detail, faded where either parent shows no skin."""
    small = seen.reshape(COLOUR_SIZE, COLOUR_SIZE)
    light = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    weight = np.concatenate([light.ravel(), np.repeat(small.ravel(), 3)])
    return np.asarray(np.clip(difference, -MIXING.most_detail, MIXING.most_detail) * weight, np.float32)
