"""Golden outputs of StyleFlow: the flow and its inverse, and two edits in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.published.styleflow.editor import ATTRIBUTES, LIGHTS, keep_rows, target_condition
from models.published.styleflow.network import load_flow
from models.weights.golden import Comparison, Golden

NAMES = {"bald": "baldness"}
"""Attributes that the files call by a shorter name."""

FIXED_STEPS = 4
FIXED_STEP_TOLERANCE = 1e-3


def styleflow(golden: Golden) -> Iterator[Comparison]:
    """Forward, back under the same and another condition, then one edit on top of the other, in the file's order."""
    flow = load_flow(golden.state())
    w = golden.input("w")
    condition, other = (torch.from_numpy(golden.stored(name))[None] for name in ("cond_a", "cond_b"))
    z = flow(w, condition)
    yield golden.compare("z_a", z)
    yield golden.compare("z_a_exact", z)
    back = flow(z, other, reverse=True)
    yield golden.compare("w_back_b", back)
    yield golden.compare("w_back_b_exact", back)
    yield golden.compare("w_back_a", flow(z, condition, reverse=True))
    for name in ("z_a_exact", "w_back_b_exact"):
        got = flow(w, condition, steps=FIXED_STEPS) if name == "z_a_exact" else flow(z, other, True, FIXED_STEPS)
        yield golden.compare(name, got, FIXED_STEP_TOLERANCE)

    for name in golden.found(r"edit_(\w+)_cond"):
        attribute = NAMES.get(name, name)
        condition, raw = _edit(flow, z, condition, attribute, golden.stored(f"edit_{name}_cond"))
        yield golden.compare(f"edit_{name}_cond", condition[0])
        yield golden.compare(f"edit_{name}_raw", raw)
        w = torch.from_numpy(keep_rows(raw[0].numpy(), w[0].numpy(), ATTRIBUTES[attribute].rows))[None]
        yield golden.compare(f"edit_{name}_w", w)
        z = flow(w, condition)
        yield golden.compare(f"edit_{name}_z", z)


def _edit(
    flow: torch.nn.Module, z: Tensor, condition: Tensor, attribute: str, stored: NDArray[np.float32]
) -> tuple[Tensor, Tensor]:
    index = LIGHTS + list(ATTRIBUTES).index(attribute)
    current = float(condition[0, index])
    # the file has no slider value; those that its makers set are round
    value = round(current + (float(stored[index]) - current) / ATTRIBUTES[attribute].degree, 2)
    wanted = torch.from_numpy(target_condition(condition[0].numpy(), attribute, current, value))[None]
    return wanted, flow(z, wanted, reverse=True)


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"styleflow.*": styleflow,
}
"""By a pattern of the name of the golden file, in lower case."""
