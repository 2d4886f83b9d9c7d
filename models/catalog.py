"""`python -m models.catalog`: every editor, with its controls, weights, licence, and whether it can run here."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points

from models import published, trained
from models.editor import AnyEditor, Controls
from models.embedded import rows as embedded
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder

__all__ = ["ENTRIES", "Entry", "LoadEngine", "Preset", "UnknownEditor", "Weights", "entry"]


log = logging.getLogger(__name__)

GROUP = "latentcam.editors"
"""Entry points of editors from outside; see docs/editors.md."""


class UnknownEditor(LookupError):
    """There is no editor of that name; the message lists those there are."""


def entry(name: str) -> Entry:
    """The catalog's row for an editor.

    Raises:
        UnknownEditor: there is none of that name.
    """
    if name not in ENTRIES:
        raise UnknownEditor(f"there is no editor {name!r}; there are: {', '.join(sorted(ENTRIES))}")
    return ENTRIES[name]


def plug_ins() -> Iterator[Entry]:
    """The rows of installed plug-ins: entry points of the group `GROUP`, each an `Entry` or a function that gives some.

    A plug-in that is broken is a row that says why.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            found = point.load()
            yield from _rows_of(found() if callable(found) else found)
        except Exception as error:  # whatever a stranger's package raises, the other editors are there
            yield _broken(point.name, f"cannot be loaded: {type(error).__name__}: {error}")


def _rows_of(found: object) -> tuple[Entry, ...]:
    rows = (found,) if isinstance(found, Entry) else tuple(found) if isinstance(found, Iterable) else ()
    if not rows or not all(isinstance(row, Entry) for row in rows):
        raise TypeError("its entry point gives no models.entry.Entry")
    return rows


def _broken(name: str, fault: str) -> Entry:
    def load(load_engine: LoadEngine) -> AnyEditor:
        raise RuntimeError(fault)

    return Entry(
        name=name,
        title=name,
        description="A plug-in.",
        controls=lambda: Controls,
        load=load,
        fault=" ".join(fault.split()),
    )


def _collect() -> dict[str, Entry]:
    rows = {row.name: row for row in (*embedded.entries(), *published.entries())}
    for kind, found in (("an editor that was trained here", trained.entries()), ("a plug-in's editor", plug_ins())):
        for row in found:
            if row.name in rows:
                log.warning("%s is left out: there is one called %s", kind, row.name)
            rows.setdefault(row.name, row)
    return rows


ENTRIES: dict[str, Entry] = _collect()
"""Every editor by its name: those that ship, the published ones, those trained here, plug-ins."""


NOTE = """Published editors give their authors' numbers under weights by formula (`python -m models.parity`) and edit a
video of a real face in small (tests/models/test_published_live.py). No file of their authors was at hand."""


def table() -> str:
    """The catalog as lines of text: name, state, size of the download, licence, what it does, its controls."""
    rows = [("EDITOR", "STATE", "SIZE", "LICENCE", "CONTROLS")]
    for row in ENTRIES.values():
        size = f"{row.size / 1e6:.0f} MB" if row.size else "?"
        rows.append((row.name, row.state, size, row.licence, ", ".join(row.controls().model_fields)))
    widths = [max(len(line[column]) for line in rows) for column in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + f"  {line[3]}\n    {line[4]}"
        for line in rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m models.catalog`: print the table."""
    ArgumentParser(prog="python -m models.catalog", description="Every editor, and what it needs.").parse_args(argv)
    print(table())
    print("\n`python -m models.fetch EDITOR` fetches what an editor needs, once you have accepted its licence.")
    print(f"Weights lie in {weights_folder()} (LATENTCAM_WEIGHTS moves it).")
    print(NOTE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
