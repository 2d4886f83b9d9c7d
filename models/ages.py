"""Ages as differences from each person's own, such as "+20"."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

PATTERN = r"^[+-][1-9][0-9]?$"
Difference = Annotated[str, Field(pattern=PATTERN, json_schema_extra={"format": "difference"})]
"""Years from the age that is read of each face, such as "+20"."""


def is_difference(value: object) -> bool:
    """Whether a value is written like a difference: "+20", "-5"."""
    return isinstance(value, str) and re.fullmatch(PATTERN, value) is not None


def shifted(own: float, difference: str, youngest: float, oldest: float) -> float:
    """The age that a difference means, in years.

    Args:
        own: age of the face; one beyond the bounds is where a difference ends.
        difference: such as "-20".
        youngest, oldest: where a difference ends otherwise.
    """
    years = int(difference)
    return min(own + years, max(own, oldest)) if years > 0 else max(own + years, min(own, youngest))


def years_of(age: float | str) -> float:
    """An age in years.

    Raises:
        ValueError: it is a difference, which `models.editor.Controls.at_age` turns into an age first.
    """
    if isinstance(age, str):
        raise ValueError(f"{age} is a difference: the face's own age has to be known first")
    return age
