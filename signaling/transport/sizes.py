"""Read how large a coded picture is before it is decoded: a few bytes can ask a decoder for gigabytes."""

from __future__ import annotations

from collections.abc import Iterator

START_CODE = b"\x00\x00\x01"  # ITU-T H.264, annex B
SPS = 7
WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # H.264 section 7.3.2.1.1
LONGEST_CODE = 32  # leading zero bits of an Exp-Golomb code
LONGEST_CYCLE = 255  # offsets of a parameter set (section 7.4.2.1.1)
MOST_SETS = 8  # parameter sets of one frame; an encoder sends one or two
MACROBLOCK = 16  # pixels; what is coded is a multiple of it, the picture may be smaller


class Unreadable(ValueError):
    """No decoder could tell the size."""


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
    if len(data) >= 10 and data[0] & 1 == 0:
        yield int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


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
    bits = _Bits(sps.replace(b"\x00\x00\x03", b"\x00\x00"))
    profile = bits.read(8)
    bits.read(16)
    bits.code()
    chroma_format = 1
    if profile in WITH_CHROMA_FORMAT:
        chroma_format = bits.code()
        if chroma_format == 3:
            bits.read(1)
        bits.code()
        bits.code()
        bits.read(1)
        if bits.read(1):
            for i in range(12 if chroma_format == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    bits.code()
    order = bits.code()
    if order == 0:
        bits.code()
    elif order == 1:
        bits.read(1)
        bits.code()
        bits.code()
        cycle = bits.code()
        if cycle > LONGEST_CYCLE:
            raise Unreadable(f"a sequence parameter set has {cycle} offsets")
        for _ in range(cycle):
            bits.code()
    bits.code()
    bits.read(1)
    width, height = bits.code() + 1, bits.code() + 1
    return MACROBLOCK * width, MACROBLOCK * height * (2 - bits.read(1))


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    """H.264 section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_code()) % 256
        last = following or last


class _Bits:
    """Reads bits, most significant first, each at the same cost however many there are: strangers send them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, count: int) -> int:
        end = self._at + count
        if end > 8 * len(self._data):
            raise Unreadable("a sequence parameter set is cut short")
        window = int.from_bytes(self._data[self._at // 8 : (end + 7) // 8], "big") >> (-end % 8)
        self._at = end
        return window & ((1 << count) - 1)

    def code(self) -> int:
        """An unsigned Exp-Golomb code (H.264 section 9.1); signed ones are as long."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > LONGEST_CODE:
                raise Unreadable("a sequence parameter set holds an endless code")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed_code(self) -> int:
        """H.264 section 9.1.1."""
        code = self.code()
        return (code + 1) // 2 if code % 2 else -(code // 2)
