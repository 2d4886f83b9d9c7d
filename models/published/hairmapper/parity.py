"""Golden edits of HairMapper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.published.hairmapper.network import ROWS, HairMapper, load_mapper, remix
from models.weights.golden import Comparison, Golden


def hairmapper(golden: Golden) -> Iterator[Comparison]:
    mapper = load_mapper(golden.state())
    network = HairMapper(mapper, float(golden.stored("alpha")))
    codes = golden.input("w_plus")
    yield golden.compare("delta", mapper(codes[:, :ROWS]))
    edited = network.remove(codes)
    yield golden.compare("edited", edited)
    yield golden.compare("edited_remixed_with_original", remix(edited, codes))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"hairmapper.*": hairmapper,
}
"""By a pattern of the name of the golden file, in lower case."""
