"""The field's published editors as rows of the catalog: controls, weights, licences. Only conversions import torch."""

from __future__ import annotations

from models.entry import Entry
from models.published import stylegan, stylegan1, translators


def entries() -> tuple[Entry, ...]:
    """One row per published editor."""
    return (*translators.entries(), *stylegan.entries(), *stylegan1.entries())
