"""StyleALAE's W, to be sampled for boundaries (`python -m models.latents make`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.boundaries.sampler import Sampler, checkpoint
from models.published.alae import network as alae
from models.published.alae.rows import GENERATOR, MODEL
from models.weights.checkpoints import read, tensors_in
from models.weights.sources import conversion


def _alae() -> Sampler:
    file = checkpoint("alae", MODEL.path)
    conversion(("alae", file, file.parent))()
    mapping = alae.load_mapping(tensors_in(read(file), "models/mapping_fl_s"))
    width = int(mapping.map_blocks[0].fc.in_features)  # type: ignore[union-attr, arg-type]
    return Sampler(GENERATOR, width, mapping, file.parent / "decoder.onnx", "w", file)


SAMPLERS: Mapping[str, Callable[[], Sampler]] = {"alae": _alae}
