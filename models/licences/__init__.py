"""Licences of weights: what they ask for in short, where their texts stand, and those texts that are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
AUTHORS = "Copyright (c) the authors named beside the files"


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence by the beginning of its name.

    Attributes:
        url: where its text stands.
        brief: what it asks for, in our words; the text counts.
        file: of its text in this folder, "" where there is none.
    """

    url: str
    brief: str
    file: str = ""

    @property
    def text(self) -> str:
        """The whole text; empty where it is not here."""
        return (FOLDER / self.file).read_text(encoding="utf-8").strip("\n") if self.file else ""


LICENCES: Mapping[str, Licence] = {
    "MIT": Licence(
        "https://opensource.org/license/mit",
        "You may do whatever you like with them, also for money, as long as the notice of the authors stays with them.",
        "MIT.txt",
    ),
    "Apache-2.0": Licence(
        "https://www.apache.org/licenses/LICENSE-2.0",
        "You may use, change and pass them on, also for money, with the licence, its notices and a note of changes.",
        "Apache-2.0.txt",
    ),
    "CC BY-NC-SA 4.0": Licence(
        "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode.en",
        "Not for commercial use. Whatever you pass on names the authors, and what you make of it has the same licence.",
    ),
    "CC BY-NC 4.0": Licence(
        "https://creativecommons.org/licenses/by-nc/4.0/legalcode.en",
        "Not for commercial use. Whatever you pass on names the authors.",
    ),
    "NVIDIA Source Code License": Licence(
        "https://nvlabs.github.io/stylegan2/license.html",
        "For research and evaluation alone, not for commercial use; what you make of it is under the same terms.",
    ),
}


def parts_of(name: str) -> list[tuple[str, Licence]]:
    """The known licences that the words about some weights name, in the order of the words.

    >>> [known for known, _ in parts_of("MIT; the generator in it under the NVIDIA Source Code License (no)")]
    ['MIT', 'NVIDIA Source Code License']
    """
    found = sorted((name.find(known), known) for known in LICENCES if known in name)
    return [(known, LICENCES[known]) for _, known in found]
