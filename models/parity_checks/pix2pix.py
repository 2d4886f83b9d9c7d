"""Golden outputs of pix2pix's U-Net."""

from __future__ import annotations

from collections.abc import Iterator

from models.golden import Comparison, Golden
from models.pix2pix import load_reference


def unet256_bn(golden: Golden) -> Iterator[Comparison]:
    """With the stored statistics and with those of the picture, as the authors' test script runs it."""
    yield from golden.compare_image("out_eval", load_reference(golden.state(), "batch")(golden.image()))
    network = load_reference(golden.state(), "batch moments")
    yield from golden.compare_image("out_batch_stats", network(golden.image()))
