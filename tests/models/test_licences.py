"""Licences of weights: every name in the catalog is known, or says that its authors state none."""

from __future__ import annotations

from pathlib import Path

from models import catalog
from models.entry import Entry, Weights
from models.licences import LICENCES, parts_of
from models.published.hairmapper.editor import HairMapperControls
from tests.models.editing import no_editor


def test_every_published_licence_is_explained() -> None:
    said = {weights.licence for entry in catalog.ENTRIES.values() for weights in entry.weights}
    unknown = {name for name in said if not parts_of(name)}
    assert all(name.startswith(("your own", "that of", "none stated")) for name in unknown), unknown


def test_texts_that_are_here_are_whole() -> None:
    assert LICENCES["MIT"].text.startswith("Permission is hereby granted")
    assert LICENCES["MIT"].text.endswith("SOFTWARE.")
    assert "END OF TERMS AND CONDITIONS" in LICENCES["Apache-2.0"].text
    assert all(each.text or each.url for each in LICENCES.values())


def test_what_is_said_of_several_licences_is_taken_apart() -> None:
    words = "Apache-2.0; distilled from a network under the NVIDIA Source Code License (not for commercial use)"
    assert [name for name, _ in parts_of(words)] == ["Apache-2.0", "NVIDIA Source Code License"]
    assert [name for name, _ in parts_of("CC BY-NC-SA 4.0 (not for commercial use)")] == ["CC BY-NC-SA 4.0"]


def test_the_size_is_that_of_what_is_missing(tmp_path: Path) -> None:
    def weights(name: str, size: int, *urls: str) -> Weights:
        return Weights(tmp_path / name, "MIT", "a test", size, urls=urls)

    entry = Entry(
        name="sized",
        title="",
        description="",
        controls=lambda: HairMapperControls,
        load=no_editor,
        weights=(weights("a", 100, "u"), weights("b", 100, "u"), weights("c", 40, "v"), weights("d", 0, "w")),
    )
    assert entry.still_to_fetch == (140, 1), "files of one archive count once"
    (tmp_path / "c").write_bytes(b"0" * 40)
    assert entry.still_to_fetch == (100, 1), "what is here is not fetched"
    (tmp_path / "d").touch()
    assert entry.still_to_fetch == (100, 0)
