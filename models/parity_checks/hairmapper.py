"""Golden edits of HairMapper."""

from __future__ import annotations

from collections.abc import Iterator

from models.checkpoints import build
from models.golden import Comparison, Golden
from models.hairmapper import ROWS, UNUSED, HairMapper, LevelMapper, remix


def hairmapper(golden: Golden) -> Iterator[Comparison]:
    mapper = build(LevelMapper, golden.state(), ignored=UNUSED)
    network = HairMapper(mapper, float(golden.stored("alpha")))
    codes = golden.input("w_plus")
    yield golden.compare("delta", mapper(codes[:, :ROWS]))
    edited = network.remove(codes)
    yield golden.compare("edited", edited)
    yield golden.compare("edited_remixed_with_original", remix(edited, codes))
