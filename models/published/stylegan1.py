"""Editors on the first StyleGAN: the bald generator's hyperplanes, and BabyGAN with its own directions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.weights.sources import CC_BY_NC, conversion, drive, github, own_weights

GENERATOR = "stylegan1-ffhq"
REACH = 3.0
"""Distance from the face's own place at a slider's ends, as InterFaceGAN's authors go."""

BABYGAN, PUZER = "tg-bomze/BabyGAN", "Puzer/stylegan-encoder"

FOLDER = weights_folder() / "stylegan1"
NETWORK = Weights(
    FOLDER / "karras2019stylegan-ffhq-1024x1024.pkl",
    CC_BY_NC,
    "github.com/NVlabs/stylegan",
    324_000_000,
    urls=(drive("1MEGjdvVpUsu1jB4zrXZN7Y4kBBOzizDQ"),),
)
ENCODER = own_weights(FOLDER / "encoder.onnx", "training: nobody publishes one into its W+ that runs per frame")
GENERATOR_FILE = FOLDER / "generator.onnx"

BOUNDARIES = {
    name: Weights(
        FOLDER / f"stylegan_ffhq_{name}_w_boundary.npy",
        "MIT",
        "github.com/genforce/interfacegan",
        4_224,
        sha256,
        urls=(github("genforce/interfacegan", f"boundaries/stylegan_ffhq_{name}_w_boundary.npy"),),
    )
    for name, sha256 in (
        ("age", "f92c72c6621fd9630a2100168462a15a531bee410099847fdcdf844159eb7e30"),
        ("eyeglasses", "ac826235cc7347eb1f57ba9e6e2904e52f34a6052a4db03dc693648a4f231cc5"),
        ("gender", "077953b129bbb52605b3391d4824938c9ded35337f60d282478c72dcc3c5c28f"),
        ("pose", "688585cf4d2bc3eead7bc18b4cf6e0985a0beb8a5ed46f25a08b2925d33efc1a"),
        ("smile", "5a729c200c2c933806116cb77624ccedbd6fce21aa98fca8be49aeaa35caa1c7"),
    )
}
"""InterFaceGAN's boundaries in W of the FFHQ StyleGAN."""
CONVERTED = {name: file.path.with_suffix(".npz") for name, file in BOUNDARIES.items()}

BABY_DIRECTIONS = {
    name: Weights(
        FOLDER / "babygan" / f"{name}.npy",
        CC_BY_NC if PUZER in homes else "none stated",
        "github.com/tg-bomze/BabyGAN",
        73_856,
        sha256,
        urls=tuple(github(repository, f"ffhq_dataset/latent_directions/{name}.npy") for repository in homes),
    )
    for name, sha256, homes in (
        ("age", "14bc83a35d0b579d7216c77ecdae43cd6b478a2221ab50026b5e81e5f61d7241", (BABYGAN, PUZER)),
        ("gender", "eb2c4834f120e42d00829a1e5e83d2dc16ff94f05f426c23fe1e2abebd7d79f7", (BABYGAN, PUZER)),
        ("smile", "67659d6278232f28f8fa4b846cef807fca6c7ab898fc1effbe3c04e4cb4fdb5a", (BABYGAN, PUZER)),
        ("eyes_open", "a7bd2349de8b8b06d271c35563a657e1d15916d8decb91d179721702cae4980f", (BABYGAN,)),
        ("angle_horizontal", "de8e1061ebff170cb8d53ea77640a71f8ef609e8cbe3af20287f0041b9187858", (BABYGAN,)),
        ("angle_vertical", "ce58010fb5382621fffa96ced5b87a5e38dfef7b8a2b03ca1891523a8379fd4b", (BABYGAN,)),
    )
}
"""BabyGAN's directions; age points to younger, and a length of it is five years."""
BABY_SLIDERS = ("gender", "smile", "eyes_open")
BABY_REACH = 2.0
"""Lengths of a direction at a slider's ends, as in the notebook that found them (Puzer)."""

FITTED = FOLDER / "boundaries"
"""Whatever `python -m models.latents fit` writes here becomes a control: bald, receding_hairline, bangs, grey, ..."""


def entries() -> tuple[Entry, ...]:
    """The rows of this generator."""
    return (_hyperplanes(), _babygan())


def _hyperplanes() -> Entry:
    def load(load_engine: LoadEngine) -> AnyEditor:
        from models import latents  # noqa: PLC0415
        from models.editors.latent import LatentEditor, Slider  # noqa: PLC0415

        boundaries = {name: latents.load(path) for name, path in _boundary_files().items()}
        sliders = {name: Slider(boundary, REACH) for name, boundary in boundaries.items()}
        encoder, generator = load_engine(ENCODER.path), load_engine(GENERATOR_FILE)
        return LatentEditor(encoder, generator, GENERATOR, sliders, boundaries, name="stylegan1")

    return Entry(
        "stylegan1",
        "Hairstyle by hyperplanes",
        "Age, glasses, gender and the hyperplanes you fit (bald, fringe, grey), each held off what it must not move. "
        "Needs an encoder of your own: the published one, a Keras file, is not read.",
        _controls,
        load,
        (NETWORK, ENCODER, *BOUNDARIES.values()),
        (Preset("Older, the same gender", {"age": 0.7, "hold_gender": True}),),
        (GENERATOR_FILE, ENCODER.path, *CONVERTED.values()),
        conversion(
            ("stylegan1", NETWORK.path, FOLDER), *(("direction", file.path, FOLDER) for file in BOUNDARIES.values())
        ),
        needs_gpu=True,
    )


def _babygan() -> Entry:
    directions = {name: file.path.with_suffix(".npz") for name, file in BABY_DIRECTIONS.items()}
    # For those who choose no photo: what `models.inversion --generator` made of one.
    parent = FOLDER / "parent.npy"

    def controls() -> type[Controls]:
        from models.editors import babygan  # noqa: PLC0415
        from models.editors.latent import Slider  # noqa: PLC0415
        from models.latents import Direction  # noqa: PLC0415

        placeholder = Direction("", np.zeros(1, np.float32), GENERATOR)
        return babygan.babygan_controls({name: Slider(placeholder, BABY_REACH) for name in BABY_SLIDERS})

    def load(load_engine: LoadEngine) -> AnyEditor:
        from models import latents  # noqa: PLC0415
        from models.editors.babygan import BabyGan  # noqa: PLC0415
        from models.editors.latent import Slider  # noqa: PLC0415

        ways = {name: latents.load(path) for name, path in directions.items()}
        return BabyGan(
            load_engine(ENCODER.path),
            load_engine(GENERATOR_FILE),
            GENERATOR,
            parent=np.load(parent, allow_pickle=False) if parent.is_file() else None,
            age=ways["age"],
            sliders={name: Slider(ways[name], BABY_REACH) for name in BABY_SLIDERS},
            pose=[ways["angle_horizontal"], ways["angle_vertical"]],
        )

    return Entry(
        "babygan-stylegan1",
        "Your child, as BabyGAN draws it",
        "The child of the live face and of a second parent's photo, with BabyGAN's own directions and generator. "
        "Needs an encoder of your own: the published one, a Keras file, is not read.",
        controls,
        load,
        (NETWORK, ENCODER, *BABY_DIRECTIONS.values()),
        (Preset("Half and half", {"genes": 0.5, "age": 10}),),
        (GENERATOR_FILE, ENCODER.path, *directions.values()),
        conversion(
            ("stylegan1", NETWORK.path, FOLDER),
            *(("direction", file.path, file.path.parent) for file in BABY_DIRECTIONS.values()),
        ),
        needs_gpu=True,
    )


def _controls() -> type[Controls]:
    from models.editors.latent import latent_controls  # noqa: PLC0415

    names: Sequence[str] = list(_boundary_files())
    return latent_controls(dict.fromkeys(names, ("", True)), names)


def _boundary_files() -> dict[str, Path]:
    """Name of the control -> file: the published boundaries, and those fitted by the user."""
    fitted = sorted(FITTED.glob("*.npz")) if FITTED.is_dir() else []
    return CONVERTED | {path.stem: path for path in fitted if path.stem.isidentifier()}
