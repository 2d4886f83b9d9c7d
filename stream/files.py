"""The live pipeline over a video, a picture or a folder of pictures.

python -m stream.files IN OUT --editor embedded --set age=75 --report report.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from c2pa import Signer
from tqdm import tqdm

from stream import command_line, photos
from stream.animations import is_animation, process_animation
from stream.colour_profiles import KEEPING
from stream.command_line import NothingEdited
from stream.look import Look
from stream.mark import manifests
from stream.mark.identity import Identity, key_path
from stream.mark.kinds import kinds_of
from stream.names import beside
from stream.paths import check_apart, check_input, check_name, check_output, check_paths, named_path
from stream.picture_files import (
    HEIC_REMEDY,
    READ,
    SUFFIXES,
    FileError,
    in_srgb,
    is_unreadable_heic,
    plain,
    read_stored,
    stored_like,
    write_picture,
)
from stream.pipeline import Pipeline
from stream.profile import ChromeTrace
from stream.report import Report
from stream.resume import check_leftovers
from stream.runtime import Runtime
from stream.settings import Settings
from stream.video_files import check_unfinished, is_unfinished, process_video
from stream.video_pipeline import VideoPipeline


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, 1 when a file or setting was refused, or 3 when nothing was edited (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    with command_line.stopping_by_signals():
        return command_line.run(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    check_name(arguments.output)
    goes_on = arguments.resume and is_unfinished(arguments.output)
    check_paths(arguments.input, arguments.output, overwrite=arguments.overwrite or goes_on)
    if not (arguments.overwrite or arguments.resume or arguments.input.is_dir()):
        check_unfinished(arguments.output)
    if not arguments.input.is_dir() and arguments.output.suffix.lower() not in SUFFIXES:
        check_leftovers(arguments.output)
    if arguments.photo is not None:
        check_input(arguments.photo)
    for extra in (arguments.report, arguments.trace):
        if extra is not None:
            check_output(extra, overwrite=arguments.overwrite or arguments.resume)
    check_apart(
        {
            "the input": arguments.input,
            "the output": arguments.output,
            "the report": arguments.report,
            "the profile": arguments.trace,
        }
    )
    written = {"the report": arguments.report, "the profile": arguments.trace, "the output": arguments.output}
    check_apart({"the photo": arguments.photo, **written})
    runtime = command_line.load_runtime(arguments)
    patch = command_line.patch_of(arguments)
    if arguments.photo is not None:
        editor = patch.get("editor", Settings().editor)
        patch["controls"] = {**_of_photo(arguments.photo, editor, runtime), **patch["controls"]}
    look = runtime.look(Settings(), patch)
    if look.idle:
        raise NothingEdited.by(look)
    with _profile(arguments.trace) as profile:
        report = process(
            arguments.input,
            arguments.output,
            runtime,
            look,
            profile=profile,
            progress=not arguments.quiet,
            keep_hdr=arguments.keep_hdr,
            overwrite=arguments.overwrite,
            resume=arguments.resume,
            sign=look.settings.mark,
        )
    summary = report.summary()
    summary["engines"] = [asdict(engine) for engine in runtime.engines()]
    for note in [*report.notes, *(report.hindered() if report.edited else [])]:
        print(f"note: {note}", file=sys.stderr)
    if arguments.report:
        try:
            arguments.report.write_text(json.dumps(summary, indent=2) + "\n")
        except OSError as error:
            raise FileError(f"{arguments.report}: {plain(error)}") from error
    if report.edited == 0 and report.earlier == 0 and not report.failed:
        raise NothingEdited(_why_unedited(report, arguments.output))
    pictures = f"{report.edited} of {report.frames} {'picture' if report.frames == 1 else 'pictures'} edited"
    print(f"{arguments.output}: {pictures}, {summary['fps']} per second")
    if report.failed:
        what = "1 picture" if report.failed == 1 else f"{report.failed} pictures"
        raise FileError(f"{what} could not be read or written: the notes say which, and why")


def _why_unedited(report: Report, target: Path) -> str:
    frames = "1 picture" if report.frames == 1 else f"{report.frames} pictures"
    if report.with_face == 0:
        why = f"nothing was edited: no face in {frames}; both eyes have to be visible"
    elif report.obstacles:
        why = f"nothing was edited: {'; '.join(report.hindered())}"
    else:
        why = f"nothing was edited: a face is seen in {report.with_face} of {frames}, and the edit changes none"
    return f"{why}; {target} shows what came in" if target.is_file() else why


def _profile(path: Path | None) -> AbstractContextManager[ChromeTrace | None]:
    try:
        return nullcontext() if path is None else ChromeTrace(path)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error


def _of_photo(path: Path, editor: str, runtime: Runtime) -> dict[str, Any]:
    """The controls that a reference photo sets."""
    photo = photos.read_photo(path)  # its refusals name the file
    try:
        return photos.controls_of_photo(runtime, editor, photo)
    except photos.PhotoError as error:
        raise FileError(f"{path}: {error}") from error


def process(
    source: Path,
    target: Path,
    runtime: Runtime,
    look: Look,
    *,
    profile: ChromeTrace | None = None,
    progress: bool = False,
    keep_hdr: bool = False,
    overwrite: bool = True,
    resume: bool = False,
    sign: bool = False,
) -> Report:
    """Edit a video, a picture, or every picture of a folder.

    Args:
        source: what to read.
        target: where to write; a folder when `source` is one.
        runtime: the loaded networks.
        look: from `Runtime.look`.
        profile: gets the stages of every frame.
        progress: show a progress bar on standard error.
        keep_hdr: write HDR video as HDR; it is tone-mapped otherwise.
        overwrite: whether pictures that are in the target folder may be replaced.
        resume: go on where an earlier run was stopped: a video behind its last frame, a folder without the pictures
            that were written.
        sign: write C2PA manifests into what was edited, each picture's as soon as it is written, with the runtime's
            identity; the report notes what was left without one, and why.

    Returns:
        What was done.

    Raises:
        FileError: nothing can be read or written there.
        NothingEdited: a single picture shows no face.
    """
    check_paths(source, target, overwrite=True)
    started = time.perf_counter()
    report = Report(profile=profile)
    signer = _signer_of(runtime.identity, report) if sign and runtime.identity is not None else None
    if source.is_dir():
        _process_folder(
            source,
            target,
            runtime,
            look,
            report,
            signer=signer,
            progress=progress,
            overwrite=overwrite,
            resume=resume,
        )
    elif is_animation(source):
        process_animation(source, target, runtime.pipeline(), look, report)
    elif source.suffix.lower() in READ:
        if not process_picture(source, target, runtime.pipeline(), look, report):
            raise NothingEdited(f"no face in {source}: choose a picture where both eyes are visible")
    else:
        pipeline = VideoPipeline(runtime.pipeline())
        process_video(source, target, pipeline, look, report, progress=progress, keep_hdr=keep_hdr, resume=resume)
    if signer is not None and not source.is_dir() and (report.edited or report.earlier):
        _sign(source, target, look, signer, report)
    report.seconds = time.perf_counter() - started
    return report


def _signer_of(identity: Identity, report: Report) -> Signer | None:
    try:
        return manifests.signer_of(identity, key_path().with_suffix(".chain.pem"))
    except manifests.ManifestError as error:
        report.notes.append(f"no C2PA manifest is written: {error}")
        return None


def _sign(source: Path, target: Path, look: Look, signer: Signer, report: Report) -> None:
    """Write a C2PA manifest into an edited file; a manifest of the source stays as an ingredient."""
    signed = beside(target, ".", f".signed{target.suffix}")
    try:
        if not report.edited and manifests.read_manifest(target) is not None:
            return  # an earlier run has done it all
        manifests.write_manifest(target, signed, kinds_of(look.active), signer, source)
        signed.replace(target)
    except (manifests.ManifestError, OSError) as error:
        report.notes.append(f"{target.name} has no C2PA manifest: {error}")


def process_picture(source: Path, target: Path, pipeline: Pipeline, look: Look, report: Report) -> bool:
    """Edit one picture. Alpha, 16 bits and colour profiles are kept; a grey picture becomes a colour one.

    Returns:
        Whether it shows a face; without one nothing is written.

    Raises:
        FileError: it cannot be read or written.
    """
    stored = read_stored(source)
    for words in stored.notes:
        report.note(words)
    shown = stored.shown()
    output = photos.still(shown, pipeline, look, look.for_still())
    if output.faces:
        picture, profile = stored_like(stored, shown, output.image), stored.profile
        if profile is not None and target.suffix.lower() not in KEEPING:
            if not profile.is_srgb:
                report.note(f"{target.name} is converted to sRGB: {target.suffix} keeps no colour profile")
            picture, profile = in_srgb(picture, profile), None
        write_picture(target, picture, profile)
    report.add(output)
    return bool(output.faces)


def _process_animation(source: Path, target: Path, pipeline: Pipeline, look: Look, report: Report) -> bool:
    """`process_picture` of an animation."""
    part, before = beside(target, ".", f".part{target.suffix}"), report.with_face
    try:
        process_animation(source, part, pipeline, look, report)
        if report.with_face == before:
            return False
        part.replace(target)
    except OSError as error:
        raise FileError(f"{target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return True


def _process_folder(
    source: Path,
    target: Path,
    runtime: Runtime,
    look: Look,
    report: Report,
    *,
    signer: Signer | None,
    progress: bool,
    overwrite: bool,
    resume: bool,
) -> None:
    pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    heic = sorted(path for path in source.iterdir() if path.suffix.lower() in READ - SUFFIXES)
    if not pictures:
        if not heic:
            raise FileError(f"{source} holds no pictures ({', '.join(sorted(SUFFIXES))})")
        raise FileError(f"{source} holds only HEIC pictures, which cannot be written: {_heic_remedy(heic[0])}")
    if heic:
        names = ", ".join(path.name for path in heic)
        report.notes.append(f"left out, for HEIC cannot be written: {names}; {_heic_remedy(heic[0])}")
    there = [picture.name for picture in pictures if (target / picture.name).exists()]
    if there and not (overwrite or resume):
        raise FileError(f"{target / there[0]} exists; name another folder, or add --overwrite or --resume")
    if there and resume:
        report.earlier = len(there)
        report.notes.append(f"{len(there)} pictures were there already")
        pictures = [picture for picture in pictures if picture.name not in there]
    target.mkdir(parents=True, exist_ok=True)
    for picture in tqdm(pictures, unit="picture", disable=not progress):
        own = Report(profile=report.profile)
        try:
            process_one = _process_animation if is_animation(picture) else process_picture
            if not process_one(picture, target / picture.name, runtime.pipeline(), look, own):
                own.note(f"no face in {picture.name}: nothing written")
            elif signer is not None and own.edited:
                _sign(picture, target / picture.name, look, signer, own)
            report.merge(own)
        except FileError as error:
            report.failed += 1
            report.note(str(error))


def _heic_remedy(path: Path) -> str:
    alone = "edit each alone, with an output in .jpg"
    return f"HEIC cannot be read here either ({HEIC_REMEDY}); then {alone}" if is_unreadable_heic(path) else alone


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.files", description="Edit the faces of a video or picture.")
    parser.add_argument("input", type=named_path, help="a video, a picture, or a folder of pictures")
    parser.add_argument("output", type=named_path, help="where to write; a folder when the input is one")
    parser.add_argument(
        "--photo",
        type=named_path,
        help="what some editors take something from: a second parent, a style, a hair colour",
    )
    parser.add_argument("--report", type=named_path, metavar="FILE", help="write figures as JSON")
    parser.add_argument("--trace", type=named_path, metavar="FILE", help="write a profile that ui.perfetto.dev opens")
    parser.add_argument("--keep-hdr", action="store_true", help="write HDR video as HDR (HEVC, 10 bits)")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run was stopped")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    command_line.add_settings(parser, leave_out={"bypass"})
    command_line.add_runtime(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
