"""Every published system in small: checkpoints as their authors write them, of the systems' own classes.

Full-size networks take seconds for a frame, so all classes are built with few channels and, where they draw by
resolution, up to 64 pixels. The weights are random, of one seed. Two things are stand-ins: the directions, whose real
files fit networks of full width alone; and the names in CoupleGenerator's file, which `test_pix2pix` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from models import catalog
from models.entry import Entry, weights_folder
from models.latents import Components, Direction, Space, save, save_components
from models.published.alae import network as alae
from models.published.fran import network as fran
from models.published.genforce import idinvert, pggan
from models.published.genforce import styles as genforce_styles
from models.published.hairmapper import network as hairmapper
from models.published.lats import network as lats
from models.published.pix2pix import network as pix2pix
from models.published.stargan import network as stargan
from models.published.starganv2 import network as starganv2
from models.published.styleflow import network as styleflow
from models.published.styleflow.editor import CONDITIONS, LIGHTS
from models.published.stylegan import (
    conversion,
    directions,
    encoders,
    keras_encoder,
    mobilestylegan,
    stylegan1,
    stylegan2,
)
from tests.models import keras_files

WIDTH = 32
"""Length of a row of W+."""
SIDE, ROWS = 64, 10
"""Of a StyleGAN that draws 64 pixels."""
FFHQ_ROWS = 18
"""Of the one that several systems share, which therefore is one of 1024 pixels; its picture is taken at 64."""
ALAE = alae.Config(layers=5, width=2, latent=8)
PARENTS = {"babygan": ("babygan", FFHQ_ROWS), "babygan-stylegan1": ("stylegan1", ROWS)}
"""Folder of the second parent's code for those who choose no photo, and its rows."""


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Make the loaders expect networks of these sizes."""
    patch.setattr(encoders, "STAGES", ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, WIDTH, 1)))
    patch.setattr(encoders, "WIDTH", WIDTH)
    patch.setattr(encoders, "FACE_SIDE", SIDE)
    patch.setattr(encoders.ReStyle.forward, "__defaults__", (2,))
    patch.setattr(keras_encoder, "STYLE_DIM", WIDTH)
    patch.setattr(conversion.Picture.__init__, "__defaults__", (SIDE,))
    patch.setattr(mobilestylegan, "STYLE_DIM", WIDTH)
    patch.setattr(mobilestylegan.Student.__init__, "__defaults__", ((8, 8, 8, 8),))
    patch.setattr(hairmapper.LevelMapper.__init__, "__defaults__", (WIDTH, 2))
    patch.setattr(styleflow.Flow.__init__, "__defaults__", (WIDTH, CONDITIONS, 2))
    patch.setattr(styleflow.Relabel.__init__, "__defaults__", (1,))
    patch.setattr(lats.IdentityEncoder.__init__, "__defaults__", (8, 1))
    patch.setattr(lats.Generator.__init__, "__defaults__", (8, 32))
    patch.setattr(stargan.Generator.__init__, "__defaults__", (4, 1))
    patch.setattr(fran.UNet.__init__, "__defaults__", (2,))
    keywords = pix2pix.UNet.__init__.__kwdefaults__
    assert keywords is not None
    patch.setitem(keywords, "width", 2)
    patch.setattr(pix2pix.couple_generator, "__defaults__", (2,))
    patch.setattr(pix2pix, "from_tensorflow", lambda arrays: {k: torch.from_numpy(v) for k, v in arrays.items()})
    patch.setattr(starganv2, "MAX_CHANNELS", 8)
    patch.setattr(starganv2, "FIRST_LAYER", 2**10)
    patch.setattr(directions, "convert", _direction)


def ready(name: str) -> Entry:
    """The row of the catalog of that name after its weights have come and been converted; needs `shrink`."""
    row = write(name)
    if name in PARENTS:
        folder, rows = PARENTS[name]
        parent = np.random.default_rng(7).normal(size=(rows, WIDTH)).astype(np.float32)
        (weights_folder() / folder).mkdir(parents=True, exist_ok=True)
        np.save(weights_folder() / folder / "parent.npy", parent)
    assert row.convert is not None
    torch.manual_seed(0)
    row.convert()
    assert row.state != "needs weights", row.why
    return row


def write(name: str) -> Entry:
    """The row of the catalog of that name after its weights have come; needs `shrink`."""
    row = catalog.ENTRIES[name]
    for weights in row.weights:
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        if not weights.path.exists():
            torch.manual_seed(0)
            _WRITERS.get(f"{weights.path.parent.name}/{weights.path.name}", _vector)(weights.path)
    return row


def _inverter(kind: str, rows: int = ROWS) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        parts = {"encoder.": _loud(encoders.ENCODERS[kind](rows)), "decoder.": _stylegan2(rows)}
        _save(path, parts, opts={"encoder_type": kind}, latent_avg=torch.randn(rows, WIDTH))

    return write


def _genforce(path: Path) -> None:
    """GenForce's file of a StyleGAN2: other names, styles without the 1, upsampling kernels turned."""
    ours = _stylegan2(FFHQ_ROWS).state_dict()
    theirs = {"synthesis.early_layer.const": ours["input.input"], "truncation.w_avg": torch.zeros(WIDTH)}
    theirs |= {f"mapping.dense0.{name}": ours[f"style.1.{name}"] for name in ("weight", "bias")}
    layers = ["conv1.", *(f"convs.{index}." for index in range(FFHQ_ROWS - 2))]
    colours = ["to_rgb1.", *(f"to_rgbs.{index}." for index in range(FFHQ_ROWS // 2 - 1))]
    for source, prefixes in (("layer", layers), ("output", colours)):
        for index, prefix in enumerate(prefixes):
            name, weight = f"synthesis.{source}{index}.", ours[f"{prefix}conv.weight"][0]
            theirs[f"{name}weight"] = weight.flip(2, 3) if source == "layer" and index % 2 else weight
            theirs[f"{name}style.weight"] = ours[f"{prefix}conv.modulation.weight"]
            theirs[f"{name}style.bias"] = ours[f"{prefix}conv.modulation.bias"] - 1
            if source == "layer":
                theirs[f"{name}noise_strength"] = ours[f"{prefix}noise.weight"][0]
                theirs[f"{name}noise"] = ours[f"noises.noise_{index}"]
                theirs[f"{name}bias"] = ours[f"{prefix}activate.bias"]
            else:
                theirs[f"{name}bias"] = ours[f"{prefix}bias"].flatten()
    torch.save({"generator_smooth": theirs}, path)


def _sam(path: Path) -> None:
    parts = {
        "encoder.": _loud(encoders.GradualStyleEncoder(ROWS, 4)),
        "pretrained_encoder.": _loud(encoders.GradualStyleEncoder(ROWS)),
        "decoder.": _stylegan2(ROWS),
    }
    _save(path, parts, opts={"output_size": SIDE}, latent_avg=torch.randn(ROWS, WIDTH))


def _keras_encoder(path: Path) -> None:
    keras_files.write(path, *keras_files.small_encoder(SIDE, ROWS, WIDTH))


def _stylegan1_generator(path: Path) -> None:
    network = stylegan1.Generator(SIDE, WIDTH, max_channels=8, base_channels=512)
    for layer in network.mapping.children():  # kept divided by the learning rate multiplier, as StyleGAN keeps them
        nn.init.normal_(layer.linear.weight, std=1 / stylegan1.LR_MULTIPLIER)  # type: ignore[arg-type, union-attr]
    torch.save(network.state_dict(), path)


def _inversion_generator(path: Path) -> None:
    """Its authors name the constant and the dense layers otherwise, and their mapping network gives all rows."""
    state = stylegan1.Generator(SIDE, WIDTH, max_channels=8, base_channels=512).state_dict()
    theirs = {key.replace("dense.linear.", "dense.fc."): value for key, value in state.items()}
    theirs["synthesis.layer0.const"] = theirs.pop("synthesis.layer0.first_layer")
    theirs["mapping.dense7.fc.weight"] = torch.zeros(ROWS * WIDTH, WIDTH)
    torch.save(theirs, path)


def _style_vectors(path: Path) -> None:
    generator = stylegan1.Generator(SIDE, WIDTH, max_channels=8, base_channels=512)
    lengths = genforce_styles.lengths_of(generator)
    encoder = genforce_styles.Encoder([(8, 1)] * 3, (8, 8), lengths, [2 * 16, 4 * 16, 4 * 16])
    models = {"encoder": encoder.state_dict(), "generator_smooth": generator.state_dict()}
    torch.save({"models": models, "running_metadata": {"iter": 1}}, path)


def _mobilestylegan(path: Path) -> None:
    _save(path, {"student.": mobilestylegan.Student(), "mapping_net.": mobilestylegan.MappingNetwork()})


def _hairmapper(path: Path) -> None:
    torch.save({"alpha": 1.0, "state_dict": hairmapper.LevelMapper().state_dict()}, path)


def _stargan(domains: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        state = _loud(stargan.Generator(domains)).state_dict()
        # Norms take a constant plane out again, but at the border: the label must be heard there.
        state["main.0.weight"][:, 3:] *= 10
        torch.save(state, path)

    return write


def _labels(size: int, domains: int) -> Callable[[Path], None]:
    return lambda path: torch.save(stargan.Discriminator(size, domains, 2).state_dict(), path)


def _starganv2(path: Path) -> None:
    networks = {
        "generator": starganv2.Generator(256),
        "mapping_network": starganv2.MappingNetwork(),
        "style_encoder": starganv2.StyleEncoder(),
    }
    torch.save({name: network.state_dict() for name, network in networks.items()}, path)


def _bare(make: Callable[[], nn.Module]) -> Callable[[Path], None]:
    return lambda path: torch.save(make().state_dict(), path)


def _couple(path: Path) -> None:
    np.savez(path, **{name: value.numpy() for name, value in pix2pix.couple_generator().state_dict().items()})


def _alae(path: Path) -> None:
    models = {
        "discriminator_s": alae.Encoder(ALAE).state_dict(),
        "generator_s": alae.Decoder(ALAE).state_dict(),
        "mapping_fl_s": alae.MappingNetwork(ALAE.latent, 1).state_dict(),
        "dlatent_avg": {"buff": torch.zeros(2 * ALAE.layers, ALAE.latent)},
    }
    torch.save({"models": models, "auxiliary": {"epoch": 157}}, path)


def _lights(path: Path) -> None:
    np.save(path, np.random.default_rng(0).normal(size=(1000, 1, LIGHTS, 1, 1)).astype(np.float32))


def _vector(path: Path) -> None:
    """A direction: ALAE's are used as they are, the others pass through `_direction`."""
    if path.parent.name == "alae":
        np.save(path, np.random.default_rng(len(path.name)).normal(size=ALAE.latent))
    else:
        path.write_bytes(b"a direction")


def _direction(path: Path, to: Path) -> None:
    random = np.random.default_rng(sum(path.stem.encode()))
    of = {"directions": "stylegan2-ffhq", "idinvert": "stylegan1-idinvert", "pggan": "pggan-celebahq"}
    generator, space = of.get(path.parent.name, "stylegan1-ffhq"), "Z" if path.parent.name == "pggan" else "W"
    if path.stem == "ffhq_pca":
        vectors = random.normal(size=(80, WIDTH)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = Components(np.zeros(WIDTH, np.float32), vectors, np.ones(80, np.float32), generator)
        save_components(to / f"{path.stem}.npz", found)
    else:
        vector = random.normal(size=WIDTH).astype(np.float32)
        save(to / f"{path.stem}.npz", Direction(path.stem, vector, generator, cast(Space, space)))


def _stylegan2(rows: int) -> stylegan2.Generator:
    side = 2 ** (rows // 2 + 1)
    return stylegan2.Generator(side, WIDTH, mapping_layers=1, channel_multiplier=4 * side / 16384, max_channels=8)


def _loud(network: nn.Module) -> nn.Module:
    """The network with weights at which a picture passes through it instead of fading."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter)
    return network


def _save(path: Path, parts: Mapping[str, nn.Module], **rest: object) -> None:
    state = {prefix + key: value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"state_dict": state, **rest}, path)


_WRITERS: Mapping[str, Callable[[Path], None]] = {
    "e4e/e4e_ffhq_encode.pt": _inverter("Encoder4Editing", FFHQ_ROWS),
    "psp/psp_ffhq_encode.pt": _inverter("GradualStyleEncoder"),
    "restyle-e4e/restyle_e4e_ffhq_encode.pt": _inverter("ProgressiveBackboneEncoder"),
    "restyle-psp/restyle_psp_ffhq_encode.pt": _inverter("BackboneEncoder"),
    "pggan/pggan_celebahq1024.pth": _bare(lambda: pggan.Generator([8] * 5, WIDTH)),
    "idinvert/styleganinv_ffhq256_encoder.pth": _bare(lambda: _loud(idinvert.Encoder([8] * 5, WIDTH))),
    "idinvert/styleganinv_ffhq256_generator.pth": _inversion_generator,
    "genforce-y/checkpoint.pth": _style_vectors,
    "mobilestylegan/mobilestylegan_ffhq.ckpt": _mobilestylegan,
    "stylegan2/generator.pth": _genforce,
    "sam/sam_ffhq_aging.pt": _sam,
    "hairmapper/best_model.pt": _hairmapper,
    "stylegan1/karras2019stylegan-ffhq-1024x1024.pkl": _stylegan1_generator,
    "stylegan1/finetuned_resnet.h5": _keras_encoder,
    "stargan-celeba/generator.ckpt": _stargan(5),
    "stargan-celeba/discriminator.ckpt": _labels(128, 5),
    "stargan-celeba-256/generator.ckpt": _stargan(5),
    "stargan-celeba-256/discriminator.ckpt": _labels(256, 5),
    "facestyle-hair/generator.ckpt": _stargan(9),
    "facestyle-hair/discriminator.ckpt": _labels(128, 9),
    "stargan-rafd/generator.ckpt": _stargan(8),
    "stargan-both/generator.ckpt": _stargan(15),
    "starganv2/100000_nets_ema.ckpt": _starganv2,
    "male/latest_net_g_running.pth": _bare(lats.Generator),
    "female/latest_net_g_running.pth": _bare(lats.Generator),
    "fran/best_unet_model.pth": _bare(lambda: _loud(fran.UNet())),
    "pix2pix/latest_net_G.pth": _bare(pix2pix.UNet),
    "couplegenerator/variables.npz": _couple,
    "alae/model_157.pth": _alae,
    "alae-celebahq/model_262r.pth": _alae,
    "styleflow/modellarge10k.pt": _bare(styleflow.Flow),
    "styleflow/light.npy": _lights,
}
