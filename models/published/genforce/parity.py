"""Golden files of PGGAN, of in-domain inversion, and of GenForce's encoder of style vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.published.genforce import idinvert, pggan, styles
from models.weights.golden import Comparison, Golden


def generator(golden: Golden) -> Iterator[Comparison]:
    """PGGAN's pictures of the stored codes."""
    network = pggan.load_generator(golden.state())
    yield from golden.compare_image("out", network(golden.input("z")[:, None]))


def inversion(golden: Golden) -> Iterator[Comparison]:
    """The codes of a face, and what the generator draws of them."""
    codes = idinvert.load_encoder(golden.state("encoder."))(golden.image())
    yield golden.compare("w_plus", codes)
    yield from golden.compare_image("out", idinvert.load_picture(golden.state("generator."))(codes))


def style_vectors(golden: Golden) -> Iterator[Comparison]:
    """The style vectors of a face, and what the generator draws of them."""
    network = styles.load_generator(golden.state("generator."))
    codes = styles.load_encoder(golden.state("encoder."), styles.lengths_of(network))(golden.image())
    yield golden.compare("styles", codes)
    yield from golden.compare_image("out", styles.takes_styles(network)(codes))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"(genforce[_-]|interfacegan[_-])?pggan.*": generator,
    r"(genforce[_-])?idinvert.*": inversion,
    r"(genforce[_-])?encoder[_-]y.*": style_vectors,
}
"""By a pattern of the name of the golden file, in lower case."""
