"""Golden outputs of StarGAN v2: styles by noise and by reference, and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.published.starganv2.network import load_generator, load_mapping, load_style_encoder
from models.weights.golden import Comparison, Golden


def starganv2(golden: Golden) -> Iterator[Comparison]:
    """Every stored domain; without heat maps there are no high-pass skips."""
    generator = load_generator(golden.state("generator/"))
    styles = {
        "map": load_mapping(golden.state("mapping_network/"))(golden.input("z")),
        "ref": load_style_encoder(golden.state("style_encoder/"))(golden.image("reference")),
    }
    image = golden.image()
    for name in golden.found(r"(?:style|out)_((?:map|ref)_y\d)"):
        source, domain = name.split("_y")
        style = styles[source][:, int(domain)]
        if golden.found(f"(style_{name})"):
            yield golden.compare(f"style_{name}", style)
        if golden.found(f"(out_{name})"):
            yield from golden.compare_image(f"out_{name}", generator(image, style.expand(len(image), -1)))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"star_?gan[_-]?v2.*": starganv2,
}
"""By a pattern of the name of the golden file, in lower case."""
