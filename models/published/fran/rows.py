"""FRAN: another age as a residual (Zoss et al. 2022), in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.fran.editor import Fran, FranControls
from models.weights.sources import conversion


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
        return Fran(load_engine(network))

    return Entry(
        name="fran",
        title="Re-aging",
        description="Older or younger by a residual on the camera's own pixels; you say how old you are.",
        controls=lambda: FranControls,
        load=load,
        weights=(file,),
        presets=(Preset("Eighty", {"target_age": 80}), Preset("Eighteen", {"target_age": 18})),
        networks=(network,),
        convert=conversion(("fran", file.path, folder)),
        needs_gpu=True,
        frame=("fran",),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_fran(),)
