"""What one stream shows: its settings, checked, with the editors loaded. Made once per change, read on every frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from models.editor import AnyEditor, Controls
from stream.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One editor at one position of its controls.

    Attributes:
        name: of the editor in the catalog.
        editor: loaded.
        controls: checked, an instance of the editor's own model.
        amount: 0..1, how much of the edit shows; 1 is all of it.
    """

    name: str
    editor: AnyEditor
    controls: Controls
    amount: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one stream shows. `Runtime.look` makes it.

    Attributes:
        settings: checked; controls that were not given are at their defaults.
        layers: from bottom to top; each edits what the ones below it leave.
        active: the layers that change the picture; with none, the frame that comes in goes out.
    """

    settings: Settings
    layers: tuple[Layer, ...]
    active: tuple[Layer, ...] = field(init=False)

    def __post_init__(self) -> None:
        active = tuple(layer for layer in self.layers if layer.amount > 0 and not layer.controls.neutral())
        object.__setattr__(self, "active", active)

    def for_still(self) -> Look:
        """The same for a single picture: editors that have a finer way for one take it (`Editor.for_still`)."""
        return Look(self.settings, tuple(replace(layer, editor=layer.editor.for_still()) for layer in self.layers))

    @property
    def idle(self) -> str:
        """Why the picture stays as it is, in words for a user; empty when something is edited."""
        if self.settings.bypass:
            return "editing is switched off"
        if self.active:
            return ""
        reasons = (layer.controls.idle() or "its amount is 0" for layer in self.layers)
        return next(reasons, "no editor is chosen")

    @property
    def names(self) -> tuple[str, ...]:
        """The editors of the active layers."""
        return tuple(layer.name for layer in self.active)
