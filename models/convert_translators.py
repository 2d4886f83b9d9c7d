"""Checkpoints of the translators, ALAE and StyleFlow as the networks their editors run; see `models.convert`.

Every function takes the authors' file and the folder for the networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.graph.export import export
from models import alae, encoders, fran, lats, pix2pix, stargan, starganv2, styleflow
from models.editors.lats import AGE_CLASSES
from models.editors.pix2pix import DROPOUT_SIDES
from models.editors.starganv2 import LATENT, STYLE
from models.editors.styleflow import CONDITIONS
from models.weights.checkpoints import DAMAGE, CheckpointError, load_state, read, tensors_in


def stargan_generator(file: Path, to: Path, side: int = 128) -> None:
    """StarGAN's `*-G.ckpt`: generator.onnx, image and label -> translated. Its file does not tell the side."""
    network = stargan.load_generator(load_state(file))
    example = {"image": _picture(side), "label": torch.rand(1, network.domains)}
    write(network, example, ["translated"], to / "generator.onnx")


def stargan_labels(file: Path, to: Path) -> None:
    """StarGAN's `*-D.ckpt`: labels.onnx, image -> label."""
    network = stargan.load_discriminator(load_state(file))
    write(stargan.LabelReader(network), {"image": _picture(network.size)}, ["label"], to / "labels.onnx")


def lifespan(file: Path, to: Path) -> None:
    """LATS's `latest_net_g_running.pth`: ageing.onnx, image and class_weights -> aged."""
    network = lats.Ageing(lats.load_generator(load_state(file)))
    weights = torch.full((1, len(AGE_CLASSES)), 1 / len(AGE_CLASSES))
    write(network, {"image": _picture(256), "class_weights": weights}, ["aged"], to / "ageing.onnx")


def residual(file: Path, to: Path) -> None:
    """FRAN: residual.onnx, image and ages -> delta."""
    example = {"image": torch.rand(1, 3, 512, 512), "ages": torch.tensor([[30.0, 60.0]])}
    write(fran.load_network(load_state(file)), example, ["delta"], to / "residual.onnx")


def other_half(file: Path, to: Path) -> None:
    """pix2pix's `<epoch>_net_G.pth`: AtoB.onnx, image and dropout -> translated."""
    state = load_state(file)
    _write_unet(pix2pix.load_reference(state, pix2pix.norm_of(state)), 256, to)


def couple(file: Path, to: Path) -> None:
    """CoupleGenerator's variables in an .npz: AtoB.onnx, image and dropout -> translated."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            state = pix2pix.from_tensorflow({name.removesuffix(":0"): arrays[name] for name in arrays.files})
    except KeyError as error:
        raise CheckpointError(f"{file} lacks {error}, a variable of CoupleGenerator") from error
    except DAMAGE as error:
        raise CheckpointError(f"{file} is no .npz of CoupleGenerator's variables: {error}") from error
    _write_unet(pix2pix.load_couple_generator(state), 512, to)


def styles(file: Path, to: Path) -> None:
    """StarGAN v2: generator.onnx, mapping.onnx (z -> styles), style_encoder.onnx (image -> styles)."""
    saved = read(file)
    generator = starganv2.load_generator(tensors_in(saved, "generator"))
    example = {"image": _picture(256), "style": torch.randn(1, STYLE)}
    if generator.hpf is not None:
        example |= {"mask_32": torch.rand(1, 1, 64, 64), "mask_64": torch.rand(1, 1, 64, 64)}
    write(generator, example, ["translated"], to / "generator.onnx")
    mapping = starganv2.load_mapping(tensors_in(saved, "mapping_network"))
    write(mapping, {"z": torch.randn(1, LATENT)}, ["styles"], to / "mapping.onnx")
    encoder = starganv2.load_style_encoder(tensors_in(saved, "style_encoder"))
    write(encoder, {"image": _picture(256)}, ["styles"], to / "style_encoder.onnx")


def autoencoder(file: Path, to: Path) -> None:
    """StyleALAE: encoder.onnx, image -> w; decoder.onnx, w -> image; average.npy."""
    saved = read(file)
    state = tensors_in(saved, "models/discriminator_s")
    config = alae.config_of(state)
    encoder = alae.load_encoder(state, config)
    alae.freeze(encoder)
    write(encoder, {"image": _picture(config.size)}, ["w"], to / "encoder.onnx")
    decoder = alae.FixedNoise(alae.load_decoder(tensors_in(saved, "models/generator_s"), config))
    alae.freeze(decoder)
    write(decoder, {"w": torch.randn(1, 2 * config.layers, config.latent)}, ["image"], to / "decoder.onnx")
    average = tensors_in(saved, "models/dlatent_avg").get("buff")
    if average is None or average.ndim != 2 or average.shape[1] != config.latent:
        raise CheckpointError(f"{file}: dlatent_avg/buff is not (rows, {config.latent})")
    np.save(to / "average.npy", average[0].float().numpy())


def flow(file: Path, to: Path) -> None:
    """StyleFlow's `modellarge10k.pt`: flow.onnx, w, condition and wanted -> edited."""
    network = styleflow.Relabel(styleflow.load_flow(load_state(file)))
    conditions = torch.randn(2, 1, CONDITIONS) * 0.1
    example = {"w": torch.randn(1, 18, encoders.WIDTH), "condition": conditions[0], "wanted": conditions[1]}
    write(network, example, ["edited"], to / "flow.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "stargan-128": stargan_generator,
    "stargan-256": partial(stargan_generator, side=256),
    "stargan-labels": stargan_labels,
    "lats": lifespan,
    "fran": residual,
    "pix2pix": other_half,
    "couplegenerator": couple,
    "starganv2": styles,
    "alae": autoencoder,
    "styleflow": flow,
}


def write(module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    """Export one network and say how far it is from its module."""
    with warnings.catch_warnings():
        # It remarks that InstanceNorm reads the picture's statistics (it shall) and on what it leaves unfolded.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.onnx")
        # Torch's own checks of sizes are decided while it traces; the sizes are fixed.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        error = export(module, example, outputs, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from torch by {error:.1e}", flush=True)


def _write_unet(network: pix2pix.UNet, size: int, to: Path) -> None:
    keep = {f"keep_{side}": torch.ones(1, network.channels, side, side) for side in DROPOUT_SIDES}
    write(network, {"image": _picture(size), **keep}, ["translated"], to / "AtoB.onnx")


def _picture(side: int) -> Tensor:
    return torch.rand(1, 3, side, side) * 2 - 1
