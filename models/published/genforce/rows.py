"""GenForce in the catalog: PGGAN, in-domain inversion, the encoder of style vectors."""

from __future__ import annotations

from models import latents
from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.controls import SEMANTICS, semantic_title
from models.published.genforce.editor import Pggan, pggan_controls
from models.published.stylegan.directions import sha256_of
from models.published.stylegan.editor import INTERFACEGAN_REACH, LatentEditor, Slider, latent_controls
from models.weights.sources import CC_BY_NC, conversion, drive, github, own_weights

IDINVERT, STYLES = "stylegan1-idinvert", "genforce-y"
"""Generators: of in-domain inversion, and a user's own with GenForce's encoder."""

INTERFACEGAN, INVERSION = "genforce/interfacegan", "genforce/idinvert_pytorch"
PGGAN_URL = (
    "https://mycuhk-my.sharepoint.com/:u:/g/personal/1155082926_link_cuhk_edu_hk/"
    "EW_3jQ6E7xlKvCSHYrbmkQQBAB8tgIv5W5evdT6-GuXiWw?e=gRifVa&download=1"
)


def _pggan() -> Entry:
    folder = weights_folder() / "pggan"
    # Nobody publishes one; who has one puts it here.
    encoder = folder / "encoder.onnx"
    file = Weights(
        folder / "pggan_celebahq1024.pth", CC_BY_NC, "github.com/genforce/genforce", 92_000_000, urls=(PGGAN_URL,)
    )
    boundaries = {
        name: Weights(
            folder / f"pggan_celebahq_{name}_boundary.npy",
            "MIT",
            f"github.com/{INTERFACEGAN}",
            4_224,
            sha256_of("interfacegan", name, "pggan-celebahq"),
            urls=(github(INTERFACEGAN, f"boundaries/pggan_celebahq_{name}_boundary.npy"),),
        )
        for name in ("age", "eyeglasses", "gender", "pose", "smile")
    }
    converted = {name: each.path.with_suffix(".npz") for name, each in boundaries.items()}
    network = folder / "generator.onnx"

    def controls() -> type[Controls]:
        return pggan_controls(boundaries, reads=encoder.is_file())

    def load(load_engine: LoadEngine) -> AnyEditor:
        ways = {name: latents.load(path) for name, path in converted.items()}
        return Pggan(load_engine(network), ways, load_engine(encoder) if encoder.is_file() else None)

    return Entry(
        name="pggan",
        title="A drawn face",
        description="A face that PGGAN draws in place of yours: its age, glasses, gender, pose and smile. With an "
        "encoder of your own into its Z, your face.",
        controls=controls,
        load=load,
        weights=(file, *boundaries.values()),
        presets=(Preset("Another face", {"show": True, "seed": 7}),) if not encoder.is_file() else (),
        networks=(network, *converted.values()),
        convert=conversion(
            ("pggan", file.path, folder), *(("direction", each.path, folder) for each in boundaries.values())
        ),
        needs_gpu=True,
        place=0,
        frame=("pggan",) if not encoder.is_file() else (),
    )


def _idinvert() -> Entry:
    folder = weights_folder() / "idinvert"
    parts = {
        "encoder": ("styleganinv_ffhq256_encoder.pth", "1gij7xy05crnyA-tUTQ2F3yYlAlu6p9bO"),
        "generator": ("styleganinv_ffhq256_generator.pth", "1SjWD4slw612z2cXa3-n38JwKZXqDUerG"),
    }
    files = {
        part: Weights(folder / name, "MIT", f"github.com/{INVERSION}", urls=(drive(identifier),))
        for part, (name, identifier) in parts.items()
    }
    boundaries = {
        name: Weights(
            folder / f"{name}.npy",
            "MIT",
            f"github.com/{INVERSION}",
            size,
            sha256_of("idinvert", name),
            urls=(github(INVERSION, f"boundaries/stylegan_ffhq256/{name}.npy"),),
        )
        for name, size in (
            ("age", 43_126),
            ("expression", 43_757),
            ("eyeglasses", 43_834),
            ("gender", 43_490),
            ("pose", 43_654),
        )
    }
    converted = {name: each.path.with_suffix(".npz") for name, each in boundaries.items()}
    networks = tuple(folder / f"{part}.onnx" for part in files)

    def load(load_engine: LoadEngine) -> AnyEditor:
        ways = {name: latents.load(path) for name, path in converted.items()}
        encoder, generator = map(load_engine, networks)
        sliders = {name: Slider(way, INTERFACEGAN_REACH) for name, way in ways.items()}
        return LatentEditor(encoder, generator, IDINVERT, sliders, ways, name="idinvert")

    return Entry(
        name="idinvert",
        title="StyleGAN by in-domain inversion",
        description="Age, expression, glasses, gender and pose at 256 pixels, by an encoder that stays in the "
        "generator's domain.",
        controls=lambda: latent_controls(dict.fromkeys(boundaries, ("", True)), list(boundaries)),
        load=load,
        weights=(*files.values(), *boundaries.values()),
        presets=(Preset("Older", {"age": 0.7}),),
        networks=(*networks, *converted.values()),
        convert=conversion(
            *((f"idinvert-{part}", each.path, folder) for part, each in files.items()),
            *(("direction", each.path, folder) for each in boundaries.values()),
        ),
        needs_gpu=True,
        frame=("idinvert-encoder", "idinvert-generator", "idinvert-generator"),
    )


def _styles() -> Entry:
    folder = weights_folder() / "genforce-y"
    file = own_weights(folder / "checkpoint.pth", "training with github.com/genforce/genforce, encoder_y")
    networks = tuple(folder / f"{part}.onnx" for part in ("encoder", "generator"))
    semantics = {name: folder / f"{name}.npz" for name in SEMANTICS}

    def load(load_engine: LoadEngine) -> AnyEditor:
        encoder, generator = map(load_engine, networks)
        ways = {name: latents.load(path) for name, path in semantics.items()}
        sliders = {name: Slider(way, INTERFACEGAN_REACH, semantic_title(name)) for name, way in ways.items()}
        return LatentEditor(encoder, generator, STYLES, sliders, name="genforce-y")

    return Entry(
        name="genforce-y",
        title="StyleGAN by style vectors",
        description="What your StyleGAN varies most, by GenForce's encoder of style vectors. Train it yourself: its "
        "authors publish no weights.",
        controls=lambda: latent_controls({name: (semantic_title(name), True) for name in SEMANTICS}, ()),
        load=load,
        weights=(file,),
        presets=(Preset("The first semantic", {SEMANTICS[0]: 0.5}),),
        networks=(*networks, *semantics.values()),
        convert=conversion(("genforce-y", file.path, folder)),
        needs_gpu=True,
        frame=("genforce-y-encoder", "genforce-y-generator", "genforce-y-generator"),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of these systems."""
    return _pggan(), _idinvert(), _styles()
