"""Mutations of bytes, the same for the same seed: bits, bytes, cuts, repeats, splices, and words that formats use."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

LONGEST = 1 << 20
"""Bytes; a longer result is cut."""
WORDS = (
    *(b"\0\0", b"\0\0\1", b"\0\0\3", b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"),
    *(b"\xff\xda", b"-1", b"0", b"99", b"99999999999", b"\r\n", b"[[[[[[[[", b'{"a":' * 8, b"\xff" * 9 + b"\1"),
)
"""Zeros, ones and limits of integers; a start of a scan; numbers, line ends and nesting in text; the longest varint."""


def inputs(seeds: Sequence[bytes], number: int, words: Sequence[bytes] = ()) -> Iterator[bytes]:
    """The seeds, then mutations of them without end.

    Args:
        seeds: valid inputs.
        number: of the random sequence.
        words: what the format uses besides `WORDS`.
    """
    yield from seeds
    rng = random.Random(number)
    words = (*WORDS, *words)
    while True:
        yield mutated(seeds, rng, words)


def mutated(seeds: Sequence[bytes], rng: random.Random, words: Sequence[bytes] = WORDS) -> bytes:
    """One of the seeds after one to eight mutations."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 9)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 40)] * rng.randrange(1, 20)
            case 4:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) + 1)
                data[at : at + rng.randrange(9)] = other[start : start + rng.randrange(1, 200)]
            case 5:
                word = rng.choice(words)
                data[at:at] = word
            case _:
                word = rng.choice(words)
                data[at : at + len(word)] = word
    return bytes(data[:LONGEST])
