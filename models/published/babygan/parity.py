"""Golden latent arithmetic and crop quads: InterFaceGAN, BabyGAN, GANSpace; FFHQ, LATS, ALAE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.crops import LATS_MOUTH, Quad, ffhq_quad
from models.latents import Components, Direction, conditioned, move
from models.published.babygan.formulas import age_strength, child, grow
from models.weights.golden import Comparison, Golden

TOLERANCE = 1e-5
QUAD_TOLERANCE = 1e-6


def formulas(golden: Golden) -> Iterator[Comparison]:
    yield from _interfacegan(golden)
    yield from _babygan(golden)
    yield from _ganspace(golden)
    landmarks = golden.stored("landmarks")
    fives = [_points5(points) for points in landmarks]
    for name, quads in {
        "quad_ffhq": [ffhq_quad(points).corners() for points in fives],
        "quad_lats": [ffhq_quad(points, LATS_MOUTH).corners() for points in fives],
        "quad_alae_celeba": [_alae_celeba(points) for points in fives],
    }.items():
        yield golden.compare(name, np.stack(quads), QUAD_TOLERANCE)


def _points5(landmarks: NDArray[np.float64]) -> Floats:
    """Eye centres, nose tip and mouth corners of 68 landmarks in the order of dlib, (5, 2) float32."""
    eyes = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    return np.asarray([*eyes, landmarks[30], landmarks[48], landmarks[54]], np.float32)


def _alae_celeba(points5: Floats) -> Floats:
    """Corners of the square that ALAE cuts out of CelebA for 128 pixels. No editor uses it."""
    eyes, mouth = points5[:2].mean(0), points5[3:].mean(0)
    eye_to_eye, eye_to_mouth = points5[1] - points5[0], mouth - eyes
    axis = ffhq_quad(points5).axis
    half = (1.6410 * np.hypot(*eye_to_eye) + 1.560 * np.hypot(*eye_to_mouth)) / 2
    square = Quad(eyes + np.float32(0.317) * eye_to_mouth, axis / np.hypot(*axis) * np.float32(half))
    return square.corners()


def _to_distance(code: Floats, boundary: Direction, distance: float) -> Floats:
    """Put a Z or W code at a signed distance from a hyperplane through the origin. How InterFaceGAN edits Z and W.

    Args:
        code: (..., D).
        boundary: its vector must have length 1.
        distance: where to, in units of the space; the way there is along the normal.

    Returns:
        The moved code, same shape.
    """
    normal = boundary.vector
    return np.asarray(code + (np.float32(distance) - code @ normal)[..., None] * normal, np.float32)


def _interfacegan(golden: Golden) -> Iterator[Comparison]:
    boundaries = [Direction(f"b{i}", row, "any", "W") for i, row in enumerate(golden.stored("ifg_in_boundaries"))]
    first, *others = boundaries
    w, w_plus = golden.array("input.ifg_w"), golden.array("input.ifg_w_plus")
    line = np.concatenate([_to_distance(w, first, distance) for distance in np.linspace(-3, 3, 10)])
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
