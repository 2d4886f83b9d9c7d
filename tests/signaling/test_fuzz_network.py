"""Every parser of what comes over the network, a short time each; longer by `python -m tests.fuzz NAME --seconds N`."""

from __future__ import annotations

import importlib
import random
import time

import pytest

SECONDS = 1.5
WORDS = (b"\0\0", b"\xff\xff", b"\0\0\3", b"\0\0\1", b"\xff\xda", b"99", b"\r\n")
NAMES = ("offers", "channel_messages", "sps", "vp8", "rtp", "photos")


def mutated(seed: bytes, rng: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randrange(1, 9)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 40)] * rng.randrange(1, 20)
            case _:
                data[at : at + 2] = rng.choice(
                    [b"\0\0", b"\xff\xff", b"\0\0\3", b"\0\0\1", b"\xff\xda", b"99", b"\r\n"]
                )
    return bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_time_of_mutations(name: str) -> None:
    fuzzed = importlib.import_module(f"tests.fuzz.{name}")
    seeds = fuzzed.seeds()
    rng = random.Random(11)
    for seed in seeds:
        fuzzed.target(seed)
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        fuzzed.target(mutated(rng.choice(seeds), rng))
