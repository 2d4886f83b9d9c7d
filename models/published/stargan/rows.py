"""StarGAN (Choi et al. 2018) on CelebA, RaFD, both, and hairstyles, in the catalog."""

from __future__ import annotations

from pathlib import Path

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.stargan.editor import (
    CELEBA_AND_RAFD_DOMAINS,
    CELEBA_DOMAINS,
    FACESTYLE_HAIR_DOMAINS,
    RAFD_DOMAINS,
    Domains,
    StarGan,
)
from models.weights.sources import NO_STATEMENT, conversion, dropbox, own_weights

FACESTYLE = "github.com/vladimir-chernykh/facestyle-gan"


def _stargan(
    name: str,
    title: str,
    description: str,
    domains: Domains,
    weights: tuple[Weights, ...],
    *,
    size: int = 128,
    presets: tuple[Preset, ...] = (),
) -> Entry:
    """A StarGAN: the first file is the generator, a second one the discriminator that reads labels."""
    folder = weights[0].path.parent
    networks = (folder / "generator.onnx", folder / "labels.onnx")[: len(weights)]

    def load(load_engine: LoadEngine) -> AnyEditor:
        generator, *reader = map(load_engine, networks)
        return StarGan(generator, domains, reader[0] if reader else None, name=name)

    systems = (f"stargan-{size}", "stargan-labels")
    convert = conversion(*((system, file.path, folder) for system, file in zip(systems, weights, strict=False)))
    return Entry(
        name=name,
        title=title,
        description=description,
        controls=lambda: domains.Controls,
        load=load,
        weights=weights,
        presets=presets,
        networks=networks,
        convert=convert,
        frame=(f"stargan-{size}", f"stargan-{size}"),
    )


def _stargan_files(folder: Path, key: str, archive: str, origin: str, licence: str) -> tuple[Weights, ...]:
    return tuple(
        Weights(folder / name, licence, origin, 215_000_000, urls=(dropbox(key, archive),), member=member)
        for name, member in (("generator.ckpt", "*-G.ckpt"), ("discriminator.ckpt", "*-D.ckpt"))
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    folder = weights_folder()
    stargan_origin = "github.com/yunjey/stargan"
    celeba = "Black, blond or brown hair, woman or man, young or old."
    return (
        _stargan(
            "stargan-celeba",
            "Hair, gender, age (128 px)",
            celeba,
            CELEBA_DOMAINS,
            _stargan_files(
                folder / "stargan-celeba",
                "7e966qq0nlxwte4",
                "celeba-128x128-5attrs.zip",
                stargan_origin,
                NO_STATEMENT,
            ),
            presets=(Preset("Blond", {"blond_hair": 1.0}), Preset("Old", {"young": 0.0})),
        ),
        _stargan(
            "stargan-celeba-256",
            "Hair, gender, age (256 px)",
            celeba,
            CELEBA_DOMAINS,
            _stargan_files(
                folder / "stargan-celeba-256",
                "zdq6roqf63m0v5f",
                "celeba-256x256-5attrs.zip",
                stargan_origin,
                NO_STATEMENT,
            ),
            size=256,
            presets=(Preset("Blond", {"blond_hair": 1.0}), Preset("Old", {"young": 0.0})),
        ),
        _stargan(
            "facestyle-hair",
            "Hairstyle",
            "Bald, fringe, receding hairline, straight or wavy hair, and its colour.",
            FACESTYLE_HAIR_DOMAINS,
            _stargan_files(folder / "facestyle-hair", "it748il7f6mgxk9", "celeba_128_hair.zip", FACESTYLE, "MIT"),
            presets=(Preset("Bald", {"bald": 1.0}), Preset("Fringe", {"bangs": 1.0})),
        ),
        _stargan(
            "stargan-rafd",
            "Expressions",
            "Eight expressions, mixed as you like. Train it yourself: its authors publish no weights.",
            RAFD_DOMAINS,
            (own_weights(folder / "stargan-rafd" / "generator.ckpt", "training with github.com/yunjey/stargan, RaFD"),),
            presets=(Preset("Happy", {"happy": 1.0}), Preset("Surprised", {"surprised": 1.0})),
        ),
        _stargan(
            "stargan-both",
            "Hair, gender, age, expression",
            "One network for hair, gender, age and expression. Train it yourself: its authors publish no weights.",
            CELEBA_AND_RAFD_DOMAINS,
            (own_weights(folder / "stargan-both" / "generator.ckpt", "training with github.com/yunjey/stargan, both"),),
        ),
    )
