"""Golden outputs of StarGAN: CelebA, RaFD, facestyle's hair, and the discriminator as label reader."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.checkpoints import build
from models.golden import Comparison, Golden
from models.stargan import Discriminator, load_generator


def g_c5(golden: Golden) -> Iterator[Comparison]:
    yield from _translations(golden, "a", "b")


def rafd_g_c8(golden: Golden) -> Iterator[Comparison]:
    yield from _translations(golden, "happy4")


def facestyle_hair(golden: Golden) -> Iterator[Comparison]:
    yield from _translations(golden, "a", "bald")


def d_c5(golden: Golden) -> Iterator[Comparison]:
    """Patch scores, label logits and the labels read from them."""
    network = build(lambda: Discriminator(128, 5), golden.state())
    patches, logits = network(golden.image())
    yield golden.compare("out_src", patches)
    yield golden.compare("out_cls", logits)
    yield golden.compare("labels_sigmoid", torch.sigmoid(logits))


def _translations(golden: Golden, *labels: str) -> Iterator[Comparison]:
    network = load_generator(golden.state())
    for label in labels:
        translated = network(golden.image(), torch.from_numpy(golden.stored(f"label_{label}")))
        yield from golden.compare_image(f"out_{label}", translated)
