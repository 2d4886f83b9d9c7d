"""Golden sets: the formula reproduces, and a check that is wrong or incomplete fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from models import parity
from models.weights.golden import Comparison, Golden, GoldenError, Rule, fill


def test_published_check_values() -> None:
    image = fill("input.image", Rule((1, 3, 256, 256), "lin", 0, 1, None), seed=0)
    assert_array_equal(
        image.ravel()[:4],
        np.array([-1.2730388641357422, 0.9355894923210144, 0.5030544996261597, -1.5280691385269165], np.float32),
    )
    average = fill("latent_avg", Rule((18, 512), "lin", 0, 0.1, None), seed=0)
    assert_array_equal(
        average.ravel()[:4],
        np.array([-0.06053129583597183, -0.0922836884856224, -0.11642657965421677, -0.10848008841276169], np.float32),
    )


def make_set(folder: Path, seed: int, crc: str = "-", **arrays: object) -> Path:
    (folder / "keys").mkdir()
    (folder / "README.md").write_text(f"# Golden parity data, SEED {seed}\n")
    rows = ["key\tshape\tkind\ta\tb\tcrc32_seed3", f"w\t4x2\tlin\t0\t1\t{crc}", "k\tscalar\tfixed\t0\t0\t-"]
    (folder / "keys" / "toy.tsv").write_text("\n".join(rows) + "\n")
    np.savez(folder / "toy.npz", **arrays)  # type: ignore[arg-type]
    return folder / "toy.npz"


def test_seed_comes_from_the_readme(tmp_path: Path) -> None:
    golden = Golden.load(make_set(tmp_path, 7))
    assert golden.seed == 7
    assert_array_equal(golden.array("w"), fill("w", Rule((4, 2), "lin", 0, 1, None), 7))
    assert golden.fixed() == ("k",)
    assert list(golden.state()) == ["w"]


@pytest.mark.parametrize("table", ["toy.tsv", "keys/toy_seed12.tsv"])
def test_rules_lie_beside_the_file_or_bear_its_whole_name(tmp_path: Path, table: str) -> None:
    make_set(tmp_path, 7).rename(tmp_path / "toy_seed12.npz")
    (tmp_path / "keys" / "toy.tsv").rename(tmp_path / table)
    golden = Golden.load(tmp_path / "toy_seed12.npz")
    assert list(golden.state()) == ["w"]


def test_names_of_images_and_arrays_are_found_once(tmp_path: Path) -> None:
    golden = Golden.load(make_set(tmp_path, 7, out_a_mean=np.ones(1), out_a_std=np.ones(1), out_b=np.ones(1)))
    assert golden.found(r"out_(\w)") == ["a", "b"]


def test_a_wrong_checksum_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match="checksum"):
        Golden.load(make_set(tmp_path, 3, crc="00000001")).array("w")


def test_missing_rules_are_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", out=np.zeros(3))
    with pytest.raises(GoldenError, match="--keys"):
        Golden.load(tmp_path / "toy.npz")


@pytest.mark.parametrize(
    ("got", "line"),
    [(1.0, "1 of 1 systems match"), (1.001, "OVER"), (np.nan, "OVER"), (None, "out (not checked)")],
)
def test_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    got: float | None,
    line: str,
) -> None:
    def toy(golden: Golden) -> Iterator[Comparison]:
        if got is not None:
            yield golden.compare("out", np.full(3, got))

    make_set(tmp_path, 0, out=np.ones(3))
    monkeypatch.setitem(parity.CHECKS, "toy", toy)
    assert parity.main([str(tmp_path)]) == (got != 1.0)
    assert line in capsys.readouterr().out


def test_a_system_without_a_check_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set(tmp_path, 0, out=np.ones(3))
    assert parity.main([str(tmp_path)]) == 1
    assert "no check of this name" in capsys.readouterr().out


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    assert parity.main([str(tmp_path)]) == 2


@pytest.mark.parametrize("stored", [{"SEED": np.array([9])}, {"Seed": np.float64(9)}])
def test_the_file_itself_may_name_the_seed(tmp_path: Path, stored: dict[str, object]) -> None:
    golden = Golden.load(make_set(tmp_path, 7, crc="00000001", **stored))
    assert golden.seed == 9
    assert_array_equal(golden.array("w"), fill("w", Rule((4, 2), "lin", 0, 1, None), 9))


@pytest.mark.parametrize(("offset", "passes"), [(1e-7, True), (1e-4, False)])
def test_a_mean_at_zero_is_measured_by_the_deviation(tmp_path: Path, offset: float, passes: bool) -> None:
    picture = np.random.default_rng(0).normal(size=(1, 3, 64, 64))
    picture -= picture.mean()
    golden = Golden.load(make_set(tmp_path, 7, out_mean=np.float64(1e-9)))
    (comparison,) = golden.compare_image("out", picture + offset)
    assert comparison.passed == passes


@pytest.mark.parametrize(
    ("folder", "readme", "seed"),
    [("set", "# Golden data\n\nThe seed is 21.", 21), ("parity_seed8", "", 8), ("parity_seed8", "SEED = 4", 4)],
)
def test_where_else_a_seed_may_stand(tmp_path: Path, folder: str, readme: str, seed: int) -> None:
    (tmp_path / folder).mkdir()
    file = make_set(tmp_path / folder, 0)
    (tmp_path / folder / "README.md").write_text(readme)
    assert Golden.load(file).seed == seed


def test_a_table_without_a_header_loses_no_row(tmp_path: Path) -> None:
    file = make_set(tmp_path, 7)
    table = tmp_path / "keys" / "toy.tsv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    assert list(Golden.load(file).state()) == ["w"]


def test_its_name_may_name_the_seed(tmp_path: Path) -> None:
    make_set(tmp_path, 7).rename(tmp_path / "toy_seed12.npz")
    golden = Golden.load(tmp_path / "toy_seed12.npz")
    assert (golden.system, golden.seed) == ("toy", 12)


def toy(golden: Golden) -> Iterator[Comparison]:
    yield golden.compare("out", np.ones(3))
    yield golden.compare("more", np.ones(3))


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"out": np.ones(3)}, (0, "not in the file")),
        ({"out": np.ones(3), "more": np.full(3, 2.0)}, (1, "OVER")),
        ({"out": np.ones(3), "note": np.array("made on a Monday")}, (0, "1 of 1")),
        ({"out": np.ones(3), "other": np.ones(2)}, (1, "other (not checked)")),
        ({}, (1, "nothing in this file")),
        ({"out": np.ones(4)}, (1, "OVER")),
    ],
)
def test_partial_and_larger_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arrays: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    make_set(tmp_path, 5, **arrays)
    monkeypatch.setitem(parity.CHECKS, "toy", toy)
    assert parity.main([str(tmp_path)]) == expected[0]
    assert expected[1] in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_file_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    make_set(tmp_path, 5).write_bytes(content)
    assert parity.main([str(tmp_path)]) == 1
    assert "0 of 1 systems match; not: toy" in capsys.readouterr().out


def test_a_system_asked_for_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_set(tmp_path, 5, out=np.ones(3))
    assert parity.main([str(tmp_path), "toys"]) == 2
    assert "no golden files of toys" in capsys.readouterr().err
