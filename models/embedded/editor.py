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
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.embedded.ageing import Ageing, compress_change, decompress_change, strength_of, youth_of
from models.embedded.attributes import (
    AGE,
    AGER,
    BALD,
    GREY,
    HAT,
    MALE,
    READER,
    SMILE,
    read_attributes,
    read_tables,
    to_planes,
)
from models.embedded.hair_removal import remove_hair
from models.embedded.latent import EmbeddedLatent
from models.embedded.pigment import grey_hair, hair_look, restore_pigment
from models.embedded.scalp import ScalpModel, head_map, outline_features, skin_tone
from models.embedded.skin import Skin, visibility_gain
from models.embedded.smile import Smile
from models.embedded.strands import LOOK_LENGTH, Lit, Look, measure_light
from models.face.canvas import Canvas, covered
from models.face.imaging import LOG_OFFSET, smoothstep
from models.face.texture_space import FaceSpace, Fit


@dataclass(frozen=True, slots=True)
class Steering:
    """How the controls act on the attributes.

    Attributes:
        hat: probabilities of a hat over which hair is left as it is: it may be cloth.
        most_bald: a reading of baldness above this counts as this, so that the way to 1 never vanishes.
        greying: ages over which hair turns grey with `age` alone, years.
        most_greying: greyness at the end of that.
        thin: readings of baldness over which hair is too thin to get its pigment back: it would look like a haze.
        least_grey: readings of greyness over which hair counts as grey enough to get its pigment back.
    """

    hat: tuple[float, float] = (0.24, 0.38)
    most_bald: float = 0.95
    greying: tuple[float, float] = (38.0, 78.0)
    most_greying: float = 0.95
    thin: tuple[float, float] = (0.1, 0.4)
    least_grey: tuple[float, float] = (0.1, 0.35)


STEERING = Steering()


YOUNGEST, OLDEST = 15.0, 85.0
"""Ages that can be asked for, years."""

Years = Annotated[float, Field(ge=YOUNGEST, le=OLDEST)]
Difference = Annotated[str, Field(pattern=r"^[+-][1-9][0-9]?$", json_schema_extra={"format": "difference"})]
"""Years from the age that is read of each face, such as "+20"."""


class EmbeddedControls(Controls):
    """Age in years, or as a difference from each face's own; baldness, grey hair and a smile."""

    age: Years | Difference | None = Field(None, title="Age", json_schema_extra={"unit": "years", "step": 1})
    bald: float = Field(0.0, ge=0, le=1, title="Bald", json_schema_extra={"step": 0.01})
    hair_grey: float = Field(0.0, ge=0, le=1, title="Grey hair", json_schema_extra={"step": 0.01})
    grey_brows: bool = Field(True, title="Grey brows and beard too")
    smile: float = Field(0.0, ge=-1, le=1, title="Smile", json_schema_extra={"step": 0.01})


class EmbeddedEditor(Editor[EmbeddedControls]):
    """The embedded editor on any engine; see `load`."""

    name = "embedded"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25)
    Controls = EmbeddedControls
    encode_seconds = 0.2
    steady_light = True

    def __init__(
        self,
        reader: Engine,
        ager: Engine,
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
            (LENGTH,) float32, a packed `EmbeddedLatent`.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        attributes = read_attributes(self._reader, crop.image, fit)
        texture = self._space.unwrap(crop.image, fit)
        hidden = covered(crop, fit)
        skin = skin_tone(texture, hidden)
        male = float(attributes[MALE])
        inputs = {
            "texture": to_planes(texture),
            "covered": hidden[None, None],
            "male": np.full((1, 1), male, np.float32),
        }
        folds = self._ager.run(inputs)["folds"][0, 0]
        older = np.float32(visibility_gain(skin)) * (self._skin.older(texture, male) + folds[..., None])
        hair = None if crop.masks is None else hair_look(crop.image, crop.masks.hair)
        return EmbeddedLatent(
            attributes=attributes,
            light=self._scalp.light(texture, hidden),
            skin=skin,
            lit=measure_light(crop.image, np.exp(skin) - np.float32(LOG_OFFSET)).pack(),
            hair=np.zeros(LOOK_LENGTH, np.float32) if hair is None else hair.pack(),
            older=compress_change(older),
            younger=compress_change(self._skin.younger(texture, male)),
            greyed=compress_change(self._skin.greyed(texture, male)),
        ).pack()

    def steer(self, latent: Latent, controls: EmbeddedControls) -> Latent:
        """Move age, baldness and greyness towards the controls, the smile by its control; what is off stays as read."""
        own = EmbeddedLatent.unpack(latent)
        now, wanted = own.attributes, own.attributes.copy()
        grey = controls.hair_grey
        bare = 1 - float(smoothstep(now[HAT], *STEERING.hat))
        if controls.age is not None:
            age = target_age(controls.age, float(now[AGE]) * 100)
            wanted[AGE] = age / 100
            low, high = STEERING.greying
            due = STEERING.most_greying * smoothstep(np.array([now[AGE] * 100, age]), low, high)
            grey = max(grey, float(due[1] - due[0]))
            if grey == 0 and due[1] < due[0]:
                thick = 1 - float(smoothstep(now[BALD], *STEERING.thin))
                wanted[GREY] *= 1 - thick * (1 - due[1] / due[0])
        wanted[BALD] = _towards_one(now[BALD], controls.bald * bare)
        if grey > 0:
            wanted[GREY] = _towards_one(now[GREY], grey * bare)
        wanted[SMILE] += np.float32(controls.smile)  # beyond 1 where a face smiles already
        return own.with_attributes(wanted).pack()

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: EmbeddedControls) -> Edit:
        """Render the way from `latent` to `steered`.

        Args:
            crop: the face, with its mesh; without masks hair is not touched.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.
            controls: whether brows and beard turn grey with the hair; all else that they ask for is in `steered`.

        Returns:
            A warp and a residual for age, smile and grey hair, a replacement for lost hair; the mask is 0
            where nothing changes.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        mask = np.zeros((size, size), np.float32)
        own, wanted = EmbeddedLatent.unpack(latent), EmbeddedLatent.unpack(steered).attributes
        now = own.attributes
        years = float(wanted[AGE] - now[AGE]) * 100
        smile = float(wanted[SMILE] - now[SMILE])
        bald = _fraction(now[BALD], wanted[BALD])
        grey = _fraction(now[GREY], wanted[GREY])
        fit = self._fit(crop)
        delta = flow = image = opacity = turned = None
        grey_face = grey if controls.grey_brows else 0.0
        if years != 0 or smile != 0 or grey_face > 0:
            moves, change = self._face_changes(own, years, smile)
            if grey_face > 0:
                change = change + decompress_change(own.greyed) * np.float32(grey_face)
            flow, delta, support = self._canvas.draw(self._space, fit, crop, moves=moves, change=change)
            mask = np.maximum(mask, support)
        if crop.masks is not None and own.hair.any():
            hair = crop.masks.hair * (1 - crop.masks.occluder)
            look, light = Look.unpack(own.hair), Lit.unpack(own.lit)
            if grey > 0:
                turned = grey_hair(crop, hair, now=look, light=light, amount=grey)
            elif wanted[GREY] < now[GREY]:
                back = _lost(now[GREY], wanted[GREY])
                turned = restore_pigment(crop, hair, now=look, light=light, amount=back)
        if turned is not None:
            delta = turned[0] if delta is None else cv2.add(delta, turned[0], dst=delta)
            mask = np.maximum(mask, turned[1])
        if crop.masks is not None and bald > 0:
            head = head_map(fit, self._scalp.radii(outline_features(fit)), size)
            image, opacity = remove_hair(
                self._scalp,
                crop.image,
                hair=crop.masks.hair,
                person=crop.masks.person,
                head=head,
                light=own.light,
                skin=own.skin,
                amount=bald,
            )
            mask = np.maximum(mask, opacity > 0)
        return Edit(mask=mask.astype(np.float32), image=image, opacity=opacity, delta=delta, flow=flow)

    def _face_changes(self, own: EmbeddedLatent, years: float, smile: float) -> tuple[Floats, Floats]:
        """What ageing and smiling do to the face, as `Canvas.draw` takes it."""
        moves, change = self._smile.changes(smile)
        if years != 0:
            strength, age = strength_of(years), float(own.attributes[AGE]) * 100
            youth = youth_of(age, age + years)
            moves = moves + self._ageing.moves(float(own.attributes[MALE]), strength, youth)
            change = change + decompress_change(own.older if years > 0 else own.younger) * np.float32(abs(strength))
        return moves, change

    def _fit(self, crop: Crop) -> Fit:
        if crop.mesh is None:
            raise ValueError("the embedded editor needs the face mesh")
        return self._space.fit(crop.mesh)


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
        space=FaceSpace.from_tables(tables),
        canvas=Canvas.from_tables(tables, ageing.shape, ageing.youth, smile.shape),
        ageing=ageing,
        skin=Skin.from_tables(tables),
        smile=smile,
        scalp=ScalpModel.from_tables(tables),
    )


def target_age(wanted: float | str, own: float) -> float:
    """The age to show, in years.

    Args:
        wanted: the age, or a difference such as "-20", which ends at `YOUNGEST` and `OLDEST`.
        own: age that was read of the face; one beyond these bounds is where a difference ends.
    """
    if not isinstance(wanted, str):
        return wanted
    years = int(wanted)
    return min(own + years, max(own, OLDEST)) if years > 0 else max(own + years, min(own, YOUNGEST))


def _towards_one(value: np.float32, control: float) -> np.float32:
    own = min(float(value), STEERING.most_bald)
    return np.float32(value if control == 0 else own + control * (1 - own))


def _fraction(before: np.float32, after: np.float32) -> float:
    if after == before:
        return 0.0
    own = min(float(before), STEERING.most_bald)
    return float(np.clip((after - own) / (1 - own), 0, 1))


def _lost(before: np.float32, after: np.float32) -> float:
    """The share of its grey that hair loses; hair that is hardly grey counts as not."""
    return float((1 - after / before) * smoothstep(np.asarray(before), *STEERING.least_grey))
