"""The walls between the page's modules, read from their import lines."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent.parent / "web"
WITHOUT_ELEMENTS = (
    "page",
    "fields",
    "lasting",
    "words",
    "states",
    "storage",
    "control",
    "connection",
    "whip",
    "http",
    "emitter",
)
IMPORT = re.compile(r'^(?:import .*|\} )from "\./(\w+)\.js";$', re.MULTILINE)


def imports() -> dict[str, set[str]]:
    return {path.stem: set(IMPORT.findall(path.read_text())) for path in WEB.glob("*.js")}


def test_no_import_goes_round_and_every_module_is_used() -> None:
    modules = imports()
    assert list(TopologicalSorter(modules).static_order())[-1] == "app", "app.js wires, and nobody knows it"
    used = set().union(*modules.values())
    assert used == set(modules) - {"app"}


def test_what_the_page_knows_is_apart_from_what_it_shows() -> None:
    modules = imports()
    for name in WITHOUT_ELEMENTS:
        assert modules[name] <= set(WITHOUT_ELEMENTS), name
        assert not re.search(r"\bdocument\.(?!baseURI)", (WEB / f"{name}.js").read_text()), name


def test_every_function_is_written_once() -> None:
    """Sizes, buttons and capitals had two or three homes each."""
    homes: dict[str, list[str]] = {}
    for path in WEB.glob("*.js"):
        for name in re.findall(r"^(?:export )?(?:async )?function (\w+)", path.read_text(), re.MULTILINE):
            homes.setdefault(name, []).append(path.name)
    twice = {name: files for name, files in homes.items() if len(files) > 1}
    assert twice == {}
