"""How many replicas the load asks for. Serve adds the bounds, the factors and the delays of its configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TARGET = 0.75
"""Share of the frame budget that replicas shall spend: the rest is for those who come while another one starts."""


def replicas_for_load(context: Any) -> tuple[int, dict[str, Any]]:
    """Serve's policy function, on `Filter.record_autoscaling_stats`.

    Args:
        context: Serve's `AutoscalingContext`.

    Returns:
        The number of replicas that is wanted, and no state.
    """
    spent: Mapping[Any, float] = (context.aggregated_metrics or {}).get("spent") or {}
    return wanted(list(spent.values()), context.current_num_replicas), {}


def wanted(spent: list[float], current: int) -> int:
    """The number of replicas that is wanted.

    Args:
        spent: share of the frame budget that each replica spends, as far as replicas have said.
        current: replicas that there are.
    """
    if not spent:
        return current
    mean = sum(max(0.0, one) for one in spent) / len(spent)
    return max(1, math.ceil(round(mean * current / TARGET, 6)))
