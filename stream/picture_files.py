"""Picture files with everything they store: alpha and 16 bits survive an edit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage

from models.arrays import Image
from models.face import pictures
from stream.colour_profiles import Profile, ProfileError, put_into_tiff, srgb_of
from stream.command_line import CommandError
from stream.names import beside


def _register_heic() -> bool:
    """Let Pillow read HEIC where a package for it is installed: it finds none by itself."""
    for name in ("pillow_heif", "pi_heif"):
        try:
            import_module(name).register_heif_opener()
        except ImportError:
            continue
        return True
    return False


BY_PILLOW = frozenset({".avif", ".gif", ".apng"})
"""Suffixes of formats that OpenCV does not know."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", *BY_PILLOW})
READ = SUFFIXES | {".heic", ".heif"}
"""Suffixes of pictures that can be read; HEIC where a plug-in of Pillow can."""
HEIC_IS_READ = _register_heic()
HEIC_REMEDY = "HEIC needs one more package: pip install pi-heif"
WRITTEN = SUFFIXES
"""Suffixes of pictures that can be written."""
JPEG_QUALITY = 95
WITH_OWN_PROFILES = frozenset({"L", "CMYK"})
"""Pillow's modes whose profiles say nothing about the RGB that is written."""
TURNED: dict[int, Callable[[Image], Image]] = {
    1: lambda picture: picture,
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: picture[::-1].swapaxes(0, 1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: lambda picture: picture[:, ::-1].swapaxes(0, 1),
}
"""How a picture stands upright, by its EXIF orientation."""


class FileError(CommandError):
    """A file cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture as its file stores it, but upright.

    Attributes:
        pixels: 1 to 4 channels in BGR(A) order, 8 or 16 bits, or 32-bit floats in [0, 1].
        profile: of its colours; None where it has none or pixels are in sRGB already.
        notes: what of the file is not kept, one sentence each.
    """

    pixels: Image
    profile: Profile | None = None
    notes: tuple[str, ...] = ()

    def shown(self) -> Image:
        """(H, W, 3) uint8 BGR in sRGB, as editors take it."""
        picture = as_bgr8(self.pixels)
        return picture if self.profile is None else self.profile.to_srgb(picture)


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says before it is decoded.

    Attributes:
        orientation: of EXIF, 1 to 8.
        profile: ICC data.
        mode: Pillow's name of the kind of pixels.
        pages: of a TIFF.
    """

    orientation: int = 1
    profile: bytes | None = None
    mode: str = ""
    pages: int = 1


def read_stored(path: Path) -> Stored:
    """Read a picture file.

    Raises:
        FileError: it cannot be read, or is beyond the limits of `pictures.OWN`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: {plain(error)}") from error
    if len(data) > pictures.OWN.bytes:
        raise FileError(f"{path} has more than {pictures.OWN.bytes >> 20} MB")
    header = _header(path, data)
    notes = [f"{path.name} has {header.pages} pages: only the first is kept"] if header.pages > 1 else []
    profile: Profile | None = None
    if header.profile and header.mode not in WITH_OWN_PROFILES:
        try:
            profile = Profile(header.profile)
        except ProfileError as error:
            notes.append(f"{path.name} loses its colour profile: {error}")
    if path.suffix.lower() in READ - SUFFIXES | BY_PILLOW:
        return Stored(_read_by_pillow(path, data), profile, tuple(notes))
    if header.profile and header.mode in WITH_OWN_PROFILES:
        try:
            pixels = _read_by_pillow(path, data, header.profile)
        except ProfileError as error:
            notes.append(f"{path.name} loses its colour profile: {error}")
        else:
            return Stored(pixels, None, (*notes, f"the colours of {path.name} are converted to sRGB"))
    return Stored(_decode(path, data, header.orientation), profile, tuple(notes))


def _header(path: Path, data: bytes) -> Header:
    too_large = f"{path} has more than {pictures.OWN.pixels // 1_000_000} million pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and of sizes, which have limits of ours
            with PillowImage.open(BytesIO(data)) as file:
                if file.width * file.height > pictures.OWN.pixels:
                    raise FileError(too_large)
                is_tiff = file.format == "TIFF"
                pages = int(getattr(file, "n_frames", 1)) if is_tiff else 1
                return Header(_orientation(file), file.info.get("icc_profile"), file.mode, pages)
    except PillowImage.DecompressionBombError as error:
        raise FileError(too_large) from error
    except FileError:
        raise
    except Exception:  # Pillow's plugins raise many kinds; OpenCV knows more, such as TIFF in float
        return Header()


def _orientation(file: PillowImage.Image) -> int:
    """The turn that is left to do: OpenCV follows that of a TIFF itself."""
    if file.format == "TIFF":
        return 1
    try:
        found = file.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data raise many kinds; the picture itself is whole
        return 1
    return found if found in TURNED else 1


def _decode(path: Path, data: bytes, orientation: int) -> Image:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:  # beyond limits of its own
        picture = None
    if picture is None:
        raise FileError(f"{path} is not a picture that can be read, or it is cut off")
    if picture.shape[0] * picture.shape[1] > pictures.OWN.pixels:
        raise FileError(f"{path} has more than {pictures.OWN.pixels // 1_000_000} million pixels")
    return np.ascontiguousarray(TURNED[orientation](cast(Image, picture)))


def plain(error: Exception) -> str:
    """What went wrong with a file, without numbers of the system's or FFmpeg's."""
    return str(getattr(error, "strerror", None) or error)


def _read_by_pillow(path: Path, data: bytes, profile: bytes | None = None) -> Image:
    """A picture of 8 bits in BGR(A); in sRGB where the profile of a grey or CMYK picture is given."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PillowImage.open(BytesIO(data)) as file:
                upright = ImageOps.exif_transpose(file)
                if profile is not None:
                    upright = srgb_of(upright, profile)
                picture = np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB"))
    except ProfileError:
        raise
    except (OSError, ValueError, PillowImage.DecompressionBombError) as error:
        remedy = f"; {HEIC_REMEDY}" if is_unreadable_heic(path) else ", or it is cut off"
        raise FileError(f"{path} is not a picture that can be read{remedy}") from error
    return np.ascontiguousarray(np.dstack([picture[..., 2::-1], picture[..., 3:]]))


def is_unreadable_heic(path: Path) -> bool:
    """Whether a file is HEIC, for which a package is missing here."""
    return not HEIC_IS_READ and path.suffix.lower() in READ - SUFFIXES


def _write_by_pillow(path: Path, picture: Image, profile: Profile | None) -> None:
    if picture.dtype == np.uint16:
        picture = np.round(picture / 257).astype(np.uint8)
    colours = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    options: dict[str, Any] = {} if profile is None else {"icc_profile": profile.data}
    try:
        PillowImage.fromarray(np.dstack([colours[..., 2::-1], colours[..., 3:]])).save(path, **options)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {plain(error)}") from error


def as_bgr8(stored: Image) -> Image:
    """(H, W, 3) uint8 BGR of a picture with 1 to 4 channels and 8 or 16 bits."""
    picture = stored
    if picture.dtype == np.uint16:
        picture = np.round(picture / 257).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = np.clip(np.nan_to_num(picture) * 255, 0, 255).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    match picture.shape[2]:
        case 1 | 2:
            return cv2.cvtColor(np.ascontiguousarray(picture[..., 0]), cv2.COLOR_GRAY2BGR)
        case 4:
            return np.ascontiguousarray(picture[..., :3])
        case _:
            return picture


def stored_like(source: Stored, shown: Image, edited: Image) -> Image:
    """The edited picture with the alpha, the bit depth and the colours of the stored one.

    Args:
        source: as it was read.
        shown: `source.shown()`.
        edited: the same, edited; the very same array where nothing was.
    """
    stored, profile = source.pixels, source.profile
    if edited is shown:
        return stored
    result = edited
    own_colours = profile is not None and not profile.is_srgb
    if stored.dtype == np.uint16 or (own_colours and stored.dtype == np.uint8):
        colour = stored if stored.ndim == 3 else stored[..., None]
        before, after = (shown, edited) if profile is None else (profile.from_srgb(shown), profile.from_srgb(edited))
        one, most = (257, 65535) if stored.dtype == np.uint16 else (1, 255)
        change = (after.astype(np.int32) - before) * one
        result = np.clip(colour[..., :3] + change, 0, most).astype(stored.dtype)
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = stored[..., 3:] if stored.dtype == result.dtype else np.full((*stored.shape[:2], 1), 255, result.dtype)
        result = np.concatenate([result, alpha], axis=2)
    return result


def write_picture(path: Path, picture: Image, profile: Profile | None = None) -> None:
    """Write a picture; 16 bits are rounded to 8 where the format has no more. It appears when it is complete.

    Args:
        path: its suffix names the format.
        picture: as of `Stored`.
        profile: of its colours; one of the formats of `colour_profiles.KEEPING` is needed.

    Raises:
        FileError: it cannot be written there, or in that format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FileError(f"{path}: unknown picture format; use one of {', '.join(sorted(SUFFIXES))}")
    part = beside(path, ".", f".part{path.suffix}")
    try:
        _write(part, picture, profile)
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path}: {plain(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def in_srgb(picture: Image, profile: Profile) -> Image:
    """(H, W, 3 or 4) uint8 BGR(A) in sRGB of a picture with a profile, for formats that keep none."""
    colours = profile.to_srgb(as_bgr8(picture))
    if picture.ndim == 2 or picture.shape[2] != 4:
        return colours
    alpha = picture[..., 3:]
    return np.dstack([colours, alpha if alpha.dtype == np.uint8 else np.round(alpha / 257).astype(np.uint8)])


def _write(path: Path, picture: Image, profile: Profile | None) -> None:
    suffix = path.suffix.lower()
    if suffix in BY_PILLOW:
        _write_by_pillow(path, picture, profile)
        return
    if picture.dtype == np.uint16 and suffix not in {".png", ".tif", ".tiff"}:
        picture = np.round(picture / 257).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix in {".jpg", ".jpeg"} else []
    in_tiff = suffix in {".tif", ".tiff"}
    try:
        if profile is None or in_tiff:
            done, data = cv2.imencode(suffix, picture, options)
        else:
            stored = np.frombuffer(profile.data, np.uint8)[None]
            done, data = cv2.imencodeWithMetadata(suffix, picture, [cv2.IMAGE_METADATA_ICCP], [stored], options)
    except cv2.error:  # such as a picture that is too large for WebP
        done = False
    if not done:
        raise FileError(f"{path}: this picture cannot be written in that format")
    file = data.tobytes()
    path.write_bytes(put_into_tiff(file, profile.data) if in_tiff and profile is not None else file)
