"""A smile with closed lips, or less of one."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from models.arrays import Floats
from models.embedded.attributes import SMILE
from models.embedded.control import Control, Pack, SkinChange, Way
from models.embedded.smile import Smile


class SmileControl(Control):
    """Adds measured statistics of smiles, beyond 1 where a face smiles already."""

    fields: ClassVar = {"smile": (float, Field(0.0, ge=-1, le=1, title="Smile", json_schema_extra={"step": 0.01}))}

    def __init__(self, smile: Smile) -> None:
        self._smile = smile

    @classmethod
    def load(cls, pack: Pack) -> Self:
        """Load the statistics of smiles."""
        return cls(Smile.from_tables(pack.tables))

    def reach(self) -> tuple[Floats, ...]:
        """The shape of a smile."""
        return (self._smile.shape,)

    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Add the control to what was read."""
        wanted[SMILE] += np.float32(controls.smile)

    def skin(self, way: Way, own: Floats) -> SkinChange | None:
        """The smile that is added or removed."""
        amount = float(way.wanted[SMILE] - way.own.attributes[SMILE])
        if amount == 0:
            return None
        moves, colour = self._smile.changes(amount)
        return SkinChange(colour, moves)
