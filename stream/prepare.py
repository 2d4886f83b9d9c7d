"""Decoded frames of files -> upright frames in 8-bit 4:2:0 of standard dynamic range, which is what is edited.

FFmpeg's filters turn and mirror the planes themselves, so that no sample goes through another colour space.
"""

from __future__ import annotations

import itertools
import struct
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.filter import Graph
from av.sidedata.sidedata import Type

from stream import hdr

Turn = tuple[int, int, int, int]
Filter = tuple[str, str | dict[str, str]]
"""Name of a filter and its options, as FFmpeg's text or one by one."""
UPRIGHT = (1, 0, 0, 1)
UNIT = 65536  # of the display matrix, 16.16 fixed point
TURNS: dict[Turn, tuple[tuple[str, str], ...]] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}
"""Filters per display matrix (a, b, c, d) of ISO/IEC 14496-12: x' = ax + cy, y' = bx + dy."""
UNSPECIFIED, RGB_MATRIX, BT709 = 2, 0, 1  # ITU-T H.273
FULL_RANGE = 2
EDITED_FORMAT = "yuv420p"


class Shape(NamedTuple):
    """What decides how a frame is prepared."""

    width: int
    height: int
    format: str
    matrix: int
    range: int
    transfer: int
    turn: Turn


class Prepared(NamedTuple):
    """A frame to edit.

    Attributes:
        frame: upright yuv420p of standard dynamic range.
        kept: the same, upright, in `hdr.KEPT_FORMAT`; None where the source is no HDR or is not to be kept.
    """

    frame: av.VideoFrame
    kept: av.VideoFrame | None


class Prepare:
    """Prepares the frames of one stream.

    Args:
        keep_hdr: whether to hand on HDR frames beside their tone-mapped pictures.

    Attributes:
        notes: what was done that a user should know, one sentence each.
    """

    def __init__(self, *, keep_hdr: bool = False) -> None:
        self.notes: list[str] = []
        self._keep = keep_hdr
        self._shape: Shape | None = None
        self._upright: Graph | None = None
        self._edited: Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> Prepared:
        shape = Shape(
            frame.width,
            frame.height,
            frame.format.name,
            int(frame.colorspace),
            int(frame.color_range),
            int(frame.color_trc),
            self._turn(frame),
        )
        if shape != self._shape:
            self._build(shape, frame)
            self._shape = shape
        if frame.interlaced_frame:
            self._note(
                "the source is interlaced: it is written with both fields in one picture, and not marked as such"
            )
        kept = None
        if self._upright is not None:
            frame = _through(self._upright, frame)
        if shape.transfer in hdr.NAMES and self._keep:
            kept = frame
        if self._edited is not None:
            frame = _tagged(_through(self._edited, frame), shape)
        return Prepared(frame, kept)

    @property
    def turned(self) -> bool:
        """Whether width and height of the last frame changed places."""
        return self._shape is not None and self._shape.turn[0] == 0

    def _turn(self, frame: av.VideoFrame) -> Turn:
        stored: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
        if stored is None:
            return UPRIGHT
        a, b, _, c, d = struct.unpack("=9i", bytes(stored))[:5]
        turn = round(a / UNIT), round(b / UNIT), round(c / UNIT), round(d / UNIT)
        if turn in TURNS:
            return turn
        self._note("the display matrix turns by no multiple of 90 degrees: the picture is written as it is stored")
        return UPRIGHT

    def _build(self, shape: Shape, frame: av.VideoFrame) -> None:
        is_hdr = shape.transfer in hdr.NAMES
        upright: list[Filter] = [*TURNS[shape.turn]]
        edited: list[Filter] = []
        span = "pc" if shape.range == FULL_RANGE else "tv"
        if is_hdr:
            name = hdr.NAMES[shape.transfer]
            if self._keep:
                if frame.format.is_rgb:
                    upright.append(("scale", f"out_range={span}:out_color_matrix=bt2020"))
                upright.append(("format", hdr.KEPT_FORMAT))
                self._note(f"the video is {name} (HDR): it is kept, and edited through its tone-mapped picture")
            else:
                self._note(f"the video is {name} (HDR): it is tone-mapped to BT.709; --keep-hdr keeps it")
            cube = Path(tempfile.mkdtemp(prefix="latentcam-")) / "tone.cube"
            hdr.write_cube(cube, shape.transfer)
            edited += [("scale", f"in_range={span}:in_color_matrix=bt2020"), ("format", "gbrp16le")]
            edited += [("lut3d", {"file": str(cube), "interp": "tetrahedral"})]  # a path needs no escapes this way
            edited += [("scale", "out_range=tv:out_color_matrix=bt709"), ("format", EDITED_FORMAT)]
        elif shape.format != EDITED_FORMAT:
            matrix = ":out_color_matrix=bt709" if frame.format.is_rgb else ""
            span = f"out_range={span}{matrix}" if frame.format.is_rgb else f"in_range={span}:out_range={span}"
            edited += [("scale", span), ("format", EDITED_FORMAT)]
        self._say_what_is_lost(frame, is_hdr=is_hdr)
        self._upright = _graph(frame, upright)
        turned = shape._replace(format=hdr.KEPT_FORMAT) if is_hdr and self._keep else shape
        self._edited = _graph(frame, edited, turned)
        if is_hdr:
            cube.unlink()
            cube.parent.rmdir()

    def _say_what_is_lost(self, frame: av.VideoFrame, *, is_hdr: bool) -> None:
        luma, *others = (one for one in frame.format.components if not one.is_alpha)
        if len(frame.format.components) > 1 + len(others):
            self._note("the source has transparency: it is written without")
        if frame.format.is_rgb:
            self._note("the source is RGB: it is written as 4:2:0")
        if luma.bits > 8 and not (is_hdr and self._keep):
            self._note(f"the source has {luma.bits} bits a sample: it is written with 8")
        if others and not frame.format.is_rgb and others[0].width * others[0].height > frame.width * frame.height // 2:
            self._note("the source has full chroma (4:4:4): it is written as 4:2:0")
        elif others and not frame.format.is_rgb and 2 * others[0].height > frame.height + 1:
            self._note("the source has 4:2:2 chroma: it is written as 4:2:0")

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


class Fit:
    """Fits frames into one size: whole and centred, over black.

    Args:
        width, height: of the result, pixels; even.
    """

    def __init__(self, width: int, height: int) -> None:
        size = f"{width}:{height}"
        self._filters: list[Filter] = [
            ("scale", f"{size}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
            ("pad", f"{size}:(ow-iw)/2:(oh-ih)/2"),
        ]
        self._graph: Graph | None = None
        self._size = (0, 0)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        size = frame.width, frame.height
        if self._graph is None or size != self._size:
            self._graph, self._size = _graph(frame, self._filters), size
        assert self._graph is not None
        return _through(self._graph, frame)


def _graph(frame: av.VideoFrame, filters: list[Filter], shape: Shape | None = None) -> Graph | None:
    """A chain of filters for frames like one; None for no filters."""
    if not filters:
        return None
    graph = Graph()
    width, height, format = frame.width, frame.height, frame.format.name
    if shape is not None:
        format = shape.format
        if shape.turn[0] == 0:
            width, height = height, width
    ends = [
        graph.add(
            "buffer",
            f"video_size={width}x{height}:pix_fmt={format}:time_base={frame.time_base or '1/1000'}"
            f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
    ]
    for name, options in filters:
        if isinstance(options, str):
            ends.append(graph.add(name, options) if options else graph.add(name))
        else:
            ends.append(graph.add(name, **options))
    ends.append(graph.add("buffersink"))
    for before, after in itertools.pairwise(ends):
        before.link_to(after)
    graph.configure()
    return graph


def _through(graph: Graph, frame: av.VideoFrame) -> av.VideoFrame:
    graph.push(frame)
    out = graph.pull()
    assert isinstance(out, av.VideoFrame)
    return out


def _tagged(frame: av.VideoFrame, shape: Shape) -> av.VideoFrame:
    if shape.transfer in hdr.NAMES:
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        frame.color_range = 1
    elif shape.matrix == RGB_MATRIX:
        frame.colorspace = BT709
        frame.color_range = shape.range or 1
    return frame
