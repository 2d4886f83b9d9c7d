"""Golden outputs of pix2pix's U-Net."""

from __future__ import annotations

from collections.abc import Iterator

from models.pix2pix import load_reference, norm_of
from models.weights.golden import Comparison, Golden


def unet(golden: Golden) -> Iterator[Comparison]:
    """With the stored statistics and with those of the batch, as the authors' test script runs it."""
    state = golden.state()
    norm = norm_of(state)
    if golden.found("(out_eval)"):
        network = load_reference(state, "batch" if norm == "batch moments" else norm)
        yield from golden.compare_image("out_eval", network(golden.image()))
    if golden.found("(out_batch_stats)"):
        network = load_reference(golden.state(), norm)
        yield from golden.compare_image("out_batch_stats", network(golden.image()))
