"""What the mark says, as bits: a statement, a check sum and an error-correcting code that reads soft bits.

A statement of 43 bits and a CRC of 16 go through a convolutional code of rate 1/3 and constraint length 7 with
generators 133, 171 and 165 (octal; Proakis, Digital Communications, table 8.2-1), terminated with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

VERSION = 1
VERSION_BITS, KIND_BITS, OPERATOR_BITS, CHECK_BITS = 3, 8, 32, 16
STATEMENT_BITS = VERSION_BITS + KIND_BITS + OPERATOR_BITS
KINDS = ("age", "hair removal", "hair colour", "expression", "child", "identity", "style", "other")
"""Kinds of edit in the order of their bits, lowest first."""

GENERATORS = (0o133, 0o171, 0o165)
MEMORY = 6
"""Bits that the encoder remembers; as many zeros end every message."""
MESSAGE_BITS = STATEMENT_BITS + CHECK_BITS
CODE_BITS = (MESSAGE_BITS + MEMORY) * len(GENERATORS)

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a mark says about a face.

    Attributes:
        kinds: kinds of edit, of `KINDS`.
        operator: number of the installation that edited, 0 to 2**32 - 1; 0 says nothing.
        version: of the payload.

    Raises:
        ValueError: an unknown kind, or a number out of range.
    """

    kinds: frozenset[str]
    operator: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        if unknown := sorted(self.kinds - set(KINDS)):
            raise ValueError(f"unknown kinds of edit: {', '.join(unknown)}; known: {', '.join(KINDS)}")
        if not 0 <= self.operator < 1 << OPERATOR_BITS:
            raise ValueError(f"the operator's number is {self.operator}; it is 0 to {(1 << OPERATOR_BITS) - 1}")
        if not 0 <= self.version < 1 << VERSION_BITS:
            raise ValueError(f"the version is {self.version}; it is 0 to {(1 << VERSION_BITS) - 1}")


class Decoded(NamedTuple):
    """A decoded message.

    Attributes:
        statement: what it says; None if the check sum fails, or its version is unknown.
        code: (CODE_BITS,) uint8, the code word nearest to what was received.
    """

    statement: Statement | None
    code: Bits


def encode(statement: Statement) -> Bits:
    """The code word of a statement, (CODE_BITS,) uint8 of 0 and 1."""
    kinds = sum(1 << index for index, kind in enumerate(KINDS) if kind in statement.kinds)
    value = (statement.version << KIND_BITS | kinds) << OPERATOR_BITS | statement.operator
    message = (value << CHECK_BITS) | crc16(value.to_bytes((STATEMENT_BITS + 7) // 8, "big"))
    bits = [message >> shift & 1 for shift in range(MESSAGE_BITS - 1, -1, -1)]
    return _convolve([*bits, *[0] * MEMORY])


def decode(soft: Floats) -> Decoded:
    """Find the message nearest to soft bits (Viterbi 1967).

    Args:
        soft: (CODE_BITS,) float32, positive where a bit is likely 1, in proportion to its certainty.
    """
    steps = np.asarray(soft, np.float64).reshape(-1, len(GENERATORS))
    trellis = _trellis()
    states = 1 << MEMORY
    score = np.full(states, -np.inf)
    score[0] = 0
    choices = np.empty((len(steps), states), np.uint8)
    for index, step in enumerate(steps):
        branch = score[trellis.before] + trellis.signs @ step
        choices[index] = branch.argmax(1)
        score = branch.max(1)
    state, bits = 0, []
    for index in range(len(steps) - 1, -1, -1):
        bits.append(state >> (MEMORY - 1))
        state = int(trellis.before[state, choices[index, state]])
    message = int("".join(map(str, bits[::-1][:MESSAGE_BITS])), 2)
    return Decoded(_checked(message), _convolve(bits[::-1]))


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
        value &= 0xFFFF
    return value


class _Trellis(NamedTuple):
    """The code's state machine, by the state after a step.

    Attributes:
        before: (64, 2), the two states that lead to it.
        signs: (64, 2, 3), -1 or 1: the code bits on the way.
    """

    before: NDArray[np.intp]
    signs: NDArray[np.float64]


@cache
def _trellis() -> _Trellis:
    states = 1 << MEMORY
    before = np.empty((states, 2), np.intp)
    signs = np.empty((states, 2, len(GENERATORS)))
    for after in range(states):
        bit = after >> (MEMORY - 1)
        for lost in range(2):
            state = (after << 1 | lost) & (states - 1)
            register = bit << MEMORY | state
            before[after, lost] = state
            signs[after, lost] = [2 * ((register & generator).bit_count() & 1) - 1 for generator in GENERATORS]
    return _Trellis(before, signs)


def _convolve(bits: list[int]) -> Bits:
    state, code = 0, []
    for bit in bits:
        register = bit << MEMORY | state
        code += [(register & generator).bit_count() & 1 for generator in GENERATORS]
        state = register >> 1
    return np.array(code, np.uint8)


def _checked(message: int) -> Statement | None:
    value, check = message >> CHECK_BITS, message & ((1 << CHECK_BITS) - 1)
    if crc16(value.to_bytes((STATEMENT_BITS + 7) // 8, "big")) != check:
        return None
    operator = value & ((1 << OPERATOR_BITS) - 1)
    kinds = value >> OPERATOR_BITS & ((1 << KIND_BITS) - 1)
    version = value >> (OPERATOR_BITS + KIND_BITS)
    if version != VERSION or not kinds:
        return None
    return Statement(frozenset(kind for index, kind in enumerate(KINDS) if kinds >> index & 1), operator, version)
