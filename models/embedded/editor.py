"""The embedded editor: age, baldness, grey hair and smiles, from weights that ship with the project.

A reader network tells what the face looks like now. Ageing happens in the face's texture square
(`models.face.texture_space`): `models.embedded.skin` says what becomes of the face's own skin over half a lifetime, a
network draws the folds that it will have, measured statistics say how its shape would change, and the difference of
ages scales them. Smiles are measured statistics in the same square, baldness is drawn on the head's polar map
(`models.embedded.scalp`). The camera's own pixels stay underneath throughout: ageing and smiling are a warp and a
residual, only lost hair is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
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
from models.embedded.ageing import COMPRESSED, Ageing, compress_change, decompress_change, strength_of, youth_of
from models.embedded.pigment import grey_hair, hair_light, restore_pigment
from models.embedded.removal import REMOVAL, draw_without_hair
from models.embedded.scalp import LIGHT_MODES, ScalpModel, head_map, outline_features, skin_tone
from models.embedded.skin import Skin, visibility_gain
from models.embedded.smile import Smile
from models.face.canvas import Canvas, covered
from models.face.head_space import head_picture
from models.face.imaging import smoothstep
from models.face.texture_space import FaceSpace, Fit

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
HAIR_LIGHT = SKIN.stop
"""Mean luminance of the hair, 0..255."""
OLDER = slice(HAIR_LIGHT + 1, HAIR_LIGHT + 1 + COMPRESSED)
YOUNGER = slice(OLDER.stop, OLDER.stop + COMPRESSED)
"""Change of skin in `models.embedded.ageing.AGEING_YEARS`, from `compress_change`. It sticks to the skin: it is drawn
a few times a second and smoothed like the rest of the latent.
"""

HATTED = (0.24, 0.38)
"""Between these probabilities of a hat hair is let alone: what looks like it may be cloth."""
FULLY_BALD = 0.95
"""A reading of baldness above this counts as this: the way to 1 must not vanish."""
GREYING = (40.0, 90.0)
"""Ages between which hair goes grey with `age` alone, years."""
GREYING_MOST = 0.85
THIN = (0.1, 0.4)
"""Between these readings of baldness hair counts as so thin that youth leaves its colour: pigment on it is a haze."""
LEAST_GREY = (0.1, 0.35)
"""Between these readings hair counts as grey that youth gives its pigment back."""


class EmbeddedControls(Controls):
    """Age, baldness, grey hair and a smile."""

    age: float | None = Field(None, ge=15, le=85, title="Age", json_schema_extra={"unit": "years", "step": 1})
    bald: float = Field(0.0, ge=0, le=1, title="Bald", json_schema_extra={"step": 0.01})
    hair_grey: float = Field(0.0, ge=0, le=1, title="Grey hair", json_schema_extra={"step": 0.01})
    smile: float = Field(0.0, ge=-1, le=1, title="Smile", json_schema_extra={"step": 0.01})


class EmbeddedEditor(Editor[EmbeddedControls]):
    """The embedded editor on any engine; see `load`."""

    name = "embedded"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25)
    Controls = EmbeddedControls
    encode_seconds = 0.2

    def __init__(
        self,
        reader: Engine,
        ager: Engine,
        removal: Engine,
        *,
        space: FaceSpace,
        canvas: Canvas,
        ageing: Ageing,
        skin: Skin,
        smile: Smile,
        scalp: ScalpModel,
    ) -> None:
        self._reader = reader
        self._ager = ager
        self._removal = removal
        self._space = space
        self._canvas = canvas
        self._ageing = ageing
        self._skin = skin
        self._smile = smile
        self._scalp = scalp

    def encode(self, crop: Crop, controls: EmbeddedControls) -> Latent:
        """Read the face.

        Args:
            crop: one face, with its mesh.
            controls: of no influence.

        Returns:
            (87570,) float32: the attributes, then how light, skin and hair look, then how the skin ages and grows
            young; the slices of this module name the parts.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        read = read_attributes(self._reader, crop.image, fit)
        texture = self._space.unwrap(crop.image, fit)
        hidden = covered(crop, fit)
        skin = skin_tone(texture, hidden)
        male = float(read[MALE])
        folds = self._ager.run(
            {
                "texture": _planes(texture),
                "covered": hidden[None, None],
                "male": np.full((1, 1), male, np.float32),
            }
        )["folds"][0, 0]
        older = np.float32(visibility_gain(skin)) * (self._skin.older(texture, male) + folds[..., None])
        ways = (compress_change(change) for change in (older, self._skin.younger(texture, male)))
        hair = 0.0 if crop.masks is None else hair_light(crop.image, crop.masks.hair)
        parts: list[Any] = [read, self._scalp.light(texture, hidden), skin, [hair], *ways]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def steer(self, latent: Latent, controls: EmbeddedControls) -> Latent:
        """Move age, baldness and greyness towards the controls, the smile by its control; what is off stays as read."""
        steered = latent.copy()
        grey = controls.hair_grey
        bare = 1 - float(smoothstep(latent[HAT], *HATTED))
        if controls.age is not None:
            steered[AGE] = controls.age / 100
            low, high = GREYING
            due = GREYING_MOST * smoothstep(np.array([latent[AGE] * 100, controls.age]), low, high)
            grey = max(grey, float(due[1] - due[0]))
            if grey == 0 and due[1] < due[0]:
                thick = 1 - float(smoothstep(latent[BALD], *THIN))
                steered[GREY] *= 1 - thick * (1 - due[1] / due[0])
        steered[BALD] = _towards_one(latent[BALD], controls.bald * bare)
        if grey > 0:
            steered[GREY] = _towards_one(latent[GREY], grey * bare)
        steered[SMILE] += np.float32(controls.smile)  # beyond 1 where a face smiles already
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: EmbeddedControls) -> Edit:
        """Render the way from `latent` to `steered`.

        Args:
            crop: the face, with its mesh; without masks hair is not touched.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.
            controls: of no influence: what they ask for is in `steered`.

        Returns:
            A warp and a residual for age, smile and grey hair, a replacement for lost hair; the mask is 0
            where nothing changes.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        mask = np.zeros((size, size), np.float32)
        years = float(steered[AGE] - latent[AGE]) * 100
        smile = float(steered[SMILE] - latent[SMILE])
        bald = _fraction(latent[BALD], steered[BALD])
        grey = _fraction(latent[GREY], steered[GREY])
        fit = self._fit(crop)
        delta = flow = image = opacity = turned = None
        if years != 0 or smile != 0:
            moves, change = self._face_changes(latent, years, smile)
            flow, delta, support = self._canvas.draw(self._space, fit, crop, moves=moves, change=change)
            mask = np.maximum(mask, support)
        if crop.masks is not None and grey > 0:
            turned = grey_hair(crop.image, crop.masks.hair, skin=latent[SKIN], light=latent[HAIR_LIGHT], amount=grey)
        elif crop.masks is not None and steered[GREY] < latent[GREY]:
            back = _lost(latent[GREY], steered[GREY])
            turned = restore_pigment(
                crop.image, crop.masks.hair, skin=latent[SKIN], light=latent[HAIR_LIGHT], amount=back
            )
        if turned is not None:
            delta = turned[0] if delta is None else cv2.add(delta, turned[0], dst=delta)
            mask = np.maximum(mask, turned[1])
        if crop.masks is not None and bald > 0:
            head = head_map(fit, self._scalp.radii(outline_features(fit)), size)
            image, opacity = draw_without_hair(
                self._removal,
                self._scalp,
                crop.image,
                hair=crop.masks.hair,
                person=crop.masks.person,
                head=head,
                light=latent[LIGHT],
                skin=latent[SKIN],
                amount=bald,
            )
            mask = np.maximum(mask, opacity > 0)
        return Edit(mask=mask.astype(np.float32), image=image, opacity=opacity, delta=delta, flow=flow)

    def _face_changes(self, latent: Latent, years: float, smile: float) -> tuple[Floats, Floats]:
        """What ageing and smiling do to the face, as `Canvas.draw` takes it."""
        moves, change = self._smile.changes(smile)
        if years != 0:
            strength, own = strength_of(years), float(latent[AGE]) * 100
            youth = youth_of(own, own + years)
            moves = moves + self._ageing.moves(float(latent[MALE]), strength, youth)
            change = change + decompress_change(latent[OLDER if years > 0 else YOUNGER]) * np.float32(abs(strength))
        return moves, change

    def _fit(self, crop: Crop) -> Fit:
        if crop.mesh is None:
            raise ValueError("the embedded editor needs the face mesh")
        return self._space.fit(crop.mesh)


def read_attributes(reader: Engine, image: NDArray[np.uint8], fit: Fit) -> Floats:
    """What a face looks like: (8,) float32 of 0..1, at the places that this module names.

    The mean of the face and its mirror image, which is nearer to the truth, on dark skin most.

    Args:
        reader: the reader.
        image: (S, S, 3) uint8 RGB, the crop.
        fit: where the face is.
    """
    head = head_picture(image, fit)
    read = np.mean([reader.run({"head": _planes(side)})["attributes"][0] for side in (head, head[:, ::-1])], axis=0)
    read[list(PROBABILITIES)] = 1 / (1 + np.exp(-read[list(PROBABILITIES)]))
    return np.asarray(np.clip(read, 0, 1), np.float32)


def read_tables(folder: Path) -> dict[str, NDArray[Any]]:
    """The embedded pack's statistics.

    Raises:
        FileNotFoundError: the file is missing.
    """
    with np.load(folder / TABLES, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def load(load_engine: Callable[[Path], Engine], folder: Path) -> EmbeddedEditor:
    """Load the editor.

    Args:
        load_engine: makes an engine of an ONNX file, e.g. `engines.select.load`.
        folder: the embedded pack.

    Raises:
        FileNotFoundError: a file of the pack is missing.
        ValueError: its tables do not fit this version.
    """
    tables = read_tables(folder)
    ageing, smile = Ageing.from_tables(tables), Smile.from_tables(tables)
    return EmbeddedEditor(
        load_engine(folder / READER),
        load_engine(folder / AGER),
        load_engine(folder / REMOVAL),
        space=FaceSpace.from_tables(tables),
        canvas=Canvas.from_tables(tables, ageing.shape, ageing.youth, smile.shape),
        ageing=ageing,
        skin=Skin.from_tables(tables),
        smile=smile,
        scalp=ScalpModel.from_tables(tables),
    )


def _towards_one(value: np.float32, control: float) -> np.float32:
    own = min(float(value), FULLY_BALD)
    return np.float32(value if control == 0 else own + control * (1 - own))


def _fraction(before: np.float32, after: np.float32) -> float:
    if after == before:
        return 0.0
    own = min(float(before), FULLY_BALD)
    return float(np.clip((after - own) / (1 - own), 0, 1))


def _lost(before: np.float32, after: np.float32) -> float:
    """The share of its grey that hair loses; hair that is hardly grey counts as not."""
    return float((1 - after / before) * smoothstep(np.asarray(before), *LEAST_GREY))


def _planes(picture: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)
