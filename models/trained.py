"""Translators that were trained here: each a folder under the weights with its networks and `editor.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from models.editor import AnyEditor, Controls, title_of
from models.entry import Entry, LoadEngine, Preset, Weights, weights_folder
from models.published.pix2pix.editor import OtherHalf, other_half_controls
from models.published.stargan.editor import Domains, StarGan

log = logging.getLogger(__name__)

NAME = "^[a-z][a-z0-9-]{0,40}$"
FACTS = "editor.json"
OWN = "your own"
TRAINED = "trained here: python -m models.training"


class Facts(BaseModel):
    """`editor.json`: what an editor that was trained here is.

    Attributes:
        kind: "pix2pix" or "stargan".
        title, description: for the page.
        labels: of each set of a StarGAN.
        exclusive: groups of labels of which one holds at a time.
        shares: how often each label held in training, taken for the own label of a face that nothing reads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pix2pix", "stargan"]
    title: str = Field(min_length=1, max_length=80)
    description: str = Field(max_length=300)
    labels: tuple[tuple[str, ...], ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    shares: tuple[float, ...] = ()


def trained_folder(name: str = "") -> Path:
    """Where the networks of one of them lie, or all."""
    return weights_folder() / "trained" / name


def entries() -> tuple[Entry, ...]:
    """A row for each; a folder whose `editor.json` is damaged is left out and named in the log."""
    rows = []
    for path in sorted(trained_folder().glob(f"*/{FACTS}")):
        try:
            facts = Facts.model_validate_json(path.read_bytes())
            rows.append(_ROWS[facts.kind](path.parent, facts))
        except (OSError, ValidationError, ValueError) as error:
            log.warning("%s is left out of the catalog: %s", path, " ".join(str(error).split()))
    return tuple(rows)


def _translation(folder: Path, facts: Facts) -> Entry:
    network = folder / "AtoB.onnx"

    def load(load_engine: LoadEngine) -> AnyEditor:
        return OtherHalf({"AtoB": load_engine(network)}, folder.name)

    return _entry(
        folder,
        facts,
        (network,),
        controls=lambda: other_half_controls(("AtoB",)),
        load=load,
        presets=(Preset(facts.title, {"which": "AtoB"}),),
    )


def _labels(folder: Path, facts: Facts) -> Entry:
    networks = (folder / "generator.onnx", folder / "labels.onnx")
    domains = domains_of(facts)

    def load(load_engine: LoadEngine) -> AnyEditor:
        generator, reader = map(load_engine, networks)
        return StarGan(generator, domains, reader, name=folder.name)

    presets = tuple(Preset(title_of(label), {label: 1.0}) for label in domains.fields[:6])
    return _entry(folder, facts, networks, controls=lambda: domains.Controls, load=load, presets=presets)


def domains_of(facts: Facts) -> Domains:
    """What the numbers of a label mean: those of the sets one after the other, then the mask that names the set."""
    fields = tuple(label for part in facts.labels for label in part)
    if not fields or len(set(fields)) != len(fields) or len(facts.shares) != len(fields):
        raise ValueError("labels are missing, named twice, or without their shares")
    if taken := [label for label in fields if hasattr(Controls, label) or not label.isidentifier()]:
        raise ValueError(f"a label cannot be called {', '.join(taken)}")
    grouped = {label for group in facts.exclusive for label in group}
    if unknown := grouped - set(fields):
        raise ValueError(f"there is no label {', '.join(sorted(unknown))}")
    groups = []
    for group in facts.exclusive:
        first = fields.index(group[0])
        if fields[first : first + len(group)] != group:
            raise ValueError(f"the labels of a group lie side by side: {', '.join(group)}")
        groups.append((first, first + len(group)))
    controls: dict[str, Any] = {
        label: (float, Field(0.0, ge=0, le=1, title=title_of(label)))
        if label in grouped
        else (float | None, Field(None, ge=0, le=1, title=title_of(label)))
        for label in fields
    }
    sets = len(facts.labels)
    masks = [tuple(float(own == other) for other in range(sets)) if sets > 1 else () for own in range(sets)]
    ends = [sum(len(part) for part in facts.labels[: number + 1]) for number in range(sets)]
    parts = tuple((end - len(part), end, mask) for part, end, mask in zip(facts.labels, ends, masks, strict=True))
    model = cast(type[Controls], create_model("TrainedControls", __base__=Controls, **controls))
    size = len(fields) + (sets if sets > 1 else 0)
    return Domains(model, fields, tuple(groups), facts.shares, parts, size)


def _entry(
    folder: Path,
    facts: Facts,
    networks: tuple[Path, ...],
    *,
    controls: Callable[[], type[Controls]],
    load: Callable[[LoadEngine], AnyEditor],
    presets: tuple[Preset, ...],
) -> Entry:
    return Entry(
        name=folder.name,
        title=facts.title,
        description=facts.description,
        controls=controls,
        load=load,
        weights=tuple(Weights(path, OWN, TRAINED) for path in networks),
        presets=presets,
    )


_ROWS: dict[str, Callable[[Path, Facts], Entry]] = {"pix2pix": _translation, "stargan": _labels}
