"""Golden outputs of LATS: identity features, age latents, six classes and a point between two."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.editors.lats import AGE_CLASSES
from models.golden import Comparison, Golden
from models.lats import load_generator


def generator(golden: Golden) -> Iterator[Comparison]:
    """All stored ages of one face."""
    network = load_generator(golden.state())
    latents = network.class_latents()
    yield golden.compare("w_classes", latents)
    features = network.id_encoder(golden.image())
    yield from golden.compare_image("id_features", features[:, :3])
    yield golden.compare("id_features_l2", features.double().norm())
    for i in range(len(AGE_CLASSES)):
        yield from golden.compare_image(f"out_class{i}", network.decoder(features, latents[i : i + 1]))
    alpha = float(golden.stored("alpha"))
    mix = torch.zeros(1, len(AGE_CLASSES))
    mix[0, 3], mix[0, 4] = alpha, 1 - alpha
    yield from golden.compare_image("out_interp34_a03", network(golden.image(), mix))
