"""Sizes of a step of the head's ageing, and weights of its losses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of a step and weights of the losses. Differences are of RGB / 64.

    Attributes:
        pairs: paired examples of a step.
        journeys: examples of a step that go where no pair leads.
        rate: learning rate.
        critic_rate: learning rate of the critics.
        average: decay of the weights' moving average.
        alone: steps before the critics join.
        critics_every: steps from one that the critics take part in to the next.
        critics_alone: the critics' first steps, in which they only learn.
        rounds_from: step from which the network's own outputs become inputs.
        own_inputs: share of the pairs that are made of them.
        remembered: outputs that are kept for it.
        gradient: weight of the difference of gradients.
        features: weight of the critics' feature difference of pairs.
        fooled_pair: weight of the critics' verdict on pairs.
        fooled: weight of the critics' verdict on journeys.
        skin: weight of the texture square's critic over the portrait's.
        fake: weight of the drawn as a fake.
        wrong_age: weight of a photograph under a wrong age, as a fake; with `fake` it makes up 1, or the critics call
            everything a fake.
        age: weight of the reader's error of age on journeys, of a century.
        calm: weight of the change of broad light and colour beside the hair, on journeys.
        still: weight of the change of what is neither face nor hair, on journeys.
        relief: weight of a hint of relief, on journeys.
        whole: weight of a hint of the whole picture, on journeys.
    """

    pairs: int = 4
    journeys: int = 3
    rate: float = 4e-4
    critic_rate: float = 1e-3
    average: float = 0.998
    alone: int = 150
    critics_every: int = 1
    critics_alone: int = 80
    rounds_from: int = 600
    own_inputs: float = 0.4
    remembered: int = 192
    gradient: float = 0.8
    features: float = 0.8
    fooled_pair: float = 0.06
    fooled: float = 0.25
    skin: float = 0.8
    fake: float = 0.6
    wrong_age: float = 0.4
    age: float = 0.15
    calm: float = 1.0
    still: float = 0.15
    relief: float = 0.7
    whole: float = 1.2
