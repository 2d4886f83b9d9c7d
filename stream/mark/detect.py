"""`python -m stream.mark detect FILE|URL`: what marks a picture or video carries, in words or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from av.sidedata.sidedata import Type

from engines.base import EngineError
from engines.select import load
from models.face import pictures
from models.face.detector import MAX_FACES, Detector, PackError
from models.face.landmarks import Landmarks
from models.face.picture_decoder import OWN, check_kind
from stream.frame import Frame
from stream.mark.claims import Claim, ClaimError, claim_of_sei, verify
from stream.mark.manifests import Manifest, ManifestError, read_manifest
from stream.mark.reader import Found, Reader, Reading
from stream.mark.square import LEAST_SCORE
from stream.names import for_ffmpeg
from stream.picture_files import plain
from stream.runtime import LANDMARKS, RuntimeSettings

FOUND, NOT_FOUND, UNREADABLE = 0, 1, 2
"""Exit statuses."""
DETECTOR_SIZE = 640
"""Side of the detector's input in pixels: a file has more time than a stream."""
DOWNLOAD_BYTES = 512 << 20
DOWNLOAD_S = 30.0
"""Seconds without a byte after which a download is given up."""
MOST_PIXELS = 8192 * 4320
"""Of a frame."""
DEFAULT_SECONDS = 120.0
NICENESS = 5
MEMORY_BYTES = 8 << 30
"""Of address space for a stranger's file; the engines reserve several gigabytes."""
DAMAGED = "Parts of the video are damaged and were left out."
MOST_CLAIMS = 16
"""Different statements of one stream that are told."""
FAULTS = {
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "assertion.hashedURI.mismatch": "the manifest was changed after it was signed",
    "claimSignature.mismatch": "its signature does not fit",
    "signingCredential.expired": "its certificate has expired, and no authority says that it was signed before",
    "signingCredential.invalid": "its certificate is not made for this",
}
"""C2PA's words for what is wrong with a manifest, and ours; other ones are shown as they are."""
CONTAINERS = "mov,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif,apng,h264,hevc,ivf,obu,y4m,yuv4mpegpipe"
"""Formats of FFmpeg that are read. Others open further files and addresses (playlists), or read text as pictures."""


MAGIC: dict[str, Callable[[bytes], bool]] = {
    "image/jpeg": lambda start: start[:2] == b"\xff\xd8",
    "image/png": lambda start: start[:8] == b"\x89PNG\r\n\x1a\n",
    "image/webp": lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP",
    "image/tiff": lambda start: start[:4] in (b"II*\0", b"MM\0*"),
    "video/quicktime": lambda start: start[4:12] == b"ftypqt  ",
    "video/mp4": lambda start: start[4:8] == b"ftyp",
    "video/x-msvideo": lambda start: start[:4] == b"RIFF" and start[8:12] == b"AVI ",
}
"""How files begin that can have a C2PA manifest, by their media types."""


try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


class UnreadableError(Exception):
    """A file cannot be read; the message says why."""


@dataclass(slots=True)
class Report:
    """What was found in a file.

    Attributes:
        source: its name or address.
        kind: "picture" or "video".
        reading: of the mark in the pixels.
        claims: signed statements in the stream whose signature fits.
        refused: why other statements do not count, and how many of each.
        manifest: of C2PA; None without one.
        notes: what a user should know, one sentence each.
    """

    source: str
    kind: str
    reading: Reading
    claims: list[Claim] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    manifest: Manifest | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def found(self) -> bool:
        said = self.manifest is not None and self.manifest.valid and self.manifest.ai
        return bool(self.reading.found or self.claims or said)

    def json(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        reading = self.reading
        return {
            "source": self.source,
            "kind": self.kind,
            "frames": reading.frames,
            "frames_with_face": reading.with_face,
            "faces": reading.faces,
            "pixels": [_as_json(found) for found in reading.found.values()],
            "claims": [_claim_json(claim) for claim in self.claims],
            "refused_claims": self.refused,
            "manifest": None if self.manifest is None else asdict(self.manifest),
            "best_score": round(reading.best.score, 2),
            "notes": self.notes,
            "found": self.found,
            "words": self.words(),
        }

    def words(self) -> list[str]:
        """The report as sentences."""
        reading = self.reading
        lines = [_sentence(found, self.kind) for found in reading.found.values()]
        lines += [_claim_sentence(claim) for claim in self.claims]
        lines += [] if self.manifest is None else [_manifest_sentence(self.manifest)]
        lines += [f"{count} statements in the stream do not count: {why}." for why, count in self.refused.items()]
        if not reading.with_face:
            lines.append("No face was found, so that there is nothing that could carry a mark in its pixels.")
        elif not reading.found:
            lines.append(
                f"No mark in the pixels of {reading.faces} face{'s' * (reading.faces != 1)}. This does not prove that "
                "nothing was edited: docs/mark.md lists what removes a mark."
            )
        if reading.crowd >= MAX_FACES:
            lines.append(f"Not more than {MAX_FACES} faces of a picture are looked at, the ones that are seen best.")
        return [*lines, *self.notes]


def examine(source: str, *, seconds: float = DEFAULT_SECONDS) -> Report:
    """Look for marks in a file of any origin.

    Args:
        source: a path, or an http(s) address.
        seconds: of a video that are looked at, from its start.

    Raises:
        UnreadableError: it is neither a picture nor a video, or it cannot be fetched.
    """
    if source.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "download"
            _download(source, path)
            return _examine(path, source, seconds)
    if "://" in source:
        raise UnreadableError(f"{source}: only files, http:// and https:// can be read")
    return _examine(Path(source), source, seconds)


def make_reader() -> Reader:
    """A reader with the shipped networks.

    Raises:
        PackError, EngineError: they are missing or damaged.
    """
    return Reader(Detector(RuntimeSettings().pack, DETECTOR_SIZE), Landmarks(load(LANDMARKS, threads=1)))


def _examine(path: Path, name: str, seconds: float) -> Report:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from error
    if not start:
        raise UnreadableError(f"{name} is empty")
    reader, manifest, notes = make_reader(), *_manifest_of(path, name, start)
    if _is_picture(start):
        try:
            picture = pictures.read_file(path)
        except pictures.PictureError as error:
            raise UnreadableError(str(error).replace(str(path), name)) from error
        return Report(name, "picture", reader.picture(picture), manifest=manifest, notes=notes)
    report = Report(name, "video", Reading(), manifest=manifest, notes=notes)
    report.reading = reader.video(_frames(path, name, seconds, report))
    if report.reading.frames == 0:
        raise UnreadableError(f"{name} has no picture that can be decoded")
    return report


def _manifest_of(path: Path, name: str, start: bytes) -> tuple[Manifest | None, list[str]]:
    """What a file's C2PA manifest says, and what is to be said of one that cannot be read."""
    kind = next((kind for kind, has in MAGIC.items() if has(start)), None)
    if kind is None:
        return None, []
    try:
        return read_manifest(path, kind), []
    except ManifestError as error:
        return None, [f"C2PA: {str(error).replace(str(path), name)}."]


def _is_picture(start: bytes) -> bool:
    try:
        check_kind(start, OWN)
    except pictures.PictureError:
        return False
    return True


def _frames(path: Path, name: str, seconds: float, report: Report) -> Iterator[Frame]:
    """The upright frames of a video from its start; what else it says goes into the report."""
    notes = report.notes
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(for_ffmpeg(path), options=limits) as container:
            if not container.streams.video:
                raise UnreadableError(f"{name} has no picture stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first: float | None = None
            last = -1.0
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:
                    if DAMAGED not in notes:
                        notes.append(DAMAGED)
                    continue
                for frame in decoded:
                    if frame.width * frame.height > MOST_PIXELS:
                        raise UnreadableError(f"{name} has frames of {frame.width}x{frame.height} pixels, too many")
                    time = last + 1 / 30 if frame.time is None else float(frame.time)
                    first = time if first is None else first
                    if time - first > seconds:
                        notes.append(f"Only the first {seconds:g} s were looked at; --seconds takes more.")
                        return
                    last = max(time, last + 1e-3)
                    _take_claims(frame, report)
                    image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                    turns = round(frame.rotation / 90) % 4
                    yield Frame(np.ascontiguousarray(np.rot90(image, turns)) if turns else image, last)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableError(f"{name} is neither a picture nor a video that can be read: {plain(error)}") from error


def _take_claims(frame: av.VideoFrame, report: Report) -> None:
    """Verify the statements that came with a frame."""
    messages: Any = frame.side_data
    for index in range(len(messages)):
        message = messages[index]
        if message.type is not Type.SEI_UNREGISTERED or (data := claim_of_sei(bytes(message))) is None:
            continue
        try:
            claim = verify(data)
        except ClaimError as error:
            report.refused[str(error)] = report.refused.get(str(error), 0) + 1
            continue
        known = {(one.public, one.kinds) for one in report.claims}
        if (claim.public, claim.kinds) not in known and len(report.claims) < MOST_CLAIMS:
            report.claims.append(claim)


def _download(address: str, path: Path) -> None:
    try:
        with (
            httpx.stream("GET", address, follow_redirects=True, timeout=DOWNLOAD_S) as response,
            path.open("wb") as file,
        ):
            response.raise_for_status()
            size = 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > DOWNLOAD_BYTES:
                    raise UnreadableError(f"{address} has more than {DOWNLOAD_BYTES >> 20} MB")
                file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreadableError(f"{address} cannot be fetched: {error}") from error


def _as_json(found: Found) -> dict[str, Any]:
    statement = found.verdict.statement
    assert statement is not None
    return {
        "kinds": sorted(statement.kinds),
        "operator": f"{statement.operator:08x}" if statement.operator else None,
        "version": statement.version,
        "score": round(found.verdict.score, 2),
        "agreement": round(found.verdict.agreement, 3),
        "confidence": confidence(found),
        "start": round(found.start, 3),
        "end": round(found.end, 3),
        "windows": found.windows,
        "mirrored": found.mirrored,
    }


def _claim_json(claim: Claim) -> dict[str, Any]:
    return {
        "kinds": sorted(claim.kinds),
        "operator": f"{claim.operator:08x}",
        "key": claim.fingerprint,
        "time": datetime.fromtimestamp(claim.time, UTC).isoformat(),
    }


def _manifest_sentence(manifest: Manifest) -> str:
    by = f" by {manifest.issuer}" if manifest.issuer else ""
    if not manifest.valid:
        faults = ", ".join(FAULTS.get(fault, fault) for fault in manifest.faults)
        return f"There is a C2PA manifest{by} that does not count: {faults or 'it is not valid'}."
    edits = f": {', '.join(manifest.kinds)}" if manifest.kinds else ""
    made = f"that a model made parts of it{edits}" if manifest.ai else "nothing of edits by a model"
    return (
        f"The file's C2PA manifest, signed{by} with {manifest.generator or 'a program without a name'}, says {made}. "
        "Its signature and its hashes fit; whether its issuer can be trusted was not checked."
    )


def _claim_sentence(claim: Claim) -> str:
    when = datetime.fromtimestamp(claim.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"The stream says that it is edited: {', '.join(sorted(claim.kinds))}; signed {when} by installation "
        f"{claim.operator:08x}. The signature fits the key {claim.fingerprint}; whose key that is, it does not say."
    )


def confidence(found: Found) -> str:
    """In a word: "very high", or "high" where the mark was damaged so far that only one window was just legible."""
    clear = found.windows > 1 or found.verdict.score >= LEAST_SCORE + 1
    return "very high" if clear else "high"


def _sentence(found: Found, kind: str) -> str:
    statement = found.verdict.statement
    assert statement is not None
    by = f"by installation {statement.operator:08x}" if statement.operator else "by an installation that is not named"
    when = "" if kind == "picture" else f", from {found.start:.1f} to {found.end:.1f} s"
    mirrored = ", in a mirror image" if found.mirrored else ""
    return (
        f"Edited by AI: {', '.join(sorted(statement.kinds))}; {by}{when}{mirrored}. Confidence {confidence(found)}: "
        f"synchronisation {found.verdict.score:.1f} deviations, {100 * found.verdict.agreement:.0f} % of the code's "
        "bits as they should be."
    )


def _bound_process(cpu: int) -> None:
    """Bound what this process may take, where the system can."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: options as `--help` lists them.

    Returns:
        0 when a mark was found, 1 when none was, 2 when the file cannot be read (the reason is on standard error).
    """
    parser = argparse.ArgumentParser(
        prog="python -m stream.mark detect", description="Tell whether a picture or video is marked as edited by AI."
    )
    parser.add_argument("source", help="a file, or an http(s) address")
    parser.add_argument("--report", action="store_true", help="print JSON")
    parser.add_argument(
        "--seconds", type=float, default=DEFAULT_SECONDS, help="of a video that are looked at (default: %(default)g)"
    )
    parser.add_argument("--stranger", action="store_true", help="bound memory, and let other programs go first")
    parser.add_argument("--cpu", type=int, default=120, help="seconds of processor time for --stranger")
    options = parser.parse_args(argv)
    if options.stranger:
        _bound_process(options.cpu)
    try:
        report = examine(options.source, seconds=options.seconds)
    except (UnreadableError, PackError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return UNREADABLE
    print(json.dumps(report.json(), indent=2) if options.report else "\n".join(report.words()))
    return FOUND if report.found else NOT_FOUND
