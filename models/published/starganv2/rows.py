"""StarGAN v2: another look (Choi et al. 2020), in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.starganv2.editor import StarGanV2, StarGanV2Controls
from models.weights.sources import CC_BY_NC, conversion, dropbox


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

    def load(load_engine: LoadEngine) -> AnyEditor:
        generator, mapping, style_encoder = map(load_engine, networks)
        return StarGanV2(generator, mapping, style_encoder)

    return Entry(
        name="starganv2",
        title="Other looks",
        description="Another face, hair and make-up on your head, in a style drawn by a number or taken from a photo.",
        controls=lambda: StarGanV2Controls,
        load=load,
        weights=(file,),
        presets=(Preset("A woman", {"domain": "female", "seed": 1}), Preset("A man", {"domain": "male", "seed": 1})),
        networks=networks,
        frame=("starganv2",),
        convert=conversion(("starganv2", file.path, folder)),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_starganv2(),)
