"""HairMapper: hair removal in W+ (Wu et al. 2022), in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, weights_folder
from models.published.hairmapper.editor import HairMapper, HairMapperControls
from models.weights.sources import E4E, E4E_NETWORKS, conversion, own_weights


def _hairmapper() -> Entry:
    folder = weights_folder() / "hairmapper"
    file = own_weights(
        folder / "best_model.pt",
        "github.com/oneThousand1000/HairMapper, whose authors send it on request; not for commercial use",
    )
    network = folder / "mapper.onnx"

    def load(load_engine: LoadEngine) -> AnyEditor:
        encoder, generator = map(load_engine, E4E_NETWORKS)
        return HairMapper(encoder, load_engine(network), generator)

    return Entry(
        name="hairmapper",
        title="Bald by HairMapper",
        description="The hair taken off, drawn by StyleGAN2.",
        controls=lambda: HairMapperControls,
        load=load,
        weights=(file, E4E),
        presets=(Preset("Bald", {"amount": 1.0}),),
        networks=(network, *E4E_NETWORKS),
        convert=conversion(("hairmapper", file.path, folder), ("e4e", E4E.path, E4E.path.parent)),
        needs_gpu=True,
        frame=("e4e", "hairmapper", "stylegan2"),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_hairmapper(),)
