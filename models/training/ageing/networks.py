"""The networks of the head's ageing: `HeadAger` draws a head at another age, `AgeCritic` judges whether it looks it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.face.imaging import LOG_OFFSET

PLANES = 9
"""Planes that the network sees at full size: RGB, hair, face, person, two texture coordinates, the guide."""
GUIDE_SCALE = 6.0
CONDITIONS = 4
"""Sex, source age, target age, difference of ages."""
LABEL_AGES = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85)
LABEL_WIDTH = 0.1
"""Centres and standard deviation of the Gaussian bins that a critic's age label is spread over, centuries."""
BROWN = (0.726, -0.04, -0.686)
"""The direction of the pigment of brown hair beside its light, a unit vector in RGB."""
STRANDS = 15
"""Window of the light around a strand, pixels."""
STRAND_GAIN, STRAND_SHARE = (0.4, 2.5), 0.6
"""Bounds of a strand's light over that around it; its power in what the strand takes."""
WELL_LIT = 2.6
"""Mean of a well-lit face, RGB / 64 with the offset of log colour."""
LIGHT_BOUNDS = (0.15, 1.2)
LEAST_LIT = 0.1
"""Keeps the logarithm of black finite, RGB / 64."""
SKIN_COLOUR = 0.22
"""Distance of log colour, without light, from that of the face at which what lies beside it counts as skin by 1 / e."""
CAST, CAST_REST = 16, 0.02
"""Window of what counts as broad colour, pixels; keeps its mean finite where there is no skin."""
LEAST_COLOUR = 0.01
"""Keeps the loss of colour of nearly grey hair finite, squared RGB / 64."""
LABELS = len(LABEL_AGES) + 3


class HeadAger(nn.Module):
    """Portrait, ages -> the portrait's change.

    The guide's relief is put in as it is; what the network adds makes it agree with the face and its light and draws
    the rest. A U-Net (Ronneberger et al. 2015) on the portrait folded to half its size (space to depth); sex and ages
    enter as
    planes and modulate every level (FiLM, Perez et al. 2018).

    Args:
        widths: channels at half the size, a quarter, and so on.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128, 160)) -> None:
        super().__init__()
        self.enter = _plain(4 * PLANES + CONDITIONS, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_plain(a, b, stride=2), _plain(b, b)) for a, b in pairwise(widths))
        self.mid = nn.Sequential(_plain(widths[-1], widths[-1]), _plain(widths[-1], widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(_plain(a + b, b), _plain(b, b)) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.leave = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(_bias(self.leave))
        self._modulated = (*widths, *widths[-2::-1])
        self.embed = nn.Sequential(nn.Linear(CONDITIONS, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2))
        self.modulate = nn.Linear(64, 2 * sum(self._modulated))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(_bias(self.modulate))

    def forward(self, planes: Tensor, conditions: Tensor) -> Tensor:
        """Draw the change.

        Args:
            planes: (B, 9, S, S): RGB / 64 - 2; hair, face and person in 0..1; texture coordinates, -1..1 in the square;
                the guide times `GUIDE_SCALE`, 0 for none.
            conditions: (B, 4), from `conditions_of`.

        Returns:
            (B, 3, S, S), the change of RGB / 64, inside hair and person.
        """
        side = planes.shape[-1] // 2
        known = conditions[:, :, None, None].expand(-1, -1, side, side)
        factors = self.modulate(self.embed(conditions)).split([2 * width for width in self._modulated], dim=1)
        x = _film(self.enter(torch.cat([functional.pixel_unshuffle(planes, 2), known], 1)), factors[0])
        skips = []
        for down, factor in zip(self.down, factors[1:], strict=False):
            skips.append(x)
            x = _film(down(x), factor)
        x = self.mid(x)
        for up, skip, factor in zip(self.up, reversed(skips), factors[len(skips) + 1 :], strict=True):
            x = _film(up(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1)), factor)
        inside = torch.maximum(planes[:, 3:4], planes[:, 5:6])
        lit = planes[:, :3] + (2 + LOG_OFFSET / 64)
        composed = lit * (torch.exp(planes[:, 8:9] / GUIDE_SCALE) - 1)
        drawn = functional.pixel_shuffle(self.leave(x), 2) * _light_of_face(lit, planes[:, 4:5])
        older = (conditions[:, 3:4, None, None] > 0).to(drawn.dtype)
        hair = older * _pale(drawn, lit) + (1 - older) * _browned(drawn)
        skin = _skin(lit, planes[:, 4:5])
        beside = (composed + _without_cast(drawn, skin * (1 - planes[:, 3:4]))) * skin
        return (beside + planes[:, 3:4] * (composed + hair - beside)) * inside


def conditions_of(male: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """(B, 4) conditions of `HeadAger`.

    Args:
        male: (B,) probability of a man.
        source: (B,) age of the portrait, years.
        target: (B,) age wanted, years.
    """
    scale = [male - 0.5, source / 25 - 2, target / 25 - 2, (target - source) / 25]
    return torch.stack(scale, 1)


class AgeCritic(nn.Module):
    """Does this picture look photographed, and as old as the label says?

    A PatchGAN (Isola et al. 2017) with spectral normalisation (Miyato et al. 2018) and label projection (Miyato and
    Koyama 2018) at two scales.

    Args:
        inputs: channels of the picture.
        widths: channels of its layers, each at half the size of the one before.
        first: the layer whose features the finer verdict is made of.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...] = (32, 64, 96, 128, 128), first: int = 2) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList(norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise((inputs, *widths)))
        self.places = (first, len(widths) - 1)
        self.verdicts = nn.ModuleList(norm(nn.Conv2d(widths[place], 1, 3, 1, 1)) for place in self.places)
        self.labels = nn.ModuleList(norm(nn.Linear(LABELS, widths[place])) for place in self.places)

    def forward(self, picture: Tensor, label: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Judge.

        Args:
            picture: (B, C, H, W).
            label: (B, 11), from `label_of`.

        Returns:
            The features of each layer, and the verdicts at two scales, above 0 for a real picture of that age.
        """
        x, features = picture, []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        verdicts = []
        for place, verdict, project in zip(self.places, self.verdicts, self.labels, strict=True):
            found = features[place]
            verdicts.append(verdict(found) + (found * project(label)[:, :, None, None]).sum(1, keepdim=True))
        return features, verdicts


def label_of(male: Tensor, age: Tensor) -> Tensor:
    """(B, 11) label of `AgeCritic`: a constant, sex, age, age in Gaussian bins. Ages in years."""
    age = age / 100
    bins = torch.tensor(LABEL_AGES, device=age.device)
    spread = torch.exp(-0.5 * ((age[:, None] - bins) / LABEL_WIDTH) ** 2)
    return 3 * torch.cat([torch.ones_like(age)[:, None], male[:, None] - 0.5, 4 * (age[:, None] - 0.5), spread], 1)


def _light_of_face(lit: Tensor, face: Tensor) -> Tensor:
    """Mean light of the face over that of a well-lit one, (B, 1, 1, 1): in the dark changes are small."""
    seen = face.clamp(0, 1)
    mean = (lit.mean(1, keepdim=True) * seen).sum((2, 3), keepdim=True) / (seen.sum((2, 3), keepdim=True) + 1)
    return (mean / WELL_LIT).clamp(*LIGHT_BOUNDS)


def _skin(lit: Tensor, face: Tensor) -> Tensor:
    """(B, 1, H, W), 1 on the face and on what has its colour, as neck and ears: clothes do not age.

    Args:
        lit: (B, 3, H, W), the picture.
        face: (B, 1, H, W) in 0..1.
    """
    logs = torch.log(lit.clamp(min=LEAST_LIT))
    colour = logs - logs.mean(1, keepdim=True)
    seen = face.clamp(0, 1)
    own = (colour * seen).sum((2, 3), keepdim=True) / (seen.sum((2, 3), keepdim=True) + 1)
    far = (colour - own).square().sum(1, keepdim=True) / SKIN_COLOUR**2
    return torch.maximum(seen, torch.exp(-far.square()))


def _without_cast(drawn: Tensor, where: Tensor) -> Tensor:
    """A change without its broad colour: skin keeps the tint that the light gives it.

    Args:
        drawn: (B, 3, H, W).
        where: (B, 1, H, W), the weight of each pixel in its neighbourhood.
    """
    colour = (drawn - drawn.mean(1, keepdim=True)) * where
    broad = functional.avg_pool2d(colour, CAST) / (functional.avg_pool2d(where, CAST) + CAST_REST)
    return drawn - functional.interpolate(broad, scale_factor=float(CAST), mode="bilinear", align_corners=False)


def _pale(drawn: Tensor, lit: Tensor) -> Tensor:
    """A change of hair that grows old: it may get lighter or darker and lose colour, but gain none.

    Args:
        drawn: (B, 3, H, W), the change as the network would have it.
        lit: (B, 3, H, W), the picture, of any offset common to its channels.
    """
    grey = lit.mean(1, keepdim=True)
    around = functional.avg_pool2d(grey, STRANDS, 1, STRANDS // 2, count_include_pad=False)
    # Strands that are light take the more light: a lift alike for all would be fog.
    light = drawn.mean(1, keepdim=True) * ((grey / around).clamp(*STRAND_GAIN) ** STRAND_SHARE)
    colour = lit - grey
    along = ((drawn.mean(1, keepdim=True) - drawn) * colour).sum(1, keepdim=True) / (
        colour.square().sum(1, keepdim=True) + LEAST_COLOUR
    )
    return light - along.clamp(0, 1) * colour


def _browned(drawn: Tensor) -> Tensor:
    """A change of hair that grows young: it may get lighter or darker and browner, and no other colour."""
    light = drawn.mean(1, keepdim=True)
    brown = torch.tensor(BROWN, device=drawn.device)[:, None, None]
    return light + ((drawn - light) * brown).sum(1, keepdim=True).clamp(min=0) * brown


def _film(x: Tensor, factor: Tensor) -> Tensor:
    scale, shift = factor[:, :, None, None].chunk(2, dim=1)
    return x * (1 + scale) + shift


def _plain(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2))


def _bias(layer: nn.Conv2d | nn.Linear) -> Tensor:
    assert layer.bias is not None
    return layer.bias
