"""The look of hair, and the light on a face.

Hair is described in log light by four things: how bright it is, how much its broad light varies, how much its strands
vary, and its colour without light. Strands are smoothed along their own direction first: dark hair holds little but
camera noise otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import LUMINANCE, smoothstep


@dataclass(frozen=True, slots=True)
class StrandFilter:
    """How strands are told from broad light and from noise. Lengths are crop pixels.

    Attributes:
        offset: added to 0..255 before the logarithm.
        edge_sigma: Gaussian before the direction of strands is measured.
        direction_sigma: window of that measurement.
        reach: distances along a strand over which it is averaged, on both sides.
        broad_sigma: what is wider than this Gaussian is broad light.
        sure: hair probability from which a pixel counts for the look.
        pure: hair probabilities between which a pixel is a mixture and is hair alone.
        edge: width of the edge of hair in which pixels are mixtures.
        noise: luminance of a pixel, 0..255, at which half of what averaging took is given back: brighter hair is clean.
        noise_still: the same in a single picture, where noise does not flicker.
    """

    offset: float = 4.0
    edge_sigma: float = 0.8
    direction_sigma: float = 2.5
    reach: tuple[float, ...] = (1.2, 2.6, 4.2)
    broad_sigma: float = 10.0
    sure: float = 0.7
    pure: tuple[float, float] = (0.5, 0.95)
    edge: int = 3
    noise: float = 70.0
    noise_still: float = 22.0


@dataclass(frozen=True, slots=True)
class Light:
    """How the light on a face is guessed from its skin and from the whole picture.

    Attributes:
        typical: luminance of skin in room light, 0..255.
        tone: share of a difference to it that is taken for the person's tone rather than for dim light.
        dim: log of the brightest luminance of the picture over 255, at which light is dim and from which it is not.
        skin: colour of skin over its luminance in white light, R, G, B.
        tint: share of a difference to it that is taken for the tint of the light.
        tints: smallest and largest factor of that.
    """

    typical: float = 165.0
    tone: float = 0.55
    dim: tuple[float, float] = (-1.2, -0.35)
    skin: tuple[float, float, float] = (1.22, 0.9, 0.77)
    tint: float = 0.35
    tints: tuple[float, float] = (0.75, 1.35)


FILTER = StrandFilter()
HALF_FILTER = StrandFilter(edge_sigma=0.6, direction_sigma=1.5, reach=(0.8, 1.7), broad_sigma=5.0, edge=1)
"""For pictures at half the crop's resolution."""
LIGHT = Light()
SHOULDER, TOP = 190.0, 252.0
"""Luminance, 0..255, from which highlights are compressed, and the one that they never pass."""
LOOK_LENGTH = 6
LIT_LENGTH = 4


FEW = 0.05
"""Share of the frames in which hair must be seen to tell how it looks."""


@dataclass(frozen=True, slots=True)
class Look:
    """How hair looks.

    Attributes:
        level: median log luminance.
        broad: standard deviation of the broad light, log units.
        fine: standard deviation of the strands, log units.
        colour: (3,) float32, median RGB over luminance.
    """

    level: float
    broad: float
    fine: float
    colour: Floats

    def pack(self) -> Floats:
        """(LOOK_LENGTH,) float32."""
        return np.array([self.level, self.broad, self.fine, *self.colour], np.float32)

    @staticmethod
    def unpack(numbers: Floats) -> Look:
        """From (LOOK_LENGTH,) float32, smoothed or not."""
        return Look(float(numbers[0]), float(numbers[1]), float(numbers[2]), np.asarray(numbers[3:6], np.float32))

    @staticmethod
    def averaged(numbers: Floats) -> tuple[Look | None, float]:
        """The look of hair that was seen in a share of some frames, and that share; None where that is next to nothing.

        Args:
            numbers: (LOOK_LENGTH,) float32, the mean of packed looks, and of zeros where no hair was seen.
        """
        # the colour of each look has luminance 1
        share = float(np.clip(numbers[3:6] @ LUMINANCE, 0, 1))
        return (Look.unpack(numbers / np.float32(share)) if share > FEW else None), share

    def towards(self, other: Look, amount: float) -> Look:
        """A look between: 0 is this one, 1 the other."""
        return Look.unpack(self.pack() + np.float32(amount) * (other.pack() - self.pack()))


def seen_often(share: float) -> np.float32:
    """How far a change of hair is shown that was seen in a share of the frames, 0..1: it comes and goes gradually."""
    return np.float32(smoothstep(np.asarray(share), FEW, 3 * FEW))


@dataclass(frozen=True, slots=True)
class Lit:
    """The light on a face, against white room light.

    Attributes:
        exposure: log of its strength.
        tint: (3,) float32, its colour.
    """

    exposure: float
    tint: Floats

    def pack(self) -> Floats:
        """(LIT_LENGTH,) float32."""
        return np.array([self.exposure, *self.tint], np.float32)

    @staticmethod
    def unpack(numbers: Floats) -> Lit:
        """From (LIT_LENGTH,) float32."""
        return Lit(float(numbers[0]), np.asarray(numbers[1:4], np.float32))

    def on(self, look: Look) -> Look:
        """A look of white room light in this light."""
        return Look(look.level + self.exposure, look.broad, look.fine, _over_luminance(look.colour * self.tint))


@dataclass(frozen=True, slots=True)
class Strands:
    """Hair in log light.

    Attributes:
        broad: (H, W) float32, light without strands.
        fine: (H, W) float32, strands.
    """

    broad: Floats
    fine: Floats


def look_of(colour: Floats) -> Look:
    """The usual look of hair of a colour.

    Args:
        colour: (3,) float32 RGB, 0..255, its median in white room light.
    """
    luminance = float(colour @ LUMINANCE)
    level = np.log(luminance + FILTER.offset)
    darkness = _darkness(float(level))
    return Look(float(level), 0.27 + 0.12 * darkness, 0.20 + 0.13 * darkness, _over_luminance(colour))


def _darkness(level: float) -> float:
    """0 at the median level of blond hair, 1 at that of black hair."""
    return float(np.clip((4.87 - level) / 1.33, 0, 1))


def find_strands(luminance: Floats, weight: Floats, lengths: StrandFilter = FILTER, *, still: bool = False) -> Strands:
    """Tell strands from broad light, and from noise by averaging along them.

    Args:
        luminance: (H, W) float32, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        lengths: of the filters.
        still: whether it is a single picture, where noise does not flicker.
    """
    noise = lengths.noise_still if still else lengths.noise
    light = np.log(luminance + FILTER.offset)
    x, y = direction_of_strands(light, weight, lengths.edge_sigma, lengths.direction_sigma)
    rows, columns = np.indices(luminance.shape, np.float32)
    layers = cv2.merge([light * weight, weight])
    total = layers + cv2.merge([light, np.ones_like(light)]) * np.float32(1e-3)
    for reach in lengths.reach:
        for way in (-reach, reach):
            total += cv2.remap(
                layers, columns + way * x, rows + way * y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
    smooth = total[..., 0] / total[..., 1]
    clean = luminance * luminance / (luminance * luminance + np.float32(noise**2))
    smooth += (light - smooth) * clean
    broad = _weighted_blur(smooth, weight, lengths.broad_sigma)
    return Strands(broad, smooth - broad)


def direction_of_strands(
    light: Floats, weight: Floats, edge_sigma: float, window: float, usual: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    """Where strands point to, by the structure tensor (Bigun and Granlund 1987).

    Args:
        light: (H, W) float32, log light.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        edge_sigma: Gaussian before the direction is measured, pixels.
        window: Gaussian over which it is measured, pixels.
        usual: the direction where little is seen, across and down, two (H, W) float32 whose length is its strength;
            None for none.

    Returns:
        Two (H, W) float32, across and down, of unit length together.
    """
    edges = cv2.GaussianBlur(light, (0, 0), edge_sigma)
    across, down = cv2.Sobel(edges, cv2.CV_32F, 1, 0), cv2.Sobel(edges, cv2.CV_32F, 0, 1)
    tensor = cv2.merge([across * across, across * down, down * down])
    xx, xy, yy = cv2.split(cv2.GaussianBlur(cv2.multiply(tensor, cv2.merge([weight] * 3)), (0, 0), window))
    if usual is not None:
        x, y = usual
        xx, xy, yy = xx + y * y, xy - x * y, yy + x * x
    # the larger eigenvector of the structure tensor lies across the strands
    angle = 0.5 * cv2.phase(xx - yy, 2 * xy) + np.float32(np.pi / 2)
    x, y = cv2.polarToCart(np.ones_like(angle), angle)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def measure_look(picture: Floats, weight: Floats, lengths: StrandFilter = FILTER) -> Look | None:
    """The look of the hair in a picture; None where there is too little.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        lengths: of the filters.
    """
    sure = weight > FILTER.sure
    pure = pure_hair(weight, lengths.edge)
    if np.count_nonzero(sure) < 32:
        return None
    luminance = cv2.transform(picture, LUMINANCE[None])
    strands = find_strands(luminance, pure, lengths)
    colours = picture[sure] / (luminance[sure] + FILTER.offset)[:, None]
    return Look(
        float(np.median(strands.broad[sure])),
        float(strands.broad[sure].std()),
        float(strands.fine[sure].std()),
        _over_luminance(np.asarray(np.median(colours, axis=0), np.float32)),
    )


def measure_light(image: Image, skin: Floats) -> Lit:
    """The light on a face.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        skin: (3,) float32 RGB, 0..255, median of the face.
    """
    small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).reshape(-1, 3) @ LUMINANCE
    dim = 1 - float(smoothstep(np.log(np.array(max(float(np.percentile(small, 98)), 1.0)) / 255), *LIGHT.dim))
    away = float(np.log((float(skin @ LUMINANCE) + FILTER.offset) / (LIGHT.typical + FILTER.offset)))
    exposure = away * (dim + (1 - dim) * (1 - LIGHT.tone)) if away < 0 else 0.5 * away
    tint = (_over_luminance(skin) / np.array(LIGHT.skin, np.float32)) ** np.float32(LIGHT.tint)
    return Lit(exposure, _over_luminance(np.clip(tint, *LIGHT.tints)))


def compressed(light: Floats) -> Floats:
    """Luminance, 0..255 and more, whose highlights never pass `TOP`."""
    room = np.float32(TOP - SHOULDER)
    over = np.maximum(light - np.float32(SHOULDER), 0)
    return np.asarray(np.minimum(light, np.float32(SHOULDER)) + room * (1 - cv2.exp(over * (-1 / room))))


def pure_hair(weight: Floats, edge: int) -> Floats:
    """1 where a pixel and its neighbours are hair alone."""
    side = 2 * edge + 1
    inner = cv2.erode(weight, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return smoothstep(cv2.GaussianBlur(inner, (0, 0), 1.0), *FILTER.pure)


def _weighted_blur(values: Floats, weight: Floats, sigma: float) -> Floats:
    """Gaussian mean of `values` by `weight`, at half resolution, as it is smooth."""
    height, width = values.shape
    half = (max((width + 1) // 2, 1), max((height + 1) // 2, 1))
    weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA) + np.float32(1e-4)
    values = cv2.resize(values, half, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(values * weight, (0, 0), sigma / 2) / cv2.GaussianBlur(weight, (0, 0), sigma / 2)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _over_luminance(colour: Floats) -> Floats:
    return np.asarray(colour / max(float(colour @ LUMINANCE), 1e-3), np.float32)
