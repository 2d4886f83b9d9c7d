"""Golden outputs of StyleFlow: the flow and its inverse, and two edits in a row."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.editors.styleflow import ATTRIBUTES, LIGHTS, keep_rows, target_condition
from models.golden import Comparison, Golden
from models.styleflow import load_flow

EDITS = {"age": ("age", 60.0), "bald": ("baldness", 0.8)}
FIXED_STEPS = 4
FIXED_STEP_TOLERANCE = 1e-3


def modellarge(golden: Golden) -> Iterator[Comparison]:
    """Forward, back under the same and another condition, then age 31 -> 60 and baldness .05 -> .8."""
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

    for name, (attribute, value) in EDITS.items():
        condition, raw = _edit(flow, z, condition, attribute, value)
        yield golden.compare(f"edit_{name}_cond", condition[0])
        yield golden.compare(f"edit_{name}_raw", raw)
        w = torch.from_numpy(keep_rows(raw[0].numpy(), w[0].numpy(), ATTRIBUTES[attribute].rows))[None]
        yield golden.compare(f"edit_{name}_w", w)
        z = flow(w, condition)
        yield golden.compare(f"edit_{name}_z", z)


def _edit(flow: torch.nn.Module, z: Tensor, condition: Tensor, attribute: str, value: float) -> tuple[Tensor, Tensor]:
    current = float(condition[0, LIGHTS + list(ATTRIBUTES).index(attribute)])
    wanted = torch.from_numpy(target_condition(condition[0].numpy(), attribute, current, value))[None]
    return wanted, flow(z, wanted, reverse=True)
