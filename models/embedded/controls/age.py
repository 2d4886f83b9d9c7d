"""Age: the face's own skin and shape over half a lifetime, from statistics and creases that others lend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import cv2
import numpy as np
from pydantic import Field

from models.ages import Difference, shifted
from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded import eyes_and_lips
from models.embedded.ageing import COMPRESSED, Ageing, compress_change, decompress_change, strength_of, youth_of
from models.embedded.attributes import AGE, BALD, MALE
from models.embedded.control import Control, Layer, Pack, Reading, SkinChange, Way, bareness
from models.embedded.creases import RELIEF_COLOUR, Creases
from models.embedded.eyes_and_lips import EyesAndLips
from models.embedded.folds import fill_folds, without_folds
from models.embedded.latent import EmbeddedLatent
from models.embedded.neck import Neck
from models.embedded.older_head import grown
from models.embedded.skin import Skin, visibility_gain
from models.face.canvas import TURNED
from models.face.imaging import LOG_OFFSET, LUMINANCE, log_colour, smoothstep
from models.face.texture_space import SIZE, YAW_MODE

YOUNGEST, OLDEST = 15.0, 85.0
"""Ages that can be asked for, years."""

TREND = 0.9
"""Share of the mean change of colour, and of the deepening of own creases, that is drawn beside lent ones."""

BRIGHTEST = np.float32(0.14)
"""Bound of what becomes lighter, log light."""
ROOM = np.float32(0.35)
"""The same as a share of what a place lacks of the most that a camera shows: what is nearly white would be a patch."""
SHAPE = 1.9
"""Multiple of the mean change of shape that is drawn towards age: viewers guess 5 years more than at 1.2, as real as
before. Towards youth it is drawn as it is: at 1.7 it looks warped and no younger.
"""
FILLED = 0.6
"""Share of a fold that is filled in half a lifetime: the young have folds too where they smile."""

COLOURED, PALE_SIGMA = 0.25, 3.0
"""Log red over blue of skin from which age changes its colour as it does in white light; and the Gaussian over which it
is looked at, texture pixels.
"""
MEN = (0.35, 0.65)
"""Probabilities of a man over which the hairline goes up: women's does not."""

Years = Annotated[float, Field(ge=YOUNGEST, le=OLDEST)]


class Age(Control):
    """Ageing and growing younger, to an age or by a difference: a warp, and a change of the skin's own colour."""

    fields: ClassVar = {
        "age": (
            Years | Difference | None,
            Field(None, title="Age", json_schema_extra={"unit": "years", "step": 1, "lifespan": True}),
        ),
        "age_hair": (bool, Field(False, title="Men lose hair with age", json_schema_extra={"needs": "age"})),
    }
    length = 2 * COMPRESSED + 1 + eyes_and_lips.LENGTH
    """The change of skin in `AGEING_YEARS` and the one towards youth, which stick to the skin: drawing them is slow.
    Then the contrast of creases, and the change of eyes and lips.
    """

    def __init__(self, creases: Creases, ageing: Ageing, skin: Skin, neck: Neck, features: EyesAndLips) -> None:
        self._creases = creases
        self._ageing = ageing
        self._skin = skin
        self._neck = neck
        self._features = features

    @classmethod
    def load(cls, pack: Pack) -> Self:
        """Load who lends creases, the statistics of shape and those of skin."""
        tables = pack.tables
        parts = Creases.from_tables(tables), Ageing.from_tables(tables), Skin.from_tables(tables)
        return cls(*parts, Neck.from_tables(tables), EyesAndLips.of(tables["mean"].astype(np.float32)))

    def reach(self) -> tuple[Floats, ...]:
        """The shapes of ageing and of growth."""
        return self._ageing.shape, self._ageing.youth

    def read(self, reading: Reading) -> Floats:
        """How the skin would change, older and younger."""
        male = float(reading.attributes[MALE])
        older = np.float32(TREND * visibility_gain(reading.skin)) * self._skin.older(reading.texture, male)
        wanted = self._creases.contrast_for(reading)
        older += self._creases.lend(reading, wanted)[..., None] * RELIEF_COLOUR
        older = _as_coloured(older, reading.texture)
        older = _bounded(older, np.full((SIZE, SIZE), BRIGHTEST))
        beside_lips = (1 - reading.covered) * (1 - self._skin.lips)
        younger = self._skin.younger(without_folds(reading.texture, beside_lips), male)
        # the neck keeps its tone, and the face has that of the neck
        skin = self._creases.skin * (1 - reading.covered)
        older, younger = (
            each - np.log((np.einsum("hwc,hw->c", np.exp(each), skin) + 1) / (float(skin.sum()) + 1))
            for each in (older, younger)
        )
        room = np.float32(np.log(255 + LOG_OFFSET)) - log_colour(reading.texture) @ LUMINANCE
        older = _bounded(older, np.clip(ROOM * room, np.float32(1e-3), BRIGHTEST))
        features = self._features.read(reading.texture, male)
        return np.concatenate([compress_change(older), compress_change(younger), [np.float32(wanted)], features])

    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Want the age asked for."""
        if controls.age is not None:
            wanted[AGE] = target_age(controls.age, float(now[AGE]) * 100) / 100

    def obstacles(self, crop: Crop, own: EmbeddedLatent, controls: Any) -> Mapping[str, str]:
        """A difference from an age beyond which none is shown."""
        read = float(own.attributes[AGE]) * 100
        if not isinstance(controls.age, str) or target_age(controls.age, read) != read:
            return {}
        end = f"{OLDEST:g} is the oldest" if controls.age.startswith("+") else f"{YOUNGEST:g} is the youngest"
        return {"age": f"this face is read as {read:.0f}, and {end} that is shown"}

    def skin(self, way: Way, own: Floats) -> SkinChange | None:
        """Scale half a lifetime by the difference of ages."""
        read = way.own.attributes
        years = float(way.wanted[AGE] - read[AGE]) * 100
        if years == 0:
            return None
        strength, age = strength_of(years), float(read[AGE]) * 100
        moves = self._ageing.moves(
            float(read[MALE]), SHAPE * max(strength, 0) + min(strength, 0), youth_of(age, age + years)
        )
        half = own[:COMPRESSED] if years > 0 else own[COMPRESSED : 2 * COMPRESSED]
        features = self._features.change(own[2 * COMPRESSED + 1 :], float(read[MALE]), strength)
        return SkinChange(decompress_change(half) * np.float32(abs(strength)), moves, features)

    def draw(self, way: Way, own: Floats) -> Layer | None:
        """An older neck and head, or no folds; a young neck stays as it is."""
        read = way.own.attributes
        years = float(way.wanted[AGE] - read[AGE]) * 100
        if years < 0:
            added, mask = fill_folds(way.crop, way.fit)
            return Layer(mask, delta=added * np.float32(FILLED * min(1.0, -strength_of(years))))
        if years == 0 or way.crop.masks is None:
            return None
        male = float(read[MALE])
        bare = bareness(read) * (1 - min(1.0, 4 * way.rise(BALD)))
        flow = grown(way.crop, way.fit, strength_of(years) * float(smoothstep(np.asarray(male), *MEN)) * bare)
        skin = np.exp(way.own.skin) - np.float32(LOG_OFFSET)
        turned = float(smoothstep(np.abs(way.fit.modes[YAW_MODE]), *TURNED))
        depth = strength_of(years) * float(own[2 * COMPRESSED]) * (1 - turned)
        delta, mask = self._neck.draw(way.crop, skin=skin, male=male, depth=depth)
        if flow is not None:
            mask = np.maximum(mask, ((flow[..., 0] != 0) | (flow[..., 1] != 0)).astype(np.float32))
        return Layer(mask, delta=delta, flow=flow)


def _as_coloured(change: Floats, texture: Image) -> Floats:
    """A change of log colour (H, W, 3) that changes no colour where skin shows little: there it would be a stain.

    Args:
        change: of skin that shows all of its colour.
        texture: (H, W, 3) uint8 RGB, the face.
    """
    logs = log_colour(cv2.GaussianBlur(texture, (0, 0), PALE_SIGMA))
    shown = np.clip((logs[..., 0] - logs[..., 2]) / np.float32(COLOURED), 0, 1)[..., None]
    light = (change @ LUMINANCE)[..., None]
    return np.asarray(light + shown * (change - light), np.float32)


def _bounded(change: Floats, brightest: Floats) -> Floats:
    """A change of log colour (H, W, 3) that lightens by less than (H, W) `brightest`: else it looks painted."""
    light = change @ LUMINANCE
    return np.asarray(change - np.maximum(light - brightest * np.tanh(light / brightest), 0)[..., None], np.float32)


def target_age(wanted: float | str, own: float) -> float:
    """The age to show, in years.

    Args:
        wanted: the age, or a difference such as "-20", which ends at `YOUNGEST` and `OLDEST`.
        own: age that was read of the face; one beyond these bounds is where a difference ends.
    """
    return shifted(own, wanted, YOUNGEST, OLDEST) if isinstance(wanted, str) else wanted
