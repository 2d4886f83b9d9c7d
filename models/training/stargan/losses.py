"""StarGAN's losses (Choi et al., CVPR 2018): a Wasserstein critic with gradient penalty, labels, the way back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.published.stargan.network import Discriminator, Generator

LABELS, BACK, PENALTY = 1.0, 10.0, 10.0
"""Weights of the label loss, of the reconstruction, of the gradient penalty."""
CRITIC_STEPS = 5
"""Steps of the critic per step of the generator."""


def label_loss(logits: Tensor, labels: Tensor, *, exclusive: bool) -> Tensor:
    """Cross-entropy of one class, or of every label on its own, summed over the labels."""
    logits = logits.float()
    if exclusive:
        return F.cross_entropy(logits, labels.argmax(1))
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(logits)


def gradient_penalty(critic: Discriminator, real: Tensor, drawn: Tensor, share: Tensor) -> Tensor:
    """(|gradient| - 1)^2 between real and drawn pictures (Gulrajani et al. 2017), in FP32.

    Args:
        critic: the discriminator.
        real: (N, 3, S, S).
        drawn: the same.
        share: (N, 1, 1, 1) in [0, 1], where between them.
    """
    between = (share * real + (1 - share) * drawn.float()).requires_grad_(True)
    judged, _ = critic(between)
    (gradient,) = torch.autograd.grad(judged.sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(2, 1) - 1).square().mean()


def critic_loss(judged: tuple[Tensor, Tensor], of_drawn: Tensor, labels: Tensor, *, exclusive: bool) -> Tensor:
    """What the critic descends, but for the gradient penalty.

    Args:
        judged: what it says of real pictures, and its logits for the labels of their set.
        of_drawn: what it says of drawn ones.
        labels: of the real pictures.
        exclusive: whether one label holds at a time.
    """
    real, logits = judged
    return of_drawn.float().mean() - real.float().mean() + LABELS * label_loss(logits, labels, exclusive=exclusive)


def generator_loss(
    networks: tuple[Generator, Discriminator],
    image: Tensor,
    codes: tuple[Tensor, Tensor],
    wanted: tuple[Tensor, tuple[int, int]],
    *,
    exclusive: bool,
) -> tuple[Tensor, Tensor]:
    """What the generator descends, and the mean absolute difference of the way there and back.

    Args:
        networks: generator and critic.
        image: (N, 3, S, S) in [-1, 1].
        codes: the own and the wanted label as the generator takes them, with the mask of the set.
        wanted: the wanted label, and the place of its set among the critic's logits.
        exclusive: whether one label holds at a time.
    """
    (generator, critic), (own, other), (label, (first, end)) = networks, codes, wanted
    drawn = generator(image, other)
    judged, logits = critic(drawn)
    back = (generator(drawn, own).float() - image).abs().mean()
    named = label_loss(logits[:, first:end], label, exclusive=exclusive)
    return -judged.float().mean() + LABELS * named + BACK * back, back.detach()
