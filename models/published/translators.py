"""Editors that translate a face in one pass, StyleALAE and StyleFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.weights.sources import (
    CC_BY_NC,
    CC_BY_NC_SA,
    E4E,
    E4E_NETWORKS,
    NO_STATEMENT,
    controls_of,
    conversion,
    drive,
    dropbox,
    github,
    own_weights,
)

FACESTYLE = "github.com/vladimir-chernykh/facestyle-gan"


def _stargan(
    name: str,
    title: str,
    description: str,
    domains: str,
    weights: tuple[Weights, ...],
    *,
    size: int = 128,
    presets: tuple[Preset, ...] = (),
) -> Entry:
    """A StarGAN: the first file is the generator, a second one the discriminator that reads labels."""
    folder = weights[0].path.parent
    networks = (folder / "generator.onnx", folder / "labels.onnx")[: len(weights)]

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors import stargan  # noqa: PLC0415

        generator, *reader = map(load_engine, networks)
        return stargan.StarGan(
            generator, getattr(stargan, domains), reader[0] if reader else None, size=size, name=name
        )

    def controls() -> type[Controls]:
        from models.editors import stargan  # noqa: PLC0415

        found: type[Controls] = getattr(stargan, domains).Controls
        return found

    systems = (f"stargan-{size}", "stargan-labels")
    convert = conversion(*((system, file.path, folder) for system, file in zip(systems, weights, strict=False)))
    return Entry(name, title, description, controls, load, weights, presets, networks, convert)


def _stargan_files(folder: Path, key: str, archive: str, origin: str, licence: str) -> tuple[Weights, ...]:
    return tuple(
        Weights(folder / name, licence, origin, 215_000_000, urls=(dropbox(key, archive),), member=member)
        for name, member in (("generator.ckpt", "*-G.ckpt"), ("discriminator.ckpt", "*-D.ckpt"))
    )


LATS_MIRROR = "https://grail.cs.washington.edu/projects/lifespan_age_transformation_synthesis/pretrained_models"


def _lats() -> Entry:
    folder = weights_folder() / "lats"
    networks = {model: folder / model / "ageing.onnx" for model in ("male", "female")}
    files = tuple(
        Weights(
            folder / model / "latest_net_g_running.pth",
            CC_BY_NC_SA,
            "github.com/royorel/Lifespan_Age_Transformation_Synthesis",
            size,
            urls=(drive(identifier), f"{LATS_MIRROR}/{model}s_model.zip"),
            md5=md5,
            member="latest_net_g_running.pth",
        )
        for model, identifier, size, md5 in (
            ("male", "1MsXN54hPi9PWDmn1HKdmKfv-J5hWYFVZ", 213_175_683, "0079186147ec816176b946a073d1f396"),
            ("female", "1LNm0zAuiY0CIJnI0lHTq1Ttcu9_M1NAJ", 213_218_113, "0675f809413c026170cf1f22b27f3c5d"),
        )
    )

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.lats import Lats  # noqa: PLC0415

        return Lats({model: load_engine(path) for model, path in networks.items()})

    return Entry(
        "lats",
        "Lifespan",
        "You from baby to seventy, head shape and hair included.",
        controls_of("lats", "LatsControls"),
        load,
        files,
        (
            Preset("Baby, girl", {"age": 1, "model": "female"}),
            Preset("Baby, boy", {"age": 1, "model": "male"}),
            Preset("Old woman", {"age": 65, "model": "female"}),
            Preset("Old man", {"age": 65, "model": "male"}),
        ),
        tuple(networks.values()),
        conversion(*(("lats", file.path, file.path.parent) for file in files)),
    )


def _fran() -> Entry:
    folder = weights_folder() / "fran"
    file = Weights(
        folder / "best_unet_model.pth",
        "MIT",
        "huggingface.co/timroelofs123/face_re-aging",
        124_000_000,
        urls=("https://huggingface.co/timroelofs123/face_re-aging/resolve/main/best_unet_model.pth",),
    )
    network = folder / "residual.onnx"

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.fran import Fran  # noqa: PLC0415

        return Fran(load_engine(network))

    return Entry(
        "fran",
        "Re-aging",
        "Older or younger by a residual on the camera's own pixels; you say how old you are.",
        controls_of("fran", "FranControls"),
        load,
        (file,),
        (Preset("Eighty", {"target_age": 80}), Preset("Eighteen", {"target_age": 18})),
        (network,),
        conversion(("fran", file.path, folder)),
        needs_gpu=True,
    )


def _pix2pix(name: str, title: str, description: str, *, file: str, origin: str, size: int) -> Entry:
    """A translation the user brings: nobody publishes weights for couples that can still be had."""
    folder = weights_folder() / name
    weights = Weights(folder / file, "your own, or that of where you got it", origin)
    network = folder / "AtoB.onnx"

    backwards = folder / "BtoA.onnx"

    def controls() -> type[Controls]:
        from models.editors.pix2pix import other_half_controls  # noqa: PLC0415

        return other_half_controls(("AtoB", "BtoA") if backwards.is_file() else ("AtoB",))

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.pix2pix import OtherHalf  # noqa: PLC0415

        generators = {"AtoB": load_engine(network)}
        if backwards.is_file():
            generators["BtoA"] = load_engine(backwards)
        return OtherHalf(generators, size, name)

    return Entry(
        name,
        title,
        description,
        controls,
        load,
        (weights,),
        (Preset("The other half", {"which": "AtoB"}),),
        (network,),
        conversion((name, weights.path, folder)),
    )


def _starganv2() -> Entry:
    folder = weights_folder() / "starganv2"
    file = Weights(
        folder / "100000_nets_ema.ckpt",
        CC_BY_NC,
        "github.com/clovaai/stargan-v2",
        290_000_000,  # its tensors; no source states the file's size
        urls=(dropbox("96fmei6c93o8b8t", "100000_nets_ema.ckpt"),),
    )
    networks = tuple(folder / name for name in ("generator.onnx", "mapping.onnx", "style_encoder.onnx"))

    reference = folder / "reference.npy"

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.starganv2 import StarGanV2  # noqa: PLC0415

        styles = np.load(reference, allow_pickle=False) if reference.is_file() else None
        generator, mapping, style_encoder = map(load_engine, networks)
        return StarGanV2(generator, mapping, style_encoder, styles)

    return Entry(
        "starganv2",
        "Other looks",
        "Another face, hair and make-up on your head, in a style drawn by a number or taken from a photo.",
        controls_of("starganv2", "StarGanV2Controls"),
        load,
        (file,),
        (Preset("A woman", {"domain": "female", "seed": 1}), Preset("A man", {"domain": "male", "seed": 1})),
        networks,
        conversion(("starganv2", file.path, folder)),
    )


ALAE_DIRECTIONS = {
    "gender": (0, "439127002f624135610dffba8678c713c9dfcac564ce54dcad6b636831712183"),
    "smile": (1, "843e3853e6e2a0c900e06ed08f3ae70f1f964c28ddb8cc38f721b959b8a2c8b0"),
    "attractive": (2, "48e731b2387e443f2cc509be4957edf555b25452544d196f5dd5813c6663dde1"),
    "wavy_hair": (3, "fb86f94300a9a6e2e35ee5152dbae01ad7a5fd24bf75eeb9e475baa9f199b102"),
    "young": (4, "3723ba529858c8e676af3c06ed8fd1519c245334964a3bfcc8aed911dc2852b3"),
    "big_lips": (10, "822630e9d2c41361203ccce06c86071aed883b0c9d9355c94d46687e9066a026"),
    "big_nose": (11, "781d74caf7f98f48e2d86f8a865336d2ee4bec2b7f4f68f1730db7014772d0cf"),
    "chubby": (17, "a2a0bb9ed7b92b63ec237a053670608ff1487ac771e727e357fc8a74ce0d0df7"),
    "glasses": (19, "968cc104e651c788561509e23c2eb49fe48849f5b820dfb1484c4d25b7d54f69"),
}
"""Number and sha256 of the direction behind each control; they belong to ffhq/model_157 and to nothing else."""


def _alae() -> Entry:
    folder = weights_folder() / "alae"
    origin = "github.com/podgorskiy/ALAE"
    model = Weights(
        folder / "model_157.pth",
        "Apache-2.0",
        origin,
        430_000_000,  # its networks and their averages; no source states the file's size
        urls=(
            "https://alaeweights.s3.us-east-2.amazonaws.com/ffhq/model_157.pth",
            drive("18BzFYKS3icFd1DQKKTeje7CKbEKXPVug"),
        ),
    )
    directions = {
        name: Weights(
            folder / f"direction_{number}.npy",
            "Apache-2.0",
            origin,
            4224,
            sha256,
            urls=(github("podgorskiy/ALAE", f"principal_directions/direction_{number}.npy"),),
        )
        for name, (number, sha256) in ALAE_DIRECTIONS.items()
    }
    networks = (
        *(folder / name for name in ("encoder.onnx", "decoder.onnx", "average.npy")),
        *(file.path for file in directions.values()),
    )

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.alae import Alae  # noqa: PLC0415

        vectors = {name: np.load(file.path, allow_pickle=False) for name, file in directions.items()}
        average = np.load(networks[2], allow_pickle=False)
        return Alae(load_engine(networks[0]), load_engine(networks[1]), average, vectors)

    return Entry(
        "alae",
        "StyleALAE",
        "Smile, age, glasses, lips, nose and more, along directions of an autoencoder of faces.",
        controls_of("alae", "AlaeControls"),
        load,
        (model, *directions.values()),
        (Preset("Smile", {"smile": 20.0}), Preset("Younger", {"young": 20.0}), Preset("Glasses", {"glasses": 20.0})),
        networks,
        conversion(("alae", model.path, folder)),
        needs_gpu=True,
    )


def _styleflow() -> Entry:
    folder = weights_folder() / "styleflow"
    origin = "github.com/RameenAbdal/StyleFlow"
    flow = Weights(
        folder / "modellarge10k.pt",
        CC_BY_NC_SA,
        origin,
        6_800_000,
        urls=(github("RameenAbdal/StyleFlow", "flow_weight/modellarge10k.pt"),),
    )
    lights = Weights(
        folder / "light.npy",
        CC_BY_NC_SA,
        origin,
        36_128,
        "cfe21f120329fdf4caa028ef30e0621149da28da300a2a54021d570352b89b3c",
        urls=(github("RameenAbdal/StyleFlow", "data/light.npy"),),
    )
    network = folder / "flow.onnx"

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models.editors.styleflow import LIGHTS, StyleFlow  # noqa: PLC0415

        encoder, generator = map(load_engine, E4E_NETWORKS)
        samples = np.load(lights.path, allow_pickle=False).reshape(-1, LIGHTS)
        return StyleFlow(encoder, generator, load_engine(network), samples)

    return Entry(
        "styleflow",
        "Attributes",
        "Age, baldness, beard, expression, glasses, pose or light; what you do not touch stays as it is. "
        "Of your own attributes it measures the pose alone and assumes the rest.",
        controls_of("styleflow", "StyleFlowControls"),
        load,
        (flow, lights, E4E),
        (Preset("Old", {"age": 65}), Preset("Bald", {"baldness": 0.8}), Preset("Beard", {"beard": 0.8})),
        (network, lights.path, *E4E_NETWORKS),
        conversion(("styleflow", flow.path, folder), ("e4e", E4E.path, E4E.path.parent)),
        needs_gpu=True,
    )


def entries() -> tuple[Entry, ...]:
    """One row per published editor."""
    folder = weights_folder()
    stargan_origin = "github.com/yunjey/stargan"
    celeba = "Black, blond or brown hair, woman or man, young or old."
    return (
        _stargan(
            "stargan-celeba",
            "Hair, gender, age (128 px)",
            celeba,
            "CELEBA_DOMAINS",
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
            "CELEBA_DOMAINS",
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
            "FACESTYLE_HAIR_DOMAINS",
            _stargan_files(folder / "facestyle-hair", "it748il7f6mgxk9", "celeba_128_hair.zip", FACESTYLE, "MIT"),
            presets=(Preset("Bald", {"bald": 1.0}), Preset("Fringe", {"bangs": 1.0})),
        ),
        _stargan(
            "stargan-rafd",
            "Expressions",
            "Eight expressions, mixed as you like. Train it yourself: its authors publish no weights.",
            "RAFD_DOMAINS",
            (own_weights(folder / "stargan-rafd" / "generator.ckpt", "training with github.com/yunjey/stargan, RaFD"),),
            presets=(Preset("Happy", {"happy": 1.0}), Preset("Surprised", {"surprised": 1.0})),
        ),
        _stargan(
            "stargan-both",
            "Hair, gender, age, expression",
            "One network for hair, gender, age and expression. Train it yourself: its authors publish no weights.",
            "CELEBA_AND_RAFD_DOMAINS",
            (own_weights(folder / "stargan-both" / "generator.ckpt", "training with github.com/yunjey/stargan, both"),),
        ),
        _starganv2(),
        _lats(),
        _fran(),
        _pix2pix(
            "pix2pix",
            "The other half",
            "Your translation of one face into another, trained with pix2pix.",
            file="latest_net_G.pth",
            origin="training with github.com/junyanz/pytorch-CycleGAN-and-pix2pix, unet_256",
            size=256,
        ),
        _pix2pix(
            "couplegenerator",
            "The other half of a couple",
            "The face of a possible partner. Its authors' weights are no longer online: bring them if you have them.",
            file="variables.npz",
            origin="the TensorFlow checkpoint of github.com/irfanICMLL/CoupleGenerator, its variables saved as .npz",
            size=512,
        ),
        _alae(),
        _styleflow(),
    )
