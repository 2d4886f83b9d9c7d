"""Moving pictures in picture files, GIF, WebP and PNG: edited frame by frame, with their times and their loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageSequence

from models.arrays import Image
from models.face import pictures
from stream.colour_profiles import Profile, ProfileError
from stream.frame import Frame
from stream.look import Look
from stream.picture_files import FileError
from stream.pipeline import Pipeline
from stream.report import Report

ANIMATED = frozenset({".gif", ".webp", ".png", ".apng"})
"""Suffixes of files that may hold an animation."""
RESTORE_TO_BACKGROUND = 2
"""GIF89a's method of disposal that clears a frame before the next one."""
DEFAULT_MS = 100
"""Of a frame that tells no duration, as browsers show it."""


def is_animation(path: Path) -> bool:
    """Whether a file holds more than one picture that are shown one after the other."""
    if path.suffix.lower() not in ANIMATED:
        return False
    try:
        with PillowImage.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, PillowImage.DecompressionBombError):
        return False


def process_animation(source: Path, target: Path, pipeline: Pipeline, look: Look, report: Report) -> None:
    """Edit an animation. Times, the number of loops and transparency are kept.

    Args:
        source: a file for which `is_animation` holds.
        target: .gif, .webp or .png.
        pipeline: that has seen nothing yet.
        look: from `Runtime.look`.
        report: gets what was done.

    Raises:
        FileError: it cannot be read or written, or not in that format.
    """
    if target.suffix.lower() not in ANIMATED:
        raise FileError(f"{target}: {source.name} is an animation; name the output .gif, .webp or .png")
    frames: list[PillowImage.Image] = []
    durations: list[int] = []
    time = 0.0
    try:
        with PillowImage.open(source) as animation:
            loop = animation.info.get("loop")
            profile = _profile_of(animation)
            if profile is not None:
                report.note(f"the colours of {source.name} are converted to sRGB")
            pixels = animation.width * animation.height * getattr(animation, "n_frames", 1)
            if pixels > 10 * pictures.OWN.pixels:
                raise FileError(f"{source} holds more pictures than fit into memory; make a video of it")
            for picture in ImageSequence.Iterator(animation):
                picture.load()  # WebP tells the duration of a frame only then
                duration = int(picture.info.get("duration") or DEFAULT_MS)
                shown = picture.convert("RGBA")
                rgba: Image = np.asarray(shown)
                bgr = np.ascontiguousarray(rgba[..., 2::-1])
                if profile is not None:
                    bgr = profile.to_srgb(bgr)
                    shown = PillowImage.fromarray(np.dstack([bgr[..., ::-1], rgba[..., 3]]), "RGBA")
                output = pipeline.process(Frame(bgr, time), look)
                report.add(output)
                edited = np.dstack([output.image[..., ::-1], rgba[..., 3]])
                frames.append(PillowImage.fromarray(edited, "RGBA") if output.image is not bgr else shown)
                durations.append(duration)
                time += duration / 1000
    except (OSError, ValueError, PillowImage.DecompressionBombError) as error:
        raise FileError(f"{source} is cut off or damaged") from error
    options: dict[str, Any] = {} if loop is None else {"loop": loop}
    if target.suffix.lower() == ".webp":
        options |= {"quality": 90, "method": 4}
    if not any(np.asarray(frame)[..., 3].min() < 255 for frame in frames):
        frames = [frame.convert("RGB") for frame in frames]
    elif target.suffix.lower() == ".gif":
        options["disposal"] = RESTORE_TO_BACKGROUND  # what was seen before would show through
    form = "PNG" if target.suffix.lower() == ".apng" else None
    try:
        frames[0].save(target, form, save_all=True, append_images=frames[1:], duration=durations, **options)
    except (OSError, ValueError) as error:
        raise FileError(f"{target} cannot be written: {error}") from error


def _profile_of(animation: PillowImage.Image) -> Profile | None:
    """The profile by which colours have to be converted."""
    try:
        profile = Profile(animation.info["icc_profile"])
    except (KeyError, ProfileError):
        return None
    return None if profile.is_srgb else profile
