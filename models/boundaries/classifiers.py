"""Attribute classifiers of the user: any ONNX network from a face picture to numbers, one of which is the score."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import Engine
from models.arrays import Floats
from models.boundaries.attributes import SIDE
from models.latents import LatentError
from models.published.stylegan.wplus import resize_pictures

RANGES: Mapping[str, tuple[float, float]] = {"-1..1": (1.0, 0.0), "0..1": (0.5, 0.5), "0..255": (127.5, 127.5)}
"""Scale and shift from a picture in [-1, 1] to what a classifier takes."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """One output number of a network as a score.

    Attributes:
        name: of the attribute.
        path: the ONNX file: one input (N, 3, S, S) RGB; its first output is read.
        place: which of the output's numbers.
    """

    name: str
    path: Path
    place: int = 0


def parse_classifier(text: str) -> Classifier:
    """`NAME=FILE.onnx` or `NAME=FILE.onnx#PLACE`.

    Raises:
        LatentError: it is something else, or there is no such file.
    """
    match = re.fullmatch(r"([a-z][a-z0-9_]*)=(.+?)(?:#(\d+))?", text)
    if match is None:
        raise LatentError(f"a classifier is NAME=FILE.onnx or NAME=FILE.onnx#NUMBER, not {text!r}")
    name, file, place = match.groups()
    if not Path(file).is_file():
        raise LatentError(f"there is no classifier {file}")
    return Classifier(name, Path(file), int(place or 0))


class Classify:
    """A classifier that is loaded.

    Args:
        classifier: which.
        load_engine: makes an engine of an ONNX file.
        span: range of its input, one of `RANGES`.

    Raises:
        LatentError: the network does not take one RGB picture.
    """

    def __init__(self, classifier: Classifier, load_engine: Callable[[Path], Engine], span: str) -> None:
        self._engine = load_engine(classifier.path)
        self._place = classifier.place
        self._scale, self._shift = RANGES[span]
        first, *others = self._engine.inputs
        if others or len(first.shape) != 4 or first.shape[1] not in (3, None):
            raise LatentError(f"{classifier.path} does not take one picture (N, 3, S, S): {first.shape}")
        self._input, self._batch, self._side = first.name, first.shape[0], first.shape[-1] or SIDE
        self._output = self._engine.outputs[0].name
        self._path = classifier.path

    def __call__(self, pictures: Floats) -> Floats:
        """Scores of pictures (N, 3, S, S) in [-1, 1], (N,) float32.

        Raises:
            LatentError: the network's output has no such number.
        """
        sized = resize_pictures(pictures.clip(-1, 1), self._side) * self._scale + self._shift
        groups = [sized] if self._batch is None else [sized[at : at + 1] for at in range(len(sized))]
        scores: list[Any] = []
        for group in groups:
            found = self._engine.run({self._input: np.ascontiguousarray(group, np.float32)})[self._output]
            numbers = found.reshape(len(group), -1)
            if self._place >= numbers.shape[1]:
                raise LatentError(f"{self._path} gives {numbers.shape[1]} numbers; there is no number {self._place}")
            scores.extend(numbers[:, self._place])
        return np.array(scores, np.float32)
