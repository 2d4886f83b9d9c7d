"""StyleALAE: attributes along directions of an autoencoder (Pidhorskyi et al. 2020), in the catalog."""

from __future__ import annotations

import numpy as np

from models import latents
from models.boundaries.sliders import REACH, boundaries_stamp, fitted_boundaries, slider_title
from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.alae.editor import Alae, AlaeControls, alae_controls, semantic_controls
from models.published.controls import SEMANTICS
from models.published.stylegan.directions import sha256_of
from models.weights.sources import conversion, drive, github

GENERATOR = "alae-ffhq"
"""What directions call its W."""

ALAE_DIRECTIONS = {
    "gender": 0,
    "smile": 1,
    "attractive": 2,
    "wavy_hair": 3,
    "young": 4,
    "big_lips": 10,
    "big_nose": 11,
    "chubby": 17,
    "glasses": 19,
}
"""Number of the direction behind each control; they belong to ffhq/model_157 and to nothing else."""

MODEL = Weights(
    weights_folder() / "alae" / "model_157.pth",
    "Apache-2.0",
    "github.com/podgorskiy/ALAE",
    430_000_000,  # its networks and their averages; no source states the file's size
    urls=(
        "https://alaeweights.s3.us-east-2.amazonaws.com/ffhq/model_157.pth",
        drive("18BzFYKS3icFd1DQKKTeje7CKbEKXPVug"),
    ),
)


def _alae() -> Entry:
    folder = MODEL.path.parent
    directions = {
        name: Weights(
            folder / f"direction_{number}.npy",
            MODEL.licence,
            MODEL.origin,
            4224,
            sha256_of("alae", name),
            urls=(github("podgorskiy/ALAE", f"principal_directions/direction_{number}.npy"),),
        )
        for name, number in ALAE_DIRECTIONS.items()
    }
    networks = (
        *(folder / name for name in ("encoder.onnx", "decoder.onnx", "average.npy")),
        *(file.path for file in directions.values()),
    )

    def load(load_engine: LoadEngine) -> AnyEditor:
        vectors = {name: np.load(file.path, allow_pickle=False) for name, file in directions.items()}
        for name, path in fitted_boundaries("alae").items():
            boundary = latents.load(path).require(GENERATOR, "W")
            vectors[name] = boundary.vector * np.float32(REACH)
        average = np.load(networks[2], allow_pickle=False)
        return Alae(load_engine(networks[0]), load_engine(networks[1]), average, vectors, _controls())

    return Entry(
        name="alae",
        title="StyleALAE",
        description="Smile, age, glasses, lips, nose and more, along directions of an autoencoder of faces.",
        controls=_controls,
        stamp=lambda: boundaries_stamp("alae"),
        load=load,
        weights=(MODEL, *directions.values()),
        presets=(
            Preset("Smile", {"smile": 20.0}),
            Preset("Younger", {"young": 20.0}),
            Preset("Glasses", {"glasses": 20.0}),
        ),
        networks=networks,
        convert=conversion(("alae", MODEL.path, folder)),
        needs_gpu=True,
        frame=("alae-encoder", "alae-decoder", "alae-decoder"),
    )


def _controls() -> type[AlaeControls]:
    return alae_controls({name: slider_title(name) for name in fitted_boundaries("alae")})


def _celebahq() -> Entry:
    folder = weights_folder() / "alae-celebahq"
    model = Weights(
        folder / "model_262r.pth",
        "Apache-2.0",
        "github.com/podgorskiy/ALAE",
        urls=(
            "https://alaeweights.s3.us-east-2.amazonaws.com/celeba-hq256/model_262r.pth",
            drive("1ihJvp8iJWcLxTIjkV5cyA7l9TrxlUPkG"),
        ),
    )
    encoder, decoder, average = (folder / name for name in ("encoder.onnx", "decoder.onnx", "average.npy"))
    semantics = {name: folder / f"{name}.npy" for name in SEMANTICS}

    def load(load_engine: LoadEngine) -> AnyEditor:
        vectors = {name: np.load(path, allow_pickle=False) for name, path in semantics.items()}
        return Alae(
            load_engine(encoder),
            load_engine(decoder),
            np.load(average, allow_pickle=False),
            vectors,
            semantic_controls(),
            name="alae-celebahq",
        )

    return Entry(
        name="alae-celebahq",
        title="StyleALAE on CelebA-HQ",
        description="What the autoencoder of 256 pixels varies most; its authors publish no directions of it.",
        controls=semantic_controls,
        load=load,
        weights=(model,),
        presets=(Preset("The first semantic", {"semantic_1": 10.0}),),
        networks=(encoder, decoder, average, *semantics.values()),
        convert=conversion(("alae", model.path, folder)),
        needs_gpu=True,
        frame=("alae-celebahq-encoder", "alae-celebahq-decoder", "alae-celebahq-decoder"),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system: of 1024 pixels on FFHQ, of 256 on CelebA-HQ."""
    return _alae(), _celebahq()
