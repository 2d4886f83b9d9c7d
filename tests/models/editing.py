"""What the tests of all editors do."""

from __future__ import annotations

from models.arrays import Latent
from models.editor import AnyEditor, Controls, Crop, Edit


def rendered(editor: AnyEditor, crop: Crop, latent: Latent, controls: Controls) -> Edit:
    """The edit of a crop that was read as `latent`."""
    return editor.render(crop, latent, editor.steer(latent, controls), controls)
