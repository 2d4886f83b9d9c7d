"""Controls of the editors that move a code: sliders that are 0 in their middle, and switches that alone do nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from models.editor import Controls

Detail = Annotated[Literal["delta", "full"], Field(title="Detail")]
"""Whether what changes between two drawings is added to the camera's picture, or the second drawing is shown."""

SEMANTICS = tuple(f"semantic_{number}" for number in range(1, 6))
"""What changes a generator's styles most (SeFa). Its weights tell, so each generator has its own; nobody named them."""


class SliderControls(Controls):
    """Base of controls whose sliders are numbers with the middle 0."""

    def neutral(self) -> bool:
        """No slider is off its middle: the switches alone change nothing."""
        return not any(isinstance(value, float) and value for _, value in self)


def slider(title: str, low: float = -1.0, **extras: Any) -> tuple[type[float], Any]:
    """A field of `pydantic.create_model`: a slider from `low` to 1, 0 where nobody moved it.

    Args:
        title: what the page calls it.
        low: its left end.
        extras: more of what its schema says, see `models.editor.Controls`.
    """
    return float, Field(0.0, ge=low, le=1, title=title, json_schema_extra={"step": 0.05, **extras})


def semantic_title(name: str) -> str:
    """What the page calls one of `SEMANTICS`."""
    return f"Semantic {name.rpartition('_')[2]} of this generator"
