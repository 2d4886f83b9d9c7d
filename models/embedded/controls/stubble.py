"""Stubble of a few days."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from models.arrays import Floats
from models.embedded.attributes import GREY
from models.embedded.control import Control, Pack, Reading, SkinChange, Way
from models.embedded.strands import FILTER, Look
from models.embedded.stubble import Stubble, beard_colour, own_beard, told_apart
from models.embedded.white_hair import white_in
from models.face.imaging import LOG_OFFSET, LUMINANCE

WHITE = 0.7
"""Luminance of the hair whose stubble is white, of that of the skin."""


class StubbleControl(Control):
    """Adds stubble where no beard is; it turns grey with the hair."""

    fields: ClassVar = {"stubble": (float, Field(0.0, ge=0, le=1, title="Stubble", json_schema_extra={"step": 0.01}))}
    length = 1
    """The beard that a face has already, 0..1."""

    def __init__(self, stubble: Stubble) -> None:
        self._stubble = stubble

    @classmethod
    def load(cls, pack: Pack) -> Self:
        """Load where beards grow."""
        return cls(Stubble.from_tables(pack.tables))

    def read(self, reading: Reading) -> Floats:
        """The beard that is there."""
        return np.array([own_beard(reading.texture, reading.covered)], np.float32)

    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Stubble is none of the attributes."""

    def skin(self, way: Way, own: Floats) -> SkinChange | None:
        """The stubble that is added."""
        amount = float(way.controls.stubble) * (1 - float(own[0]))
        if amount <= 0:
            return None
        skin = np.exp(way.own.skin) - np.float32(LOG_OFFSET)
        return SkinChange(self._stubble.change(_colour(way, skin), skin, amount, told_apart(way.fit.nodes)))


def _colour(way: Way, skin: Floats) -> Floats:
    """That of the hair as it will be; where hair was seen at times, so much of it."""
    (hair, seen), grey = Look.averaged(way.own.hair), way.rise(GREY)
    unknown = beard_colour(None, skin)
    if hair is None:
        return unknown
    if grey > 0:
        white = float(np.log(WHITE * (skin @ LUMINANCE) + FILTER.offset))
        hair = hair.towards(Look(max(white, hair.level), hair.broad, hair.fine, white_in(skin)), grey)
    return unknown + np.float32(seen) * (beard_colour(hair, skin) - unknown)
