"""What the gallery tells of editors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models import catalog
from models.entry import Weights
from models.gallery import MEASURED, WORK, Speed, group_of, hardware_of, licences_of, speeds_of


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
    assert licences_of(catalog.ENTRIES["lats"])[0][1].endswith("by-nc-sa/4.0/")


def test_speeds_are_of_this_server_first() -> None:
    row = catalog.ENTRIES["e4e"]
    assert speeds_of(row, {}, "") == list(MEASURED["e4e"])
    assert speeds_of(row, {"e4e": 81.5}, "openvino bf16")[0] == Speed("on this server, openvino bf16", 81.5)
    assert speeds_of(catalog.ENTRIES["hair"], {}, "") == []


def test_hardware() -> None:
    assert hardware_of(catalog.ENTRIES["embedded"]) == "A plain processor."
    assert hardware_of(catalog.ENTRIES["fran"]).endswith("193 G multiplications a frame.")
    assert WORK.keys() | MEASURED.keys() <= catalog.ENTRIES.keys()
