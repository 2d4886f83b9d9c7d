"""A Keras model's description and weights as one torch module.

The description is data: only layers of `keras_layers.LAYERS` are made of it. Code that it carries (`Lambda`) is never
run; where the layers around one leave no doubt about what it computes, that is computed instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.weights.checkpoints import CheckpointError
from models.weights.hdf5 import KerasFile, Weights
from models.weights.keras_layers import LAYERS, WEIGHTS, Arrays, GlobalAverage, channels_last

MODELS = ("Model", "Functional")
"""Keras's classes of a graph of layers, of old and of later versions."""
MOST_LAYERS = 5000
DEEPEST = 4
"""Models within models; encoders have one trunk in them."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer as described: its name, Keras's class, its settings and the names of the layers it reads."""

    name: str
    kind: str
    config: Mapping[str, Any]
    sources: tuple[str, ...]


class KerasGraph(nn.Module):
    """A graph of Keras layers with one input and one output: pictures are (N, C, H, W) at both ends."""

    def __init__(self, layers: Iterable[tuple[_Layer, nn.Module]], start: str, end: str) -> None:
        super().__init__()
        self._sources: list[tuple[str, tuple[str, ...]]] = []
        self._start, self._end = start, end
        self._steps = nn.ModuleList()
        for layer, module in layers:
            self._sources.append((layer.name, layer.sources))
            self._steps.append(module)

    def forward(self, x: Tensor) -> Tensor:
        known = {self._start: x}
        for (name, sources), step in zip(self._sources, self._steps, strict=True):
            known[name] = step(*(known[source] for source in sources))
        return known[self._end]


class KerasModel(nn.Module):
    """A whole model: a picture (N, C, S, S) in, its output in Keras's order out.

    Attributes:
        side: S.
        kinds: Keras's classes of its layers, those of models within it too.
    """

    def __init__(self, graph: nn.Module, side: int, kinds: frozenset[str]) -> None:
        super().__init__()
        self.graph, self.side, self.kinds = graph, side, kinds

    def forward(self, image: Tensor) -> Tensor:
        return channels_last(self.graph(image))


def build_keras(file: KerasFile) -> KerasModel:
    """The network of a saved model, frozen, in eval mode.

    Raises:
        CheckpointError: the description is of no model, it has layers of other kinds than `keras_layers.LAYERS`, or the
            weights do not fit it; the message names the layer.
    """
    unread = set(file.weights)
    kinds: set[str] = set()
    graph = _graph(file.config, file.weights, unread, kinds, DEEPEST)
    if unread:
        some = ", ".join(sorted("/".join(key) for key in unread)[:8])
        raise CheckpointError(f"{len(unread)} weights belong to no layer of the description: {some}")
    model = KerasModel(graph, _side(file.config), frozenset(kinds))
    return model.eval().requires_grad_(False)


def _graph(
    described: Mapping[str, Any], weights: Weights, unread: set[tuple[str, str]], kinds: set[str], deeper: int
) -> KerasGraph:
    if described.get("class_name") not in MODELS or deeper == 0:
        raise CheckpointError(f"a {described.get('class_name')!r} is no graph of layers that Keras 2 saves")
    config = _mapping(described.get("config"))
    layers = list(_layers(config))
    start, end = (_only(config, key) for key in ("input_layers", "output_layers"))
    by_name = {layer.name: layer for layer in layers}
    if len(by_name) != len(layers):
        raise CheckpointError("two layers have one name")
    made: list[tuple[_Layer, nn.Module]] = []
    for layer in _in_order(by_name, start, end):
        kinds.add(layer.kind)
        try:
            if layer.kind in MODELS:
                inner = {"class_name": layer.kind, "config": layer.config}
                made.append((layer, _graph(inner, weights, unread, kinds, deeper - 1)))
            else:
                made.append((layer, _module(layer, by_name, _own(layer.name, weights, unread))))
        except CheckpointError as error:
            raise CheckpointError(f"layer {layer.name!r}: {error}") from error
    return KerasGraph(made, start, end)


def _layers(config: Mapping[str, Any]) -> Iterator[_Layer]:
    described = config.get("layers")
    if not isinstance(described, list) or len(described) > MOST_LAYERS:
        raise CheckpointError("it describes no layers, or more than an encoder has")
    for each in map(_mapping, described):
        name, kind, settings = each.get("name"), each.get("class_name"), _mapping(each.get("config"))
        if not isinstance(name, str) or not isinstance(kind, str):
            raise CheckpointError("a layer has no name or no class")
        if settings.get("data_format", "channels_last") not in ("channels_last", None):
            raise CheckpointError(f"layer {name!r} has its channels first")
        yield _Layer(name, kind, settings, _sources(each.get("inbound_nodes"), name))


def _sources(nodes: Any, name: str) -> tuple[str, ...]:
    """Names of the layers that one reads. Keras writes a list of calls, each a list of [layer, call, output, ...]."""
    if not nodes:
        return ()
    try:
        (node,) = nodes
        sources = tuple(source for source, _, output, *_ in node if output == 0)
        if len(sources) == len(node) and all(isinstance(source, str) for source in sources):
            return sources
    except (TypeError, ValueError):
        pass
    raise CheckpointError(f"layer {name!r} is called more than once, or in a way that Keras 2 does not save")


def _in_order(layers: Mapping[str, _Layer], start: str, end: str) -> list[_Layer]:
    """The layers between an input and an output, each after those that it reads."""
    done, ordered = {start}, list[_Layer]()
    waiting = [end]
    entered: set[str] = set()
    while waiting:
        name = waiting[-1]
        if name in done:
            waiting.pop()
            continue
        if name not in layers:
            raise CheckpointError(f"there is no layer {name!r}, which another one reads")
        layer = layers[name]
        open_ones = [source for source in layer.sources if source not in done]
        if not layer.sources or (name in entered and open_ones):
            raise CheckpointError(f"layer {name!r} is a second input, or reads itself")
        entered.add(name)
        if open_ones:
            waiting += open_ones
            continue
        waiting.pop()
        done.add(name)
        ordered.append(layer)
    return ordered


def _module(layer: _Layer, layers: Mapping[str, _Layer], arrays: Arrays) -> nn.Module:
    if layer.kind == "Lambda" and _pools(layer, layers):
        return GlobalAverage({"keepdims": True}, {})
    if layer.kind not in LAYERS:
        remark = "; code in a file is never run" if layer.kind == "Lambda" else ""
        raise CheckpointError(f"layers of the kind {layer.kind!r} are not read{remark}")
    return LAYERS[layer.kind](layer.config, arrays)


def _pools(layer: _Layer, layers: Mapping[str, _Layer]) -> bool:
    """Whether a Lambda stands where squeeze-and-excitation takes the mean over a picture.

    Its way goes through two 1x1 convolutions back to a product with what the Lambda reads (Hu et al., CVPR 2018).
    """
    convolutions, here = 0, layer.name
    for _ in range(6):
        readers = [other for other in layers.values() if here in other.sources]
        if len(readers) != 1:
            return False
        (reader,) = readers
        if reader.kind == "Multiply":
            return convolutions == 2 and sorted(reader.sources) == sorted((here, *layer.sources))
        convolutions += reader.kind == "Conv2D"
        here = reader.name
    return False


def _own(name: str, weights: Weights, unread: set[tuple[str, str]]) -> Arrays:
    """The weights of a layer.

    TensorFlow numbers a name that it meets again: `conv1_1/kernel:0`, `conv1/kernel_1:0`. Exact names go first.
    """
    found: dict[str, Any] = {}
    for strip_layer, strip_weight in ((False, False), (False, True), (True, True)):
        if strip_layer and found:
            break
        for key in sorted(unread):
            layer, weight = (
                re.sub(r"_\d+$", "", part) if strip else part
                for part, strip in zip(key, (strip_layer, strip_weight), strict=True)
            )
            if layer == name and weight in WEIGHTS and weight not in found:
                found[weight] = weights[key]
                unread.discard(key)
    return found


def _only(config: Mapping[str, Any], key: str) -> str:
    """The one layer that is a model's input or output; [[layer, call, output]], or without the outer brackets."""
    given = config.get(key)
    while isinstance(given, list) and len(given) == 1:
        (given,) = given
    if isinstance(given, list) and given and isinstance(given[0], str):
        return given[0]
    raise CheckpointError("it has not one input and one output")


def _side(described: Mapping[str, Any]) -> int:
    for each in map(_mapping, _mapping(described.get("config")).get("layers", [])):
        if each.get("class_name") == "InputLayer":
            shape = _mapping(each.get("config")).get("batch_input_shape")
            if isinstance(shape, list) and len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3:
                side = shape[1]
                if isinstance(side, int) and 32 <= side <= 1024:
                    return side
    raise CheckpointError("its input is no square colour picture of 32 to 1024 pixels")


def _mapping(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise CheckpointError("a part of its description is missing")
    return given
