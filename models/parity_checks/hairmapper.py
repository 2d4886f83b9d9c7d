"""Golden edits of HairMapper."""

from __future__ import annotations

from collections.abc import Iterator

from models.hairmapper import ROWS, HairMapper, load_mapper, remix
from models.weights.golden import Comparison, Golden


def hairmapper(golden: Golden) -> Iterator[Comparison]:
    mapper = load_mapper(golden.state())
    network = HairMapper(mapper, float(golden.stored("alpha")))
    codes = golden.input("w_plus")
    yield golden.compare("delta", mapper(codes[:, :ROWS]))
    edited = network.remove(codes)
    yield golden.compare("edited", edited)
    yield golden.compare("edited_remixed_with_original", remix(edited, codes))
