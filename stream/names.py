"""Names of files: what FFmpeg is told, and what a run calls the files that it writes beside its output."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

LONGEST = 255
"""Bytes of a name: ext4, XFS, Btrfs; APFS and NTFS take no shorter ones."""
DIGEST = 8
"""Hexadecimal digits."""


def for_ffmpeg(path: Path) -> str:
    """What to call a file for FFmpeg, which takes "10:30.mp4" for an address of the protocol "10"."""
    return f"file:{path}"


def beside(target: Path, before: str, after: str) -> Path:
    """A file in the folder of another: its stem between two words.

    A stem that makes the name too long is cut, and ends with a digest of the whole, which keeps two of them apart.

    Args:
        target: the other file.
        before, after: ASCII.
    """
    stem = target.stem
    most = LONGEST - len(before) - len(after)
    if len(os.fsencode(stem)) > most:
        ending = f"~{sha256(os.fsencode(stem)).hexdigest()[:DIGEST]}"
        while len(os.fsencode(stem + ending)) > most:
            stem = stem[:-1]
        stem += ending
    return target.with_name(f"{before}{stem}{after}")
