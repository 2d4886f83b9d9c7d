"""`python -m models.latents make --generator NAME`: sliders of a generator, made of nothing but its own samples.

The recipe of the "bald generator" (Hairstyle Transfer, Azmarie 2020; InterFaceGAN, Shen et al. 2020): untruncated
samples of W are drawn and scored, a linear SVM is fitted to the 2 % with the highest and the lowest scores, and
conditional boundaries are projected off what must stay. The sliders are in the page when it is loaded the next time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engines import select
from engines.base import EngineError
from models import latents
from models.arrays import Floats
from models.boundaries.attributes import ATTRIBUTES, SIDE, FaceReader, score
from models.boundaries.classifiers import RANGES, Classifier, Classify, parse_classifier
from models.boundaries.fitting import Fitted, default_conditions, fit_all, parse_held
from models.boundaries.report import write_report
from models.boundaries.sampler import SAMPLERS, draw
from models.boundaries.samples import CHUNK, Facts, collect, fingerprint
from models.boundaries.sliders import boundaries_folder
from models.entry import weights_folder
from models.latents import EXTREMES, LEAST_EXTREMES, LatentError
from models.published.drawing import to_image
from models.published.stylegan.wplus import resize_pictures
from models.weights.checkpoints import CheckpointError

DEFAULT = ("bald", "bangs", "grey", "receding", "beard", "glasses", "smile", "age", "sex")
COUNT = 20_000
BATCH = 4
LEAST_SEEN = 0.5
"""Share of the pictures in which a face is found, below which the command warns."""
MEASURED_ANEW = {"beard": "beard=lip and chin"}
"""What is measured otherwise than once: samples with older scores are not mixed with new ones."""
STOPPED = 130
"""Exit status of a command that Ctrl+C ended."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """All scores of pictures.

    Attributes:
        reader: of faces; None where classifiers score everything.
        attributes: what it scores.
        classifiers: by the attribute's name.
    """

    reader: FaceReader | None
    attributes: tuple[str, ...]
    classifiers: Mapping[str, Classify]

    def __call__(self, pictures: Floats) -> dict[str, Floats]:
        """Scores by name, each (N,) float32, of pictures (N, 3, S, S) in [-1, 1]."""
        scores = {name: classify(pictures) for name, classify in self.classifiers.items()}
        if self.reader is not None:
            sized = resize_pictures(pictures, SIDE)
            read = np.stack([score(self.reader(to_image(picture)), self.attributes) for picture in sized])
            scores |= {name: read[:, place] for place, name in enumerate(self.attributes)}
        return scores


def main(argv: Sequence[str]) -> int:
    """Sample, score, fit, install, report.

    Returns:
        0; 1 where the generator is missing or nothing could be fitted, the message says why;
        130 where Ctrl+C stopped it.
    """
    options = _parser().parse_args(argv)
    try:
        classifiers = [parse_classifier(text) for text in options.classifier]
        own = {each.name for each in classifiers}
        names = tuple(dict.fromkeys([*filter(None, options.attributes.split(",")), *sorted(own)]))
        unknown = [name for name in names if name not in ATTRIBUTES and name not in own]
        if unknown:
            raise LatentError(
                f"nothing scores {', '.join(unknown)}; there are {', '.join(ATTRIBUTES)}, or --classifier"
            )
        conditions = [parse_held(text) for text in options.conditional] or default_conditions(names)
        least = ceil(LEAST_EXTREMES / options.extremes) if options.extremes > 0 else 0
        if options.samples < least:
            raise LatentError(
                f"{options.samples} samples have fewer than {LEAST_EXTREMES} at each end: take --samples {least} "
                "or more, or a larger share of them by --extremes"
            )
        return _make(options, names, classifiers, conditions)
    except KeyboardInterrupt:
        print(f"\nstopped: the same command goes on, at most {CHUNK} samples back", file=sys.stderr)
        return STOPPED
    except (LatentError, CheckpointError, EngineError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _make(
    options: argparse.Namespace,
    names: tuple[str, ...],
    classifiers: Sequence[Classifier],
    conditions: Sequence[tuple[str, tuple[str, ...]]],
) -> int:
    sampler = SAMPLERS[options.generator]()
    load = partial(select.load, backend=options.backend, threads=options.threads)
    engine, average = load(sampler.network), sampler.average()
    classify = {each.name: Classify(each, load, options.classifier_range) for each in classifiers}
    measured = tuple(name for name in names if name not in classify)
    scorer = Scorer(FaceReader(load) if measured else None, measured, classify)

    def drawn(w: Floats) -> Floats:
        parts = (w[at : at + options.batch] for at in range(0, len(w), options.batch))
        return np.concatenate([draw(engine, sampler.latent, part, average, options.truncation) for part in parts])

    bar: tqdm[None] = tqdm(total=options.samples, desc="samples", disable=options.quiet)

    def make(count: int, seed: tuple[int, int]) -> tuple[Floats, dict[str, Floats]]:
        w = sampler.latents(count, seed)
        scored = []
        for at in range(0, count, options.batch):
            scored.append(scorer(drawn(w[at : at + options.batch])))
            _advance(bar, min(bar.n + options.batch, options.samples, (seed[1] + 1) * count))
        scores = {name: np.concatenate([part[name] for part in scored]) for name in names}
        if not classify and not any(np.isfinite(scores[name]).any() for name in measured):
            raise LatentError(
                f"no face was found in {count} pictures of {options.generator}: are its weights trained, and on faces? "
                "A --classifier of yours scores other pictures"
            )
        return w, scores

    origin = dict(MEASURED_ANEW) | {
        each.name: f"{each.name}={fingerprint(each.path)}#{each.place} {options.classifier_range}"
        for each in classifiers
    }
    facts = Facts(
        sampler.generator,
        fingerprint(sampler.source),
        options.seed,
        options.truncation,
        tuple(origin.get(name, name) for name in names),
    )
    work = options.work or weights_folder() / options.generator / "samples"
    with bar:
        samples = collect(work, facts, (options.samples, sampler.width), make, lambda done: _advance(bar, done))
    seen = min((float(np.isfinite(samples.scores[name]).mean()) for name in measured), default=1.0)
    if seen < LEAST_SEEN:
        print(f"warning: a face was found and read in {seen:.0%} of the pictures only", file=sys.stderr)

    fitted, refused = fit_all(samples, sampler.generator, names, conditions, options.extremes)
    to = options.to or boundaries_folder(options.generator)
    _install(to, fitted)
    for name, found in fitted.items():
        print(_line(name, found))
    for name, reason in refused.items():
        print(f"{name}: no boundary: {reason}", file=sys.stderr)
    if not fitted:
        return 1
    print("draws the report", flush=True)
    report = write_report(to.parent / "report", samples.latents, (fitted, refused), drawn, scorer)
    print(f"{len(fitted)} sliders of {options.generator}, in the page when it is loaded again; see {report}")
    return 0


def _install(to: Path, fitted: Mapping[str, Fitted]) -> None:
    """Write boundaries as whole files: a server may be reading the folder."""
    to.mkdir(parents=True, exist_ok=True)
    for name, found in fitted.items():
        part = to / f".{name}.npz"
        latents.save(part, found.boundary)
        part.replace(to / f"{name}.npz")


def _line(name: str, found: Fitted) -> str:
    held = f", held off {', '.join(found.held)} at a cosine of {found.cosine:.2f}" if found.held else ""
    extremes = f"scores {found.low:.2f} and {found.high:.2f} at the ends"
    return f"{name}: {found.accuracy:.1%} of the held-out on their side, {found.samples} samples, {extremes}{held}"


def _advance(bar: tqdm[None], done: int) -> None:
    bar.update(done - bar.n)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.latents make", description=__doc__.splitlines()[0])
    parser.add_argument("--generator", required=True, choices=sorted(SAMPLERS), help="an editor of the catalog")
    parser.add_argument(
        "--attributes", default=",".join(DEFAULT), help=f"of {', '.join(ATTRIBUTES)}; by default %(default)s"
    )
    parser.add_argument(
        "--conditional",
        action="append",
        default=[],
        metavar="NAME:HELD+HELD",
        help="a boundary that leaves others as they are; bald:age+sex+beard where none is named",
    )
    parser.add_argument(
        "--classifier",
        action="append",
        default=[],
        metavar="NAME=FILE.onnx[#NUMBER]",
        help="score an attribute by a network of your own, from one of the numbers of its first output",
    )
    parser.add_argument("--classifier-range", choices=RANGES, default="-1..1", help="what its pictures are")
    parser.add_argument("--samples", type=int, default=COUNT, help="how many faces; more of them: rarer attributes")
    parser.add_argument("--extremes", type=float, default=EXTREMES, help="share of them taken from each end")
    parser.add_argument("--truncation", type=float, default=1.0, help="of what is drawn; 1 is none, the recipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=BATCH, help="pictures drawn at a time")
    parser.add_argument("--backend", default="auto", help="see `python -m engines.build --list`")
    parser.add_argument("--threads", type=int, help="processor threads of an engine")
    parser.add_argument("--work", type=Path, help="where samples are kept; a second run goes on from there")
    parser.add_argument("--to", type=Path, help="where boundaries are written; by default the editor's own folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser
