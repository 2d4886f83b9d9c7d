"""The generators of StyleGAN's family, to be sampled for boundaries (`python -m models.latents make`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from models.boundaries.sampler import Sampler, checkpoint
from models.entry import Entry
from models.published.stylegan import dialects, encoders, mobilestylegan, rows, rows1, stylegan1, stylegan2
from models.weights.sources import conversion

LATENT = "w_plus"


def _first() -> Sampler:
    file = checkpoint("stylegan1", rows1.NETWORK.path)
    conversion(("stylegan1", file, rows1.FOLDER))()
    network = stylegan1.load_generator(dialects.read_stylegan1(file))
    return Sampler(rows1.GENERATOR, network.style_dim, network.mapping, rows1.GENERATOR_FILE, LATENT, file)


def _inverter(name: str, file: Path, system: str) -> Sampler:
    checkpoint(name, file)
    conversion((system, file, file.parent))()
    return _second(encoders.load_inverter(file).generator, file)


def _own() -> Sampler:
    file = checkpoint("stylegan2", _file("stylegan2"))
    conversion(("stylegan2", file, file.parent))()
    state, _ = dialects.read_stylegan2(file)
    return _second(stylegan2.load_generator(state), file)


def _mobile() -> Sampler:
    file = checkpoint("mobilestylegan", _file("mobilestylegan"))
    conversion(("mobilestylegan", file, file.parent))()
    mapping = mobilestylegan.load_mapping(dialects.read_mobilestylegan(file))
    return Sampler(rows.GENERATOR, mobilestylegan.STYLE_DIM, mapping, file.parent / "generator.onnx", LATENT, file)


def _second(generator: stylegan2.Generator, file: Path) -> Sampler:
    network = file.parent / "generator.onnx"
    return Sampler(rows.GENERATOR, generator.style_dim, generator.mapping, network, LATENT, file)


def _file(name: str) -> Path:
    """The first file of a row: the generator itself."""
    entries: dict[str, Entry] = {entry.name: entry for entry in rows.entries()}
    return entries[name].weights[0].path


SAMPLERS: Mapping[str, Callable[[], Sampler]] = {
    "stylegan1": _first,
    "stylegan2": _own,
    "mobilestylegan": _mobile,
    **{each.name: partial(_inverter, each.name, each.file.path, each.system) for each in rows.INVERTERS},
}
