"""Read how large a coded picture is before it is decoded: a few bytes can ask a decoder for gigabytes.

A header passes only if every decoder reads it alike. FFmpeg reads a sequence parameter set up to three times until one
reading succeeds: without its emulation prevention bytes, with them, and with whatever follows it. So a set passes only
if all fields up to the size are in front of the first such byte and within the bounds that FFmpeg asks for: then its
first reading has the size that is read here. The decoder's own limit (`decoders.bounded`) stands behind this.
"""

from __future__ import annotations

from collections.abc import Iterator

START_CODE = b"\x00\x00\x01"  # ITU-T H.264, annex B
SPS = 7
VP8_START = b"\x9d\x01\x2a"  # RFC 6386, section 9.1

WITHOUT_CHROMA_FORMAT = {66, 77, 88}  # profiles: baseline, main, extended (H.264 section 7.3.2.1.1)
WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44}  # high profiles; scalable and multiview ones are not for calls

LONGEST_CODE = 31  # leading zero bits of an Exp-Golomb code
MOST_SET_ID = 31  # H.264 section 7.4.2.1.1, as the next ones
MOST_BIT_DEPTH = 6  # above 8 bits
MOST_LOG2 = 12  # of the largest frame number and picture order count, above 4 bits
LONGEST_CYCLE = 255  # offsets
MOST_REFERENCES = 16  # frames
MOST_MACROBLOCKS = 1024  # on a side
MOST_SETS = 8  # parameter sets of one frame; an encoder sends one or two
MACROBLOCK = 16  # pixels; what is coded is a multiple of it, the picture may be smaller


class Unreadable(ValueError):
    """Not every decoder would tell the same size."""


def too_large(size: tuple[int, int], max_pixels: int) -> bool:
    """Whether a picture has more than `max_pixels`, however much of its coded size (width, height) is cut off."""
    width, height = size
    return (width - MACROBLOCK + 1) * (height - MACROBLOCK + 1) > max_pixels


def coded_size(data: bytes, codec: str) -> tuple[int, int] | None:
    """The largest size that an encoded frame announces.

    Args:
        data: as decoders take it; H264 with start codes.
        codec: "VP8" or "H264"; of any other, nothing is read.

    Returns:
        Width and height in pixels, or None where the frame is of the size of those before it.

    Raises:
        Unreadable: it announces one, but is malformed.
    """
    sizes = list(_h264_sizes(data)) if codec == "H264" else list(_vp8_sizes(data)) if codec == "VP8" else []
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _vp8_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """RFC 6386, section 9.1."""
    if not data or data[0] & 1:
        return
    if len(data) < 10 or data[3:6] != VP8_START:
        raise Unreadable("a key frame has no start code")
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    if not width or not height:
        raise Unreadable("a key frame has no size")
    yield width, height


def _h264_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    at, sets = data.find(START_CODE), 0
    while at >= 0:
        start = at + len(START_CODE)
        at = data.find(START_CODE, start)
        if start < len(data) and data[start] & 0x1F == SPS:
            sets += 1
            if sets > MOST_SETS:
                raise Unreadable(f"more than {MOST_SETS} sequence parameter sets in one frame")
            yield _sps_size(data[start + 1 : at if at >= 0 else None])


def _sps_size(sps: bytes) -> tuple[int, int]:
    """The coded size from a sequence parameter set: H.264 section 7.3.2.1.1."""
    escaped = sps.find(b"\x00\x00")
    bits = _Bits(sps if escaped < 0 else sps[: escaped + 2])
    profile = bits.read(8)
    bits.read(16)
    bits.code(MOST_SET_ID)
    if profile in WITH_CHROMA_FORMAT:
        _skip_format(bits)
    elif profile not in WITHOUT_CHROMA_FORMAT:
        raise Unreadable(f"a sequence parameter set of profile {profile}")
    bits.code(MOST_LOG2)
    match bits.code(2):
        case 0:
            bits.code(MOST_LOG2)
        case 1:
            bits.read(1)
            bits.code()
            bits.code()
            for _ in range(bits.code(LONGEST_CYCLE)):
                bits.code()
    bits.code(MOST_REFERENCES)
    bits.read(1)
    width, height = bits.code(MOST_MACROBLOCKS - 1) + 1, bits.code(MOST_MACROBLOCKS - 1) + 1
    return MACROBLOCK * width, MACROBLOCK * height * (2 - bits.read(1))


def _skip_format(bits: _Bits) -> None:
    chroma_format = bits.code(3)
    if chroma_format == 3 and bits.read(1):
        raise Unreadable("a sequence parameter set has separate colour planes")
    bits.code(MOST_BIT_DEPTH)
    bits.code(MOST_BIT_DEPTH)
    bits.read(1)
    if bits.read(1):
        for i in range(12 if chroma_format == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if i < 6 else 64)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """H.264 section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            change = bits.signed_code()
            if not -128 <= change <= 127:
                raise Unreadable("a scaling list is out of range")
            following = (last + change) % 256
        last = following or last


class _Bits:
    """Reads bits, most significant first, each at the same cost however many there are: strangers send them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, count: int) -> int:
        end = self._at + count
        if end > 8 * len(self._data):
            raise Unreadable("a sequence parameter set is cut short, or emulates a start code before its size")
        window = int.from_bytes(self._data[self._at // 8 : (end + 7) // 8], "big") >> (-end % 8)
        self._at = end
        return window & ((1 << count) - 1)

    def code(self, most: int | None = None) -> int:
        """An unsigned Exp-Golomb code (H.264 section 9.1); signed ones are as long."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > LONGEST_CODE:
                raise Unreadable("a sequence parameter set holds an endless code")
        code = (1 << zeros) - 1 + self.read(zeros)
        if most is not None and code > most:
            raise Unreadable(f"a sequence parameter set has {code} where at most {most} are allowed")
        return code

    def signed_code(self) -> int:
        """H.264 section 9.1.1."""
        code = self.code()
        return (code + 1) // 2 if code % 2 else -(code // 2)
