"""The embedded editor: age, baldness and grey hair, from weights that ship with the project.

A reader network tells what the face looks like now. Ageing happens in the face's texture square (`models.face_space`): a network
draws how this face's skin would lighten, redden and fold over half a lifetime, measured statistics say how its shape would change,
and the difference of ages scales both. Baldness is drawn on the head's polar map (`models.scalp`). The camera's own pixels stay
underneath throughout: ageing is a warp and a residual, only lost hair is replaced.
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
from models.editor import Controls, Crop, CropSpec, Edit, Latent
from models.face_space import SIZE, FaceSpace, Fit
from models.head_space import head_picture
from models.scalp import (
    LIGHT_MODES,
    LOG_OFFSET,
    SKIN_BOX,
    ScalpModel,
    head_map,
    log_colour,
    render_scalp,
    smoothstep,
)

Floats = NDArray[np.float32]

READER, AGER, TABLES = "editor_reader.onnx", "editor_ager.onnx", "editor_tables.npz"
"""The editor's files in the embedded pack."""

AGE, MALE, BALD, GREY, GLASSES, HAT, SMILE, SKIN_LIGHTNESS = range(8)
"""Places of the reader's attributes in the latent: age in centuries, the others 0..1."""
PROBABILITIES = (MALE, GLASSES, HAT)
"""Attributes that the reader gives as logits."""
LIGHT = slice(8, 8 + LIGHT_MODES)
"""How the face is lit, for the scalp."""
SKIN = slice(8 + LIGHT_MODES, 11 + LIGHT_MODES)
"""Median log colour of the face."""

AGEING_YEARS = 45.0
"""The step of age that the networks and tables render at strength 1."""
MOST_AGEING = 1.15
"""The strength that no difference of ages exceeds."""
FULLY_BALD = 0.95
"""A reading of baldness above this counts as this: the way to 1 must not vanish."""
GREYING = (42.0, 78.0)
"""Ages between which hair goes grey with `age` alone, years."""
GREYING_MOST = 0.75
GREY_TO_SKIN = 0.9
"""Luminance of white hair over that of the face's skin."""


class EmbeddedControls(Controls):
    """Age, baldness and grey hair."""

    age: float | None = Field(None, ge=15, le=85, title="Age", json_schema_extra={"unit": "years", "step": 1})
    bald: float = Field(0.0, ge=0, le=1, title="Bald", json_schema_extra={"step": 0.01})
    hair_grey: float = Field(0.0, ge=0, le=1, title="Grey hair", json_schema_extra={"step": 0.01})


@dataclass(frozen=True, slots=True)
class Ageing:
    """Measured statistics of ageing, in the texture square.

    Attributes:
        shape: (2, 64, 64, 2) float32, how women's and men's faces move in `AGEING_YEARS`, texture pixels.
        skin: (192, 192) float32, where skin may change.
    """

    shape: Floats
    skin: Floats


class EmbeddedEditor:
    """The embedded editor on any engine; see `load`."""

    name = "embedded"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25)
    Controls = EmbeddedControls

    def __init__(self, reader: Engine, ager: Engine, space: FaceSpace, ageing: Ageing, scalp: ScalpModel) -> None:
        self._reader = reader
        self._ager = ager
        self._space = space
        self._ageing = ageing
        self._scalp = scalp

    def encode(self, crop: Crop) -> Latent:
        """Read the face.

        Args:
            crop: one face, with its mesh.

        Returns:
            (17,) float32: the attributes, then what the scalp needs to know of light and skin.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        head = head_picture(crop.image, fit)
        read = self._reader.run({"head": _planes(head)})["attributes"][0].copy()
        read[list(PROBABILITIES)] = 1 / (1 + np.exp(-read[list(PROBABILITIES)]))
        texture = self._space.unwrap(crop.image, fit)
        skin = np.median(log_colour(texture[SKIN_BOX]).reshape(-1, 3), axis=0)
        return np.concatenate([np.clip(read, 0, 1), self._scalp.light(texture), skin]).astype(np.float32)

    def steer(self, latent: Latent, controls: EmbeddedControls) -> Latent:
        """Move age, baldness and greyness towards the controls; what is off stays as read."""
        steered = latent.copy()
        grey = controls.hair_grey
        if controls.age is not None:
            steered[AGE] = controls.age / 100
            low, high = GREYING
            due = GREYING_MOST * smoothstep(np.float32([controls.age, latent[AGE] * 100]), low, high)
            grey = max(grey, float(due[0] - due[1])) if due[0] >= due[1] else grey
        steered[BALD] = _towards_one(latent[BALD], controls.bald)
        steered[GREY] = _towards_one(latent[GREY], grey)
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """Render the way from `latent` to `steered`.

        Args:
            crop: the face, with its mesh; without masks hair is not touched.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.

        Returns:
            A warp and a residual for age and grey hair, a replacement for lost hair; all zero where nothing is to change.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        mask = np.zeros((size, size), np.float32)
        years = float(steered[AGE] - latent[AGE]) * 100
        bald = _fraction(latent[BALD], steered[BALD])
        grey = _fraction(latent[GREY], steered[GREY])
        fit = self._fit(crop)
        delta = flow = image = opacity = None
        if years != 0:
            flow, delta, support = self._age(crop, fit, float(latent[MALE]), years)
            mask = np.maximum(mask, support)
        if crop.masks is not None and grey > 0:
            change = grey_hair(crop.image, crop.masks.hair, latent[SKIN], grey)
            delta = change if delta is None else delta + change
            mask = np.maximum(mask, np.any(change != 0, axis=2))
        if crop.masks is not None and bald > 0:
            head = head_map(fit, self._scalp.radii(fit), size)
            image, opacity = render_scalp(
                self._scalp, crop.image, crop.masks.hair, crop.masks.person, head, latent[LIGHT], latent[SKIN], bald
            )
            mask = np.maximum(mask, opacity > 0)
        return Edit(mask=mask.astype(np.float32), image=image, opacity=opacity, delta=delta, flow=flow)

    def _fit(self, crop: Crop) -> Fit:
        if crop.mesh is None:
            raise ValueError("the embedded editor needs the face mesh")
        return self._space.fit(crop.mesh)

    def _age(self, crop: Crop, fit: Fit, male: float, years: float) -> tuple[Floats, Floats, Floats]:
        size = crop.image.shape[0]
        strength = MOST_AGEING * float(np.tanh(years / AGEING_YEARS / MOST_AGEING))
        texture = self._space.unwrap(crop.image, fit)
        covered = np.zeros((SIZE, SIZE), np.float32)
        if crop.masks is not None:
            hidden = np.maximum(crop.masks.hair, crop.masks.occluder)
            hidden = cv2.resize(hidden, (size, size), interpolation=cv2.INTER_LINEAR)
            covered = np.asarray(self._space.unwrap(hidden, fit), np.float32)
        maps = self._ager.run(
            {"texture": _planes(texture), "covered": covered[None, None], "male": np.float32([[male]])}
        )
        gain = (maps["older"] if strength > 0 else maps["younger"])[0].transpose(1, 2, 0)
        visible = self._visible(fit)
        weight = self._ageing.skin * visible * (1 - smoothstep(covered, 0.25, 0.75))
        gain = gain * (abs(strength) * weight)[..., None]
        change = (texture.astype(np.float32) + LOG_OFFSET) * np.expm1(gain)

        moves = (1 - male) * self._ageing.shape[0] + male * self._ageing.shape[1]
        nodes = cv2.resize(visible, moves.shape[1::-1], interpolation=cv2.INTER_AREA)
        moves = (moves @ fit.affine[:, :2].T) * (strength * nodes)[..., None]
        moves = cv2.resize(moves.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        where = self._space.to_texture(fit, size)
        shift = _sample(moves, where)
        back = np.linalg.inv(fit.affine[:, :2]).T.astype(np.float32)
        delta = _sample(change.astype(np.float32), where - shift @ back)
        support = (np.abs(shift).max(2) > 0) | (np.abs(delta).max(2) > 0)
        return -shift, delta, support.astype(np.float32)

    def _visible(self, fit: Fit) -> Floats:
        """Where the texture square's skin faces the camera, (192, 192) float32: what turns away is left alone."""
        grid = self._space.to_crop(fit)
        down, across = np.gradient(grid, axis=(0, 1))
        area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
        whole = area.shape[0] / SIZE
        share = area * whole * whole / np.linalg.det(fit.affine[:, :2])
        facing = cv2.erode(smoothstep(share, 0.2, 0.5), np.ones((3, 3), np.uint8))
        smooth = cv2.GaussianBlur(facing, (0, 0), 1.5)
        return np.asarray(cv2.resize(smooth, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))


def load(load_engine: Callable[[Path], Engine], folder: Path) -> EmbeddedEditor:
    """Load the editor.

    Args:
        load_engine: makes an engine of an ONNX file, e.g. `engines.select.load`.
        folder: the embedded pack.

    Raises:
        FileNotFoundError: a file of the pack is missing.
        ValueError: its tables do not fit this version.
    """
    with np.load(folder / TABLES, allow_pickle=False) as file:
        tables: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    ageing = Ageing(tables["ageing_shape"].astype(np.float32), tables["ageing_skin"].astype(np.float32) / 255)
    return EmbeddedEditor(
        load_engine(folder / READER),
        load_engine(folder / AGER),
        FaceSpace.from_tables(tables),
        ageing,
        ScalpModel.from_tables(tables),
    )


def grey_hair(image: NDArray[np.uint8], hair: Floats, skin: Floats, amount: float) -> Floats:
    """The residual that turns hair grey: its pigment goes, its light and strands stay.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32, median log colour of the face: white hair is as bright as the light allows.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, 0 where there is no hair.
    """
    size = image.shape[0]
    half = size // 2
    mask = cv2.resize(hair, (half, half), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA).astype(np.float32)
    luminance = small @ np.float32([0.3, 0.59, 0.11])
    known = smoothstep(mask, 0.3, 0.9) + 1e-3
    usual = float((luminance * known).sum() / known.sum())
    white = GREY_TO_SKIN * float(np.exp(skin) @ np.float32([0.3, 0.59, 0.11]) - LOG_OFFSET)
    base = cv2.GaussianBlur(luminance, (0, 0), 5.0)
    strands = np.clip((luminance + 12) / (base + 12), 0.6, 1.7)
    lifted = base + (max(white, usual) - usual) * (0.45 + 0.55 * np.clip(base / max(usual, 8.0), 0, 1.3)) * 0.8
    grey = lifted * np.power(strands, 0.85)
    weight = smoothstep(mask, 0.25, 0.85) * amount
    salt = np.clip(1 + (strands - 1) * 2 * (1 - amount), 0.4, 1.6)
    target = grey[..., None] * np.float32([1.0, 0.99, 0.97])
    change = (target - small) * np.clip(weight * salt, 0, 1)[..., None]
    return np.asarray(cv2.resize(change, (size, size), interpolation=cv2.INTER_LINEAR))


def _towards_one(value: np.float32, control: float) -> np.float32:
    own = min(float(value), FULLY_BALD)
    return np.float32(value if control == 0 else own + control * (1 - own))


def _fraction(before: np.float32, after: np.float32) -> float:
    if after == before:
        return 0.0
    own = min(float(before), FULLY_BALD)
    return float(np.clip((after - own) / (1 - own), 0, 1))


def _planes(picture: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)


def _sample(texture: Floats, where: Floats) -> Floats:
    return np.asarray(cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
