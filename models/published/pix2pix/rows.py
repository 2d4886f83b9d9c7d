"""pix2pix (Isola et al. 2017) and CoupleGenerator: the other half, in the catalog."""

from __future__ import annotations

from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.pix2pix.editor import OtherHalf, other_half_controls
from models.weights.sources import conversion


def _pix2pix(name: str, title: str, description: str, *, file: str, origin: str) -> Entry:
    """A translation the user brings: nobody publishes weights for couples that can still be had."""
    folder = weights_folder() / name
    weights = Weights(folder / file, "your own, or that of where you got it", origin)
    network = folder / "AtoB.onnx"

    backwards = folder / "BtoA.onnx"

    def controls() -> type[Controls]:
        return other_half_controls(("AtoB", "BtoA") if backwards.is_file() else ("AtoB",))

    def load(load_engine: LoadEngine) -> AnyEditor:
        generators = {"AtoB": load_engine(network)}
        if backwards.is_file():
            generators["BtoA"] = load_engine(backwards)
        return OtherHalf(generators, name=name)

    return Entry(
        name=name,
        title=title,
        description=description,
        controls=controls,
        load=load,
        weights=(weights,),
        presets=(Preset("The other half", {"which": "AtoB"}),),
        networks=(network,),
        convert=conversion((name, weights.path, folder)),
        frame=(name,),
    )


def entries() -> tuple[Entry, ...]:
    """The rows of this system."""
    return (
        _pix2pix(
            "pix2pix",
            "The other half",
            "Your translation of one face into another, trained with pix2pix.",
            file="latest_net_G.pth",
            origin="training with github.com/junyanz/pytorch-CycleGAN-and-pix2pix, unet_256 or another depth",
        ),
        _pix2pix(
            "couplegenerator",
            "The other half of a couple",
            "The face of a possible partner. Its authors' weights are no longer online: bring them if you have them.",
            file="variables.npz",
            origin="the TensorFlow checkpoint of github.com/irfanICMLL/CoupleGenerator, its variables saved as .npz",
        ),
    )
