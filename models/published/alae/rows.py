"""StyleALAE: attributes along directions of an autoencoder (Pidhorskyi et al. 2020), in the catalog."""

from __future__ import annotations

import numpy as np

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.alae.editor import Alae, AlaeControls
from models.weights.sources import conversion, drive, github

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
        vectors = {name: np.load(file.path, allow_pickle=False) for name, file in directions.items()}
        average = np.load(networks[2], allow_pickle=False)
        return Alae(load_engine(networks[0]), load_engine(networks[1]), average, vectors)

    return Entry(
        name="alae",
        title="StyleALAE",
        description="Smile, age, glasses, lips, nose and more, along directions of an autoencoder of faces.",
        controls=lambda: AlaeControls,
        load=load,
        weights=(model, *directions.values()),
        presets=(
            Preset("Smile", {"smile": 20.0}),
            Preset("Younger", {"young": 20.0}),
            Preset("Glasses", {"glasses": 20.0}),
        ),
        networks=networks,
        convert=conversion(("alae", model.path, folder)),
        needs_gpu=True,
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_alae(),)
