"""BabyGAN: the child of two faces in W+, in the catalog."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models import latents
from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.latents import Direction
from models.published.babygan.editor import BabyGan, babygan_controls
from models.published.stylegan.directions import sha256_of
from models.published.stylegan.editor import Slider
from models.published.stylegan.rows import CONVERTED, DIRECTIONS, GENERATOR, convert_directions, reach_of
from models.published.stylegan.rows1 import (
    FOLDER,
    GENERATOR_FILE,
    NETWORK,
    encoder_file,
    encoder_weights,
    frame_networks,
)
from models.published.stylegan.rows1 import GENERATOR as STYLEGAN1
from models.weights.sources import CC_BY_NC, E4E, E4E_FRAME, E4E_NETWORKS, conversion, github

BABYGAN, PUZER = "tg-bomze/BabyGAN", "Puzer/stylegan-encoder"

BABY_DIRECTIONS = {
    name: Weights(
        FOLDER / "babygan" / f"{name}.npy",
        CC_BY_NC if PUZER in homes else "none stated",
        "github.com/tg-bomze/BabyGAN",
        73_856,
        sha256_of("babygan", name),
        urls=tuple(github(repository, f"ffhq_dataset/latent_directions/{name}.npy") for repository in homes),
    )
    for name, homes in (
        ("age", (BABYGAN, PUZER)),
        ("gender", (BABYGAN, PUZER)),
        ("smile", (BABYGAN, PUZER)),
        ("eyes_open", (BABYGAN,)),
        ("angle_horizontal", (BABYGAN,)),
        ("angle_vertical", (BABYGAN,)),
    )
}
"""BabyGAN's directions; age points to younger, and a length of it is five years."""

BABY_REACH = 2.0
"""Lengths of a direction at a slider's ends, as in the notebook that found them (Puzer)."""

BABY_SLIDERS = ("gender", "smile", "eyes_open")
"""What of a child can be set besides its age; its pose follows the camera."""


def _on_stylegan2() -> Entry:
    # For those who choose no photo: what `models.inversion` made of one.
    parent = weights_folder() / "babygan" / "parent.npy"

    def controls() -> type[Controls]:
        return babygan_controls(_babygan_sliders(_placeholder))

    def load(load_engine: LoadEngine) -> AnyEditor:
        ways = {name: latents.load(CONVERTED[name]) for name in ("age", "pose", "angle_pitch", *BABY_SLIDERS)}
        encoder, generator = map(load_engine, E4E_NETWORKS)
        return BabyGan(
            encoder,
            generator,
            GENERATOR,
            parent=np.load(parent, allow_pickle=False) if parent.is_file() else None,
            # e4e's age points to older, BabyGAN's formulas want the way to younger.
            age=ways["age"].reversed("younger"),
            sliders=_babygan_sliders(ways.__getitem__),
            pose=[ways["pose"], ways["angle_pitch"]],
        )

    return Entry(
        name="babygan",
        title="Your child",
        description="The child of the face in front of the camera and of a second parent's photo.",
        controls=controls,
        load=load,
        weights=(E4E, *DIRECTIONS.values()),
        presets=(Preset("Half and half", {"genes": 0.5, "age": 10}),),
        networks=(*E4E_NETWORKS, *CONVERTED.values()),
        convert=conversion(("e4e", E4E.path, E4E.path.parent), after=convert_directions),
        needs_gpu=True,
        frame=E4E_FRAME,
    )


def _on_stylegan1() -> Entry:
    directions = {name: file.path.with_suffix(".npz") for name, file in BABY_DIRECTIONS.items()}
    # For those who choose no photo: what `models.inversion --generator` made of one.
    parent = FOLDER / "parent.npy"

    def controls() -> type[Controls]:
        placeholder = Direction("", np.zeros(1, np.float32), STYLEGAN1)
        return babygan_controls({name: Slider(placeholder, BABY_REACH) for name in BABY_SLIDERS})

    def load(load_engine: LoadEngine) -> AnyEditor:
        ways = {name: latents.load(path) for name, path in directions.items()}
        return BabyGan(
            load_engine(encoder_file()),
            load_engine(GENERATOR_FILE),
            STYLEGAN1,
            parent=np.load(parent, allow_pickle=False) if parent.is_file() else None,
            age=ways["age"],
            sliders={name: Slider(ways[name], BABY_REACH) for name in BABY_SLIDERS},
            pose=[ways["angle_horizontal"], ways["angle_vertical"]],
        )

    return Entry(
        name="babygan-stylegan1",
        title="Your child, as BabyGAN draws it",
        description="The child of the live face and of a second parent's photo, with BabyGAN's own directions and "
        "generator.",
        controls=controls,
        load=load,
        weights=(NETWORK, *encoder_weights(), *BABY_DIRECTIONS.values()),
        presets=(Preset("Half and half", {"genes": 0.5, "age": 10}),),
        networks=(GENERATOR_FILE, encoder_file(), *directions.values()),
        convert=conversion(
            ("stylegan1", NETWORK.path, FOLDER),
            *(("keras-encoder", file.path, FOLDER) for file in encoder_weights()),
            *(("direction", file.path, file.path.parent) for file in BABY_DIRECTIONS.values()),
        ),
        needs_gpu=True,
        frame=frame_networks(),
    )


def _babygan_sliders(way: Callable[[str], Direction]) -> dict[str, Slider]:
    return {name: Slider(way(name), reach_of(name)) for name in BABY_SLIDERS}


def _placeholder(name: str) -> Direction:
    """Stands for a direction where only the controls are wanted."""
    return Direction(name, np.zeros(1, np.float32), GENERATOR)


def entries() -> tuple[Entry, ...]:
    """The rows of this system: on StyleGAN2 behind e4e, and on the generator of its authors."""
    return _on_stylegan2(), _on_stylegan1()
