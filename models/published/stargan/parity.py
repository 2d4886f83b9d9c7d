"""Golden outputs of StarGAN: CelebA, RaFD, facestyle's hair, and the discriminator as label reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from models.published.stargan.network import load_discriminator, load_generator
from models.weights.golden import Comparison, Golden


def generator(golden: Golden) -> Iterator[Comparison]:
    """The face under every stored label."""
    network = load_generator(golden.state())
    image = golden.image()
    for name in golden.found(r"label_(\w+)"):
        label = torch.from_numpy(golden.stored(f"label_{name}").astype("float32"))
        translated = network(image, label.reshape(-1, network.domains).expand(len(image), -1))
        yield from golden.compare_image(f"out_{name}", translated)


def discriminator(golden: Golden) -> Iterator[Comparison]:
    """Patch scores, label logits and the labels read from them."""
    patches, logits = load_discriminator(golden.state())(golden.image())
    yield golden.compare("out_src", patches)
    yield golden.compare("out_cls", logits)
    yield golden.compare("labels_sigmoid", torch.sigmoid(logits))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"(stargan(?![_-]?v2)|facestyle).*_d([_-].*)?": discriminator,
    r"(stargan(?![_-]?v2)|facestyle)((?!_d([_-]|$)).)*": generator,
}
"""By a pattern of the name of the golden file, in lower case."""
