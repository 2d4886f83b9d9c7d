"""Moving codes: directions, hyperplanes, mixing, GANSpace and SeFa. Numpy only.

A direction belongs to one generator and one space; in another it points nowhere (the age directions of StyleGAN and
StyleGAN2 have a cosine of 0.01). So every direction carries where it comes from, and whoever applies it says where to.

`python -m models.latents fit` makes a boundary of labelled latents, `make` all of a generator (`models.boundaries`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from models.arrays import Floats
from models.parts import run_part

Space = Literal["Z", "W", "W+"]

EXTREMES = 0.02
"""Share of the samples at each end of the scores that a boundary is fitted to (InterFaceGAN)."""

LEAST_EXTREMES = 10
"""Samples at each end that a fit needs."""

TRAINING_SHARE = 0.7
"""Share of those that the hyperplane sees; the rest measures it."""

LEAST_REST = 0.01
"""Share of a direction that must be left when others are held fixed: less is what no fit is sure of."""


class LatentError(ValueError):
    """A direction or code does not belong here; the message says where it does."""


@dataclass(frozen=True, slots=True)
class Direction:
    """A way through latent space.

    Attributes:
        name: what it changes, e.g. "age".
        vector: (D,), or (rows, D) where it differs from row to row. Length as published, not normalised.
        generator: the generator it was found in, e.g. "stylegan2-ffhq".
        space: "Z", "W" or "W+".
        positive: what moving along +vector does, e.g. "older"; "" where nobody has said.
        rows: [start, end) of the W+ rows that it is meant for; None for all.
        intercept: of the hyperplane <w, vector> + intercept = 0; 0 for a mere direction.
    """

    name: str
    vector: Floats
    generator: str
    space: Space = "W"
    positive: str = ""
    rows: tuple[int, int] | None = None
    intercept: float = 0.0

    @property
    def norm(self) -> float:
        """Length of the vector; of its longest row where there are several."""
        return float(np.linalg.norm(self.vector, axis=-1).max())

    def unit(self) -> Direction:
        """The same way with length 1; the hyperplane stays where it is."""
        norm = self.norm
        return replace(self, vector=(self.vector / norm).astype(np.float32), intercept=self.intercept / norm)

    def reversed(self, positive: str = "") -> Direction:
        """The opposite way."""
        return replace(self, vector=-self.vector, intercept=-self.intercept, positive=positive)

    def require(self, generator: str, space: Space | None = None) -> Direction:
        """This direction, if it belongs to that generator.

        Raises:
            LatentError: it belongs to another generator or space.
        """
        if self.generator != generator:
            raise LatentError(f"direction {self.name!r} belongs to {self.generator}, not to {generator}")
        if space is not None and self.space[0] != space[0]:  # a W direction moves rows of W+ as well
            raise LatentError(f"direction {self.name!r} lives in {self.space}, not in {space}")
        return self


def move(code: Floats, direction: Direction, strength: float, rows: tuple[int, int] | None = None) -> Floats:
    """Go a way: code + strength * vector, on the direction's rows. How InterFaceGAN edits W+.

    Args:
        code: (..., D) for one latent or (..., rows, D) for W+.
        direction: where to.
        strength: in lengths of the vector.
        rows: [start, end) instead of the direction's own.

    Returns:
        The moved code, same shape.
    """
    moved = np.array(code, np.float32)
    span = rows or direction.rows
    if direction.space == "Z" or span is None:
        moved += np.float32(strength) * direction.vector
        return moved
    part = slice(*span)
    moved[..., part, :] += np.float32(strength) * (
        direction.vector[part] if direction.vector.ndim == 2 else direction.vector
    )
    return moved


def conditioned(primal: Direction, *held: Direction) -> Direction:
    """The part of a direction that leaves others untouched: its projection on their orthogonal complement.

    Any number of conditions. The result has length 1 and no intercept.

    Args:
        primal: what to change.
        held: what to hold fixed.

    Raises:
        LatentError: they belong to different generators or are of different lengths, or nothing is left of `primal`.
    """
    for other in held:
        other.require(primal.generator, primal.space)
        if other.vector.shape != primal.vector.shape:
            raise LatentError(f"{other.name!r} is {other.vector.shape}, {primal.name!r} {primal.vector.shape}")
    basis = np.stack([other.vector.ravel() for other in held]).astype(np.float64)
    vector = primal.vector.ravel().astype(np.float64)
    weights, *_ = np.linalg.lstsq(basis.T, vector, rcond=None)
    rest = vector - weights @ basis
    length = float(np.linalg.norm(rest))
    if length < LEAST_REST * np.linalg.norm(vector):
        raise LatentError(f"nothing of {primal.name!r} is left when {', '.join(o.name for o in held)} is held fixed")
    return replace(primal, vector=(rest / length).reshape(primal.vector.shape).astype(np.float32), intercept=0.0)


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components of W (GANSpace, Härkönen et al., NeurIPS 2020).

    Attributes:
        mean: (D,).
        vectors: (K, D), unit rows.
        deviations: (K,) standard deviation of W along each.
        generator: whose W.
    """

    mean: Floats
    vectors: Floats
    deviations: Floats
    generator: str

    def set_coordinate(self, code: Floats, component: int, rows: tuple[int, int], value: float) -> Floats:
        """Set, not add to, a coordinate of a W+ code. It is read from row 0 alone, as the published edits do.

        Args:
            code: (..., rows, D).
            component: which one.
            rows: [start, end) of the rows to move.
            value: the new coordinate in standard deviations.

        Returns:
            The moved code, same shape.
        """
        vector, deviation = self.vectors[component], self.deviations[component]
        now = (code[..., 0, :] - self.mean) @ vector / deviation
        moved = np.array(code, np.float32)
        moved[..., slice(*rows), :] += ((value - now)[..., None] * vector * deviation)[..., None, :]
        return moved


def components(samples: Floats, count: int, generator: str) -> Components:
    """Principal components of W samples.

    Args:
        samples: (N, D), N well above D.
        count: how many to keep.
        generator: whose W.
    """
    mean = samples.mean(0, dtype=np.float64)
    _, spread, vectors = np.linalg.svd(samples - mean, full_matrices=False)
    return Components(
        mean.astype(np.float32),
        vectors[:count].astype(np.float32),
        (spread[:count] / np.sqrt(len(samples) - 1)).astype(np.float32),
        generator,
    )


def semantics(weights: Sequence[Floats], normalise: bool = False) -> tuple[Floats, Floats]:
    """Closed-form factorisation (SeFa, Shen and Zhou, CVPR 2021): the ways in W that change layers' styles most.

    Args:
        weights: style (modulation) weights of the layers, each (channels, D).
        normalise: give every channel's weights length 1 first, as the SeFa paper and e4e do; rosinality does not.

    Returns:
        (D, D) unit rows, by falling gain, signs arbitrary; and (D,) their gains (squared singular values).
    """
    stacked = np.concatenate(weights).astype(np.float64)
    if normalise:
        stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    gains, vectors = np.linalg.eigh(stacked.T @ stacked)
    return vectors[:, ::-1].T.astype(np.float32), gains[::-1].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted boundary and how well it separates: share of the held-out extremes on their side."""

    boundary: Direction
    accuracy: float
    samples: int


def fit_boundary(
    latents: Floats,
    scores: NDArray[Any],
    template: Direction,
    extremes: float = EXTREMES,
    seed: int = 0,
) -> Fit:
    """The hyperplane between the samples with the highest and the lowest scores (InterFaceGAN, Shen et al., CVPR 2020).

    Args:
        latents: (N, D).
        scores: (N,), higher means more of the attribute.
        template: name, generator and space of the result; its vector is not read.
        extremes: share of the samples taken from each end, up to half.
        seed: of the split into fitted and held-out samples, and of the solver.

    Returns:
        The unit normal pointing to high scores, with its intercept.

    Raises:
        LatentError: too few samples, all of one score or not finite, or scores and latents do not match.
    """
    from sklearn.svm import LinearSVC  # only training needs it  # noqa: PLC0415

    if scores.shape != latents.shape[:1] or latents.ndim != 2:
        raise LatentError(f"latents {latents.shape} need scores {latents.shape[:1]}, not {scores.shape}")
    if not (np.isfinite(latents).all() and np.isfinite(scores).all()):
        raise LatentError("latents and scores must be finite: leave out the samples that nothing could score")
    if not 0 < extremes <= 0.5:
        raise LatentError(f"{extremes} of the samples at each end: at most half can lie there")
    count = int(len(scores) * extremes)
    if count < LEAST_EXTREMES:
        raise LatentError(f"{len(scores)} samples give {count} at each end; at least {LEAST_EXTREMES} are needed")
    order = np.argsort(scores, kind="stable")
    if scores[order[count - 1]] >= scores[order[-count]]:
        raise LatentError(f"the {count} highest scores are the lowest as well: nothing tells these samples apart")
    chosen = np.concatenate([order[-count:], order[:count]])
    labels = np.repeat([1, 0], count)
    shuffled = np.random.default_rng(seed).permutation(2 * count)
    fitted, held = np.split(shuffled, [int(2 * count * TRAINING_SHARE)])
    machine = LinearSVC(dual="auto", random_state=seed).fit(latents[chosen[fitted]], labels[fitted])
    normal = machine.coef_[0]
    length = float(np.linalg.norm(normal))
    boundary = replace(
        template, vector=(normal / length).astype(np.float32), intercept=float(machine.intercept_[0]) / length
    )
    return Fit(boundary, float(machine.score(latents[chosen[held]], labels[held])), 2 * count)


def save(path: str | Path, direction: Direction) -> None:
    """Write a direction with where it belongs, as .npz."""
    np.savez(
        path,
        vector=direction.vector,
        name=direction.name,
        generator=direction.generator,
        space=direction.space,
        positive=direction.positive,
        rows=np.array(direction.rows or (), np.int64),
        intercept=direction.intercept,
    )


def load(path: str | Path) -> Direction:
    """Read a direction that `save` wrote.

    Raises:
        LatentError: the file is something else.
    """
    with _archive(path) as file:
        if not {"vector", "name", "generator", "space"} <= set(file.files) or file["space"].item() not in SPACES:
            raise LatentError(
                f"{path} is no direction; published vectors come in through models.published.stylegan.directions"
            )
        rows = tuple(map(int, file["rows"]))
        return Direction(
            name=file["name"].item(),
            vector=_vector(file["vector"], path),
            generator=file["generator"].item(),
            space=file["space"].item(),
            positive=file["positive"].item(),
            rows=(rows[0], rows[1]) if len(rows) == 2 else None,
            intercept=float(file["intercept"]),
        )


def save_components(path: str | Path, found: Components) -> None:
    """Write components with their generator, as .npz."""
    np.savez(path, mean=found.mean, vectors=found.vectors, deviations=found.deviations, generator=found.generator)


def load_components(path: str | Path) -> Components:
    """Read components that `save_components` wrote.

    Raises:
        LatentError: the file is something else.
    """
    with _archive(path) as file:
        if not {"mean", "vectors", "deviations", "generator"} <= set(file.files):
            raise LatentError(
                f"{path} holds no components; published ones come in through models.published.stylegan.directions"
            )
        mean, vectors, deviations = (file[name].astype(np.float32) for name in ("mean", "vectors", "deviations"))
        return Components(mean, vectors, deviations, file["generator"].item())


SPACES: tuple[Space, ...] = ("Z", "W", "W+")


def _archive(path: str | Path) -> NpzFile:
    """An .npz file, opened.

    Raises:
        LatentError: it is something else.
    """
    try:
        file = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise LatentError(f"{path} is no .npz file: {error}") from error
    if not isinstance(file, NpzFile):
        raise LatentError(
            f"{path} is a bare array, which does not say whose it is; `fit` and models.published.stylegan.directions do"
        )
    return file


def _samples(path: Path) -> NDArray[Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise LatentError(f"{path} is no .npy file of numbers: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise LatentError(f"{path} is no .npy file of numbers")
    return values


def _vector(values: NDArray[Any], origin: object) -> Floats:
    vector = np.squeeze(values).astype(np.float32)
    if vector.ndim not in (1, 2) or not np.isfinite(vector).all() or not vector.any():
        raise LatentError(f"{origin}: a direction is (D,) or (rows, D), finite and not zero; this is {values.shape}")
    return vector


def main(argv: Sequence[str]) -> int:
    """`fit --latents W.npy --scores S.npy --name bald --generator NAME --output bald.npz [--hold AGE.npz]`; `make`."""
    if argv[:1] == ["make"]:
        return run_part("models.latents", "models.boundaries.{part}", ("make",), argv)
    parser = argparse.ArgumentParser(prog="python -m models.latents", description="Boundaries from labelled latents.")
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="fit a linear boundary to the extremes of a score")
    commands.add_parser("make", help="sample a generator, score, fit, and put the sliders into the page")
    fit.add_argument("--latents", type=Path, required=True, help=".npy, (N, D)")
    fit.add_argument("--scores", type=Path, required=True, help=".npy, (N,), higher is more")
    fit.add_argument("--name", required=True, help="what the boundary changes")
    fit.add_argument("--generator", required=True, help="whose latents these are")
    fit.add_argument("--space", choices=SPACES, default="W")
    fit.add_argument("--extremes", type=float, default=EXTREMES, help="share of the samples at each end")
    fit.add_argument("--hold", type=Path, nargs="*", default=[], help="boundaries that the result must not move along")
    fit.add_argument("--output", type=Path, required=True, help="the boundary, .npz")
    options = parser.parse_args(argv)
    output = options.output if options.output.suffix == ".npz" else Path(f"{options.output}.npz")  # as NumPy names it
    if not output.parent.is_dir():
        print(f"error: the folder {output.parent} does not exist; make it first", file=sys.stderr)
        return 1
    template = Direction(options.name, np.zeros(1, np.float32), options.generator, options.space)
    try:
        result = fit_boundary(_samples(options.latents), _samples(options.scores).ravel(), template, options.extremes)
        boundary = conditioned(result.boundary, *map(load, options.hold)) if options.hold else result.boundary
        save(output, boundary)
    except (LatentError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    kept = float(boundary.vector @ result.boundary.vector)
    held = f"; held off {len(options.hold)} others, cosine {kept:.2f} with what was fitted" if options.hold else ""
    print(f"{output}: {result.samples} samples, {result.accuracy:.1%} of the held-out ones on their side{held}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
