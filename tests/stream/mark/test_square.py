"""The mark on synthetic skin: written, worn, read; never read where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from stream.mark.carrier import PATTERNS, SIDE, SYNC, carrier
from stream.mark.payload import CODE_BITS, KINDS, Statement, crc16, decode, encode
from stream.mark.square import STEP, Evidence, bits_of, project, residual_of, write

STATEMENT = Statement(frozenset({"age", "hair removal"}), 0xDEADBEEF)


def skin(seed: int, noise: float = 0.0) -> Floats:
    """An unwrapped face: broad shading, features, grain."""
    rng = np.random.default_rng(seed)
    shading, features, grain = (
        cv2.GaussianBlur(rng.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), sigma) for sigma in (12, 3, 0.8)
    )
    picture = 130 + 500 * shading + 60 * features + 6 * grain
    return (picture + np.random.default_rng(seed + 1).normal(0, noise, picture.shape)).astype(np.float32)


def test_the_transform_is_orthonormal_and_a_group_is_read_back_alone() -> None:
    own = carrier()
    np.testing.assert_allclose(own.transform @ own.transform.T, np.eye(SIDE), atol=1e-5)
    assert len(np.unique(own.where)) == own.where.size
    wanted = np.zeros(PATTERNS, np.float32)
    wanted[[3, 40, 200]] = 1, -2, 3
    np.testing.assert_allclose(project(residual_of(wanted)), wanted, atol=1e-5)
    assert carrier() is carrier()


def test_the_carrier_is_the_documented_one() -> None:
    """Marks of earlier versions stay readable: whoever changes this raises the version of the payload."""
    own = carrier()
    assert own.where[0].tolist() == [2448, 4072]
    assert np.sign(own.signs[0]).tolist() == [1, -1]
    assert own.scramble[:SYNC].sum() == SYNC / 2


def test_a_statement_comes_back_from_one_face() -> None:
    luma = skin(1)
    evidence = Evidence()
    evidence.add(luma + write(luma, bits_of(STATEMENT)).residual)
    verdict = evidence.verdict()
    assert verdict.statement == STATEMENT
    assert verdict.score > 5
    assert verdict.agreement > 0.98


def test_the_mark_is_as_faint_as_it_says() -> None:
    share = carrier().energy > 0.15 * carrier().energy.max()
    errors = [(write(skin(seed), bits_of(STATEMENT)).residual[share] ** 2).mean() for seed in range(12)]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 42.5


@pytest.mark.parametrize("noise", [2.0, 4.0, 6.0])
def test_noise_is_outlived_by_many_frames(noise: float) -> None:
    luma, evidence = skin(2), Evidence()
    marked = luma + write(luma, bits_of(STATEMENT)).residual
    rng = np.random.default_rng(0)
    for _ in range(60):
        evidence.add((marked + rng.normal(0, noise, marked.shape)).astype(np.float32))
    assert evidence.verdict().statement == STATEMENT


def test_unmarked_faces_say_nothing() -> None:
    scores = []
    for seed in range(300):
        evidence = Evidence()
        evidence.add(skin(seed, noise=2.0))
        verdict = evidence.verdict()
        assert verdict.statement is None
        scores.append(verdict.score)
    assert max(scores) < 4
    flat = Evidence()
    flat.add(np.full((SIDE, SIDE), 120, np.float32))  # all projections are 0, on the lattice of all zeros
    assert abs(flat.verdict().score) < 1
    assert Evidence().verdict().statement is None


def test_the_later_of_two_marks_is_read() -> None:
    luma, later = skin(4), Statement(frozenset({"expression"}), 7)
    once = luma + write(luma, bits_of(STATEMENT)).residual
    twice = once + write(once, bits_of(later)).residual
    evidence = Evidence()
    evidence.add(twice)
    assert evidence.verdict().statement == later


def test_a_still_face_keeps_its_mark() -> None:
    luma = skin(5)
    first = write(luma, bits_of(STATEMENT))
    again = write(
        luma + np.random.default_rng(1).normal(0, 2, luma.shape).astype(np.float32),
        bits_of(STATEMENT),
        first.points,
    )
    np.testing.assert_array_equal(first.points, again.points)
    assert np.abs(project(luma + first.residual) - first.points).max() < STEP / 4


@pytest.mark.parametrize("wrong", [{"kinds": frozenset({"nose"})}, {"operator": -1}, {"operator": 1 << 32}])
def test_a_statement_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kind|operator"):
        Statement(**{"kinds": frozenset({"age"}), "operator": 0} | wrong)  # type: ignore[arg-type]


def test_the_code_corrects_a_tenth_of_its_bits() -> None:
    code = encode(STATEMENT)
    assert len(code) == CODE_BITS
    rng = np.random.default_rng(0)
    for _ in range(20):
        received = 2.0 * code - 1
        received[rng.choice(CODE_BITS, CODE_BITS // 10, replace=False)] *= -1
        assert decode(received.astype(np.float32)).statement == STATEMENT


def test_noise_is_no_statement() -> None:
    rng = np.random.default_rng(0)
    read = [decode(rng.standard_normal(CODE_BITS).astype(np.float32)).statement for _ in range(2000)]
    assert not any(read)


def test_the_check_sum_is_the_standard_one() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE


def test_every_kind_has_its_bit() -> None:
    for kind in KINDS:
        statement = Statement(frozenset({kind}), 1)
        assert decode(2.0 * encode(statement) - 1).statement == statement
