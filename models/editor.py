"""What an editor is: one face crop in, the edit of that crop out, in three steps (encode, steer, render)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from models.ages import shifted
from models.arrays import Floats, Image, Latent
from models.crops import CropSpec
from models.photo_codes import References

LEAST_HAIR = 0.004
"""Share of a crop below which there is no hair to change: a bald head must not flicker."""
NO_HAIR = "no hair is seen"


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

    @property
    def shows_hair(self) -> bool:
        """Whether there is hair to change."""
        return float(self.hair.mean()) >= LEAST_HAIR


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is known of the scene behind a person, from earlier frames.

    Attributes:
        colour: (S, S, 3) float32 RGB, 0..255.
        known: (S, S) float32 in [0, 1], where it was really seen.
    """

    colour: Floats
    known: Floats


@dataclass(frozen=True, slots=True)
class Inpainting:
    """A face without what an editor removes, drawn from one frame; the stream carries it to later ones.

    Attributes:
        image: (S, S, 3) uint8 RGB, the crop with what was removed drawn anew.
        head: (S, S) float32 in [0, 1]: 1 moves with the head, 0 belongs to the scene behind, which stays in the frame.
        behind: (S, S, 3) uint8 RGB, the scene without the head.
    """

    image: Image
    head: Floats
    behind: Image


@dataclass(frozen=True, slots=True)
class Crop:
    """One aligned face.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        points5: (5, 2) float32, crop pixels (x, y): eyes, nose tip, mouth corners, left to right in the picture.
        mesh: (478, 2) float32, crop pixels: MediaPipe face mesh and irises; None when only five points are known.
        masks: the segmenter's reading of this crop; None unless the editor or the blending asked for it.
        steady_light: (S, S) float32, 0..255, the luminance averaged over time along the motion, so with less noise;
            None where the editor has not asked for it (`Editor.wants_steady_light`), or the picture is a single one.
        surface: (G, G, 2) float32 over the crop, places that stick to what is seen as it moves, across and down in
            distances of the eyes (`models.face.eye_frame`); None where `steady_light` is.
        backdrop: the scene behind the person; None where the editor does not want it (`Editor.wants_backdrop`).
        beyond: (S, S) float32, 1 where the crop lies beyond the camera's frame and its pixels tell nothing; None where
            all of it lies within.
        inpainting: what `Editor.inpaint` drew of this crop, or of an earlier one and moved to this one; None where it
            drew nothing.
    """

    image: Image
    points5: Floats
    mesh: Floats | None = None
    masks: Masks | None = None
    steady_light: Floats | None = None
    surface: Floats | None = None
    backdrop: Backdrop | None = None
    beyond: Floats | None = None
    inpainting: Inpainting | None = None


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


NOT_MOVED = "no control is moved"
"""Why nothing is edited where every control is at its default."""


class Controls(BaseModel):
    """Base of every editor's controls. A field is a slider, switch or choice of the page.

    A field with `photo` in `json_schema_extra` has a button of that label, which takes a photo (see
    `Editor.read_photo`). With the format "photo" it is a string without another widget: the id of what was read. One
    bounded number may have `lifespan` there: a face can be shown over its range.

    Supported field types: bounded `float`/`int` (`Field(ge=, le=)`), `float | None` (a slider with an off switch),
    `bool`, `Literal[...]`/`Enum` of strings, and colours (`#rrggbb` with `json_schema_extra={"format": "color"}`).
    An age may be a `models.ages.Difference` too. `title` is the label; `json_schema_extra` may give `unit` and `step`.
    The defaults must be the neutral position.

    No control may silently do nothing. What one lacks of the face, `Editor.obstacles` says. Where one depends on
    another, `json_schema_extra` says so:
    `"needs": "colour"`: it acts only once `colour` is off its default; until then the page says that it is missing. Of
    several names, with spaces between them, one is enough.
    `"sets": {"colour": "custom"}`: whoever moves it also means these values.
    `"wakes": {"amount": 1.0}`: whoever moves it also means these values where they are 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def neutral(self) -> bool:
        """Whether the edit is the identity, so that the frame can pass untouched."""
        return not any(self._acts(name) for name in self._moved())

    def idle(self) -> str:
        """Why the edit is the identity, in words for a user; empty when something is edited."""
        if not self.neutral():
            return ""
        moved = self._moved()
        for name in moved:
            if not self._acts(name):
                needed = " or ".join(self._title(other) for other in _needed(type(self), name))
                return f"{self._title(name)} changes nothing until {needed} is set"
        for name in moved:
            for other in _extras(type(self), name).get("wakes", {}):
                if getattr(self, other) == 0:
                    return f"{self._title(other)} is 0"
        return "nothing that changes the picture is set" if moved else NOT_MOVED

    def _moved(self) -> list[str]:
        """The controls that are off their defaults."""
        return [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]

    def _acts(self, name: str) -> bool:
        """Whether a control that is moved changes anything beside the others (`needs`)."""
        needed = _needed(type(self), name)
        return not needed or any(other in self._moved() for other in needed)

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The controls that somebody names one by one, and what they mean along with them (`sets`, `wakes`).

        Args:
            given: names and values; unknown names stay as they are.
        """
        result = dict(given)
        for name in given:
            extras = _extras(cls, name) if name in cls.model_fields else {}
            for other, value in extras.get("sets", {}).items():
                result.setdefault(other, value)
            for other, value in extras.get("wakes", {}).items():
                if cls.model_fields[other].default == 0:
                    result.setdefault(other, value)
        return result

    @property
    def relative(self) -> bool:
        """Whether an age is given as a difference from each face's own (`models.ages`)."""
        return any(isinstance(getattr(self, name), str) for name in _ages(type(self)))

    def at_age(self, own: float | None) -> Self:
        """The same with ages in place of differences.

        Args:
            own: age of the face in years; None, where it is not known, leaves such controls at their defaults.
        """
        given = {name: value for name in _ages(type(self)) if isinstance(value := getattr(self, name), str)}
        update: dict[str, Any] = {}
        for name, difference in given.items():
            low, high = _ages(type(self))[name]
            wanted = None if own is None else min(max(shifted(own, difference, low, high), low), high)
            update[name] = type(self).model_fields[name].default if wanted is None else wanted
        return self.model_copy(update=update)

    @classmethod
    def takes_photo(cls) -> bool:
        """Whether the editor takes something from a reference photo: one of the fields has a button for it."""
        return any("photo" in _extras(cls, name) for name in cls.model_fields)

    @classmethod
    def _title(cls, name: str) -> str:
        return cls.model_fields[name].title or name


def _extras(controls: type[Controls], name: str) -> dict[str, Any]:
    """What a field says beyond its JSON schema."""
    extra = controls.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _needed(controls: type[Controls], name: str) -> list[str]:
    """The controls of which one has to be moved before this one acts; none where it acts alone."""
    return str(_extras(controls, name).get("needs", "")).split()


@cache
def _ages(controls: type[Controls]) -> Mapping[str, tuple[float, float]]:
    """The fields that take a difference of ages, with the youngest and the oldest age."""
    fields = {}
    for name, schema in controls.model_json_schema()["properties"].items():
        shapes = schema.get("anyOf", ())
        if any(shape.get("format") == "difference" for shape in shapes):
            bounds = next(shape for shape in shapes if shape.get("type") == "number")
            fields[name] = (float(bounds["minimum"]), float(bounds["maximum"]))
    return fields


def title_of(name: str) -> str:
    """What the page calls a name where nobody says otherwise.

    >>> title_of("grey_hair")
    'Grey hair'
    """
    return name.replace("_", " ").replace("-", " ").capitalize()


C = TypeVar("C", bound=Controls)
"""The controls of an editor."""


class Editor(ABC, Generic[C]):
    """A face editor. All calls are thread-safe and without state: the same input gives the same output.

    The stream calls `encode`, smooths the latent over time per face, then calls `steer` and `render`. Only the encoded
    latent is smoothed: a control that moves acts at once.

    Attributes:
        name: its name in the catalog.
        crop: how it wants its faces cut out.
        wider: sides of larger crops around the same middle, at the scale of `crop`, the smallest first, pixels. A face
            gets one of them where `crop` does not hold what changes (`wanted_side`).
        Controls: the model of its controls.
        latent_seconds: time constant with which the stream averages the latent of one face; 0 where the latent holds
            what changes quickly (pose, expression).
        lasting: places in the latent of what hardly changes in a face, as its age, and the time constants with which
            these are averaged instead, seconds; of a one-dimensional latent, and not where `latent_seconds` is 0.
        encode_seconds: time between two readings of a face; 0 reads every frame.
        references: what it read of photos, by their ids; None where it keeps nothing. With it, a photo follows its
            session to another process.
        inpaint_seconds: time between two inpaintings of a face; 0 where the editor makes none.
        code_start: place in the latent where a generator's code begins, where the latent has one; it goes as far as the
            encoder's output. An editor that is locked to a snapshot moves the code alone.
        reads_age: whether it takes differences of age itself; others are given ages (`Controls.at_age`).
    """

    name: str
    crop: CropSpec
    Controls: type[C]

    wider: tuple[int, ...] = ()
    latent_seconds: float = 0.25
    lasting: Mapping[int, float] = MappingProxyType({})
    encode_seconds: float = 0.0
    references: References | None = None
    inpaint_seconds: float = 0.0
    code_start: int = 0
    reads_age: bool = False

    def for_still(self) -> Editor[C]:
        """The editor for single pictures, which may take their time: itself, unless it has a finer way for them.

        Name, controls and latent are the same.
        """
        return self

    @abstractmethod
    def encode(self, crop: Crop, controls: C) -> Latent:
        """Read the face.

        Args:
            crop: the face as `self.crop` cuts it.
            controls: where the controls are. Only an editor whose reading depends on them looks at them.

        Returns:
            One-dimensional float32 of a fixed length.

        Raises:
            ValueError: the crop lacks what the editor needs; the message says what.
        """

    @abstractmethod
    def steer(self, latent: Latent, controls: C) -> Latent:
        """Move a latent by the controls.

        Args:
            latent: from `encode`, smoothed or not. It is not written to.
            controls: where the controls are.

        Raises:
            ValueError: the controls ask for what is not installed; the message says what.
        """

    @abstractmethod
    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: C) -> Edit:
        """Render the way from `latent` to `steered`.

        Args:
            crop: the face as `self.crop` cuts it.
            latent: from `encode`, smoothed or not.
            steered: from `steer`.
            controls: those that `steer` was given.
        """

    def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: C) -> Inpainting | None:
        """Draw what is too slow to be drawn on every frame; None where the controls remove nothing.

        The stream calls it every `inpaint_seconds`, sooner where the face turns, and gives `render` the result in
        `Crop.inpainting`. `render` does without one.

        Args:
            crop: the face as `self.crop` cuts it.
            latent: from `encode`, smoothed or not.
            steered: from `steer`.
            controls: those that `steer` was given.
        """
        return None

    def obstacles(self, crop: Crop, latent: Latent, controls: C) -> Mapping[str, str]:
        """What keeps a control from changing this face, in words for a user, by the control's name.

        No control may silently do nothing: one whose effect depends on the face says here what it lacks.

        Args:
            crop: the face as `self.crop` cuts it.
            latent: from `encode`, smoothed or not.
            controls: where the controls are.
        """
        return {}

    def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: C) -> int:
        """Side of the square around the middle of a crop that holds what the controls change, crop pixels.

        Args:
            crop: the face as `self.crop` cuts it, or one of `self.wider`, with masks.
            latent: from `encode`, smoothed or not.
            steered: from `steer`.
            controls: those that `steer` was given.

        Returns:
            More than the crop's own side where what changes goes on beyond it.
        """
        return 0

    def wants_steady_light(self, controls: C) -> bool:
        """Whether `render` wants `Crop.steady_light` and `Crop.surface` here.

        It does where it brightens what is dark, and camera noise with it.
        """
        return False

    def wants_backdrop(self, controls: C) -> bool:
        """Whether `inpaint`, or `render` where there is no `inpaint_seconds`, wants `Crop.backdrop` where the controls
        are: it shows what the person hides.
        """
        return False

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """Read the face of a reference photo: a second parent, a style, a colour.

        Args:
            crop: the face as `self.crop` cuts it, with masks.

        Returns:
            The controls that take from the photo what the editor takes, JSON-ready.

        Raises:
            ValueError: the editor takes no photo, or the photo does not show what it needs; the message says what to
                choose instead.
        """
        raise ValueError("this editor takes nothing from a photo")

    def knows_photo(self, id: str) -> bool:
        """Whether an id given by `read_photo` is still known."""
        return False


AnyEditor = Editor[Any]
"""An editor of whatever controls."""
