"""Golden outputs of the re-aging U-Net."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from models.published.fran.network import load_network
from models.weights.golden import Comparison, Golden


def unet(golden: Golden) -> Iterator[Comparison]:
    """The residual and the aged picture for every stored pair of ages."""
    network = load_network(golden.state())
    image = 0.5 + 0.5 * golden.image()
    for pair in golden.found(r"(ages_\w+)"):
        ages = torch.from_numpy(golden.stored(pair).astype("float32")).reshape(1, 2)
        delta = network(image, ages.expand(len(image), -1))
        name = "_".join(f"{age:g}" for age in ages[0].tolist())
        yield from golden.compare_image(f"delta_{name}", delta)
        yield from golden.compare_image(f"image_{name}", (image + delta).clamp(0, 1))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"fran.*": unet,
}
"""By a pattern of the name of the golden file, in lower case."""
