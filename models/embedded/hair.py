"""Hair dye: another colour on the camera's own hair, with its lights, shadows and strands.

The segmenter says about where hair is, one network how much of each pixel (`models.embedded.matte`), another draws it
in its new look (`models.embedded.hair_look`). Roots stay darker where dark hair is bleached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import LEAST_HAIR, NO_HAIR, Controls, Crop, Edit, Editor, Masks
from models.embedded.beard import fairness, with_fair_ends
from models.embedded.beard_alpha import BEARD_NETWORK, BeardAlpha
from models.embedded.facial_hair import COLOURS_LENGTH, brow_colours, dye_brows
from models.embedded.hair_look import HAIR_LOOK, HairLook
from models.embedded.matte import MATTE, HairMatte
from models.embedded.strands import (
    FILTER,
    LIT_LENGTH,
    LOOK_LENGTH,
    Lit,
    Look,
    look_of,
    measure_light,
    measure_look,
    seen_often,
)
from models.embedded.white_hair import ears, matt, ornaments, without_outline
from models.face.imaging import LUMINANCE, box_of, smoothstep

Preset = Literal["black", "brown", "blond", "red", "grey", "white", "custom"]

PRESETS: dict[str, tuple[float, float, float]] = {
    "black": (10.0, 1.2, 1.4),
    "brown": (27.0, 5.4, 9.4),
    "blond": (54.0, 8.6, 23.0),
    "red": (33.0, 21.0, 24.0),
    "grey": (57.0, -0.3, -0.5),
    "white": (78.0, -0.3, 3.0),
}
"""CIE Lab (D65) of dyed hair at its median under white room light."""

FRACTION = LOOK_LENGTH + LIT_LENGTH
"""Place in the latent of the share of the crop that is hair, behind its `Look` and the `Lit` of the face."""
SKIN = FRACTION + 1
"""Place of the median colour of the face, over 255."""
BROWS = SKIN + 3
LENGTH = BROWS + COLOURS_LENGTH

BORDER = 0.09
"""Share of the crop over which the dye fades towards its border, where longer hair would otherwise be cut in a line."""
USUAL_SKIN = (201.0, 149.0, 127.0)
"""RGB of a face's skin where none is seen."""
ROOTS = 0.45
"""How much less the roots of dark hair are bleached than its ends."""
BLEACHED = 1.3
"""Rise of the level, log units, that counts as full bleach."""
LEAST, ROOM = 0.02, 12
"""Alpha from which a pixel is processed, and crop pixels around the hair that the filters look at."""
BESIDE = 7
"""Window by which hair is widened to where the edit may differ from the camera, pixels."""
BEGUN = (0.0, 0.15)
"""Amounts over which the network's drawing is shown more and more: the first step of the slider changes little."""
DARK = np.float32(8)
"""Offset of luminance, 0..255: in the dark noise is not made much of."""
DEEPER, DEEPEST = 0.4, (-1.2, 1.0)
"""By how much the light of bleached hair differs more from its median than the network draws it: blond hair varies by
0.27 in log light, drawn by 0.2; and the bounds of such a difference.
"""
WHITE = ("grey", "white")
"""Dyes that are hair without pigment."""


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
    brows: bool = Field(False, title="Brows too", json_schema_extra={"needs": "colour"})
    beard: bool = Field(False, title="Beard too", json_schema_extra={"needs": "colour"})

    def neutral(self) -> bool:
        """No dye: no colour, or none of it."""
        return self.colour is None or self.amount == 0


class Hair(Editor[HairControls]):
    """The hair dye editor. Its latent holds robust statistics of the hair: smoothing it keeps the colour from pumping.

    The crop reaches 1.5 times the FFHQ square: longer hair (below the chest) keeps its own colour, with a soft passage.

    Args:
        matte: tells how much of each pixel is hair.
        beard: the same of a beard.
        look: draws hair of another look.
    """

    name = "hair"
    crop = CropSpec("ffhq", 256, 1.5, edge="repeated")
    Controls = HairControls
    latent_seconds = 0.6
    encode_seconds = 0.1

    def __init__(self, matte: HairMatte, beard: BeardAlpha, look: HairLook) -> None:
        self._matte = matte
        self._beard = beard
        self._look = look

    def encode(self, crop: Crop, controls: HairControls) -> Latent:
        """Measure the hair and the light on the face.

        Args:
            crop: with `masks`.

        Returns:
            (LENGTH,) float32: `Look`, `Lit`, the share of the crop that is hair, the colour of skin and `brow_colours`.
            All zeros where there is too little hair.

        Raises:
            ValueError: the crop has no masks.
        """
        masks = _masks(crop)
        size = len(crop.image)
        fraction = float(masks.hair.mean())
        if fraction < LEAST_HAIR:
            return np.zeros(LENGTH, np.float32)
        free = cv2.resize(masks.hair * (1 - masks.occluder), (size, size), interpolation=cv2.INTER_LINEAR)
        look = measure_look(crop.image.astype(np.float32), np.asarray(free, np.float32))
        if look is None:
            return np.zeros(LENGTH, np.float32)
        skin = _skin_colour(crop, masks)
        usual = np.array(USUAL_SKIN, np.float32) if skin is None else 255 * skin
        covering = np.maximum(masks.hair, masks.occluder)
        covered = cv2.resize(covering, (size, size), interpolation=cv2.INTER_LINEAR)
        brows = brow_colours(crop, np.asarray(covered, np.float32))
        light = measure_light(crop.image, usual).pack()
        return np.concatenate([look.pack(), light, [fraction], usual / 255, brows]).astype(np.float32)

    def steer(self, latent: Latent, controls: HairControls) -> Latent:
        """The look that the dyed hair shall have, (LENGTH,) float32."""
        steered = latent.copy()
        seen = _seen(latent)
        if controls.colour is None or controls.amount == 0 or latent[FRACTION] < LEAST_HAIR or seen is None:
            return steered
        latent, _ = seen
        wanted = _dye(latent, controls.colour, controls.custom)
        steered[:LOOK_LENGTH] = Look.unpack(latent).towards(wanted, controls.amount).pack()
        return steered

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """The dye that gives the hair of a photo: its median colour.

        Raises:
            ValueError: the photo shows too little hair.
        """
        latent = self.encode(crop, HairControls())
        if latent[FRACTION] < LEAST_HAIR:
            raise ValueError("no hair in this photo: choose one that shows it")
        look, light = Look.unpack(latent), Lit.unpack(latent[LOOK_LENGTH:])
        luminance = np.exp(look.level - light.exposure) - FILTER.offset
        rgb = np.clip(luminance * look.colour / light.tint, 0, 255).round().astype(int)
        return {"colour": "custom", "custom": "#" + "".join(f"{value:02x}" for value in rgb), "amount": 1.0}

    def knows_photo(self, id: str) -> bool:
        """Always: nothing is kept but the colour."""
        return True

    def wants_steady_light(self, controls: HairControls) -> bool:
        """Always: the hair that is dyed may be dark."""
        return True

    def obstacles(self, crop: Crop, latent: Latent, controls: HairControls) -> Mapping[str, str]:
        """No hair, or hair that is hidden."""
        return {} if controls.neutral() or latent[FRACTION] >= LEAST_HAIR else {"colour": NO_HAIR}

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: HairControls) -> Edit:
        """Recolour the hair from the statistics `latent` to `steered`: a residual under a mask along the strands."""
        size = len(crop.image)
        masks = _masks(crop)
        mask = np.zeros((size, size), np.float32)
        delta = np.zeros((size, size, 3), np.float32)
        seen = _seen(latent)
        if np.array_equal(latent, steered) or latent[FRACTION] < LEAST_HAIR or seen is None:
            return Edit(mask=mask, delta=delta)
        alpha = self._matte.read(crop.image, masks.hair)
        skin = np.asarray(255 * seen[0][SKIN : SKIN + 3], np.float32)
        beard = self._whole_beard(crop, skin) * (1 - alpha) if controls.beard else np.zeros_like(alpha)
        area = box_of(np.maximum(alpha, beard) > LEAST, ROOM)
        if area is None:
            return Edit(mask=mask, delta=delta)
        now, wanted = Look.unpack(seen[0]), Look.unpack(steered)
        weight = self._weight(crop, area, alpha, skin=skin, now=now)
        mask[area] = cv2.dilate(
            (np.maximum(weight[area], beard[area]) > 0).astype(np.float32), np.ones((7, 7), np.uint8)
        )
        if masks.occluder.max() > 0.05:
            occluder = cv2.resize(masks.occluder, (size, size), interpolation=cv2.INTER_LINEAR)
            mask *= 1 - np.clip(occluder * 1.6 - 0.2, 0, 1)
        mask *= _border_fade(size)
        fraction = latent[FRACTION]
        latent, share = seen
        bleach = float(np.clip((wanted.level - now.level) / BLEACHED, 0, 1))
        delta = self._look.change(crop, weight, now=now, wanted=wanted, skin=skin)
        drawn = crop.image[area] + delta[area]
        if controls.colour in WHITE:
            drawn += matt(drawn, weight[area], wanted.level, controls.amount)
        else:
            drawn += _deepened(drawn, weight[area], wanted.level, bleach)
        drawn += without_outline(np.clip(drawn, 0, 255), weight[area], wanted.colour, bleach)
        delta[area] = drawn - crop.image[area]
        delta *= (1 - np.float32(ROOTS * bleach) * _roots(crop, masks, size))[..., None]
        if beard.any():
            delta += self._look.change(crop, beard, now=now, wanted=wanted, skin=skin)
        delta *= smoothstep(np.asarray(controls.amount), *BEGUN)
        if controls.brows and controls.colour is not None:
            occluder = cv2.resize(masks.occluder, (size, size), interpolation=cv2.INTER_LINEAR)
            change, where = dye_brows(
                crop,
                colours=latent[BROWS:],
                covered=np.maximum(alpha, np.asarray(occluder, np.float32)),
                dye=_dye(latent, controls.colour, controls.custom),
                amount=controls.amount,
            )
            delta = mask[..., None] * delta + change
            mask = np.maximum(mask, where)
            delta /= np.maximum(mask, np.float32(1e-3))[..., None]

        # smoothed statistics may lag behind the hair that is there: no hair, no dye
        mask *= np.float32(np.clip(fraction / LEAST_HAIR - 1, 0, 1)) * seen_often(share)
        return Edit(mask=mask, delta=delta)

    def _whole_beard(self, crop: Crop, skin: Floats) -> Floats:
        """(S, S) float32 in 0..1, a man's beard; a red one to its end."""
        beard = self._beard.read(crop)
        return beard if crop.mesh is None else with_fair_ends(crop, beard, fairness(crop.image, beard, skin))

    def _weight(self, crop: Crop, area: tuple[slice, slice], alpha: Floats, *, skin: Floats, now: Look) -> Floats:
        """(S, S) float32 in 0..1, hair without ears and what is worn in it."""
        weight = np.zeros_like(alpha)
        weight[area] = alpha[area] * (1 - ears(crop, area, skin, now))
        weight[area] *= 1 - ornaments(crop.image[area].astype(np.float32), alpha[area], now)
        return weight


def load(load_engine: Callable[[Path], Engine], folder: Path) -> Hair:
    """Load the editor.

    Args:
        load_engine: makes an engine of an ONNX file, e.g. `engines.select.load`.
        folder: the embedded pack.

    Raises:
        FileNotFoundError: a network is missing.
    """
    return Hair(
        HairMatte(load_engine(folder / MATTE)),
        BeardAlpha(load_engine(folder / BEARD_NETWORK)),
        HairLook(load_engine(folder / HAIR_LOOK)),
    )


def _deepened(drawn: Floats, weight: Floats, level: float, bleach: float) -> Floats:
    """What is added to bleached hair so that its lights and shades differ as those of light hair, (H, W, 3) float32."""
    light = np.log(np.maximum(cv2.transform(drawn, LUMINANCE[None]), 0) + DARK)
    away = np.clip(light - np.float32(np.log(np.exp(level) + DARK)), *DEEPEST)
    gain = weight * weight * (np.exp(np.float32(DEEPER * bleach) * away) - 1)
    return np.asarray(gain[..., None] * np.maximum(drawn, 0), np.float32)


def _seen(latent: Latent) -> tuple[Latent, float] | None:
    """A latent that was averaged over frames, as it is in those of them in which there is hair, and their share."""
    look, share = Look.averaged(latent[:LOOK_LENGTH])
    return None if look is None else (np.asarray(latent / np.float32(share), np.float32), share)


def _dye(latent: Latent, colour: Preset, custom: str) -> Look:
    """The look of hair with all of a dye, in the light of a latent."""
    lab = custom_lab(custom) if colour == "custom" else PRESETS[colour]
    return Lit.unpack(latent[LOOK_LENGTH:]).on(look_of(_rgb_of_lab(lab)))


def custom_lab(colour: str) -> tuple[float, float, float]:
    """CIE Lab (D65) of `#rrggbb`."""
    rgb = np.array([[[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]]], np.float32)
    lightness, a, b = (float(v) for v in cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0, 0])
    return lightness, a, b


def _rgb_of_lab(lab: tuple[float, float, float]) -> Floats:
    """(3,) float32 RGB, 0..255, of a colour in CIE Lab (D65)."""
    rgb = cv2.cvtColor(np.array([[lab]], np.float32), cv2.COLOR_LAB2RGB)[0, 0]
    return np.asarray(255 * np.clip(rgb, 0, 1), np.float32)


def _masks(crop: Crop) -> Masks:
    if crop.masks is None:
        raise ValueError("the hair editor needs the segmenter's masks: give Crop.masks")
    return crop.masks


def _skin_colour(crop: Crop, masks: Masks) -> Floats | None:
    """(3,) float32 RGB in [0, 1], median of the face; None where none is seen."""
    side = len(masks.face)
    small = cv2.resize(crop.image, (side, side), interpolation=cv2.INTER_AREA)
    seen = small[masks.face * (1 - masks.occluder) * (1 - masks.hair) > 0.7]
    return np.asarray(np.median(seen, axis=0) / 255, np.float32) if len(seen) else None


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
