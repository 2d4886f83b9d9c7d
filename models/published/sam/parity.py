"""Golden codes and pictures of SAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from models.published.sam.network import assemble
from models.weights.golden import Comparison, Golden


def sam(golden: Golden) -> Iterator[Comparison]:
    """The face at every stored age, and the half that does not depend on the age."""
    state = golden.state()
    average = state.pop("latent_avg")
    network = assemble(state, average)
    image = golden.image()
    identity = network.identity(image)
    yield golden.compare("codes_pretrained", identity - average)
    for age in golden.found(r"(?:codes|out)_age([\d.]+)"):
        codes = identity + network.ageing(image, torch.tensor([float(age)]))
        if golden.found(f"(codes_age{age})"):
            yield golden.compare(f"codes_age{age}", codes)
        if golden.found(f"(out_age{age})"):
            yield from golden.compare_image(f"out_age{age}", network.generator(codes))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"sam([_-].*)?": sam,
}
"""By a pattern of the name of the golden file, in lower case."""
