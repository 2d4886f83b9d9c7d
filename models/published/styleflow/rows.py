"""StyleFlow: attributes by a conditional flow in W+ (Abdal et al. 2021), in the catalog."""

from __future__ import annotations

import numpy as np

from models.editor import AnyEditor
from models.embedded import EMBEDDED
from models.embedded.attributes import READER, read_tables
from models.embedded.scalp import ScalpModel
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.face.texture_space import FaceSpace
from models.published.styleflow.attributes import AttributeReader
from models.published.styleflow.editor import LIGHTS, StyleFlow, StyleFlowControls
from models.weights.sources import CC_BY_NC_SA, E4E, E4E_NETWORKS, conversion, github


def _styleflow() -> Entry:
    folder = weights_folder() / "styleflow"
    origin = "github.com/RameenAbdal/StyleFlow"
    flow = Weights(
        folder / "modellarge10k.pt",
        CC_BY_NC_SA,
        origin,
        6_800_000,
        urls=(github("RameenAbdal/StyleFlow", "flow_weight/modellarge10k.pt"),),
    )
    lights = Weights(
        folder / "light.npy",
        CC_BY_NC_SA,
        origin,
        36_128,
        "cfe21f120329fdf4caa028ef30e0621149da28da300a2a54021d570352b89b3c",
        urls=(github("RameenAbdal/StyleFlow", "data/light.npy"),),
    )
    network = folder / "flow.onnx"

    def load(load_engine: LoadEngine) -> AnyEditor:
        encoder, generator = map(load_engine, E4E_NETWORKS)
        samples = np.load(lights.path, allow_pickle=False).reshape(-1, LIGHTS)
        tables = read_tables(EMBEDDED)
        reader = AttributeReader(
            load_engine(EMBEDDED / READER), FaceSpace.from_tables(tables), ScalpModel.from_tables(tables), samples
        )
        return StyleFlow(encoder, generator, load_engine(network), samples, reader)

    return Entry(
        name="styleflow",
        title="Attributes",
        description="Age, baldness, beard, expression, glasses, pose or light; what you do not touch stays as it is. "
        "Your own attributes and light are read of your face.",
        controls=lambda: StyleFlowControls,
        load=load,
        weights=(flow, lights, E4E),
        presets=(Preset("Old", {"age": 65}), Preset("Bald", {"baldness": 0.8}), Preset("Beard", {"beard": 0.8})),
        networks=(network, lights.path, *E4E_NETWORKS),
        convert=conversion(("styleflow", flow.path, folder), ("e4e", E4E.path, E4E.path.parent)),
        needs_gpu=True,
        frame=("e4e", "styleflow", "stylegan2", "stylegan2"),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (_styleflow(),)
