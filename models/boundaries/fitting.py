"""Boundaries of scored samples: one per attribute, and conditional ones that are held off others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.arrays import Floats
from models.boundaries.samples import Samples
from models.boundaries.sliders import WITHOUT
from models.latents import EXTREMES, Direction, LatentError, conditioned, fit_boundary

DEFAULT_HELD = {"bald": ("age", "sex", "beard")}
"""Conditional boundaries that are made without being asked for, as far as what they hold is fitted."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One boundary.

    Attributes:
        boundary: its length is one standard deviation of the samples along it.
        accuracy: share of the held-out extremes on their side; of the unconditional fit.
        samples: how many the fit and its test took.
        low, high: mean score of the lowest and the highest extremes.
        cosine: with the unconditional boundary; 1 where it is that one.
        held: what it is held off.
    """

    boundary: Direction
    accuracy: float
    samples: int
    low: float
    high: float
    cosine: float = 1.0
    held: tuple[str, ...] = ()


def parse_held(text: str) -> tuple[str, tuple[str, ...]]:
    """`bald:age+sex+beard`: what to change, and what to hold fixed.

    Raises:
        LatentError: it is something else.
    """
    name, _, rest = text.partition(":")
    held = tuple(part for part in rest.split("+") if part)
    if not name or not held or name in held:
        raise LatentError(f"a conditional boundary is NAME:HELD+HELD, such as bald:age+sex, not {text!r}")
    return name, held


def fit_all(
    samples: Samples,
    generator: str,
    names: Sequence[str],
    conditions: Iterable[tuple[str, tuple[str, ...]]] = (),
    extremes: float = EXTREMES,
) -> tuple[dict[str, Fitted], dict[str, str]]:
    """Fit a boundary per attribute, and the conditional ones.

    Args:
        samples: latents and scores.
        generator: whose.
        names: the attributes.
        conditions: what to change and what to hold fixed; of attributes in `names`.
        extremes: share of the scored samples taken from each end.

    Returns:
        The boundaries by name, and by name why there is none: too few faces were scored, or all alike.
    """
    fitted: dict[str, Fitted] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            fitted[name] = _fit(samples, generator, name, extremes)
        except LatentError as error:
            refused[name] = str(error)
    for name, held in conditions:
        long = f"{name}{WITHOUT}{'_'.join(held)}"
        missing = [each for each in (name, *held) if each not in fitted]
        if missing:
            refused[long] = f"there is no boundary of {', '.join(missing)}"
            continue
        try:
            way = conditioned(fitted[name].boundary, *(fitted[each].boundary for each in held))
            scaled = replace(_by_spread(way, samples.latents), name=long)
        except LatentError as error:
            refused[long] = str(error)
            continue
        cosine = float(way.vector @ fitted[name].boundary.unit().vector)
        fitted[long] = replace(fitted[name], boundary=scaled, cosine=cosine, held=held)
    return fitted, refused


def default_conditions(names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Those of `DEFAULT_HELD`, each held off what is among `names`."""
    pairs = ((name, tuple(each for each in held if each in names)) for name, held in DEFAULT_HELD.items())
    return [(name, held) for name, held in pairs if name in names and held]


def effects(before: Mapping[str, Floats], after: Mapping[str, Floats]) -> dict[str, float]:
    """Mean change of each score over the faces that have it both times."""
    changes = {}
    for name, was in before.items():
        known = np.isfinite(was) & np.isfinite(after[name])
        changes[name] = float((after[name] - was)[known].mean()) if known.any() else float("nan")
    return changes


def _fit(samples: Samples, generator: str, name: str, extremes: float) -> Fitted:
    scores = samples.scores[name]
    known = np.isfinite(scores)
    if not known.any():
        raise LatentError(f"no sample could be scored: is a face in these pictures? ({len(scores)} drawn)")
    latents, scores = samples.latents[known], scores[known]
    found = fit_boundary(latents, scores, Direction(name, np.zeros(1, np.float32), generator), extremes)
    ordered, count = np.sort(scores), found.samples // 2
    return Fitted(
        _by_spread(found.boundary, latents),
        found.accuracy,
        found.samples,
        float(ordered[:count].mean()),
        float(ordered[-count:].mean()),
    )


def _by_spread(boundary: Direction, latents: Floats) -> Direction:
    """The boundary with one standard deviation of the latents along it as its length.

    Raises:
        LatentError: the latents do not vary.
    """
    unit = boundary.unit()
    spread = float((latents @ unit.vector).std())
    if not spread > 0:
        raise LatentError("the generator maps every z to the same w: its mapping network is damaged")
    return replace(unit, vector=(unit.vector * spread).astype(np.float32), intercept=unit.intercept * spread)
