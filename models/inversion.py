"""The latent code of one photo: an encoder's guess, then descent on what features and pixels say is still wrong.

`python -m models.inversion FACE --checkpoint e4e.pt --to parent.npy` writes the code of a face that `stream.align` has
cut out, for a second parent (BabyGAN) or to lock a caller's identity once. It takes seconds to minutes.

The loss follows the projectors of StyleGAN (Karras et al. 2020, appendix D; pbaylies' encoder): features compared like
LPIPS (unit length per place), pixels at three scales, and a pull back to the guess, as codes far from W edit badly.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.face.pictures import PictureError, read_file
from models.inversion_base import Features, Inversion, InversionError, Progress, unit_difference
from models.inversion_pbaylies import RECIPES, Perception
from models.inversion_pbaylies import invert as invert_pbaylies
from models.perceptual.lpips import load_lpips
from models.perceptual.vgg16 import load_vgg16
from models.published.stylegan.dialects import load_any
from models.published.stylegan.encoders import FACE_SIDE, Trunk, load_inverter
from models.weights.checkpoints import CheckpointError

HALVINGS = (1, 2, 4)
"""Of the face's side, at which pixels are compared."""
STEPS = 150
RISE, FALL = 0.05, 0.25
"""Shares of the steps over which the step size rises at the start and falls at the end."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the loss.

    Attributes:
        features: distance of the feature maps.
        pixels: mean absolute difference in [-1, 1].
        guess: mean squared distance from the guess, per element of the code.
        spread: mean squared distance of the rows from their mean, which keeps W+ close to W.
    """

    features: float = 1.0
    pixels: float = 0.5
    guess: float = 0.05
    spread: float = 0.01


def invert(
    image: Tensor,
    generator: Callable[[Tensor], Tensor],
    guess: Tensor,
    features: Features,
    *,
    steps: int = STEPS,
    rate: float = 0.05,
    weights: Weights | None = None,
    progress: Progress | None = None,
) -> Inversion:
    """Find the code that draws a face.

    Args:
        image: (1, 3, S, S) RGB in [-1, 1], aligned as the generator's training faces.
        generator: W+ (1, rows, D) -> (1, 3, S', S'); not changed.
        guess: where to start, an encoder's code or the average, (1, rows, D).
        features: what to compare besides pixels, e.g. `trunk_features` of the encoder.
        steps: number of steps of descent; 0 only rates the guess.
        rate: largest step size (Adam).
        weights: shares of the loss.
        progress: told after every step.

    Returns:
        The best code seen, never worse than the guess.

    Raises:
        InversionError: the descent left the finite numbers, or the shapes do not fit.
    """
    if image.ndim != 4 or image.shape[:2] != (1, 3) or image.shape[2] != image.shape[3]:
        raise InversionError(f"the face must be one square picture (1, 3, S, S), not {tuple(image.shape)}")
    rate_picture = _picture_loss(image, features, weights or Weights())
    codes = guess.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([codes], betas=(0.9, 0.99))
    first, best, found = math.nan, math.inf, codes.detach().clone()
    for step in range(steps + 1):
        for group in adam.param_groups:
            group["lr"] = rate * _ramp(step / max(steps, 1))
        loss = rate_picture(generator(codes)) + _code_loss(codes, guess, weights or Weights())
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InversionError(f"the descent diverged at step {step}; try a smaller rate than {rate}")
        first = value if step == 0 else first
        if value < best:
            best, found = value, codes.detach().clone()
        if progress is not None:
            progress(step, steps, value)
        if step < steps:
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    return Inversion(found, first, best, steps)


def trunk_features(trunk: Trunk) -> Features:
    """The feature maps of an encoder's own trunk: what it learned to tell faces by."""
    channels = trunk.input_channels

    def features(image: Tensor) -> Sequence[Tensor]:
        return trunk.features(image.repeat(1, math.ceil(channels / 3), 1, 1)[:, :channels])

    return features


def _picture_loss(image: Tensor, features: Features, weights: Weights) -> Callable[[Tensor], Tensor]:
    side = image.shape[-1]
    with torch.no_grad():
        wanted = list(features(image))

    def loss(picture: Tensor) -> Tensor:
        drawn = _at(picture, side)
        feature = unit_difference(features(drawn), wanted)
        pixel = torch.stack([(_at(drawn, side // by) - _at(image, side // by)).abs().mean() for by in HALVINGS]).mean()
        return weights.features * feature + weights.pixels * pixel

    return loss


def _code_loss(codes: Tensor, guess: Tensor, weights: Weights) -> Tensor:
    away = (codes - guess).square().mean()
    spread = (codes - codes.mean(1, keepdim=True)).square().mean()
    return weights.guess * away + weights.spread * spread


def _at(image: Tensor, side: int) -> Tensor:
    return F.interpolate(image, (side, side), mode="area")


def _ramp(done: float) -> float:
    """Step size over the descent: linear rise, cosine fall (Karras et al. 2020)."""
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1.0 - done) / FALL))
    return fall * min(1.0, done / RISE + 0.05)


def read_face(path: Path) -> Tensor:
    """An aligned face picture as (1, 3, 256, 256) RGB in [-1, 1].

    Raises:
        InversionError: it is no picture that can be read, or not square.
    """
    try:
        picture = read_file(path)
    except PictureError as error:
        raise InversionError(str(error)) from error
    height, width = picture.shape[:2]
    if height != width:
        raise InversionError(f"{path} is {width}x{height}; an aligned face is square")
    how = cv2.INTER_AREA if height > FACE_SIDE else cv2.INTER_CUBIC
    face = cv2.cvtColor(cv2.resize(picture, (FACE_SIDE, FACE_SIDE), interpolation=how), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(face.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)


def main(argv: Sequence[str]) -> int:
    """Invert one aligned face and write its code and picture."""
    parser = argparse.ArgumentParser(prog="python -m models.inversion", description="The latent code of one photo.")
    parser.add_argument("face", type=Path, help="an aligned, square picture of a face (FFHQ crop)")
    parser.add_argument("--checkpoint", type=Path, required=True, help="of pSp, e4e or ReStyle, with its decoder")
    parser.add_argument(
        "--generator",
        type=Path,
        help="a StyleGAN or StyleGAN2 that the code is for, if not the checkpoint's: starts from its average",
    )
    parser.add_argument(
        "--preset",
        choices=("own", *RECIPES),
        default="own",
        help="own: quick; pbaylies: the losses of stylegan-encoder; hairstyle: those of Hairstyle Transfer",
    )
    parser.add_argument("--vgg", type=Path, help="VGG16 of torchvision (.pth) or Keras (.h5), for the other presets")
    parser.add_argument("--lpips", type=Path, help="LPIPS' weights/v0.1/vgg.pth; needs torchvision's VGG16")
    parser.add_argument(
        "--steps", type=_steps, help="steps of descent after the guess, 0 for none; by default 150, or the preset's"
    )
    parser.add_argument("--to", type=Path, required=True, help="the code, .npy, (rows, D)")
    options = parser.parse_args(argv)
    output = options.to if options.to.suffix == ".npy" else Path(f"{options.to}.npy")  # as NumPy names it
    if not output.parent.is_dir():
        print(f"error: the folder {output.parent} does not exist; make it first", file=sys.stderr)
        return 1
    if output.is_dir():
        print(f"error: {output} is a folder; name the file to write", file=sys.stderr)
        return 1
    try:
        inverter = load_inverter(options.checkpoint)
        image = read_face(options.face)
        generator: nn.Module = inverter.generator
        with torch.no_grad():
            if options.generator is None:
                guess, average = inverter.codes(image), inverter.average
            else:
                generator, average = load_any(options.generator)
                guess = average.expand(1, generator.rows, -1)
        features = trunk_features(inverter.encoder)
        if options.preset == "own":
            steps = STEPS if options.steps is None else options.steps
            found = invert(image, generator, guess, features, steps=steps, progress=_print_progress)
        else:
            recipe = RECIPES[options.preset]
            recipe = recipe if options.steps is None else replace(recipe, steps=options.steps)
            perception = _perception(options, features)
            found = invert_pbaylies(
                image, generator, guess, average, perception, recipe=recipe, progress=_print_progress
            )
    except (CheckpointError, InversionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        np.save(output, found.codes[0].numpy())
    except OSError as error:
        print(f"\nerror: {output}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"\n{output}: loss {found.first:.4f} -> {found.best:.4f}")
    return 0


def _perception(options: argparse.Namespace, features: Features) -> Perception:
    if options.lpips and not options.vgg:
        raise InversionError("--lpips needs --vgg: it weighs the feature maps of VGG16")
    vgg = load_vgg16(options.vgg) if options.vgg else None
    lpips = load_lpips(options.lpips, vgg) if options.lpips and vgg else None
    for given, what in ((vgg, "VGG16"), (lpips, "LPIPS")):
        if given is None:
            print(f"without the weights of {what} the encoder's feature maps stand in for it", file=sys.stderr)
    return Perception(features, vgg, lpips)


def _steps(text: str) -> int:
    steps = int(text)
    if steps < 0:
        raise argparse.ArgumentTypeError(f"{steps} is below 0")
    return steps


def _print_progress(step: int, steps: int, loss: float) -> None:
    print(f"\r{step}/{steps}  loss {loss:.4f}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
