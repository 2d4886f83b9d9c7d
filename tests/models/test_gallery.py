"""What the gallery tells of editors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models import catalog, figures, full_size, published
from models.entry import Entry, Weights
from models.gallery import PICTURES, Speed, download_of, group_of, hardware_of, licences_of, speeds_of

PICTURES_FOLDER = Path(__file__).resolve().parents[2] / "web" / "gallery"


@pytest.mark.parametrize(
    ("name", "group"),
    [("embedded", "ready"), ("hair", "ready"), ("e4e", "published"), ("pix2pix", "own"), ("stargan-rafd", "own")],
)
def test_groups(name: str, group: str) -> None:
    assert group_of(catalog.ENTRIES[name]) == group


def test_what_was_trained_here_is_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    file.write_bytes(b"")
    row = replace(catalog.ENTRIES["pix2pix"], weights=(Weights(file, "your own", "training"),), networks=(file,))
    assert row.state == "ready"
    assert group_of(row) == "own"


def test_every_licence_that_is_named_has_its_text() -> None:
    for row in catalog.ENTRIES.values():
        for name, url in licences_of(row):
            assert url.startswith("https://") or name.startswith(("your own", "that of", "none stated")), name
    assert licences_of(catalog.ENTRIES["lats"])[0][1].endswith("by-nc-sa/4.0/legalcode.en")
    first, second, *_ = licences_of(catalog.ENTRIES["e4e"])
    assert first == ("MIT", "https://opensource.org/license/mit")
    assert second[0].startswith("the generator in it under the NVIDIA")
    assert "nvlabs" in second[1]


def test_speeds_are_of_this_server_first(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "e4e": figures.Figures(gflop=100, megabytes=1, ms={"A": 10, "B": 7}),
        "stylegan2": figures.Figures(gflop=60, megabytes=1, ms={"A": 30}),
    }
    monkeypatch.setattr(figures, "known", lambda: table)
    row = catalog.ENTRIES["e4e"]
    assert speeds_of(row, {}, "") == [Speed("A", 70)]  # a reading and two drawings; B has not measured both networks
    assert speeds_of(row, {"e4e": 81.5}, "openvino bf16")[0] == Speed("on this server, openvino bf16", 81.5)
    assert speeds_of(catalog.ENTRIES["hair"], {}, "") == []
    assert hardware_of(row) == "Needs an NVIDIA GPU to keep up with a camera (220 GFLOP a frame)."
    assert hardware_of(catalog.ENTRIES["embedded"]) == "Runs on a plain processor."
    assert "GFLOP" not in hardware_of(catalog.ENTRIES["lats"])  # not counted here


def test_what_an_editor_runs_is_counted() -> None:
    named = {name for row in catalog.ENTRIES.values() for name in row.frame}
    assert named <= full_size.NETWORKS.keys() == figures.known().keys()
    for name in ("stargan-128", "mobilestylegan", "styleflow", "pggan", "couplegenerator", "idinvert-generator"):
        counted = figures.count(name)
        assert (counted.gflop, counted.megabytes) == (figures.known()[name].gflop, figures.known()[name].megabytes)


@pytest.mark.parametrize("row", published.entries(), ids=lambda row: row.name)
def test_every_published_editor_says_what_a_frame_costs(row: Entry) -> None:
    assert row.frame  # the networks of a frame are named,
    assert set(row.frame) <= figures.known().keys()  # each is counted,
    assert "GFLOP a frame" in hardware_of(row)  # and the gallery shows the sum


@pytest.mark.parametrize("row", published.entries(), ids=lambda row: row.name)
def test_every_published_editor_says_how_long_a_frame_takes(row: Entry) -> None:
    said = {speed.where for speed in speeds_of(row, {}, "")}
    assert any(where.startswith("openvino f32") for where in said)
    assert any(where.startswith("openvino bf16") for where in said)


def test_every_picture_is_there_and_shown() -> None:
    assert PICTURES.keys() <= catalog.ENTRIES.keys()
    assert {path.stem for path in PICTURES_FOLDER.glob("*.webp")} == set(PICTURES.values())


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((1_200_000_000, 4_000), "Download: 1.2 GB."),
        ((324_000_000, 0), "Download: 324 MB and 1.bin, whose size is not stated."),
        ((None, 1_200_000_000), "You bring 0.bin. Download: 1.2 GB."),
        ((None,), "You bring 0.bin."),
        ((4_000, 4_000), "Download: 0.1 MB."),
    ],
)
def test_what_has_to_be_downloaded(sizes: tuple[int | None, ...], said: str, tmp_path: Path) -> None:
    weights = [
        Weights(
            tmp_path / f"{n}.bin", "MIT", "a test", size or 0, urls=() if size is None else (f"https://a.test/{n}",)
        )
        for n, size in enumerate(sizes)
    ]
    row: Entry = replace(catalog.ENTRIES["fran"], weights=tuple(weights), networks=())
    assert download_of(row) == said
    for each in weights:
        each.path.touch()
    assert download_of(row) == "Nothing to download."
    unmade = replace(row, networks=(tmp_path / "network.onnx",))
    assert download_of(unmade) == "Nothing to download. Networks are still to be made of the files."


def test_an_archive_is_downloaded_once(tmp_path: Path) -> None:
    both = [Weights(tmp_path / name, "MIT", "a test", 50_000_000, urls=("https://a.test/z",)) for name in "ab"]
    assert download_of(replace(catalog.ENTRIES["fran"], weights=tuple(both), networks=())) == "Download: 50 MB."


def test_an_editor_that_is_slower_than_video_says_how_slow() -> None:
    assert "at best 7 times a second on one core" in hardware_of(catalog.ENTRIES["lats"])


def test_speeds_are_taken_from_a_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "figures.json"
    table.write_text('{"lats": {"gflop": 1.0, "megabytes": 2.0, "ms": {"openvino f32, there": 9.0}}}')
    monkeypatch.setattr(figures, "FILE", table)
    figures.known.cache_clear()
    report = tmp_path / "report.json"
    row = {"network": "lats.onnx", "backend": "openvino", "precision": "f32", "p50": 80.123, "processor": 40.0}
    report.write_text(json.dumps({"rows": [row]}))
    try:
        assert figures.main(["speeds", str(report), "--where", "one core"]) == 0
        assert figures.main(["speeds", str(report), "--where", "one core", "--processor"]) == 0
        assert figures.known()["lats"].ms == {
            "openvino f32, there": 9.0,
            "openvino f32, one core": 80.12,
            "openvino f32, processor time, one core": 40.0,
        }
        row["network"] = "unheard"
        report.write_text(json.dumps({"rows": [row]}))
        assert figures.main(["speeds", str(report), "--where", "one core"]) == 1
    finally:
        figures.known.cache_clear()
