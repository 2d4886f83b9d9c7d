"""Going on with a video file where a run was stopped: its pictures are copied, and only the others are edited.

What a run was told stands beside its incomplete file, so that no file is made of two different edits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from stream.look import Look
from stream.names import beside, for_ffmpeg
from stream.picture_files import FileError

UNPACKED = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Filters that bring packets of a file to the form in which encoders give them to a muxer."""
UNKNOWN_BASE = Fraction(1, 1000)
JOB_START = b'{"source": '
WARM_UP = 15
"""Pictures before the first new one that are tracked and edited again, so that filters over time have settled."""


class Earlier:
    """The pictures that an incomplete file holds.

    Args:
        path: of the file. What cannot be read of it counts as not there.

    Attributes:
        count: pictures that are there without a gap, from the first one of the video on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        shown: list[int] = []
        try:
            with av.open(for_ffmpeg(path)) as container:
                shown += [packet.pts or 0 for packet in _pictures(container)]
        except (av.FFmpegError, OSError, IndexError):
            pass  # the file ends in the middle, or before it has begun
        self.count = whole_pictures(shown)
        self._shown = shown[: self.count]

    def packets(self, start: int, base: Fraction | None) -> Iterator[av.Packet[Any]]:
        """The encoded pictures in decoding order, with the times of the source: a muxer may shift them all.

        Args:
            start: time of the source's first picture, in units of `base`.
            base: of the times, seconds; None for that of the file.
        """
        first = min(self._shown, default=0)
        with av.open(for_ffmpeg(self._path)) as container:
            stream = container.streams.video[0]
            own = stream.time_base or UNKNOWN_BASE
            unit = own / (base or own)
            shown_at = [start + round((shown - first) * unit) for shown in self._shown]
            times = zip(shown_at, decoding_times(shown_at), strict=True)
            filter = UNPACKED.get(stream.codec_context.name)
            unpack = None if filter is None else BitStreamFilterContext(filter, stream)
            for (shown, decoded), packet in zip(times, _pictures(container), strict=False):
                for one in [packet] if unpack is None else unpack.filter(packet):
                    one.pts, one.dts, one.time_base = shown, decoded, base or own
                    yield one


def whole_pictures(shown: Sequence[int]) -> int:
    """How many packets from the first one on hold pictures without a gap.

    Pictures are decoded in another order than they are shown in: the last ones may refer to some that were not written
    any more. The last packet does not count, since it may be cut off.

    Args:
        shown: times of presentation in decoding order.
    """
    latest = list(accumulate(shown, max))
    earliest = list(accumulate(reversed(shown), min))[::-1]
    return max((n for n in range(1, len(shown)) if latest[n - 1] < earliest[n]), default=0)


def decoding_times(shown: Sequence[int]) -> list[int]:
    """Increasing times of decoding, none of them later than the picture is shown.

    Args:
        shown: times of presentation in decoding order, all different.
    """
    ordered = sorted(shown)
    place = {time: index for index, time in enumerate(ordered)}
    delay = max((index - place[time] for index, time in enumerate(shown)), default=0)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    before = [ordered[0] - k * step for k in range(delay, 0, -1)] if ordered else []
    return [*before, *ordered][: len(ordered)]


def part_of(target: Path) -> Path:
    """Where a file is written until it is complete."""
    return beside(target, "", f".part{target.suffix}")


def earlier_of(target: Path) -> Path:
    """Where the incomplete file of an earlier run is kept while another one goes on with it."""
    return beside(target, "", f".earlier{target.suffix}")


def job_of(target: Path) -> Path:
    """The file that says what the incomplete file is made of; every format of one name has its own."""
    return beside(target, "", f".part{target.suffix}.json")


def check_leftovers(target: Path) -> None:
    """Check that a run made what stands where the next one writes.

    Raises:
        FileError: a file there is the user's own; nothing replaces it, not even `--overwrite`.
    """
    job = job_of(target)
    if job.exists() and _is_job(job):
        return
    for left in (part_of(target), earlier_of(target), job):
        if left.exists():
            raise FileError(
                f"{left} is no file of a run that was stopped, and {target.name} is written there until it is "
                "complete: rename it, or name another output"
            )


def _is_job(path: Path) -> bool:
    """Whether a file begins as `describe_job` does; one that a power failure cut off counts too."""
    try:
        with path.open("rb") as file:
            return JOB_START.startswith(file.read(len(JOB_START)))
    except OSError:
        return False


def describe_job(source: Path, look: Look, *, keep_hdr: bool) -> dict[str, Any]:
    """What an incomplete file is made of, as JSON-ready data."""
    stat = source.stat()
    return {
        "source": [stat.st_size, stat.st_mtime_ns],
        "settings": look.settings.model_dump(mode="json"),
        "keep_hdr": keep_hdr,
        "encoder": [av.__version__, *av.library_versions["libavcodec"]],
    }


def keep_earlier(target: Path, part: Path, job: dict[str, Any]) -> Earlier | None:
    """Put what an earlier run wrote aside, so that another one can go on with it.

    Args:
        target: of the run.
        part: its incomplete file.
        job: from `describe_job`.

    Returns:
        The pictures; None where there are none.

    Raises:
        FileError: it was made of something else.
    """
    kept = earlier_of(target)
    if not (part.exists() or kept.exists()):
        return None
    try:
        known = json.loads(job_of(target).read_text())
    except (OSError, ValueError):
        known = {}
    different = [name for name in job if not isinstance(known, dict) or known.get(name) != job[name]]
    if different:
        raise FileError(
            f"{part if part.exists() else kept} was begun with another {different[0].replace('_', ' ')}: "
            "begin anew with --overwrite"
        )
    found = [Earlier(path) for path in (part, kept) if path.exists()]
    best = max(found, key=lambda earlier: earlier.count)
    if part.exists() and best is found[0]:
        part.replace(kept)
    return Earlier(kept) if best.count else None


def _pictures(container: av.container.InputContainer) -> Iterator[av.Packet[Any]]:
    """The packets of the picture stream up to one that is cut off."""
    for packet in container.demux(container.streams.video[0]):
        if packet.is_corrupt:
            return
        if packet.size and packet.pts is not None:
            yield packet
