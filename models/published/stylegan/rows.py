"""StyleGAN2 behind an encoder, in the catalog: e4e, pSp, ReStyle, MobileStyleGAN, a generator of the user."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from models import latents
from models.boundaries.sliders import REACH as FITTED_REACH
from models.boundaries.sliders import WITHOUT, boundaries_stamp, fitted_boundaries, slider_title
from models.editor import AnyEditor, Controls, title_of
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.latents import Components, Direction
from models.published.controls import SEMANTICS, semantic_title
from models.published.stylegan import directions, rows1
from models.published.stylegan.directions import GANSPACE_FFHQ
from models.published.stylegan.editor import CoordinateSlider, LatentEditor, Slider, latent_controls
from models.weights.sources import (
    E4E,
    E4E_FRAME,
    E4E_NETWORKS,
    NVIDIA,
    NVIDIA_SOURCE,
    conversion,
    drive,
    github,
)

GENERATOR = "stylegan2-ffhq"

E4E_REPOSITORY = "omertov/encoder4editing"
SEEPRETTYFACE = "a312863063/generators-with-stylegan2"
PCA = "ffhq_pca"


def _direction(repository: str, path: str, *, licence: str, size: int, sha256: str, branch: str = "master") -> Weights:
    """A file of directions; it keeps the name its authors gave it."""
    return Weights(
        weights_folder() / "directions" / path.rpartition("/")[2],
        licence,
        f"github.com/{repository}",
        size,
        sha256,
        urls=(github(repository, path, branch),),
    )


E4E_DIRECTIONS = {
    name: _direction(
        E4E_REPOSITORY,
        f"editings/{path}/{name}.pt",
        licence="MIT",
        size=size,
        sha256=directions.sha256_of("e4e", name),
        branch="main",
    )
    for name, path, size in (
        ("age", "interfacegan_directions", 2_808),
        ("smile", "interfacegan_directions", 2_808),
        ("pose", "interfacegan_directions", 37_624),
        (PCA, "ganspace_pca", 167_562),
    )
}
"""e4e's directions and principal components of the FFHQ StyleGAN2."""

SEEPRETTYFACE_DIRECTIONS = {
    name: _direction(
        SEEPRETTYFACE,
        f"latent_directions/{name}.npy",
        licence=NVIDIA_SOURCE,
        size=73_856,
        sha256=directions.sha256_of("sg2_seeprettyface", name),
    )
    for name in ("gender", "glasses", "eyes_open", "angle_pitch", "emotion_angry", "emotion_surprise", "width")
}
"""Directions of W+ for its first eight rows."""

DIRECTIONS = E4E_DIRECTIONS | SEEPRETTYFACE_DIRECTIONS
"""Whatever moves the FFHQ StyleGAN2; it serves every encoder into its W+."""
CONVERTED = {name: file.path.with_suffix(".npz") for name, file in DIRECTIONS.items()}

REACH, SEEPRETTYFACE_REACH = 5.0, 12.0
"""Lengths of a direction at a slider's ends, as far as its authors go."""

TITLES = {"angle_pitch": "Pitch", "emotion_angry": "Angry", "emotion_surprise": "Surprised", "width": "Face width"}


def convert_directions() -> None:
    """Check and rewrite the directions as .npz, which needs no torch to read."""
    for file in DIRECTIONS.values():
        directions.convert(file.path, file.path.parent)


class Inverter(NamedTuple):
    """An encoder into W+ with the generator that its checkpoint carries.

    Attributes:
        name: of its row and folder.
        title, description: for the page.
        file: its checkpoint.
        system: its converter.
    """

    name: str
    title: str
    description: str
    file: Weights
    system: str


def inverter_checkpoint(name: str, file: str, repository: str, identifier: str, size: int = 0) -> Weights:
    return Weights(weights_folder() / name / file, NVIDIA, f"github.com/{repository}", size, urls=(drive(identifier),))


EDITS = "Age, smile and pose along directions, and finer edits along principal components of the generator."
RESTYLE_SIZE = 944_000_000  # its tensors; no source states the files' sizes
RESTYLE = "yuval-alaluf/restyle-encoder"
INVERTERS = (
    Inverter("e4e", "StyleGAN2 by e4e", EDITS, E4E, "e4e"),
    Inverter(
        "psp",
        "StyleGAN2 by pSp",
        f"{EDITS} Closer to the face than e4e, less editable.",
        inverter_checkpoint(
            "psp",
            "psp_ffhq_encode.pt",
            "eladrich/pixel2style2pixel",
            "1bMTNWkh5LArlaWSc_wa8VKyq2V42T2z0",
            1_200_000_000,
        ),
        "psp",
    ),
    Inverter(
        "restyle-e4e",
        "StyleGAN2 by ReStyle over e4e",
        f"{EDITS} Refined in several rounds.",
        inverter_checkpoint(
            "restyle-e4e", "restyle_e4e_ffhq_encode.pt", RESTYLE, "1e2oXVeBPXMQoUoC_4TNwAWpOPpSEhE_e", RESTYLE_SIZE
        ),
        "restyle",
    ),
    Inverter(
        "restyle-psp",
        "StyleGAN2 by ReStyle over pSp",
        f"{EDITS} Refined in several rounds.",
        inverter_checkpoint(
            "restyle-psp", "restyle_psp_ffhq_encode.pt", RESTYLE, "1sw6I2lRIB0MpuJkpc8F5BJiSZrc0hjfE", RESTYLE_SIZE
        ),
        "restyle",
    ),
)


def _latent(inverter: Inverter) -> Entry:
    folder = inverter.file.path.parent
    networks = (folder / "encoder.onnx", folder / "generator.onnx")
    semantics = _semantics(folder)

    def load(load_engine: LoadEngine) -> AnyEditor:
        return _latent_editor(inverter.name, load_engine, networks, semantics)

    return Entry(
        name=inverter.name,
        title=inverter.title,
        description=inverter.description,
        controls=partial(_latent_controls, inverter.name),
        stamp=partial(boundaries_stamp, inverter.name),
        load=load,
        weights=(inverter.file, *DIRECTIONS.values()),
        presets=(
            Preset("Smile", {"smile": 0.6}),
            Preset("Older", {"age": 0.8}),
            Preset("White hair", {"white_hair": 1.0}),
        ),
        networks=(*networks, *semantics.values(), *CONVERTED.values()),
        convert=conversion((inverter.system, inverter.file.path, folder), after=convert_directions),
        needs_gpu=True,
        frame=("restyle", *E4E_FRAME[1:]) if inverter.system == "restyle" else E4E_FRAME,
    )


def _mobile() -> Entry:
    folder = weights_folder() / "mobilestylegan"
    file = Weights(
        folder / "mobilestylegan_ffhq.ckpt",
        "Apache-2.0; distilled from a network under the NVIDIA Source Code License (not for commercial use)",
        "github.com/bes-dev/MobileStyleGAN.pytorch",
        urls=(drive("11Kja0XGE8liLb6R5slNZjF3j3v_6xydt"),),
        md5="8de24b4d08049c32dbec8beca5ed2074",
    )
    networks = (E4E_NETWORKS[0], folder / "generator.onnx")
    semantics = _semantics(E4E.path.parent)  # of the generator that it was taught by

    def load(load_engine: LoadEngine) -> AnyEditor:
        return _latent_editor("mobilestylegan", load_engine, networks, semantics)

    return Entry(
        name="mobilestylegan",
        title="MobileStyleGAN by e4e",
        description="As StyleGAN2 by e4e, with a generator small enough for a CPU.",
        controls=partial(_latent_controls, "mobilestylegan"),
        stamp=partial(boundaries_stamp, "mobilestylegan"),
        load=load,
        weights=(file, E4E, *DIRECTIONS.values()),
        presets=(Preset("Smile", {"smile": 0.6}), Preset("Older", {"age": 0.8})),
        networks=(*networks, *semantics.values(), *CONVERTED.values()),
        convert=conversion(
            ("mobilestylegan", file.path, folder), ("e4e", E4E.path, E4E.path.parent), after=convert_directions
        ),
        needs_gpu=True,
        frame=("e4e", "mobilestylegan", "mobilestylegan"),
    )


def _own_generator() -> Entry:
    folder = weights_folder() / "stylegan2"
    file = Weights(
        folder / "generator.pth",
        "that of where you got it",
        "github.com/genforce/genforce (stylegan2_ffhq1024.pth), github.com/mchong6/JoJoGAN, your own training, ...",
    )
    networks = (E4E_NETWORKS[0], folder / "generator.onnx")
    semantics = _semantics(folder)

    def load(load_engine: LoadEngine) -> AnyEditor:
        return _latent_editor("stylegan2", load_engine, networks, semantics)

    return Entry(
        name="stylegan2",
        title="A StyleGAN2 of yours by e4e",
        description="Any generator of the FFHQ family behind e4e: GenForce's, JoJoGAN's styles, "
        "stylegan2-ada-pytorch's, NVIDIA's.",
        controls=partial(_latent_controls, "stylegan2"),
        stamp=partial(boundaries_stamp, "stylegan2"),
        load=load,
        weights=(file, E4E, *DIRECTIONS.values()),
        presets=(Preset("Smile", {"smile": 0.6}), Preset("Older, as it is drawn", {"age": 0.8, "detail": "full"})),
        networks=(*networks, *semantics.values(), *CONVERTED.values()),
        convert=conversion(
            ("stylegan2", file.path, folder), ("e4e", E4E.path, E4E.path.parent), after=convert_directions
        ),
        needs_gpu=True,
        frame=E4E_FRAME,
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (*map(_latent, INVERTERS), _mobile(), _own_generator(), *rows1.entries())


def _semantics(folder: Path) -> dict[str, Path]:
    """Control -> file of the semantics of the generator in a folder."""
    return {name: folder / f"{name}.npz" for name in SEMANTICS}


def _latent_editor(
    name: str, load_engine: LoadEngine, networks: tuple[Path, ...], semantics: Mapping[str, Path]
) -> AnyEditor:
    fitted = {way: latents.load(path) for way, path in fitted_boundaries(name).items()}
    ways = {way: latents.load(path) for way, path in CONVERTED.items() if way != PCA}
    components = latents.load_components(CONVERTED[PCA])
    encoder, generator = map(load_engine, networks)
    sliders = _sliders(ways, components)
    sliders |= {way: Slider(latents.load(path), REACH, semantic_title(way)) for way, path in semantics.items()}
    sliders |= {way: Slider(direction, FITTED_REACH, slider_title(way)) for way, direction in fitted.items()}
    held = ways | {way: direction for way, direction in fitted.items() if WITHOUT not in way}
    return LatentEditor(encoder, generator, GENERATOR, sliders, held, name=name)


def _latent_controls(name: str) -> type[Controls]:
    """The published sliders, and those fitted by `python -m models.latents make`, which replace those of their name."""
    fitted = fitted_boundaries(name)
    ways = [name for name in CONVERTED if name != PCA]
    both_ways = {name: (TITLES.get(name, ""), True) for name in ways}
    one_way = {name: ("", False) for name in GANSPACE_FFHQ if name not in ways}
    own = {name: (slider_title(name), True) for name in fitted}
    held = list(dict.fromkeys([*ways, *(name for name in fitted if WITHOUT not in name)]))
    return latent_controls(
        both_ways | one_way | {name: (semantic_title(name), True) for name in SEMANTICS} | own,
        held,
    )


def _sliders(ways: Mapping[str, Direction], components: Components) -> dict[str, Slider | CoordinateSlider]:
    sliders: dict[str, Slider | CoordinateSlider] = {
        name: Slider(way, reach_of(name), TITLES.get(name, "")) for name, way in ways.items()
    }
    for name, edit in GANSPACE_FFHQ.items():
        title = title_of(name)
        # The directions have the better smile.
        if name not in ways:
            sliders[name] = CoordinateSlider(components, edit.component, edit.rows, edit.value, title)
    return sliders


def reach_of(name: str) -> float:
    return SEEPRETTYFACE_REACH if name in SEEPRETTYFACE_DIRECTIONS else REACH
