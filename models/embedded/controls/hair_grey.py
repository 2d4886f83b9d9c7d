"""Grey hair, by its own control and with age: hair loses its pigment, or gets it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from models.arrays import Floats
from models.editor import Crop
from models.embedded.ageing import COMPRESSED, compress_change, decompress_change
from models.embedded.attributes import AGE, BALD, GREY, MALE
from models.embedded.beard_alpha import BEARD_NETWORK, BeardAlpha
from models.embedded.control import (
    Control,
    Layer,
    Pack,
    Reading,
    SkinChange,
    Way,
    bareness,
    hair_obstacle,
    keeps_hair,
    towards_one,
)
from models.embedded.controls.age import target_age
from models.embedded.hair_look import HAIR_LOOK, HairLook
from models.embedded.latent import EmbeddedLatent
from models.embedded.matte import MATTE, HairMatte
from models.embedded.pigment import grey_beard, grey_hair, restore_beard, restore_pigment
from models.embedded.skin import Skin
from models.embedded.strands import Lit, Look, seen_often
from models.embedded.white_hair import white_in
from models.face.imaging import LOG_OFFSET, enlarge, smoothstep


@dataclass(frozen=True, slots=True)
class Greying:
    """How hair greys with age.

    Attributes:
        ages: over which hair turns grey with the control of the age alone, years.
        most: greyness at the end of that.
        thin: readings of baldness over which hair is too thin to get its pigment back: it would look like a haze.
        man: probabilities of a man over which a beard is looked for.
        least: readings of greyness over which hair counts as grey enough to get its pigment back.
        blond: logs of red over blue, less what the light gives, over which light hair has its pigment: three in four
            of 88 blond people are above its middle, and fewer than one in twenty of 120 grey-haired ones.
        light: levels in white room light over which hair counts as light.
        skin: log of red over blue of skin in white light.
        cast: share of a difference of the skin to it that is taken for the light's.
    """

    ages: tuple[float, float] = (38.0, 86.0)
    most: float = 1.0
    thin: tuple[float, float] = (0.35, 0.7)
    least: tuple[float, float] = (0.02, 0.15)
    blond: tuple[float, float] = (0.33, 0.48)
    light: tuple[float, float] = (4.35, 4.6)
    skin: float = 0.46
    cast: float = 0.75
    man: tuple[float, float] = (0.25, 0.5)


GREYING = Greying()


class HairGrey(Control):
    """Changes the colour of hair, and of brows and beard with it. Without masks hair is not touched."""

    fields: ClassVar = {
        "hair_grey": (float, Field(0.0, ge=0, le=1, title="Grey hair", json_schema_extra={"step": 0.01})),
        "grey_brows": (
            bool,
            Field(True, title="Grey brows and beard too", json_schema_extra={"needs": "hair_grey age"}),
        ),
    }
    length = COMPRESSED
    """The change of skin that turns brows grey."""

    def __init__(self, skin: Skin, matte: HairMatte, beard: BeardAlpha, look: HairLook) -> None:
        self._skin = skin
        self._look = look
        self._matte = matte
        self._beard = beard

    @classmethod
    def load(cls, pack: Pack) -> Self:
        """Load where faces have brows, and what tells hair and beards from the rest."""
        return cls(
            Skin.from_tables(pack.tables),
            HairMatte(pack.network(MATTE)),
            BeardAlpha(pack.network(BEARD_NETWORK)),
            HairLook(pack.network(HAIR_LOOK)),
        )

    def read(self, reading: Reading) -> Floats:
        """What would turn brows grey."""
        white = white_in(np.exp(reading.skin) - np.float32(LOG_OFFSET))
        return compress_change(self._skin.greyed(reading.texture, white, float(reading.attributes[MALE])))

    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Grey by the control or by the age asked for, whichever is more; youth gives pigment back."""
        grey = controls.hair_grey
        if controls.age is not None:
            due = _due(now[AGE], target_age(controls.age, float(now[AGE]) * 100) / 100)
            grey = max(grey, float(due[1] - due[0]))
            if grey == 0 and due[1] < due[0]:
                thick = 1 - float(smoothstep(now[BALD], *GREYING.thin))
                wanted[GREY] *= 1 - bareness(now) * thick * (1 - due[1] / due[0])
        if grey > 0:
            wanted[GREY] = towards_one(now[GREY], grey * bareness(now))

    def obstacles(self, crop: Crop, own: EmbeddedLatent, controls: Any) -> Mapping[str, str]:
        """A hat, no hair, or hair that another control takes off."""
        if controls.hair_grey == 0:
            return {}
        why = hair_obstacle(crop, own) or ("" if keeps_hair(controls) else "Bald takes all hair off")
        brows = bareness(own.attributes) >= 0.5 and controls.grey_brows
        return {"hair_grey": f"{why}: brows and beard alone turn grey" if brows else why} if why else {}

    def wants_steady_light(self, controls: Any) -> bool:
        """Dark hair may turn white, by its own control or with age, as long as there is some."""
        return (controls.hair_grey > 0 or controls.age is not None) and (keeps_hair(controls) or controls.grey_brows)

    def skin(self, way: Way, own: Floats) -> SkinChange | None:
        """Grey brows, as far as the hair turns grey: half grey, they are not dark any more."""
        amount = way.rise(GREY)
        if amount == 0 or not way.controls.grey_brows:
            return None
        return SkinChange(decompress_change(own) * np.float32(1 - (1 - amount) ** 2))

    def draw(self, way: Way, own: Floats) -> Layer | None:
        """Less pigment in hair and beard, or more."""
        masks, now, wanted = way.crop.masks, way.own.attributes[GREY], way.wanted[GREY]
        beard = _back_in_beard(way)
        if masks is None or (wanted == now and beard == 0):
            return None
        layers = []
        skin, light = np.exp(way.own.skin) - np.float32(LOG_OFFSET), Lit.unpack(way.own.lit)
        amount = way.rise(GREY)
        man = float(smoothstep(way.own.attributes[MALE], *GREYING.man))
        look, share = Look.averaged(way.own.hair)
        if (amount > 0 or wanted < now) and look is not None and keeps_hair(way.controls):
            size = len(way.crop.image)
            alpha = self._matte.read(way.crop.image, masks.hair) * (1 - enlarge(masks.occluder, (size, size)))
            if amount > 0:
                change, where = grey_hair(self._look, way.crop, alpha, skin=skin, now=look, amount=amount)
            else:
                lost = float((1 - wanted / now) * smoothstep(np.asarray(now), *GREYING.least))
                lost *= 1 - _blond(look, light, way.own.skin)
                change, where = restore_pigment(
                    self._look, way.crop, alpha, skin=skin, now=look, light=light, amount=lost
                )
            layers.append((seen_often(share) * change, where))
        if man * amount > 0 and way.controls.grey_brows:
            seen = self._beard.read(way.crop)
            layers.append(grey_beard(self._look, way.crop, seen, skin=skin, amount=man * amount))
        if man * beard > 0 and way.controls.grey_brows:
            layers.append(restore_beard(self._look, way.crop, skin=skin, light=light, amount=man * beard))
        if not layers:
            return None
        return Layer(
            np.maximum.reduce([mask for _, mask in layers]), delta=np.add.reduce([delta for delta, _ in layers])
        )


def _due(own: np.float32, wanted: np.float32 | float) -> Floats:
    """Greyness that hair has at two ages, centuries, by the age alone, (2,) float32."""
    return np.asarray(GREYING.most * smoothstep(np.array([own, wanted], np.float32) * 100, *GREYING.ages), np.float32)


def _back_in_beard(way: Way) -> float:
    """Share of its pigment that a grey beard gets back, 0..1: it may be grey under dark hair, or under none."""
    if way.rise(GREY) > 0 or way.wanted[AGE] >= way.own.attributes[AGE]:
        return 0.0
    due = _due(way.own.attributes[AGE], way.wanted[AGE])
    return float(1 - due[1] / due[0]) if due[0] > 0 else 0.0


def _blond(look: Look, light: Lit, skin: Floats) -> float:
    """How sure it is that hair is blond, 0..1.

    Args:
        look: of the hair.
        light: on the face.
        skin: (3,) float32, median log colour of the face.
    """
    red, _, blue = np.maximum(look.colour, np.float32(1e-3))
    cast = GREYING.cast * (float(skin[0] - skin[2]) - GREYING.skin)
    signs = np.array([np.log(red / blue) - cast, look.level - light.exposure], np.float32)
    return float(smoothstep(signs[0], *GREYING.blond) * smoothstep(signs[1], *GREYING.light))
