"""Hair dye: another colour on the camera's own hair, with its lights, shadows and strands.

No network of its own: the segmenter says where hair is, the rest is colour arithmetic in CIE Lab. Bleaching follows
what bleach does. Pigment goes, so shadows rise with the albedo, while specular highlights, which never had pigment,
keep their level (a shoulder towards white); roots stay darker and warmer; chroma fades towards black and white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor, Masks
from models.face.imaging import guided_filter

Preset = Literal["black", "brown", "blond", "red", "grey", "white", "custom"]

PRESETS: dict[str, tuple[float, float, float]] = {
    "black": (8.0, 0.5, -1.0),
    "brown": (25.0, 6.5, 11.5),
    "blond": (67.0, 5.0, 26.0),
    "red": (38.0, 25.0, 29.0),
    "grey": (56.0, -0.3, -1.0),
    "white": (80.0, -0.3, 3.0),
}
"""CIE Lab (D65) of dyed hair at its median under ordinary room light."""

LIGHTNESS, GREEN_RED, BLUE_YELLOW, SPREAD, SKIN, FRACTION = range(6)
"""The latent's numbers: hair's median L, a, b; half its 10..90 % range of L; skin's median L; share of the crop."""

LEAST_HAIR = 0.004
"""Below this share of the crop there is nothing to dye: a bald head must not flicker."""
BORDER = 0.09
"""Share of the crop over which the dye fades towards its border, where longer hair would otherwise be cut in a line."""
HAIR_SPREAD = 24.0
"""Half the 10..90 % range of L* that bleached hair shows; more looks like tinsel."""
LIGHT_CONTRAST = 1.5
"""Largest slope of the lightness curve: dark hair holds little but camera noise to expand."""
DARK_CONTRAST = 0.8
"""Least slope of the lightness curve, so that darkened hair keeps its strands."""
BAND_SIGMA = 3.5
"""Half the width in crop pixels of the band along the mask's edge in which colour decides."""
MEAN_WINDOW = 26
"""Side in crop pixels of the window for the colours of hair and surroundings."""
UNLIKE = 0.16
"""Distance in RGB (0..1) at which hair and surroundings count as told apart."""
FLAT = 3e-3
"""Variance of lightness (in 0..1) below which a patch is smooth hair with noise rather than strands."""
NOISE_L = 1.8
"""Lightness detail below this is taken for camera noise and is not amplified."""


class HairControls(Controls):
    """Colour and strength of the dye."""

    colour: Preset | None = Field(None, title="Hair colour", json_schema_extra={"wakes": {"amount": 1.0}})
    custom: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = Field(
        "#7a3fbf",
        title="Own colour",
        json_schema_extra={
            "format": "color",
            "photo": "From a photo…",
            "sets": {"colour": "custom"},
            "wakes": {"amount": 1.0},
        },
    )
    amount: float = Field(1.0, ge=0, le=1, title="Amount", json_schema_extra={"step": 0.01, "needs": "colour"})

    def neutral(self) -> bool:
        """No dye: no colour, or none of it."""
        return self.colour is None or self.amount == 0


class Hair(Editor[HairControls]):
    """The hair dye editor. Its latent holds robust statistics of the hair: smoothing it keeps the colour from pumping.

    The crop reaches 1.5 times the FFHQ square: longer hair (below the chest) keeps its own colour, with a soft passage.
    """

    name = "hair"
    crop = CropSpec("ffhq", 256, 1.5)
    Controls = HairControls
    latent_seconds = 0.6

    def encode(self, crop: Crop, controls: HairControls) -> Latent:
        """Measure the hair.

        Args:
            crop: with `masks`.

        Returns:
            (6,) float32: see `LIGHTNESS` and its neighbours. All zeros where there is too little hair.

        Raises:
            ValueError: the crop has no masks.
        """
        masks = _masks(crop)
        side = len(masks.hair)
        small = cv2.resize(crop.image, (side, side), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
        hair = lab[masks.hair * (1 - masks.occluder) > 0.7]
        fraction = float(masks.hair.mean())
        if fraction < LEAST_HAIR or len(hair) < 16:
            return np.zeros(6, np.float32)
        skin = lab[..., 0][masks.face * (1 - masks.occluder) > 0.7]
        low, high = np.percentile(hair[:, 0], (10, 90))
        skin_lightness = float(np.median(skin)) if len(skin) else 60.0
        return np.array([*np.median(hair, axis=0), (high - low) / 2, skin_lightness, fraction], np.float32)

    def steer(self, latent: Latent, controls: HairControls) -> Latent:
        """The statistics that the dyed hair shall have: (6,) float32."""
        steered = latent.copy()
        if controls.colour is None or controls.amount == 0 or latent[FRACTION] < LEAST_HAIR:
            return steered
        target = np.array(custom_lab(controls.custom) if controls.colour == "custom" else PRESETS[controls.colour])
        # a preset is a colour under room light; a dim picture has dim blond
        if controls.colour != "custom":
            target[0] *= np.clip((latent[SKIN] * 0.5 + 35) / 67, 0.78, 1.04)
        steered[:3] += controls.amount * (target - latent[:3]).astype(np.float32)
        return steered

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """The dye that gives the hair of a photo: its median colour.

        Raises:
            ValueError: the photo shows too little hair.
        """
        latent = self.encode(crop, HairControls())
        if latent[FRACTION] < LEAST_HAIR:
            raise ValueError("no hair in this photo: choose one that shows it")
        return {"colour": "custom", "custom": hex_of_lab(latent[:SPREAD]), "amount": 1.0}

    def knows_photo(self, id: str) -> bool:
        """Always: nothing is kept but the colour."""
        return True

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: HairControls) -> Edit:
        """Recolour the hair from the statistics `latent` to `steered`: a residual under a mask along the strands."""
        size = len(crop.image)
        masks = _masks(crop)
        mask = np.zeros((size, size), np.float32)
        delta = np.zeros((size, size, 3), np.float32)
        if np.array_equal(latent, steered) or latent[FRACTION] < LEAST_HAIR:
            return Edit(mask=mask, delta=delta)
        coarse = cv2.resize(masks.hair, (size, size), interpolation=cv2.INTER_LINEAR)
        area = _area(coarse)
        if area is None:
            return Edit(mask=mask, delta=delta)
        image = crop.image[area].astype(np.float32) / np.float32(255)
        mask[area] = strand_mask(image, coarse[area])
        if masks.occluder.max() > 0.05:
            occluder = cv2.resize(masks.occluder, (size, size), interpolation=cv2.INTER_LINEAR)
            mask *= 1 - np.clip(occluder * 1.6 - 0.2, 0, 1)
        mask *= _border_fade(size)
        roots = _roots(crop, masks, size)[area]
        delta[area] = 255 * (recolour(image, latent, steered, roots) - image)
        # smoothed statistics may lag behind the hair that is there: no hair, no dye
        mask *= np.float32(np.clip(latent[FRACTION] / LEAST_HAIR - 1, 0, 1))
        return Edit(mask=mask, delta=delta)


def custom_lab(colour: str) -> tuple[float, float, float]:
    """CIE Lab (D65) of `#rrggbb`."""
    rgb = np.array([[[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]]], np.float32)
    lightness, a, b = (float(v) for v in cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0, 0])
    return lightness, a, b


def hex_of_lab(lab: Floats) -> str:
    """`#rrggbb` of a colour (3,) in CIE Lab (D65)."""
    rgb = cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB)[0, 0]
    red, green, blue = (round(255 * float(value)) for value in np.clip(rgb, 0, 1))
    return f"#{red:02x}{green:02x}{blue:02x}"


def recolour(image: Floats, latent: Latent, steered: Latent, roots: Floats) -> Floats:
    """Move hair from one median colour to another.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        latent: statistics of the hair now.
        steered: statistics wanted.
        roots: (H, W) float32 in [0, 1], 1 where hair leaves the scalp.

    Returns:
        (H, W, 3) float32 RGB in [0, 1].
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lightness = np.ascontiguousarray(lab[..., 0])
    now = float(np.clip(latent[LIGHTNESS], 4, 96))
    want = float(np.clip(steered[LIGHTNESS], 4, 96))
    bleach = float(np.clip((want - now) / 40, 0, 1))
    curve = _Curve.between(now, want, float(latent[SPREAD]))
    unit = np.asarray(lightness / 100, np.float32)
    base = guided_filter(unit, unit, 3, FLAT) * 100
    detail = lightness - base
    moved, slope = curve.apply(base)
    slope = np.clip(slope, 0.9, 1.5)
    power = detail * detail
    gain = 1 + (slope - 1) * power / (power + NOISE_L**2)
    gain = np.where(slope < 1, slope, gain)
    result = moved + detail * gain
    # bleach takes hold late where the scalp keeps the hair warm and new
    result -= 11 * bleach * roots * np.clip(result / 70, 0, 1)
    result = np.clip(result, 0, 100)

    chroma = np.clip((result + 6) / (want + 6), 0, 1.15) ** 0.7
    towards_white = np.clip((result - max(want, 55)) / max(100 - max(want, 55), 1), 0, 1)
    chroma = chroma * (1 - 0.65 * towards_white)
    shadow = bleach * np.clip((want - result) / 40, 0, 1)
    keep = 0.45
    for channel, warmth in ((GREEN_RED, 2.5), (BLUE_YELLOW, 5.0)):
        own = lab[..., channel] - latent[channel]
        warm = warmth * np.clip(np.hypot(steered[GREEN_RED], steered[BLUE_YELLOW]) / 20, 0, 1)
        lab[..., channel] = steered[channel] * chroma + keep * own + warm * (shadow + 0.7 * bleach * roots)
    lab[..., 0] = result
    dyed: Floats = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    return dyed


@dataclass(frozen=True, slots=True)
class _Curve:
    """Lightness to lightness: `now` goes to `want`, with a toe towards black and a shoulder towards white.

    Around the median lightness follows a change of albedo (L* + 16 goes with the cube root of luminance), held within
    the contrast that real hair has. The shoulder keeps highlights, which never had pigment, from burning out.
    """

    now: float
    want: float
    slope: float

    @staticmethod
    def between(now: float, want: float, spread: float) -> _Curve:
        albedo = (want + 16) / (now + 16)
        most = float(np.clip(HAIR_SPREAD / max(spread, 1.0), 1.0, LIGHT_CONTRAST))
        return _Curve(now, want, float(np.clip(albedo, DARK_CONTRAST, most)))

    def apply(self, lightness: Floats) -> tuple[Floats, Floats]:
        """The lightness wanted and the curve's slope there."""
        away = self.slope * (lightness - self.now)
        toe, shoulder = 0.9 * self.want, 100 - self.want
        below, above = np.exp(np.minimum(away, 0) / toe), np.exp(-np.maximum(away, 0) / shoulder)
        return self.want + toe * (below - 1) + shoulder * (1 - above), self.slope * below * above


def strand_mask(image: Floats, coarse: Floats) -> Floats:
    """Let a soft hair mask follow the strands: along its edge, how much of a pixel is hair by its colour.

    A pixel there is taken for a mixture of the sure hair and the sure surroundings near it, as in matting by local
    colour means; where the two look alike, the guided mask stays.

    Args:
        image: (H, W, 3) float32 RGB in [0, 1].
        coarse: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    soft = cv2.GaussianBlur(coarse, (0, 0), BAND_SIGMA)
    hair, around = _local_mean(image, (soft - 0.7) / 0.25), _local_mean(image, (0.3 - soft) / 0.25)
    between = hair - around
    contrast = np.einsum("hwc,hwc->hw", between, between)
    share = np.einsum("hwc,hwc->hw", image - around, between) / (contrast + 1e-4)
    by_colour = np.clip((share - 0.05) / 0.9, 0, 1)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    guided = np.clip((guided_filter(luminance, coarse, 6, 5e-4) - 0.14) / 0.7, 0, 1)
    trust = (contrast / (contrast + UNLIKE**2)) ** 2 * np.clip((0.5 - np.abs(soft - 0.5)) * 8, 0, 1)
    mask: Floats = guided + (by_colour - guided) * trust
    return mask


def _local_mean(image: Floats, weight: Floats) -> Floats:
    """(H, W, 3): mean colour near each pixel over those of positive weight; at half resolution, as it is smooth."""
    height, width = weight.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = np.clip(cv2.resize(weight, half, interpolation=cv2.INTER_AREA), 0, 1) + np.float32(1e-4)
    image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    window = (MEAN_WINDOW // 2, MEAN_WINDOW // 2)
    mean = cv2.blur(image * weight[..., None], window) / cv2.blur(weight, window)[..., None]
    return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _masks(crop: Crop) -> Masks:
    if crop.masks is None:
        raise ValueError("the hair editor needs the segmenter's masks: give Crop.masks")
    return crop.masks


def _area(mask: Floats) -> tuple[slice, slice] | None:
    """The part of the crop that holds hair, with room for the filters' windows."""
    rows, columns = np.flatnonzero(mask.max(axis=1) > 0.02), np.flatnonzero(mask.max(axis=0) > 0.02)
    if not len(rows):
        return None
    room = 12
    return (
        slice(max(int(rows[0]) - room, 0), int(rows[-1]) + room + 1),
        slice(max(int(columns[0]) - room, 0), int(columns[-1]) + room + 1),
    )


def _border_fade(size: int) -> Floats:
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (BORDER * size)
    ramp = np.clip(distance, 0, 1).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.asarray(ramp[:, None] * ramp[None], np.float32)


def _roots(crop: Crop, masks: Masks, size: int) -> Floats:
    """(size, size): near the face's skin and above the eyes, where hair starts."""
    side = len(masks.face)
    near = cv2.GaussianBlur(masks.face, (0, 0), side * 0.035)
    near = np.clip(cv2.resize(near, (size, size), interpolation=cv2.INTER_LINEAR) * 1.8, 0, 1)
    eyes = float(crop.points5[:2, 1].mean())
    distance = max(float(np.linalg.norm(crop.points5[1] - crop.points5[0])), 1.0)
    above = np.clip((eyes - np.arange(size, dtype=np.float32)) / (0.5 * distance), 0, 1)
    return np.asarray(near * above[:, None], np.float32)
