"""Golden semantics of StyleGAN2's style weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.latents import Direction, move, semantics
from models.weights.golden import Comparison, Golden

COSINE_TOLERANCE = 1e-4


def sefa(golden: Golden) -> Iterator[Comparison]:
    weights = {
        key: golden.array(key)
        for key, rule in golden.rules.items()
        if key.endswith("modulation.weight") and rule.kind != "fixed"
    }
    layers = [weight for key, weight in weights.items() if not key.startswith("to_rgbs.")]
    yield golden.compare("n_rows", np.array(sum(map(len, layers))))
    vectors, gains = semantics(layers)
    yield golden.compare("singular_values", np.sqrt(gains))
    yield _cosines("eigvec_exact_first10", golden.stored("eigvec_exact_first10").T, vectors[:10])
    yield _cosines("eigvec_reference_first10", golden.stored("eigvec_reference_first10").T, vectors[:10])

    chosen = golden.stored("e4e_layers").astype(int)
    vectors, gains = semantics([weights[f"convs.{index}.conv.modulation.weight"] for index in chosen], normalise=True)
    yield golden.compare("e4e_sorted_eigenvalues", gains)
    yield _cosines("e4e_sorted_first10", golden.stored("e4e_sorted_first10"), vectors[:10])
    # the reference's eigenvalues come unsorted: its first boundary is the one with its first eigenvalue
    index = int(np.abs(gains - golden.stored("e4e_first_eigenvalue")).argmin())
    yield golden.compare("e4e_first_eigenvalue", gains[index])
    published = golden.stored("e4e_first_boundary")
    yield _cosines("e4e_first_boundary", published[None], vectors[index][None])
    sign = np.sign(published @ vectors[index])
    semantic = Direction("first", sign * vectors[index], "any", "W", rows=(int(chosen[0]), int(chosen[-1]) + 1))
    code = golden.array("input.w_plus")
    edited = np.concatenate([move(code, semantic, distance) for distance in (-15, 0, 15)])
    yield golden.compare("e4e_edit_first_semantic", edited)


def _cosines(name: str, want: NDArray[np.float32], got: NDArray[np.float32]) -> Comparison:
    cosines = np.abs((want.astype(np.float64) * got).sum(1))
    return Comparison(f"{name} (1 - |cos|)", float(1 - cosines.min()), COSINE_TOLERANCE)
