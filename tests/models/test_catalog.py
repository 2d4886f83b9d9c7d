"""The catalog: light to import, honest about what is there, and every row consistent."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import catalog, trained
from models.editor import Controls
from models.entry import Entry, State, Weights, has_gpu, weights_folder
from models.weights.sources import Conversion
from tests.models.editing import no_editor

ROWS = [pytest.param(row, id=row.name) for row in catalog.ENTRIES.values()]

IDINVERT_DIRECTIONS = ("age", "expression", "eyeglasses", "gender", "pose")


def test_nothing_heavy_is_imported_for_the_catalog_and_its_controls() -> None:
    code = (
        "import sys\nfrom models import catalog\n"
        "for row in catalog.ENTRIES.values(): row.controls().model_json_schema(), row.state, row.why\n"
        "print([name for name in ('torch', 'onnxruntime', 'openvino', 'sklearn', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("row", ROWS)
def test_controls_start_neutral_and_presets_move_them(row: Entry) -> None:
    model = row.controls()
    assert issubclass(model, Controls)
    assert model().neutral()
    for preset in row.presets:
        assert not model.model_validate(dict(preset.controls)).neutral(), preset.title


@pytest.mark.parametrize("row", ROWS)
def test_the_detail_alone_changes_nothing(row: Entry) -> None:
    model = row.controls()
    if "detail" not in model.model_fields:
        return
    assert all(model.model_validate({"detail": detail}).neutral() for detail in ("delta", "full"))


@pytest.mark.parametrize("row", ROWS)
def test_at_most_one_control_makes_a_lifespan_and_it_has_a_range(row: Entry) -> None:
    properties = row.controls().model_json_schema()["properties"]
    marked = {name: field for name, field in properties.items() if field.get("lifespan")}
    assert len(marked) <= 1
    assert bool(marked) == any(field.get("unit") == "years" for field in properties.values())
    for field in marked.values():
        assert any("minimum" in shape and "maximum" in shape for shape in field.get("anyOf", [field]))


@pytest.mark.parametrize("row", ROWS)
def test_rows_say_where_weights_come_from(row: Entry) -> None:
    assert 0 < len(row.name) <= 64
    assert row.title
    assert row.description.endswith(".")
    assert len({weights.path for weights in row.weights}) == len(row.weights)
    for weights in row.weights:
        assert weights.licence
        assert weights.origin
        assert all(url.startswith("https://") for url in weights.urls)
        assert re.fullmatch("([0-9a-f]{64})?", weights.sha256)
        assert re.fullmatch("([0-9a-f]{32})?", weights.md5)
        assert not weights.member or weights.urls


def test_published_directions_are_pinned(shared: Path) -> None:
    index = (shared / "facts" / "directions" / "INDEX.tsv").read_text()
    index_lacks = {weights_folder() / "idinvert" / f"{name}.npy" for name in IDINVERT_DIRECTIONS}
    pinned = [weights for row in catalog.ENTRIES.values() for weights in row.weights if weights.sha256]
    assert index_lacks < {weights.path for weights in pinned}
    for weights in pinned:
        if weights.path in index_lacks:
            continue
        assert f"{weights.path.name}\t{weights.size}\t{weights.sha256}" in index


def test_every_conversion_is_there() -> None:
    convert = pytest.importorskip("models.convert")
    rows = [row for row in catalog.ENTRIES.values() if row.convert is not None]
    assert rows
    for row in rows:
        assert isinstance(row.convert, Conversion)
        for system, file, _ in row.convert.jobs:
            assert system in convert.CONVERTERS
            assert file in {weights.path for weights in row.weights}


def test_what_has_been_converted_is_not_converted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    convert = pytest.importorskip("models.convert")
    done: list[Path] = []

    def make_network(file: Path, to: Path) -> None:
        done.append(file)
        for name in ("net.onnx", "semantic.npz"):
            (to / name).touch()

    monkeypatch.setattr(convert, "CONVERTERS", {"one": make_network})
    file = tmp_path / "net.pt"
    file.write_bytes(b"1")
    job = Conversion((("one", file, tmp_path / "to"),), after=lambda: done.append(tmp_path))
    job()
    job()
    assert done == [file, tmp_path, tmp_path]
    file.write_bytes(b"22")
    job()
    (tmp_path / "to" / "net.onnx").unlink()
    job()
    assert done.count(file) == 3
    (tmp_path / "to" / "semantic.npz").unlink()
    job()
    job()
    assert done.count(file) == 4


def make(folder: Path, **facts: Any) -> Entry:
    weights = (Weights(folder / "net.pt", "CC0-1.0", "a test", 1000),)
    networks = (folder / "net.onnx",)
    facts = {"networks": networks} | facts
    return Entry(
        name="test",
        title="Test",
        description="A test.",
        controls=lambda: Controls,
        load=no_editor,
        weights=weights,
        **facts,
    )


def state_of(row: Entry) -> tuple[State, str]:
    """What a row says now; it looks at its files anew each time."""
    return row.state, row.why


def test_a_row_is_ready_when_its_networks_are_there(tmp_path: Path) -> None:
    row = make(tmp_path)
    assert state_of(row) == ("needs weights", "missing: net.pt; get it with: python -m models.fetch test")
    (tmp_path / "net.pt").touch()
    state, why = state_of(row)
    assert state == "needs weights"
    assert why.startswith("missing: net.onnx")
    (tmp_path / "net.onnx").touch()
    assert state_of(row) == ("ready", "")
    (tmp_path / "net.pt").unlink()
    assert state_of(row) == ("ready", "")


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_heavy_row_needs_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    row = make(tmp_path, needs_gpu=True)
    assert row.state == "needs a GPU"
    assert row.why


def test_files_of_one_archive_count_once(tmp_path: Path) -> None:
    urls = ("https://example.test/a.zip",)
    files = [Weights(tmp_path / name, "CC0-1.0", "a test", 500, urls=urls, member=name) for name in ("a", "b")]
    alone = Weights(tmp_path / "c", "CC0-1.0", "a test", 100)
    own = Weights(tmp_path / "d", "your own", "a test")
    row = Entry(
        name="test",
        title="Test",
        description="A test.",
        controls=lambda: Controls,
        load=no_editor,
        weights=(*files, alone, own),
    )
    assert row.size == 600
    own.path.write_bytes(b"1234")
    assert row.size == 604


def test_an_editor_that_was_trained_here_takes_no_others_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(trained, "entries", lambda: (replace(make(tmp_path), name="embedded"), make(tmp_path)))
    rows = catalog._collect()
    assert rows["embedded"].title == catalog.ENTRIES["embedded"].title
    assert rows["test"].title == "Test"
    assert "there is one called embedded" in caplog.text


def test_the_folder_of_weights_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LATENTCAM_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path


def test_the_table_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert catalog.main([]) == 0
    printed = capsys.readouterr().out
    for row in catalog.ENTRIES.values():
        assert re.search(rf"^{re.escape(row.name)} +{row.state}", printed, re.MULTILINE)
    assert f"Weights lie in {weights_folder()}" in printed


def test_the_table_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """A name after the command was passed over in silence."""
    with pytest.raises(SystemExit) as refused:
        catalog.main(["nobody"])
    assert refused.value.code == 2
    assert "unrecognized arguments: nobody" in capsys.readouterr().err


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(catalog.UnknownEditor, match=r"there is no editor 'nobody'; there are: .*embedded"):
        catalog.entry("nobody")
