"""StyleALAE's W, to be sampled for boundaries (`python -m models.latents make`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.boundaries.sampler import Sampler
from models.entry import weights_folder
from models.latents import LatentError
from models.published.alae import network as alae
from models.published.alae.rows import GENERATOR
from models.weights.checkpoints import read, tensors_in
from models.weights.sources import conversion


def _alae() -> Sampler:
    file = weights_folder() / "alae" / "model_157.pth"
    if not file.is_file():
        raise LatentError(f"{file} is missing; get it with: python -m models.fetch alae")
    conversion(("alae", file, file.parent))()
    mapping = alae.load_mapping(tensors_in(read(file), "models/mapping_fl_s"))
    width = int(mapping.map_blocks[0].fc.in_features)  # type: ignore[union-attr, arg-type]
    return Sampler(GENERATOR, width, mapping, file.parent / "decoder.onnx", "w", file)


SAMPLERS: Mapping[str, Callable[[], Sampler]] = {"alae": _alae}
