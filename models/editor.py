"""What an editor is: one face crop in, the edit of that crop out, in three steps (encode, steer, render)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from models.arrays import Floats, Image, Latent
from models.crops import CropSpec


@dataclass(frozen=True, slots=True)
class Masks:
    """Where things are in a crop.

    Each mask is (M, M) float32 in [0, 1], M the segmenter's own resolution, and has the crop's extent.

    Attributes:
        hair: scalp hair.
        face: skin of the face, ears and scalp included, neck excluded.
        occluder: whatever is in front of the face and is not the face (hand, microphone, glasses frame).
        person: the whole person.
    """

    hair: Floats
    face: Floats
    occluder: Floats
    person: Floats


@dataclass(frozen=True, slots=True)
class Crop:
    """One aligned face.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        points5: (5, 2) float32, crop pixels (x, y): eyes, nose tip, mouth corners, left to right in the picture.
        mesh: (478, 2) float32, crop pixels: MediaPipe face mesh and irises; None when only five points are known.
        masks: the segmenter's reading of this crop; None unless the editor or the blending asked for it.
    """

    image: Image
    points5: Floats
    mesh: Floats | None = None
    masks: Masks | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """What to do to the camera's pixels under a crop. Per pixel p, all in crop coordinates:

        k(p)   = mask(p) opacity(p)
        out(p) = (1 - k(p)) camera(p + mask(p) flow(p)) + (mask(p) - k(p)) delta(p) + k(p) image(p)

    The stream evaluates this at the camera's resolution: `flow` and `delta` keep detail that the crop does not have,
    `image` replaces it. The mask fades the flow itself, so that no edge shows twice. Where it is 0 the output is the
    camera's pixel bit for bit.

    Attributes:
        mask: (S, S) float32 in [0, 1], feathered by the editor.
        image: (S, S, 3) uint8 RGB, or None with `opacity` None: nothing is replaced.
        opacity: (S, S) float32 in [0, 1]; None with an image means 1 everywhere.
        delta: (S, S, 3) float32 RGB, -255..255, or None for no residual.
        flow: (S, S, 2) float32 (dx, dy) in crop pixels, or None for no warp.
    """

    mask: Floats
    image: Image | None = None
    opacity: Floats | None = None
    delta: Floats | None = None
    flow: Floats | None = None


class Controls(BaseModel):
    """Base of every editor's controls. A field is a slider, switch or choice of the page.

    A field with `photo` in `json_schema_extra` has a button of that label that takes a photo (see `PhotoEditor`); its
    format "photo" makes it nothing but that: a string, the id of what was read of the photo.

    Supported field types: bounded `float`/`int` (`Field(ge=, le=)`), `float | None` (a slider with an off switch),
    `bool`, `Literal[...]`/`Enum` of strings, and colours (`#rrggbb` with `json_schema_extra={"format": "color"}`).
    `title` is the label; `json_schema_extra` may give `unit` and `step`. The defaults must be the neutral position.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def neutral(self) -> bool:
        """Whether the edit is the identity, so that the frame can pass untouched."""
        return self == type(self)()


@runtime_checkable
class Editor(Protocol):
    """A face editor. All calls are thread-safe and without state: the same input gives the same output.

    Attributes:
        name: its name in the catalog.
        crop: how it wants its faces cut out.
        Controls: the model of its controls, a subclass of `models.editor.Controls`.
        needs_masks: whether `encode` and `render` want `Crop.masks`.
        latent_seconds: time constant with which the stream averages the latent of one face; 0 where the latent holds
            what changes quickly (pose, expression).
        encode_seconds: how often the stream reads a face anew; 0 reads every frame.
    """

    name: str
    crop: CropSpec
    Controls: type[Any]

    needs_masks: bool = False
    latent_seconds: float = 0.25
    encode_seconds: float = 0.0

    def encode(self, crop: Crop) -> Latent:
        """Read the face: its latent, which the stream smooths over time per face id."""

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """Move the latent by the user's controls (an instance of `self.Controls`)."""

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """Render the way from `latent` to `steered` on this crop."""


@runtime_checkable
class AimedEditor(Editor, Protocol):
    """An editor whose reading of a face depends on where the controls are, as SAM's depends on the target age."""

    def encode_for(self, crop: Crop, controls: Any) -> Latent:
        """Read the face for these controls. The stream calls it in place of `encode`, which reads for none."""


@runtime_checkable
class PhotoEditor(Editor, Protocol):
    """An editor that takes something from a reference photo: a second parent, a style, a colour."""

    def controls_of_photo(self, crop: Crop) -> dict[str, Any]:
        """Read the face of a photo, cut as the editor's `crop` wants it, with masks.

        Returns:
            The controls that take from the photo what the editor takes, JSON-ready.

        Raises:
            ValueError: the photo does not show it; the message says what to choose instead.
        """

    def knows_photo(self, id: str) -> bool:
        """Whether an id given by `controls_of_photo` is still known."""
