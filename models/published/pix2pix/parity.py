"""Golden outputs of pix2pix's U-Net and of CoupleGenerator's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from models.published.pix2pix.network import from_tensorflow, load_couple_generator, load_reference, norm_of
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


def couple(golden: Golden) -> Iterator[Comparison]:
    """CoupleGenerator under the dropout that its inputs `keep_<side>` draw: what is above 0 is kept and doubled."""
    variables = {key: value.numpy() for key, value in golden.state("generator/", strip=False).items()}
    network = load_couple_generator(from_tensorflow(variables))
    keep = [2 * (golden.input(f"keep_{side}") > 0).float() for side in network.dropouts]
    yield from golden.compare_image("out", network(golden.image(), *keep))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"pix2pix.*": unet,
    r"couple.*": couple,
}
"""By a pattern of the name of the golden file, in lower case."""
