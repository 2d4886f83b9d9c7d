"""Golden latent arithmetic and crop quads: InterFaceGAN, BabyGAN, GANSpace; FFHQ, LATS, ALAE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from models.latents import Components, Direction, conditioned, move, to_distance
from models.published.babygan.formulas import age_strength, child, grow
from models.quads import LATS_MOUTH_FACTOR, alae_celeba_quad, ffhq_quad
from models.weights.golden import Comparison, Golden

TOLERANCE = 1e-5
QUAD_TOLERANCE = 1e-9


def formulas(golden: Golden) -> Iterator[Comparison]:
    yield from _interfacegan(golden)
    yield from _babygan(golden)
    yield from _ganspace(golden)
    landmarks = golden.stored("landmarks")
    for name, quads in {
        "quad_ffhq": [ffhq_quad(points) for points in landmarks],
        "quad_lats": [ffhq_quad(points, LATS_MOUTH_FACTOR) for points in landmarks],
        "quad_alae_celeba": [alae_celeba_quad(points) for points in landmarks],
    }.items():
        yield golden.compare(name, np.stack(quads), QUAD_TOLERANCE)


def _interfacegan(golden: Golden) -> Iterator[Comparison]:
    boundaries = [Direction(f"b{i}", row, "any", "W") for i, row in enumerate(golden.stored("ifg_in_boundaries"))]
    first, *others = boundaries
    w, w_plus = golden.array("input.ifg_w"), golden.array("input.ifg_w_plus")
    line = np.concatenate([to_distance(w, first, distance) for distance in np.linspace(-3, 3, 10)])
    yield golden.compare("ifg_linear_w", line, TOLERANCE)
    rows = np.concatenate([move(w_plus, first, strength)[:, [0, 17]] for strength in np.linspace(-2, 2, 3)])
    yield golden.compare("ifg_linear_w_plus_rows0_17", rows, TOLERANCE)
    for count in map(int, golden.found(r"ifg_cond(\d)")):
        got = conditioned(first, *others[:count]).vector[None]
        yield golden.compare(f"ifg_cond{count}", got, TOLERANCE)


def _babygan(golden: Golden) -> Iterator[Comparison]:
    father, mother = golden.array("input.baby_father"), golden.array("input.baby_mother")
    for genes in golden.found(r"baby_default_g([\d.]+)"):
        share = float(genes)
        yield golden.compare(f"baby_default_g{genes}", child(father, mother, share), TOLERANCE)
        yield golden.compare(f"baby_father_photo_g{genes}", child(father, mother, share, "father"), TOLERANCE)
        yield golden.compare(f"baby_mother_photo_g{genes}", child(father, mother, share, "mother"), TOLERANCE)
    ages = list(map(int, golden.found(r"baby_age(\d+)")))
    yield golden.compare("baby_age_coeffs", np.array([age_strength(years) for years in ages]), TOLERANCE)
    age = Direction("age", golden.array("input.baby_direction"), "any", "W+", positive="younger")
    for years in ages:
        yield golden.compare(f"baby_age{years}", grow(child(father, mother, 0.5), age, years), TOLERANCE)


def _ganspace(golden: Golden) -> Iterator[Comparison]:
    found = Components(
        golden.stored("gs_in_mean")[0],
        golden.stored("gs_in_comp_54_46_58"),
        golden.stored("gs_in_std_54_46_58"),
        "any",
    )
    code = golden.array("input.gs_w_plus")
    edits = (((7, 8), 20), ((4, 5), -20), ((7, 9), 20))
    edited = [found.set_coordinate(code, index, rows, value) for index, (rows, value) in enumerate(edits)]
    yield golden.compare("gs_edit", np.concatenate(edited), TOLERANCE)


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"formulas.*": formulas,
}
"""By a pattern of the name of the golden file, in lower case."""
