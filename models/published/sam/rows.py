"""SAM: a face at any age (Alaluf et al. 2021), in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, weights_folder
from models.published.sam.editor import Sam, SamControls
from models.published.stylegan.rows import inverter_checkpoint
from models.weights.sources import conversion


def _sam() -> Entry:
    folder = weights_folder() / "sam"
    file = inverter_checkpoint(
        "sam", "sam_ffhq_aging.pt", "yuval-alaluf/SAM", "1XyumF6_fdAxFmxpFcmPf-q84LU_22EMC", 2_270_000_000
    )
    networks = tuple(folder / name for name in ("identity.onnx", "ageing.onnx", "generator.onnx"))

    def load(load_engine: LoadEngine) -> AnyEditor:
        return Sam(*map(load_engine, networks))

    return Entry(
        name="sam",
        title="Age by SAM",
        description="Any age from 0 to 100, drawn by StyleGAN2.",
        controls=lambda: SamControls,
        load=load,
        weights=(file,),
        presets=(Preset("Eighty", {"age": 80}), Preset("Thirty", {"age": 30}), Preset("Five", {"age": 5})),
        networks=networks,
        convert=conversion(("sam", file.path, folder)),
        needs_gpu=True,
        frame=("e4e", "e4e", "stylegan2", "stylegan2"),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_sam(),)
