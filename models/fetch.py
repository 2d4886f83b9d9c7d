"""`python -m models.fetch NAME`: an editor's weights, downloaded, checked and made ready to run.

A file appears under its name only whole and checked: what is on its way is called `.part`, and is continued the next
time. Where its authors publish no hash, the one of the first download is recorded beside it and kept to from then on.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import httpx
from filelock import FileLock, Timeout
from tqdm import tqdm

from engines.base import EngineError
from models.catalog import UnknownEditor, entry
from models.entry import Entry, Weights, weights_folder
from models.latents import LatentError
from models.weights.sources import CONVERTING

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""Tries per mirror; each continues where the last one ended."""
BACKOFF_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
CHUNK = 1 << 20  # bytes
LARGEST = 4 << 30  # bytes, where the size is not known
SPARE = 1 << 28  # bytes of disk that a download leaves free
SIZE_SLACK = 3
"""A published size may be a round figure: a file may be larger by this factor, not more."""

Report = Callable[[int, int | None], None]
"""Progress of one file: bytes so far, bytes in all if known."""


class FetchError(RuntimeError):
    """The weights could not be fetched; the message says why, per mirror, and what to do."""


class LicenceNotAccepted(FetchError):
    """Nothing was downloaded: the licence of the weights has not been accepted."""


class Cancelled(FetchError):
    """A `report` raises it to stop the download; what has come so far is kept and continued the next time."""


class _Interrupted(Exception):
    """The transfer ended early; another try may continue it."""


class _Unusable(Exception):
    """This mirror does not have the file; another one may."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file in place.

    Attributes:
        path: the file.
        sha256: of the file as downloaded (of the archive it came in, if it came in one).
        first_use: whether the hash could not be compared with anything and was recorded.
    """

    path: Path
    sha256: str
    first_use: bool


def fetch(
    weights: Weights, *, accept_licence: bool, report: Report | None = None, client: httpx.Client | None = None
) -> Fetched:
    """Get one file, or check it if it is there.

    Args:
        weights: what, from where, with which hash.
        accept_licence: whether the user has accepted `weights.licence`.
        report: called with the progress; it may raise `Cancelled`.
        client: for tests; by default one that follows redirects and takes its proxy from the environment.

    Raises:
        LicenceNotAccepted: the licence has not been accepted.
        FetchError: no mirror gave the file, it is not the file it should be, or it cannot be written.
    """
    try:
        return _fetch(weights, accept_licence, report or (lambda done, total: None), client)
    except OSError as error:  # the disk: what the network does is an `httpx.HTTPError`
        raise FetchError(f"{weights.path.name} cannot be written to {weights.path.parent}: {error.strerror}") from error


def _fetch(weights: Weights, accept_licence: bool, report: Report, client: httpx.Client | None) -> Fetched:
    if weights.path.is_file():
        return _present(weights)
    if not accept_licence:
        raise LicenceNotAccepted(f"{weights.path.name} is under this licence: {weights.licence}")
    if not weights.urls:
        raise FetchError(f"{weights.path.name} has no download address: {weights.origin}; put it at {weights.path}")
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    target = _archive(weights) if weights.member else weights.path
    with _only_one(target), contextlib.ExitStack() as stack:
        if client is None:
            client = stack.enter_context(httpx.Client(follow_redirects=True, timeout=TIMEOUT_SECONDS))
        fetched = _checked(weights, target) if target.is_file() else _download(client, weights, target, report)
        if weights.member:
            _extract(target, weights.member, weights.path)
            _record(weights.path, _sha256(weights.path))
        return Fetched(weights.path, fetched.sha256, fetched.first_use)


def fetch_entry(
    editor: Entry, *, accept_licence: bool, report: Callable[[Weights], Report] | None = None
) -> list[Fetched]:
    """Get every file that an editor lacks, and check those that are there; see `fetch`.

    A file whose networks have been made is not fetched again. Archives are removed when all their files are out.

    Raises:
        LicenceNotAccepted, FetchError: see `fetch`; before anything is downloaded where a file has no address.
    """
    require_addresses(editor)
    missing = editor.missing
    fetched = [
        fetch(weights, accept_licence=accept_licence, report=report(weights) if report else None)
        for weights in editor.weights
        if weights in missing or weights.path.is_file()
    ]
    for archive in {_archive(weights) for weights in editor.weights if weights.member}:
        archive.unlink(missing_ok=True)
    return fetched


def require_addresses(editor: Entry) -> None:
    """Raise if an editor lacks a file that no download gives, before gigabytes are spent on the rest.

    Raises:
        FetchError: there is one; the message says where it comes from and where to put it.
    """
    for weights in editor.missing:
        if not weights.urls:
            raise FetchError(
                f"{weights.path.name} cannot be downloaded: {weights.origin}. Put it at {weights.path}, then try again."
            )


def _present(weights: Weights) -> Fetched:
    """A file that is there, checked against its hash: the published one, else the recorded one."""
    digest = _sha256(weights.path)
    known = (weights.sha256 if not weights.member else "") or _recorded(weights.path)
    if known and digest != known:
        raise FetchError(f"{weights.path} is not the published file, or has changed since: delete it, then fetch again")
    if not known:
        _record(weights.path, digest)
    return Fetched(weights.path, digest, not known)


def _checked(weights: Weights, target: Path) -> Fetched:
    """A finished download, checked; a wrong one is deleted."""
    try:
        return _check(weights, target, target)
    except _Unusable as error:
        target.unlink()
        raise FetchError(f"{target.name}: {error}") from None


def _check(weights: Weights, file: Path, target: Path) -> Fetched:
    digest = _sha256(file)
    known = weights.sha256 or _recorded(target)
    if known and digest != known:
        origin = "published" if weights.sha256 else "recorded at the first download, in its .sha256 file,"
        raise _Unusable(f"sha256 is {digest}, the one {origin} is {known}")
    if weights.md5 and _digest(file, "md5") != weights.md5:
        raise _Unusable(f"md5 is not the published {weights.md5}")
    if weights.member and not zipfile.is_zipfile(file):
        raise _Unusable("it is no zip archive")
    if not known:
        _record(target, digest)
    return Fetched(target, digest, not known and not weights.md5)


def _download(client: httpx.Client, weights: Weights, target: Path, report: Report) -> Fetched:
    part = target.with_name(f"{target.name}.part")
    failures: list[str] = []
    for url in weights.urls:
        host = httpx.URL(url).host
        for attempt in range(ATTEMPTS):
            try:
                _transfer(client, url, part, weights, report)
                fetched = _check(weights, part, target)
                part.replace(target)
                _notes(part).unlink(missing_ok=True)
                return fetched
            except _Interrupted as error:
                log.info("%s: %s (try %d of %d)", host, error, attempt + 1, ATTEMPTS)
                reason = str(error)
                if attempt + 1 < ATTEMPTS:
                    # Where nothing comes, this is the only moment to cancel.
                    report(part.stat().st_size if part.is_file() else 0, weights.size or None)
                    time.sleep(BACKOFF_SECONDS * 2**attempt)
            except _Unusable as error:
                # Continuing a wrong file would only give the same wrong file.
                part.unlink(missing_ok=True)
                _notes(part).unlink(missing_ok=True)
                reason = str(error)
                break
        failures.append(f"{host}: {reason}")
    raise FetchError(f"{target.name} could not be fetched. " + "; ".join(failures))


def _transfer(client: httpx.Client, url: str, part: Path, weights: Weights, report: Report) -> None:
    """Bring `part` to its full length, from where it is if the server still has the same file."""
    validator = _validator_of_part(part, url)
    start = part.stat().st_size if validator else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        with client.stream("GET", url, headers=headers) as response:
            _refuse(response, url)
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                raise _Interrupted("the part on disk is longer than the file; starting again")
            start, total = _span(response, start)
            limit = round(weights.size * SIZE_SLACK) + CHUNK if weights.size else LARGEST
            if total is None and not (weights.sha256 or weights.md5 or _chunked(response)):
                raise _Unusable("the server does not say how long the file is, and there is no hash to tell")
            if max(total or 0, start) > limit:
                raise _Unusable(f"{total} bytes, where about {weights.size or LARGEST} were expected")
            if (total or weights.size) - start + SPARE > shutil.disk_usage(part.parent).free:
                raise FetchError(f"not enough disk space in {part.parent} for {total or weights.size} bytes")
            _note_validator(part, url, response)
            with part.open("r+b" if start else "wb") as file:
                file.truncate(start)
                file.seek(start)
                done = start
                report(done, total)
                # As it comes: what arrived before a cut is on disk, and can be continued.
                for chunk in response.iter_raw():
                    done += len(chunk)
                    if done > min(limit, total or limit):
                        raise _Unusable(f"more than the {min(limit, total or limit)} bytes that were announced")
                    file.write(chunk)
                    report(done, total)
                file.flush()
                os.fsync(file.fileno())
    except httpx.HTTPError as error:
        raise _Interrupted(_in_words(error)) from error
    if total is not None and done != total:
        raise _Interrupted(f"ended at {done} of {total} bytes")


def _in_words(error: httpx.HTTPError) -> str:
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"no connection ({error}); is this machine online?"
        case httpx.TimeoutException():
            return f"nothing came for {TIMEOUT_SECONDS:.0f} s"
        case httpx.ProxyError():
            return f"the proxy refuses: {error}"
        case httpx.RemoteProtocolError():
            return f"the connection broke off ({error})"
    return f"{type(error).__name__}: {error}"


def _refuse(response: httpx.Response, url: str) -> None:
    """Raise if the answer cannot be the file."""
    status = response.status_code
    if url.startswith("https:") and any(hop.url.scheme != "https" for hop in (*response.history, response)):
        raise _Unusable("it leads from https to an unprotected address")
    if status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS) or status >= 500:
        raise _Interrupted(f"HTTP {status}")
    expected = (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE)
    if status not in expected:
        raise _Unusable(f"HTTP {status} {response.reason_phrase}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _Unusable("it sends the file compressed, though not asked to")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise _Unusable("a web page instead of the file: it has moved, or its download quota is used up for today")


def _span(response: httpx.Response, asked: int) -> tuple[int, int | None]:
    """Where the body starts in the file, and the file's length if known."""
    length = response.headers.get("content-length", "")
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != asked:
        raise _Unusable("it continues the file at another place than asked")
    return asked, None if match[2] == "*" else int(match[2])


def _chunked(response: httpx.Response) -> bool:
    """Whether the transfer coding itself marks the end, so that a cut is noticed."""
    chunked: bool = response.headers.get("transfer-encoding", "").lower() == "chunked"
    return chunked


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note_validator(part: Path, url: str, response: httpx.Response) -> None:
    tag = response.headers.get("etag", "")
    validator = "" if tag.startswith("W/") else tag
    validator = validator or response.headers.get("last-modified", "")
    _notes(part).write_text(json.dumps({"url": url, "validator": validator}))


def _validator_of_part(part: Path, url: str) -> str:
    """What the server called the version of which `part` is the beginning; empty if it cannot be continued."""
    try:
        notes = json.loads(_notes(part).read_text())
        known = part.is_file() and notes["url"] == url
        return str(notes["validator"]) if known else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _archive(weights: Weights) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", httpx.URL(weights.urls[0]).path.rsplit("/", 1)[-1]) if weights.urls else ""
    return weights.path.with_name(f"{name or 'archive'}.zip".replace(".zip.zip", ".zip"))


def _extract(archive: Path, member: str, path: Path) -> None:
    """Write the archive's file whose name ends like `member` to `path`; nothing else of it, wherever it wants to go."""
    with zipfile.ZipFile(archive) as opened:
        found = [info for info in opened.infolist() if fnmatchcase(f"/{info.filename}", f"*/{member}")]
        if len(found) != 1:
            raise FetchError(f"{archive.name} holds {len(found)} files called {member}, one was expected")
        if found[0].file_size > LARGEST:
            raise FetchError(f"{member} in {archive.name} would be {found[0].file_size} bytes")
        part = path.with_name(f"{path.name}.part")
        try:
            with opened.open(found[0]) as source, part.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            archive.unlink()
            raise FetchError(f"{archive.name} is damaged ({error}); fetch it again") from error
        finally:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Keep two processes from writing to the same part. The lock of a process that died is free."""
    path = target.with_name(f"{target.name}.lock")
    try:
        with FileLock(path, timeout=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows keeps an open file
                    path.unlink()
    except Timeout:
        raise FetchError(f"{target.name} is being fetched by another process") from None


def _record(path: Path, digest: str) -> None:
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")


def _recorded(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.sha256").read_text().split()[0]
    except (OSError, IndexError):
        return ""


def _sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def main(argv: Sequence[str]) -> int:
    """Fetch an editor's weights and convert them.

    Returns:
        0 when the editor is ready, 1 when a download failed, 2 when the licence is not accepted or the name unknown.
    """
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="an editor's name; `python -m models.catalog` lists them")
    parser.add_argument(
        "--accept-licence", action="store_true", help="you have read and accept the weights' licences; else it asks"
    )
    parser.add_argument("--no-convert", action="store_true", help="only download; convert on a machine with PyTorch")
    options = parser.parse_args(argv)
    try:
        editor = entry(options.name)
    except UnknownEditor as error:
        print(error, file=sys.stderr)
        return 2
    for weights in editor.weights:
        state = "there" if weights.path.is_file() else _size_in_words(weights.size) if weights.size else "size unknown"
        print(f"{_place(weights.path)}: {state}; licence: {weights.licence}; from: {weights.origin}")
    if editor.weights:
        print(f"The files lie in {weights_folder()}; put there what you have already.")
    accepted = options.accept_licence or not editor.missing or _asked()
    if not accepted:
        print("Nothing fetched. If you accept the licence, run this again with --accept-licence.", file=sys.stderr)
        return 2
    try:
        for fetched in fetch_entry(editor, accept_licence=accepted, report=_bar):
            note = "no official hash is published: this one is recorded and kept to" if fetched.first_use else "checked"
            print(f"{fetched.path}: sha256 {fetched.sha256} ({note})")
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    if editor.convert is None or options.no_convert:
        return 0
    # Checkpoints may be deleted once their networks are made.
    if editor.unconverted or all(weights.path.is_file() for weights in editor.weights):
        return _convert(editor, editor.convert)
    print(f"{editor.name} is ready")
    return 0


def _convert(editor: Entry, convert: Callable[[], None]) -> int:
    if absent := [package for package in CONVERTING if find_spec(package) is None]:
        print(f"To make networks of the weights: pip install {' '.join(absent)}, then run this again.")
        return 1
    from models.weights.checkpoints import CheckpointError  # needs torch  # noqa: PLC0415

    try:
        convert()
    except (CheckpointError, EngineError, LatentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{editor.name} is ready: " + ", ".join(network.name for network in editor.networks))
    return 0


def _asked() -> bool:
    """Whether the person at the terminal accepts; never where nobody sits at one."""
    if not sys.stdin.isatty():
        return False
    try:
        return input("Do you accept these licences, and fetch what is missing? [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def _place(path: Path) -> Path:
    """A file's path below the weights folder."""
    return path.relative_to(weights_folder()) if path.is_relative_to(weights_folder()) else path


def _size_in_words(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{-(-size // 1000)} kB"


def _bar(weights: Weights) -> Report:
    bar = tqdm(total=weights.size or None, unit="B", unit_scale=True, unit_divisor=1000, desc=weights.path.name)

    def report(done: int, total: int | None) -> None:
        bar.total = total or bar.total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
