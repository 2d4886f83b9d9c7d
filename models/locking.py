"""Lock a latent editor to one person: a snapshot is inverted once, and from then on the live face moves that latent.

An encoder's code of a frame is quick and approximate. The code that an inversion finds of a snapshot draws that person;
what the encoder reads of a later frame, less what it read of the snapshot, is pose and expression. So the latent is the
inverted code plus that difference: a constant offset on whatever the encoder reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.onnx_file import open_network
from models.arrays import Floats, Image, Latent
from models.editor import AnyEditor, Crop, Edit, Editor, Inpainting
from models.entry import Entry
from models.published.drawing import to_network
from models.published.stylegan.wplus import resize_pictures

if TYPE_CHECKING:
    from torch import Tensor

ENCODERS, GENERATORS = ("encoder.onnx", "identity.onnx", "resnet.onnx"), ("generator.onnx", "decoder.onnx")
"""Names of the networks of a latent editor: what reads a code, what draws one."""
STEPS = 100
RATE = 0.05

Step = Callable[[int, int], None]
"""Told the step and the number of steps; what it raises stops the descent."""


class LockError(RuntimeError):
    """An editor cannot be locked here; the message says why."""


def latent_networks(entry: Entry) -> tuple[Path, Path] | None:
    """The encoder and the generator of a latent editor; None where an editor has not both."""
    by_name = {path.name: path for path in entry.networks}
    encoder, generator = (
        next((by_name[name] for name in names if name in by_name), None) for names in (ENCODERS, GENERATORS)
    )
    return None if encoder is None or generator is None else (encoder, generator)


class LockedEditor(Editor[Any]):
    """A latent editor whose readings are moved by what an inversion found.

    Args:
        editor: whose.
        offset: (n,) float32, added to the code in its latents.
    """

    def __init__(self, editor: AnyEditor, offset: Floats) -> None:
        self._editor = editor
        self._offset = offset
        self.name, self.Controls = editor.name, editor.Controls
        self.crop, self.wider = editor.crop, editor.wider
        self.latent_seconds, self.encode_seconds = editor.latent_seconds, editor.encode_seconds
        self.lasting = editor.lasting
        self.inpaint_seconds, self.references = editor.inpaint_seconds, editor.references
        self.code_start, self.reads_age = editor.code_start, editor.reads_age

    def encode(self, crop: Crop, controls: Any) -> Latent:
        """The editor's latent, its code moved by the offset."""
        latent = np.array(self._editor.encode(crop, controls), np.float32)
        latent[self.code_start : self.code_start + len(self._offset)] += self._offset
        return latent

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """As the editor."""
        return self._editor.steer(latent, controls)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        """As the editor."""
        return self._editor.render(crop, latent, steered, controls)

    def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Inpainting | None:
        """As the editor."""
        return self._editor.inpaint(crop, latent, steered, controls)

    def obstacles(self, crop: Crop, latent: Latent, controls: Any) -> Mapping[str, str]:
        """As the editor."""
        return self._editor.obstacles(crop, latent, controls)

    def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
        """As the editor."""
        return self._editor.wanted_side(crop, latent, steered, controls)

    def wants_steady_light(self, controls: Any) -> bool:
        """As the editor."""
        return self._editor.wants_steady_light(controls)

    def wants_backdrop(self, controls: Any) -> bool:
        """As the editor."""
        return self._editor.wants_backdrop(controls)

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """As the editor."""
        return self._editor.read_photo(crop)

    def knows_photo(self, id: str) -> bool:
        """As the editor."""
        return self._editor.knows_photo(id)


def invert_snapshot(entry: Entry, image: Image, step: Step, steps: int = STEPS) -> Floats:
    """What to add to an encoder's codes so that the snapshot's draws the snapshot.

    The networks are those that run live, read into PyTorch. Besides pixels, the encoder's codes compare the pictures.
    Takes minutes on a processor, seconds on a GPU.

    Args:
        entry: of a latent editor, with its networks made.
        image: (S, S, 3) uint8 RGB, the face as the editor cuts it.
        step: told after every step.
        steps: of descent.

    Returns:
        (n,) float32.

    Raises:
        LockError: the editor has no latent, or PyTorch or onnx is not installed.
        InversionError: the descent failed.
        EngineError: a network cannot be read.
    """
    networks = latent_networks(entry)
    if networks is None:
        raise LockError(f"{entry.title} moves no latent that could be locked")
    try:
        import torch  # heavy, and not installed everywhere  # noqa: PLC0415

        from engines.graph.onnx_module import load_module  # noqa: PLC0415
        from models.inversion import invert  # noqa: PLC0415
    except ImportError as error:
        raise LockError(f"locking takes {error.name or 'PyTorch'}, which is not installed on this server") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder, generator = (load_module(open_network(path), "f32") for path in networks)
    side = encoder.inputs[0].shape[-1] or len(image)
    rows = generator.inputs[0].shape[1] or 1
    target = torch.from_numpy(resize_pictures(to_network(image), side)).to(device)
    encode, draw = encoder.module.to(device), generator.module.to(device)

    def draws(codes: Tensor) -> Tensor:
        picture: Tensor = draw(codes.expand(-1, rows, -1))[0]
        return picture

    def read(picture: Tensor) -> list[Tensor]:
        codes: Tensor = encode(picture)[0]
        return [codes.reshape(1, -1, codes.shape[-1]).transpose(1, 2)[..., None]]

    with torch.no_grad():
        guess: Tensor = encode(target)[0]
    shaped = guess.reshape(1, -1, guess.shape[-1]).clone()
    found = invert(target, draws, shaped, read, steps=steps, rate=RATE, progress=lambda at, of, _: step(at, of))
    return np.asarray((found.codes - shaped).flatten().cpu().numpy(), np.float32)
