"""What a level of H264 allows: ITU-T H.264, table A-1 and section A.3.1."""

from __future__ import annotations

from dataclasses import dataclass

FRAME_RATE = 30
MACROBLOCK = 16  # pixels on a side
LOWEST_RATE = 15.0  # frames a second; rather than fewer, the picture is made smaller
LOWEST_USED = 30  # level_idc; lower ones are for peers that ask for them: their bitrates are below what a camera needs


@dataclass(frozen=True, slots=True)
class Level:
    """Limits of a level.

    Attributes:
        idc: as sequence parameter sets say it: 31 is level 3.1, 9 is level 1b.
        blocks_a_second: macroblocks.
        blocks: macroblocks of a picture.
        bitrate: bit/s, of the baseline profile.
    """

    idc: int
    blocks_a_second: int
    blocks: int
    bitrate: int

    @property
    def side(self) -> int:
        """Most macroblocks in a row or column of a picture."""
        return int((8 * self.blocks) ** 0.5)


LEVELS = tuple(
    Level(idc, blocks_a_second, blocks, 1000 * kbits)
    for idc, blocks_a_second, blocks, kbits in (
        (10, 1_485, 99, 64),
        (9, 1_485, 99, 128),
        (11, 3_000, 396, 192),
        (12, 6_000, 396, 384),
        (13, 11_880, 396, 768),
        (20, 11_880, 396, 2_000),
        (21, 19_800, 792, 4_000),
        (22, 20_250, 1_620, 4_000),
        (30, 40_500, 1_620, 10_000),
        (31, 108_000, 3_600, 14_000),
        (32, 216_000, 5_120, 20_000),
        (40, 245_760, 8_192, 20_000),
        (41, 245_760, 8_192, 50_000),
        (42, 522_240, 8_704, 50_000),
        (50, 589_824, 22_080, 135_000),
        (51, 983_040, 36_864, 240_000),
        (52, 2_073_600, 36_864, 240_000),
    )
)
HIGHEST = LEVELS[-1]


def level_of(idc: int, constraint_set3: bool = False) -> Level | None:
    """The level that a `profile-level-id` names; the highest known for later ones, None for what is no level."""
    if idc == 11 and constraint_set3:
        idc = 9
    if idc in (60, 61, 62):
        return HIGHEST
    return next((level for level in LEVELS if level.idc == idc), None)


def level_for(blocks: int, fps: float = FRAME_RATE, most: Level = HIGHEST) -> Level:
    """The level that a stream says: the lowest one that allows it, none below `LOWEST_USED` if it can be helped.

    Args:
        blocks: macroblocks of a picture.
        fps: frames a second.
        most: highest that the peer takes; it is the answer when none allows the stream.
    """
    allowed = LEVELS[: LEVELS.index(most) + 1]
    for level in allowed:
        if level.idc >= LOWEST_USED and blocks <= level.blocks and blocks * fps <= level.blocks_a_second:
            return level
    return most


def macroblocks(width: int, height: int) -> int:
    """How many blocks of 16x16 pixels cover a picture."""
    return -(-width // MACROBLOCK) * -(-height // MACROBLOCK)


def fitting_size(width: int, height: int, level: Level) -> tuple[int, int]:
    """The largest even size of the same shape that a level allows at `LOWEST_RATE` frames a second.

    Args:
        width, height: of the picture, pixels.
        level: highest that the peer takes.
    """
    most = min(level.blocks, int(level.blocks_a_second / LOWEST_RATE))

    def fits(across: int, down: int) -> bool:
        return macroblocks(across, down) <= most and max(across, down) <= MACROBLOCK * level.side

    size = max(2, width & ~1), max(2, height & ~1)
    scale = min(1.0, (most * MACROBLOCK**2 / (size[0] * size[1])) ** 0.5, MACROBLOCK * level.side / max(size))
    while not fits(*size):
        size = max(2, int(width * scale) & ~1), max(2, int(height * scale) & ~1)
        scale *= 0.99
    return size


def highest_rate(width: int, height: int, level: Level) -> float:
    """Frames a second of a size that a level allows."""
    return level.blocks_a_second / macroblocks(width, height)
