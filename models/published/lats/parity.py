"""Golden outputs of LATS: identity features, age latents, the classes and points between two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from models.published.lats.network import load_generator
from models.weights.golden import Comparison, Golden


def generator(golden: Golden) -> Iterator[Comparison]:
    """All stored ages of one face."""
    network = load_generator(golden.state())
    latents = network.class_latents()
    yield golden.compare("w_classes", latents)
    features = network.id_encoder(golden.image())
    yield from golden.compare_image("id_features", features[:, :3])
    yield golden.compare("id_features_l2", features.double().norm())
    for i in map(int, golden.found(r"out_class(\d)")):
        yield from golden.compare_image(f"out_class{i}", network.decoder(features, latents[i : i + 1]))
    for ending in golden.found(r"out_interp(\d\d_a\d+)"):
        younger, older, share = int(ending[0]), int(ending[1]), ending[4:]
        mix = torch.zeros(1, len(latents))
        # a file's one alpha is exact, the one in the name is rounded: "03" is .3
        alpha = float(golden.stored("alpha")) if "alpha" in golden.names else float(f"{share[0]}.{share[1:]}")
        mix[0, younger], mix[0, older] = alpha, 1 - alpha
        yield from golden.compare_image(f"out_interp{ending}", network(golden.image(), mix))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"lats.*": generator,
}
"""By a pattern of the name of the golden file, in lower case."""
