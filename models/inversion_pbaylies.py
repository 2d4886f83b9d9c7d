"""Latent code estimation as pbaylies' stylegan-encoder has it: its losses, its stopping, its average of the best.

With VGG16's and LPIPS' weights the terms are the published ones; without them, the feature maps of an encoder's trunk
take their places. Two things are not here: the discriminator's word on the picture (0.5 of it is added there), as no
encoder's checkpoint brings one, and the optimiser GGT: Adam is used, as in its README's presets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inversion_base import Features, Inversion, InversionError, Progress, unit_difference
from models.perceptual.lpips import Lpips
from models.perceptual.msssim import ms_ssim
from models.perceptual.vgg16 import Vgg16
from models.published.stylegan.encoders import FACE_SIDE

VGG_LAYER = "conv3_3"
"""Number 9 of Keras' VGG16."""
FARTHEST = 2.0
"""Entries of a code beyond it are drawn anew from N(0, 1) after each step."""
SHARPEN = ((0, -1, 0), (-1, 10, -1), (0, -1, 0))
"""Pillow's DETAIL, over 6: the photo is sharpened before it is compared."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Weights and schedule. The defaults are those of `encode_images.py` with Adam.

    Attributes:
        steps: of descent.
        rate: of Adam at the start.
        decay, decay_every: factor of the rate, and after which share of the steps it applies.
        features: weight of the log-cosh difference of VGG16's feature maps.
        pixels: weight of the log-cosh difference of pixels, 0..255.
        structure: weight of 1 - MS-SSIM, whose constants assume a range of 1, as published.
        perceptual: weight of LPIPS.
        penalty: weight of the mean absolute distance from the average code, times the length of a row.
        threshold, patience: the descent stops when this many steps in a row brought less than the threshold.
        keep: share of the best code so far that stays when a better one is found.
    """

    steps: int = 100
    rate: float = 0.02
    decay: float = 0.9
    decay_every: float = 0.04
    features: float = 0.4
    pixels: float = 1.5
    structure: float = 200.0
    perceptual: float = 100.0
    penalty: float = 0.5
    threshold: float = 0.5
    patience: int = 10
    keep: float = 0.25


PBAYLIES = Recipe()
HAIRSTYLE = Recipe(steps=400, decay=0.95, decay_every=0.06, penalty=0.3, threshold=0.05)
"""The slow setting of "Hairstyle Transfer" (Azmarie 2020), without its face mask: that would paste the hair back."""
RECIPES = {"pbaylies": PBAYLIES, "hairstyle": HAIRSTYLE}


@dataclass(frozen=True, slots=True)
class Perception:
    """What compares pictures besides pixels.

    Attributes:
        trunk: feature maps of an encoder, in place of what is missing.
        vgg: None without its weights.
        lpips: None without its weights.
    """

    trunk: Features
    vgg: Vgg16 | None = None
    lpips: Lpips | None = None

    def features(self, picture: Tensor) -> list[Tensor]:
        """Maps that the log-cosh loss compares."""
        return list(self.trunk(picture)) if self.vgg is None else [self.vgg(picture, (VGG_LAYER,))[VGG_LAYER]]

    def distance(self, picture: Tensor) -> Callable[[Tensor], Tensor]:
        """The perceptual distance of other pictures from this one."""
        if self.lpips is not None:
            measure = self.lpips
            return lambda other: measure(other, picture).mean()
        with torch.no_grad():
            wanted = list(self.trunk(picture))
        return lambda other: unit_difference(self.trunk(other), wanted)


def invert(
    image: Tensor,
    generator: nn.Module,
    guess: Tensor,
    average: Tensor,
    perception: Perception,
    *,
    recipe: Recipe = PBAYLIES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Inversion:
    """Find the code that draws a face.

    Args:
        image: (1, 3, 256, 256) RGB in [-1, 1], aligned as the generator's training faces.
        generator: W+ (1, rows, D) -> (1, 3, S, S); not changed.
        guess: where to start, (1, rows, D).
        average: the average w, (D,) or (1, rows, D).
        perception: the networks that compare.
        recipe: weights and schedule.
        seed: of the entries that are drawn anew.
        progress: told after every step.

    Returns:
        The average of the best codes. Its losses are those of single codes.

    Raises:
        InversionError: the descent left the finite numbers, or the shapes do not fit.
    """
    if image.shape != (1, 3, FACE_SIDE, FACE_SIDE):
        raise InversionError(f"the face must be (1, 3, {FACE_SIDE}, {FACE_SIDE}), not {tuple(image.shape)}")
    rate_picture = picture_loss(image, perception, recipe)
    random = torch.Generator().manual_seed(seed)
    codes = guess.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([codes], recipe.rate)
    every = max(1, round(recipe.decay_every * recipe.steps))
    fall = torch.optim.lr_scheduler.StepLR(adam, every, recipe.decay)
    first, best, found, idle, step = math.nan, math.inf, codes.detach().clone(), 0, 0
    for step in range(recipe.steps + 1):
        loss = rate_picture(generator(codes)) + recipe.penalty * codes.shape[-1] * (codes - average).abs().mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InversionError(f"the descent diverged at step {step}; try a smaller rate than {recipe.rate}")
        idle = idle + 1 if value > best - recipe.threshold else 0
        if value < best:
            share = 0.0 if step == 0 else recipe.keep
            found = share * found + (1 - share) * codes.detach()
            best = value
        first = value if step == 0 else first
        if progress is not None:
            progress(step, recipe.steps, value)
        if step == recipe.steps or idle >= recipe.patience:
            break
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        fall.step()
        redraw_outliers(codes, random)
    return Inversion(found, first, best, step)


def picture_loss(image: Tensor, perception: Perception, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """The loss of a drawn picture (1, 3, S, S) against a photo (1, 3, 256, 256), both RGB in [-1, 1]."""
    photo = sharpened(image)
    with torch.no_grad():
        wanted = perception.features(photo)
    away = perception.distance(photo)

    def loss(picture: Tensor) -> Tensor:
        drawn = nearest(picture, FACE_SIDE)
        feature = torch.stack(
            [log_cosh(have - want) for have, want in zip(perception.features(drawn), wanted, strict=True)]
        ).mean()
        pixels = log_cosh(127.5 * (drawn - photo))
        structure = 1 - ms_ssim(127.5 * (drawn + 1), 127.5 * (photo + 1), 1.0).mean()
        return (
            recipe.features * feature
            + recipe.pixels * pixels
            + recipe.structure * structure
            + recipe.perceptual * away(drawn)
        )

    return loss


def log_cosh(difference: Tensor) -> Tensor:
    """Mean of log(cosh(x)), without overflow."""
    return (difference + F.softplus(-2 * difference) - math.log(2)).mean()


def nearest(picture: Tensor, side: int) -> Tensor:
    """Nearest neighbours whose first and last lie on the corners, as TensorFlow 1 with align_corners resizes."""
    places = [torch.linspace(0, size - 1, side, device=picture.device).round().long() for size in picture.shape[2:]]
    return picture[:, :, places[0]][:, :, :, places[1]]


def sharpened(image: Tensor) -> Tensor:
    """Pillow's DETAIL on (1, 3, S, S) RGB in [-1, 1], rounded as 8 bits; the border stays as it is."""
    kernel = torch.tensor(SHARPEN, dtype=image.dtype, device=image.device)[None, None].expand(3, 1, -1, -1) / 6
    inner = F.conv2d(image, kernel, groups=3)
    out = image.clone()
    out[:, :, 1:-1, 1:-1] = inner
    return ((out.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def redraw_outliers(codes: Tensor, random: torch.Generator) -> None:
    """Draw the entries beyond `FARTHEST` anew from N(0, 1), in place (stochastic clipping)."""
    with torch.no_grad():
        fresh = torch.randn(codes.shape, generator=random).to(codes)
        codes.copy_(torch.where(codes.abs() > FARTHEST, fresh, codes))
