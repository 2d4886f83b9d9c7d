"""Golden pictures of MobileStyleGAN."""

from __future__ import annotations

from collections.abc import Iterator

from models.published.stylegan.mobilestylegan import load_mapping, load_student
from models.weights.golden import Comparison, Golden


def mobilestylegan(golden: Golden) -> Iterator[Comparison]:
    """Pictures of one w and of 23 rows, the first block's coefficients, the mapping network."""
    state = golden.state()
    student = load_student(state)
    yield golden.compare("w", load_mapping(state)(golden.input("z")))
    noise = [golden.input(f"noise_{4 << index}") for index in range(len(student.layers) + 1)]
    codes = golden.input("w")[:, None].expand(-1, student.rows, -1)
    yield golden.compare("freq8_w", student.coefficients(codes, noise)[0])
    yield from golden.compare_image("out_w", student(codes, noise))
    for rows in golden.found(r"out_w_plus(\d+)"):
        yield from golden.compare_image(f"out_w_plus{rows}", student(golden.input(f"w_plus{rows}"), noise))
