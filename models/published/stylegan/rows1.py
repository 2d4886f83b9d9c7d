"""The first StyleGAN in the catalog: the hyperplanes of the bald generator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models import latents
from models.boundaries.sliders import REACH as FITTED_REACH
from models.boundaries.sliders import WITHOUT, boundaries_stamp, fitted_boundaries, slider_title
from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.stylegan.directions import sha256_of
from models.published.stylegan.editor import INTERFACEGAN_REACH, LatentEditor, Slider, latent_controls
from models.weights.sources import CC_BY_NC, conversion, drive, github

GENERATOR = "stylegan1-ffhq"

FOLDER = weights_folder() / "stylegan1"
NETWORK = Weights(
    FOLDER / "karras2019stylegan-ffhq-1024x1024.pkl",
    CC_BY_NC,
    "github.com/NVlabs/stylegan",
    324_000_000,
    urls=(drive("1MEGjdvVpUsu1jB4zrXZN7Y4kBBOzizDQ"),),
)
OWN_ENCODER = FOLDER / "encoder.onnx"
"""An encoder of the user's own into W+ of this generator; one that is there takes the place of the published one."""
ENCODER = Weights(
    FOLDER / "finetuned_resnet.h5",
    CC_BY_NC,
    "github.com/pbaylies/stylegan-encoder",
    urls=(drive("1aT59NFy9-bNyXjDuZOTMl0qX0jmZc6Zb"),),
)
ENCODER_FILE = FOLDER / "resnet.onnx"
GENERATOR_FILE = FOLDER / "generator.onnx"

BOUNDARIES = {
    name: Weights(
        FOLDER / f"stylegan_ffhq_{name}_w_boundary.npy",
        "MIT",
        "github.com/genforce/interfacegan",
        4_224,
        sha256_of("interfacegan", name, GENERATOR, "W"),
        urls=(github("genforce/interfacegan", f"boundaries/stylegan_ffhq_{name}_w_boundary.npy"),),
    )
    for name in ("age", "eyeglasses", "gender", "pose", "smile")
}
"""InterFaceGAN's boundaries in W of the FFHQ StyleGAN."""
CONVERTED = {name: file.path.with_suffix(".npz") for name, file in BOUNDARIES.items()}


def entries() -> tuple[Entry, ...]:
    """The rows of this generator."""
    return (_hyperplanes(),)


def encoder_weights() -> tuple[Weights, ...]:
    """The files that the encoder needs: none beside one of the user's own."""
    return () if OWN_ENCODER.is_file() else (ENCODER,)


def frame_networks() -> tuple[str, ...]:
    """`Entry.frame` of an editor behind the published encoder; what one of the user's own costs nobody has counted."""
    return () if OWN_ENCODER.is_file() else ("stylegan1-encoder", "stylegan1", "stylegan1")


def encoder_file() -> Path:
    """The network that reads a face into W+."""
    return OWN_ENCODER if OWN_ENCODER.is_file() else ENCODER_FILE


def _hyperplanes() -> Entry:
    def load(load_engine: LoadEngine) -> AnyEditor:
        fitted = fitted_boundaries("stylegan1")
        boundaries = {name: latents.load(path) for name, path in (CONVERTED | fitted).items()}
        sliders = {
            name: Slider(boundary, FITTED_REACH if name in fitted else INTERFACEGAN_REACH, slider_title(name))
            for name, boundary in boundaries.items()
        }
        held = {name: boundary for name, boundary in boundaries.items() if WITHOUT not in name}
        encoder, generator = load_engine(encoder_file()), load_engine(GENERATOR_FILE)
        return LatentEditor(encoder, generator, GENERATOR, sliders, held, name="stylegan1")

    return Entry(
        name="stylegan1",
        title="Hairstyle by hyperplanes",
        description="Age, glasses, gender and the hyperplanes you fit (bald, fringe, grey), each held off what it must "
        "not move.",
        controls=_controls,
        load=load,
        weights=(NETWORK, *encoder_weights(), *BOUNDARIES.values()),
        presets=(Preset("Older, the same gender", {"age": 0.7, "hold_gender": True}),),
        networks=(GENERATOR_FILE, encoder_file(), *CONVERTED.values()),
        convert=conversion(
            ("stylegan1", NETWORK.path, FOLDER),
            *(("keras-encoder", file.path, FOLDER) for file in encoder_weights()),
            *(("direction", file.path, FOLDER) for file in BOUNDARIES.values()),
        ),
        needs_gpu=True,
        stamp=lambda: boundaries_stamp("stylegan1"),
        frame=frame_networks(),
    )


def _controls() -> type[Controls]:
    """The published boundaries, and those fitted by `python -m models.latents make`."""
    names: Sequence[str] = list(CONVERTED | fitted_boundaries("stylegan1"))
    return latent_controls(
        {name: (slider_title(name), True) for name in names}, [name for name in names if WITHOUT not in name]
    )
