"""LATS: a face from baby to seventy (Or-El et al. 2020), in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.lats.editor import Lats, LatsControls
from models.weights.sources import CC_BY_NC_SA, conversion, drive

LATS_MIRROR = "https://grail.cs.washington.edu/projects/lifespan_age_transformation_synthesis/pretrained_models"


def _lats() -> Entry:
    folder = weights_folder() / "lats"
    networks = {model: folder / model / "ageing.onnx" for model in ("male", "female")}
    files = tuple(
        Weights(
            folder / model / "latest_net_g_running.pth",
            CC_BY_NC_SA,
            "github.com/royorel/Lifespan_Age_Transformation_Synthesis",
            size,
            urls=(drive(identifier), f"{LATS_MIRROR}/{model}s_model.zip"),
            md5=md5,
            member="latest_net_g_running.pth",
        )
        for model, identifier, size, md5 in (
            ("male", "1MsXN54hPi9PWDmn1HKdmKfv-J5hWYFVZ", 213_175_683, "0079186147ec816176b946a073d1f396"),
            ("female", "1LNm0zAuiY0CIJnI0lHTq1Ttcu9_M1NAJ", 213_218_113, "0675f809413c026170cf1f22b27f3c5d"),
        )
    )

    def load(load_engine: LoadEngine) -> AnyEditor:
        return Lats({model: load_engine(path) for model, path in networks.items()})

    return Entry(
        name="lats",
        title="Lifespan",
        description="You from baby to seventy, head shape and hair included.",
        controls=lambda: LatsControls,
        load=load,
        weights=files,
        presets=(
            Preset("Baby, girl", {"age": 1, "model": "female"}),
            Preset("Baby, boy", {"age": 1, "model": "male"}),
            Preset("Old woman", {"age": 65, "model": "female"}),
            Preset("Old man", {"age": 65, "model": "male"}),
        ),
        networks=tuple(networks.values()),
        frame=("lats",),
        convert=conversion(*(("lats", file.path, file.path.parent) for file in files)),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_lats(),)
