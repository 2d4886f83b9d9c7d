"""ICC profiles of picture files: editors know sRGB, and a photo of a phone may be in Display P3.

A picture keeps its samples and its profile. Editors get it in sRGB, and what they change is put back into its colours.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

from models.arrays import Image

KEEPING = frozenset({".jpg", ".jpeg", ".png", ".apng", ".webp", ".tif", ".tiff", ".avif"})
"""Suffixes of formats with room for a profile."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
ICC_TAG, UNDEFINED = 34675, 7  # TIFF: ICC.1:2022, annex B.4
ENTRY = struct.Struct("<HHII")  # of a TIFF's directory: tag, type, count, value or its place


class ProfileError(ValueError):
    """An ICC profile is damaged, or for pictures of another kind."""


class Profile:
    """The ICC profile of a picture in RGB.

    Args:
        data: as files store it.

    Attributes:
        data: the same.
        is_srgb: whether it says sRGB; nothing is converted then.

    Raises:
        ProfileError: it is damaged, or for grey or CMYK.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._profile = _opened(data)
        if self._profile.profile.xcolor_space.strip() != "RGB":
            raise ProfileError("it is for grey or CMYK pictures")
        self.is_srgb = "srgb" in (self._profile.profile.profile_description or "").lower()

    def to_srgb(self, picture: Image) -> Image:
        """(H, W, 3) uint8 BGR of the profile -> of sRGB; colours beyond sRGB are clipped."""
        return picture if self.is_srgb else _converted(picture, self._profile, SRGB)

    def from_srgb(self, picture: Image) -> Image:
        """(H, W, 3) uint8 BGR of sRGB -> of the profile."""
        return picture if self.is_srgb else _converted(picture, SRGB, self._profile)


def srgb_of(picture: PillowImage.Image, data: bytes) -> PillowImage.Image:
    """A grey or CMYK picture of 8 bits in sRGB.

    Raises:
        ProfileError: the profile is damaged, or for another kind of picture.
    """
    return _transform(picture, _opened(data), SRGB)


def put_into_tiff(file: bytes, profile: bytes) -> bytes:
    """A TIFF file (little-endian, one page) with a profile, its samples as they are.

    OpenCV writes none, and Pillow has no 16 bits in colour: so the directory is written once more, behind the samples.
    """
    place = struct.unpack_from("<I", file, 4)[0]
    count = struct.unpack_from("<H", file, place)[0]
    entries = [ENTRY.unpack_from(file, place + 2 + ENTRY.size * k) for k in range(count)]
    padded = file + b"\0" * (len(file) % 2)
    stored = padded + profile + b"\0" * (len(profile) % 2)
    entries = sorted([*entries, (ICC_TAG, UNDEFINED, len(profile), len(padded))])
    directory = (
        struct.pack("<H", len(entries)) + b"".join(ENTRY.pack(*entry) for entry in entries) + struct.pack("<I", 0)
    )
    return stored[:4] + struct.pack("<I", len(stored)) + stored[8:] + directory


def _opened(data: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(BytesIO(data))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ProfileError("it is damaged") from error


def _converted(picture: Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> Image:
    rgb = PillowImage.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    return np.ascontiguousarray(np.asarray(_transform(rgb, source, target))[..., ::-1])


def _transform(
    picture: PillowImage.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile
) -> PillowImage.Image:
    try:
        made = ImageCms.profileToProfile(
            picture, source, target, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except ImageCms.PyCMSError as error:
        raise ProfileError("it is for another kind of picture") from error
    assert made is not None
    return made
