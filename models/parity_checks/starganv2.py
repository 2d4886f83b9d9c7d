"""Golden outputs of StarGAN v2 without high-pass skips: styles by noise and by reference, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator

from models.checkpoints import build
from models.editors.starganv2 import DOMAINS
from models.golden import Comparison, Golden
from models.starganv2 import Generator, MappingNetwork, StyleEncoder


def starganv2(golden: Golden) -> Iterator[Comparison]:
    """Both domains."""
    generator = build(lambda: Generator(256, high_pass=0), golden.state("generator/"))
    mapped = build(MappingNetwork, golden.state("mapping_network/"))(golden.input("z"))
    read = build(StyleEncoder, golden.state("style_encoder/"))(golden.image("reference"))
    for domain in range(len(DOMAINS)):
        yield golden.compare(f"style_map_y{domain}", mapped[:, domain])
        yield golden.compare(f"style_ref_y{domain}", read[:, domain])
        yield from golden.compare_image(f"out_map_y{domain}", generator(golden.image(), mapped[:, domain]))
    yield from golden.compare_image("out_ref_y1", generator(golden.image(), read[:, 1]))
