"""Latent arithmetic: what an edit does, what it leaves alone, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from models import latents
from models.latents import (
    Direction,
    LatentError,
    components,
    conditioned,
    fit_boundary,
    move,
    semantics,
)
from models.published.stylegan.directions import GANSPACE_FFHQ, convert, known, load_components, load_published

RNG = np.random.default_rng(0)


def direction(seed: int = 0, size: int = 16, **fields: object) -> Direction:
    vector = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return Direction(**{"name": f"d{seed}", "vector": vector, "generator": "toy"} | fields).unit()  # type: ignore[arg-type]


def code(*shape: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def test_move_touches_its_rows_only() -> None:
    w, way = code(6, 16), direction(rows=(1, 3))
    moved = move(w, way, 2.0)
    assert_allclose(moved[1:3], w[1:3] + 2 * way.vector, rtol=1e-6)
    assert_array_equal(moved[[0, 3, 4, 5]], w[[0, 3, 4, 5]])
    assert_array_equal(move(w, way, 0.0), w)


def test_a_direction_per_row() -> None:
    vector = code(6, 16)
    way = Direction("d", vector, "toy", "W+", rows=(2, 4))
    assert_allclose(move(np.zeros((6, 16), np.float32), way, 1.0)[2:4], vector[2:4])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_conditioned_leaves_what_is_held(count: int) -> None:
    primal, held = direction(0), [direction(i + 1) for i in range(count)]
    got = conditioned(primal, *held)
    assert got.norm == pytest.approx(1)
    for other in held:
        assert got.vector @ other.vector == pytest.approx(0, abs=1e-6)
    assert got.vector @ primal.vector > 0


def test_conditioned_takes_dependent_conditions() -> None:
    held = direction(1)
    once, twice = conditioned(direction(0), held), conditioned(direction(0), held, held.reversed())
    assert_allclose(once.vector, twice.vector, atol=1e-6)


def test_conditioned_on_itself_is_an_error() -> None:
    with pytest.raises(LatentError, match="nothing of 'd0' is left"):
        conditioned(direction(0), direction(0))


def test_directions_of_another_generator_or_space_are_refused() -> None:
    with pytest.raises(LatentError, match="belongs to toy, not to stylegan2-ffhq"):
        direction().require("stylegan2-ffhq")
    with pytest.raises(LatentError, match="lives in Z, not in W"):
        direction(space="Z").require("toy", "W+")
    with pytest.raises(LatentError, match="belongs to other"):
        conditioned(direction(0), direction(1, generator="other"))
    assert direction().require("toy", "W+")


def test_unit_keeps_the_hyperplane() -> None:
    way = Direction("d", np.array([3, 4], np.float32), "toy", intercept=10.0)
    assert way.unit().intercept == pytest.approx(2)
    assert_allclose(way.unit().vector, [0.6, 0.8], rtol=1e-6)


def test_components_find_the_widest_axis_and_set_it() -> None:
    samples = RNG.normal(size=(400, 8)).astype(np.float32) * np.array([1, 5, 1, 1, 2, 1, 1, 1], np.float32) + 3
    found = components(samples, 2, "toy")
    assert abs(found.vectors[0, 1]) > 0.99
    assert found.deviations[0] == pytest.approx(5, rel=0.15)
    w_plus = code(6, 8)
    moved = found.set_coordinate(w_plus, 0, (2, 4), 1.5)
    assert_array_equal(moved[[0, 1, 4, 5]], w_plus[[0, 1, 4, 5]])
    # the way there is measured on row 0, whatever the moved rows have
    at_row_0 = w_plus[0] + moved[2] - w_plus[2]
    assert (at_row_0 - found.mean) @ found.vectors[0] / found.deviations[0] == pytest.approx(1.5, abs=1e-4)
    assert_allclose(moved[2] - w_plus[2], moved[3] - w_plus[3], atol=1e-5)


def test_semantics_are_the_ways_that_change_styles_most() -> None:
    weight = RNG.normal(size=(30, 8)).astype(np.float32)
    vectors, gains = semantics([weight[:10], weight[10:]])
    assert (np.diff(gains) <= 0).all()
    for vector, gain in zip(vectors, gains, strict=True):
        assert np.square(weight @ vector).sum() == pytest.approx(gain, rel=1e-4)
    _, spread, reference = np.linalg.svd(weight)
    assert_allclose(np.abs((vectors * reference).sum(1)), 1, atol=1e-4)
    assert_allclose(gains, spread**2, rtol=1e-4)


def labelled(count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    normal = direction(3).vector
    w = np.random.default_rng(1).normal(size=(count, 16)).astype(np.float32)
    return w, w @ normal - 0.3, normal


def test_fit_finds_the_hyperplane() -> None:
    w, scores, normal = labelled()
    fit = fit_boundary(w, scores, Direction("bald", np.zeros(1, np.float32), "toy"))
    assert fit.accuracy == 1.0
    assert fit.samples == 160
    assert fit.boundary.vector @ normal > 0.9
    assert fit.boundary.norm == pytest.approx(1)
    sides = w @ fit.boundary.vector + fit.boundary.intercept
    assert np.corrcoef(sides, scores)[0, 1] > 0.9


def test_fits_of_the_same_samples_are_the_same() -> None:
    w = code(2000, 512)  # more dimensions than samples: the solver draws their order
    first, again = (fit_boundary(w, w[:, 0], direction(0)).boundary for _ in range(2))
    assert_array_equal(first.vector, again.vector)
    with pytest.raises(LatentError, match="nothing of"):
        conditioned(first, again)


@pytest.mark.parametrize(
    ("scores", "extremes", "message"),
    [
        (np.full(4000, np.nan), 0.02, "finite"),
        (np.linspace(0, 1, 4000), 0.6, "at most half"),
        (np.linspace(0, 1, 4000) > 0.999, 0.02, "nothing tells these samples apart"),
    ],
)
def test_samples_that_tell_nothing_are_refused(scores: np.ndarray, extremes: float, message: str) -> None:
    with pytest.raises(LatentError, match=message):
        fit_boundary(code(4000, 8), scores, direction(0), extremes)


def test_fit_needs_samples() -> None:
    template = Direction("bald", np.zeros(1, np.float32), "toy")
    with pytest.raises(LatentError, match="at least 10"):
        fit_boundary(code(100, 4), np.arange(100), template)
    with pytest.raises(LatentError, match="need scores"):
        fit_boundary(code(100, 4), np.arange(99), template)


def test_fit_command_holds_other_boundaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    w, scores, _ = labelled()
    np.save(tmp_path / "w.npy", w)
    np.save(tmp_path / "s.npy", scores)
    latents.save(tmp_path / "age.npz", direction(5, positive="older"))
    arguments = ["fit", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "s.npy"), "--name", "bald"]
    arguments += ["--generator", "toy", "--hold", str(tmp_path / "age.npz"), "--output", str(tmp_path / "bald.npz")]
    assert latents.main(arguments) == 0
    assert "160 samples" in capsys.readouterr().out
    bald = latents.load(tmp_path / "bald.npz").require("toy", "W")
    assert bald.vector @ direction(5).vector == pytest.approx(0, abs=1e-6)
    assert latents.load(tmp_path / "age.npz").positive == "older"


def test_fit_command_names_the_file_that_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    w, scores, _ = labelled()
    np.save(tmp_path / "w.npy", w)
    np.save(tmp_path / "s.npy", scores)
    arguments = ["fit", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "s.npy"), "--name", "bald"]
    arguments += ["--generator", "toy", "--output"]
    assert latents.main([*arguments, str(tmp_path / "bald")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'bald.npz'}: ")
    assert latents.load(tmp_path / "bald.npz").name == "bald"
    monkeypatch.delattr(latents, "fit_boundary")  # it is refused before
    assert latents.main([*arguments, str(tmp_path / "gone" / "bald.npz")]) == 1
    assert f"the folder {tmp_path / 'gone'} does not exist" in capsys.readouterr().err


def test_directions_of_other_generators_are_not_held(tmp_path: Path) -> None:
    w, scores, _ = labelled()
    np.save(tmp_path / "w.npy", w)
    np.save(tmp_path / "s.npy", scores)
    latents.save(tmp_path / "age.npz", direction(5, generator="other"))
    arguments = ["fit", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "s.npy"), "--name", "bald"]
    arguments += ["--generator", "toy", "--hold", str(tmp_path / "age.npz"), "--output", str(tmp_path / "bald.npz")]
    assert latents.main(arguments) == 1
    assert not (tmp_path / "bald.npz").exists()


@pytest.mark.parametrize("held", ["bare.npy", "objects.npy", "junk.npz", "longer.npz"])
def test_the_command_says_what_a_foreign_file_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], held: str) -> None:
    w, scores, _ = labelled()
    np.save(tmp_path / "w.npy", w)
    np.save(tmp_path / "s.npy", scores)
    np.save(tmp_path / "bare.npy", w[0])
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "junk.npz").write_bytes(b"junk")
    latents.save(tmp_path / "longer.npz", Direction("age", np.ones(w.shape[1] + 1, np.float32), "toy"))
    arguments = ["fit", "--latents", str(tmp_path / "w.npy"), "--scores", str(tmp_path / "s.npy"), "--name", "bald"]
    arguments += ["--generator", "toy", "--output", str(tmp_path / "bald.npz"), "--hold", str(tmp_path / held)]
    assert latents.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: ")
    arguments[arguments.index("--latents") + 1] = str(tmp_path / held)
    assert latents.main(arguments[:-2]) == 1


@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, np.nan), np.ones((2, 2, 2))])
def test_bad_vectors_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", vector=values, name="a", generator="toy", space="W", positive="", rows=[], intercept=0)
    with pytest.raises(LatentError, match="finite and not zero"):
        latents.load(tmp_path / "a.npz")


def test_published_directions_know_their_generator(shared: Path) -> None:
    folder = shared / "facts" / "directions"
    age = load_published(folder / "e4e" / "age.pt", "stylegan2-ffhq")
    assert (age.name, *age.vector.shape) == ("age", 512)
    assert age.norm == pytest.approx(1)
    baby = load_published(folder / "babygan" / "age.npy", "stylegan1-ffhq")
    assert (baby.rows, baby.positive) == ((0, 8), "younger")
    with pytest.raises(LatentError, match="belongs to stylegan1-ffhq, not to stylegan2-ffhq"):
        load_published(folder / "babygan" / "age.npy", "stylegan2-ffhq")


def test_published_conditional_boundary_is_ours(shared: Path) -> None:
    folder = shared / "facts" / "directions" / "interfacegan"
    age, gender, published = (
        load_published(folder / f"stylegan_ffhq_{name}_boundary.npy", "stylegan1-ffhq")
        for name in ("age", "gender", "age_c_gender")
    )
    assert conditioned(age, gender).vector @ published.vector == pytest.approx(1, abs=1e-5)


def test_published_components(shared: Path) -> None:
    found = load_components(shared / "facts" / "directions" / "e4e" / "ffhq_pca.pt", "stylegan2-ffhq")
    assert found.vectors.shape == (80, 512)
    assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert max(edit.component for edit in GANSPACE_FFHQ.values()) < 80


@pytest.mark.parametrize("name", ["age.pt", "pose.pt", "ffhq_pca.pt"])
def test_published_files_become_ours(shared: Path, tmp_path: Path, name: str) -> None:
    convert(shared / "facts" / "directions" / "e4e" / name, tmp_path)
    written = tmp_path / f"{Path(name).stem}.npz"
    if name == "ffhq_pca.pt":
        assert latents.load_components(written).vectors.shape == (80, 512)
        with pytest.raises(LatentError, match="is no direction"):
            latents.load(written)
    else:
        assert latents.load(written).require("stylegan2-ffhq", "W+").norm == pytest.approx(1)
        with pytest.raises(LatentError, match="holds no components"):
            latents.load_components(written)


def test_every_published_file_is_known(shared: Path) -> None:
    lines = (shared / "facts" / "directions" / "INDEX.tsv").read_text().splitlines()[1:]
    hashes = {line.split("\t")[2] for line in lines if not line.startswith(("fran/", "styleflow/"))}
    assert {digest for digest in hashes if digest not in known()} == {
        line.split("\t")[2] for line in lines if "intercepts" in line
    }


def test_an_unknown_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", code(1, 512))
    with pytest.raises(LatentError, match="no published direction"):
        load_published(tmp_path / "a.npy", "stylegan2-ffhq")
