"""What a command is told to read and to write, checked before any work starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stream.picture_files import READ, WRITTEN, FileError, plain
from stream.video_files import format_of


def check_paths(source: Path, target: Path, *, overwrite: bool = False) -> None:
    """Check what `stream.files` reads and writes.

    Args:
        source: a video, a picture, or a folder of pictures.
        target: where the result goes; a folder when `source` is one.
        overwrite: whether an existing file may be replaced.

    Raises:
        FileError: one of them cannot be used; the message says why and what to do.
    """
    check_input(source)
    check_output(target, overwrite=overwrite, folder=source.is_dir())
    if source.resolve() == target.resolve():
        raise FileError(f"{target} is the input itself; name another output")
    if source.is_dir():
        return
    suffix, wanted = source.suffix.lower(), target.suffix.lower()
    if suffix in READ and wanted not in WRITTEN:
        raise FileError(f"{target}: {source.name} is a picture; name the output {', '.join(sorted(WRITTEN))}")
    if wanted not in WRITTEN:
        try:
            format_of(target)
        except ValueError as error:
            raise FileError(f"{target}: {error}") from error
    elif suffix not in READ:
        raise FileError(f"{target} names a picture, and {source.name} is none; choose .mp4, .mov, .mkv or .webm")


def check_input(path: Path) -> None:
    """Check that something can be read there.

    Raises:
        FileError: it is an address, does not exist, or may not be read.
    """
    if is_address(path):
        raise FileError(f"{_as_given(path)} is an address: nothing is downloaded here; save it and name the file")
    check_name(path)
    if not path.exists():
        raise FileError(f"{path} does not exist")
    if not os.access(path, os.R_OK):
        raise FileError(f"{path} may not be read by this user")


def check_output(path: Path, *, overwrite: bool = False, folder: bool = False) -> None:
    """Check that something can be written there.

    Args:
        path: of the file, or of the folder.
        overwrite: whether an existing file may be replaced.
        folder: whether it is a folder of results; one that does not exist is made.

    Raises:
        FileError: it is an address, its folder does not exist, or it is there already.
    """
    if is_address(path):
        raise FileError(f"{_as_given(path)} is an address: nothing is uploaded from here; name a file")
    check_name(path)
    if not folder and path.is_dir():
        raise FileError(f"{path} is a folder; name the file to write")
    if folder and path.is_file():
        raise FileError(f"{path} is a file; the input is a folder, so name a folder")
    above = path if folder and path.is_dir() else path.parent
    if not above.is_dir():
        raise FileError(f"the folder {above} does not exist; make it first")
    if not os.access(above, os.W_OK):
        raise FileError(f"the folder {above} may not be written to by this user")
    if not folder and path.exists() and not overwrite:
        raise FileError(f"{path} exists; name another output, or add --overwrite")


def check_apart(names: Mapping[str, Path | None]) -> None:
    """Check that nothing that is written lies over anything else that a command reads or writes.

    Args:
        names: paths by what they are; None where one is not given.

    Raises:
        FileError: two of them are one file.
    """
    seen: dict[Path, str] = {}
    for what, path in names.items():
        if path is None:
            continue
        there = path.resolve()
        if there in seen:
            raise FileError(f"{path} is {seen[there]} and {what}; name another file for one of them")
        seen[there] = what


def named_path(text: str) -> Path:
    """A path of the command line: an empty one would be the folder that the command runs in.

    Raises:
        ValueError: it is empty.
    """
    if not text:
        raise ValueError
    return Path(text)


named_path.__name__ = "path"  # argparse: invalid path value: ''


def check_name(path: Path) -> None:
    """Check that it can be known whether something is there.

    Raises:
        FileError: the name is too long, a folder above may not be entered, or links go round in a circle.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {plain(error)}") from error


def is_address(path: Path) -> bool:
    """Whether a path was given as the address of something on a network."""
    scheme, colon, _ = path.as_posix().partition(":/")  # Path makes one slash of two
    return bool(colon) and len(scheme) > 1 and scheme.isalpha()


def _as_given(address: Path) -> str:
    """An address with both of its slashes."""
    return address.as_posix().replace(":/", "://", 1)
