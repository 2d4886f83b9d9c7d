"""`python -m models.training boundary`: sliders of a generator, as `python -m models.latents make`."""

from __future__ import annotations

from models.boundaries.make import main

__all__ = ["main"]
