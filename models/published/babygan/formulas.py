"""BabyGAN: the child of two codes. Formulas of its notebook, for W+ codes of one generator.

The father's and mother's rows are mixed by `genes`, then the child's age, gender, smile and pose are set by moving its
first eight rows along published directions of StyleGAN.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from models.arrays import Floats
from models.latents import Direction, move

Resemblance = Literal["both", "father", "mother"]

EDITED_ROWS = (0, 8)
AGE_CENTRE, AGE_SPAN = 30.0, 5.0
"""The age direction leaves the child as it is at 30 and moves it by its length for every five years."""


def child(father: Floats, mother: Floats, genes: float, resemblance: Resemblance = "both") -> Floats:
    """Mix two parents.

    Args:
        father, mother: W+ codes (rows, D).
        genes: 0.01 to 0.99; 0 is the father, 1 the mother.
        resemblance: "both" mixes all rows alike; "father" and "mother" mix the fine rows towards that parent, who was
            the photo's subject.

    Returns:
        The child's code (rows, D).
    """
    rows = len(father)
    ramp = (np.arange(1, rows + 1, dtype=np.float32) / rows)[:, None]
    if resemblance == "father":
        share = ramp**genes
    elif resemblance == "mother":
        share = 1 - ramp ** (1 - genes)
    else:
        share = np.full((rows, 1), 1 - genes, np.float32)
    return np.asarray(share * father + (1 - share) * mother, np.float32)


def age_strength(years: float) -> float:
    """How far along BabyGAN's age direction, which points to younger, a child of this age lies."""
    return (AGE_CENTRE - years) / AGE_SPAN


def grow(code: Floats, age: Direction, years: float) -> Floats:
    """Give a child its age.

    Args:
        code: W+ (rows, D).
        age: the age direction, pointing to younger.
        years: 10 to 50 in the authors' notebook.
    """
    return move(code, age, age_strength(years), EDITED_ROWS)
