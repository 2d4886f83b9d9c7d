"""Measure a trained head's ageing on portraits it has never seen, beside the shipped edit; sheets to look at."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import helper

from engines.select import load as load_engine
from models.arrays import Floats, Image
from models.editor import Crop, Edit
from models.embedded import EMBEDDED
from models.embedded import editor as embedded_editor
from models.embedded.ageing import Ageing, strength_of, youth_of
from models.embedded.attributes import AGE, MALE, read_tables
from models.embedded.editor import EmbeddedControls
from models.embedded.matte import MATTE, HairMatte
from models.embedded.smile import Smile
from models.face.canvas import Canvas
from models.face.imaging import smoothstep
from models.face.segmenter import Segmenter
from models.face.texture_space import SIZE as TEXTURE
from models.face.texture_space import YAW_MODE, FaceSpace
from models.training.ageing.guides import Guides, draw_guide, shown_skin
from models.training.ageing.networks import GUIDE_SCALE, HeadAger, conditions_of
from models.training.ageing.prepare import edge_fade
from models.training.ageing.train import CHECKPOINT, START
from models.training.apply import apply_edit, inner
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.evaluate import LADDER, Bench, Row, print_table
from models.training.editor.teachers import SOFTEN_SIGMA, Teachers, arcface_matrix, box_matrix
from models.training.panel import CELL, Cell, write_panel

TURNED = (1.2, 3.0)
"""Yaw between which the change of shape ends, standard deviations: measured on frontal faces, it cuts turned cheeks."""
SHAPE = 1.0
"""Share of the measured change of shape that is drawn beside the network's change."""
OLD_AGE, YOUTH = 75, 25
REAL_OLD, REAL_YOUNG = (66, 88), (18, 32)
"""Ages of the photographs that the edited are compared with."""
RELIEF, GAIN = 1.7, 1.15
"""Contrast of the guide, and factor of the whole change, chosen on `val` by age and identity: what pairs teach is the
median of many faces, less than one face has.
"""
MOST_LENT = 1.2
"""Bound of the strength of lent creases, of that in `AGEING_YEARS`."""
LOST, YOUTH_YEARS = 0.5, 30.0
"""Share of its own creases that a face loses in so many years of youth."""
DIM = 0.3
"""Light of the dimmed portraits."""
LEAST_SPREAD = 0.1
"""Added to each feature's standard deviation, as a share of the mean one: features that hardly vary say nothing."""
SHEET_PIXELS = 160
"""Side of a portrait's crop in its source picture, at least."""
PANEL_CELLS, PANEL_SEED = 30, 1
"""Cells of a kind; seed of their order."""
SHEET_ROWS, SHEET_COLUMNS = 3, 2
FEATURES = (("faceapi_age_gender.onnx", "/ReduceMean_output_0"), ("genderage_v1.onnx", "flatten0"))
"""Teachers and their features that the kernel distance is taken of; no loss ever sees them."""


class HeadEditor:
    """A portrait at another age by the trained network, as the embedded editor's edit.

    Args:
        network: the network.
        shape: share of the measured change of shape.
        gain: factor of what the network draws.
    """

    def __init__(self, network: HeadAger, shape: float = SHAPE, gain: float = GAIN) -> None:
        tables = read_tables(EMBEDDED)
        self._network = network.eval()
        self._shape = shape
        self._gain = gain
        self._space = FaceSpace.from_tables(tables)
        self._ageing = Ageing.from_tables(tables)
        smile = Smile.from_tables(tables)
        self._canvas = Canvas.from_tables(tables, self._ageing.shape, self._ageing.youth, smile.shape)
        self._matte = HairMatte(_engine(EMBEDDED / MATTE))

    def edit(self, crop: Crop, *, source: float, target: float, male: float, relief: Floats | None = None) -> Edit:
        """The edit of a 320 px crop of margin 1.25 with mesh and masks.

        Args:
            crop: the face.
            source: its age, years.
            target: the age wanted, years.
            male: probability of a man.
            relief: (192, 192) float32, the guide; None for none.
        """
        assert crop.mesh is not None
        fit = self._space.fit(crop.mesh)
        years = target - source
        turned = float(smoothstep(np.abs(fit.modes[YAW_MODE]), *TURNED))
        moves = self._shape * (1 - turned) * self._ageing.moves(male, strength_of(years), youth_of(source, target))
        still = np.zeros((TEXTURE, TEXTURE, 3), np.float32)
        flow, _, support = self._canvas.draw(self._space, fit, crop, moves=moves, change=still)
        axis = np.arange(len(crop.image), dtype=np.float32)
        where = np.stack(np.meshgrid(axis, axis), axis=-1) + flow
        warped = cv2.remap(crop.image, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        planes = planes_of(replace(crop, image=warped), self._space, relief)
        ages = (torch.tensor([value]) for value in (male, source, target))
        with torch.no_grad():
            change = self._network(torch.from_numpy(planes[None]), conditions_of(*ages))[0]
        weight = 64 * self._gain * edge_fade(len(crop.image)) * _own_pixels(warped, crop, self._matte)
        delta = change.numpy().transpose(1, 2, 0) * weight[..., None]
        mask = np.maximum(support, (np.abs(delta).max(axis=2) > 0).astype(np.float32))
        return Edit(mask=mask, delta=np.asarray(delta, np.float32), flow=flow)


def _own_pixels(image: Image, crop: Crop, matte: HairMatte) -> Floats:
    """How much of each pixel is the person's, (S, S) float32 in 0..1: strand by strand at the edge of the hair."""
    assert crop.masks is not None
    hair, face, person = (
        cv2.resize(mask, image.shape[:2]) for mask in (crop.masks.hair, crop.masks.face, crop.masks.person)
    )
    return np.maximum(np.maximum(matte.read(image, crop.masks.hair), face), np.clip(2 * (person - hair), 0, 1))


def planes_of(crop: Crop, space: FaceSpace, relief: Floats | None) -> Floats:
    """What `HeadAger` sees of a crop with mesh and masks and of a guide, (9, S, S) float32, S a multiple of 32."""
    assert crop.mesh is not None
    assert crop.masks is not None
    size = len(crop.image)
    fit = space.fit(crop.mesh)
    masks = cv2.resize(np.dstack([crop.masks.hair, crop.masks.face, crop.masks.person]), (size, size))
    where = space.to_texture(fit, (0, 0, size, size)) / TEXTURE
    where = cv2.resize(where.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    guide = np.zeros((size, size), np.float32)
    if relief is not None:
        guide = GUIDE_SCALE * draw_guide(relief * shown_skin(crop, fit), where)
    picture = crop.image.astype(np.float32) / 64 - 2
    stacked = np.concatenate([picture, masks, np.clip(2 * where - 1, -1.8, 1.8), guide[..., None]], axis=2)
    return np.ascontiguousarray(stacked.transpose(2, 0, 1), np.float32)


class LitBench(Bench):
    """`Bench` under less light.

    Attributes:
        light: factor of the portraits' light.
    """

    light: float = 1.0

    def crop(self, row: int) -> Crop:
        """As `Bench.crop`, dimmed; the masks are those of the bright portrait."""
        crop = super().crop(row)
        return crop if self.light == 1 else replace(crop, image=(crop.image * self.light).astype(np.uint8))


class NetworkBench(LitBench):
    """`LitBench` with the trained network's age in place of the shipped one.

    Attributes:
        network: draws it.
        guides: lend the relief of machine-made portraits; None for none.
        relief: contrast of the guide.
    """

    network: HeadEditor
    guides: Guides | None = None
    relief: float = RELIEF

    def edit(self, row: int, **controls: Any) -> Image:
        """The edited portrait, (320, 320, 3) uint8 RGB; of the controls `age` alone."""
        crop = self.crop(row)
        read = self.editor.encode(crop, EmbeddedControls())
        source, target = float(read[AGE]) * 100, float(controls["age"])
        relief = None
        if self.guides is not None and target > source:
            # One lender for all ages: who else's creases came at each step would not grow with the years.
            lent = self.guides.lent_by(self.guides.nearest(row, OLD_AGE), row)
            relief = np.float32(self.relief * min(strength_of(target - source), MOST_LENT)) * lent
        elif self.guides is not None:
            relief = np.float32(-LOST * min(1.0, (source - target) / YOUTH_YEARS)) * self.guides.creases(row)
        edit = self.network.edit(crop, source=source, target=target, male=float(read[MALE]), relief=relief)
        return apply_edit(edit, crop.image)


class FeatureDistance:
    """Kernel distance (unbiased MMD with a cubic kernel, Binkowski et al. 2018) between sets of portraits.

    Args:
        folder: the folder with the teachers' ONNX files.
    """

    def __init__(self, folder: Path) -> None:
        self._teachers = [_with_output(folder / name, output) for name, output in FEATURES]

    def features(self, image: Image, points5: Floats, mesh: Floats) -> Floats:
        """Features of one 256 px portrait, (D,) float32."""
        soft = cv2.GaussianBlur(image, (0, 0), SOFTEN_SIGMA)
        views = [
            cv2.warpAffine(soft, box_matrix(mesh), (112, 112), borderMode=cv2.BORDER_REPLICATE),
            cv2.warpAffine(soft, arcface_matrix(points5), (112, 112)),
        ]
        found = []
        for (session, name, output), view in zip(self._teachers, views, strict=True):
            values = session.run([output], {name: view.astype(np.float32).transpose(2, 0, 1)[None]})[0].ravel()
            found.append(values)
        return np.concatenate(found).astype(np.float32)

    @staticmethod
    def distance(a: Floats, b: Floats, scale: Floats) -> float:
        """Squared distance between two sets of features, (N, D) and (M, D), each divided by `scale`, (D,)."""
        a, b = a / scale, b / scale
        return _within(_kernel(a, a)) + _within(_kernel(b, b)) - 2 * float(_kernel(a, b).mean())


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured of one way of ageing: rows of the table, and distances by name."""

    rows: list[Row]
    distances: dict[str, float]


def measure(bench: LitBench, teachers: Teachers, features: FeatureDistance, *, ladder: bool) -> Measured:
    """The issue's figures of one way of ageing."""
    faces = bench.faces

    def ages(image: Image, row: int) -> tuple[float, float]:
        return teachers.ages(inner(image), faces.points5[row], faces.mesh[row])

    def likeness(row: int, image: Image) -> float:
        points = faces.points5[row]
        before = teachers.identity(inner(bench.crop(row).image), points)
        return float(before @ teachers.identity(inner(image), points))

    found: list[Row] = []
    for name, goals, low, high, asked in (
        (f"age={OLD_AGE} on 25-50: years", (">= +30", ">= +26"), 25, 50, OLD_AGE),
        (f"age={YOUTH} on 50-75: years", ("<= -20", "<= -17"), 50, 75, YOUTH),
    ):
        lines = [Row(f"{name} ({who})", goal) for who, goal in zip(("genderage", "face-api"), goals, strict=True)]
        dim = [Row(f"{name}, dim ({who})", "") for who in ("genderage", "face-api")]
        for row in bench.rows(_aged(low, high)):
            before, after = ages(bench.crop(row).image, row), ages(bench.edit(row, age=asked), row)
            for line, new, old in zip(lines, after, before, strict=True):
                line.values.append((row, new - old))
        for row in bench.rows(_aged(low, high))[::3]:
            bench.light = DIM
            before, after = ages(bench.crop(row).image, row), ages(bench.edit(row, age=asked), row)
            bench.light = 1.0
            for line, new, old in zip(dim, after, before, strict=True):
                line.values.append((row, new - old))
        found += [*lines, *dim]
    near, far = Row("identity, age +-20 years", ">= 0.60"), Row(f"identity, age={OLD_AGE} on 20-45", ">= 0.45")
    for row in bench.rows(_aged(18, 99)):
        own = float(bench.editor.encode(bench.crop(row), EmbeddedControls())[AGE]) * 100
        target = float(np.clip(own + (20 if own < 50 else -20), 15, 85))
        near.values.append((row, likeness(row, bench.edit(row, age=target))))
    for row in bench.rows(_aged(20, 45)):
        far.values.append((row, likeness(row, bench.edit(row, age=OLD_AGE))))
    found += [near, far]
    if ladder:
        line = Row("monotone ladder 15..85: share of faces", ">= 0.95")
        for row in bench.rows(_aged(18, 99)):
            steps = [np.mean(ages(bench.edit(row, age=age), row)) for age in LADDER]
            line.values.append((row, float(np.all(np.diff(steps) > 0))))
        found.append(line)
    return Measured(found, _distances(bench, features))


def _distances(bench: Bench, features: FeatureDistance) -> dict[str, float]:
    """Distance of the edited to real photographs of that age, over the distance of the unedited."""
    faces = bench.faces

    def of(rows: Sequence[int], change: Callable[[int], Image]) -> Floats:
        return np.stack([features.features(inner(change(row)), faces.points5[row], faces.mesh[row]) for row in rows])

    results = {}
    for name, source, real, asked in (
        ("old", (20, 45), REAL_OLD, OLD_AGE),
        ("young", (55, 80), REAL_YOUNG, YOUTH),
    ):
        rows = bench.rows(_aged(*source))
        ages = faces.labels["age"]
        train = faces.split("train")
        plain = (ages[train] >= real[0]) & (ages[train] <= real[1]) & (np.abs(faces.labels["yaw"][train]) < 35)
        real_rows = [int(row) for row in train[plain]][:: max(1, int(plain.sum()) // 150)]
        wanted = np.stack(
            [features.features(faces.image(row), faces.points5[row], faces.mesh[row]) for row in real_rows]
        )
        unedited = of(rows, lambda row: bench.crop(row).image)
        scale = np.concatenate([unedited, wanted]).std(axis=0)
        scale += np.float32(LEAST_SPREAD * scale.mean())
        before = features.distance(unedited, wanted, scale)
        after = features.distance(of(rows, lambda row, age=asked: bench.edit(row, age=age)), wanted, scale)  # type: ignore[misc]
        results[name] = after / before
    return results


def main(argv: list[str]) -> int:
    """Print the tables of the shipped edit and of the checkpoint; with `--sheet` also write sheets at 384 px."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate ageing", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: the trainer's, or the small state it starts from")
    parser.add_argument("--faces", type=int, default=60, help="portraits per row of the table")
    parser.add_argument("--shape", type=float, default=SHAPE, help="share of the measured change of shape")
    parser.add_argument("--gain", type=float, default=GAIN, help="factor of what the network draws")
    parser.add_argument("--relief", type=float, default=RELIEF, help="contrast of the guide; 0 for none")
    parser.add_argument("--only", choices=("shipped", "network"), action="append", help="measure this alone")
    parser.add_argument("--no-ladder", action="store_true")
    parser.add_argument("--no-table", action="store_true")
    parser.add_argument("--sheet", type=Path, help="folder for sheets: portrait, shipped edit, network")
    parser.add_argument("--panel", type=Path, help="folder for the sheets of blind panels, old and young")
    parser.add_argument("--key", type=Path, help="folder for the panels' keys")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    faces = FaceSet.load(shared_folder())
    editor = embedded_editor.load(_engine, EMBEDDED)
    segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
    shipped = LitBench(faces, editor, segmenter, options.faces)
    trained = NetworkBench(faces, editor, segmenter, options.faces)
    trained.network = HeadEditor(load_network(options.checkpoint or latest()), options.shape, options.gain)
    if options.relief:
        space = FaceSpace.from_tables(read_tables(EMBEDDED))
        masks = np.load(WORK / "ageing" / "masks.npy", mmap_mode="r")
        trained.guides = Guides(faces, space, masks, WORK / "ageing" / "relief.npy")
        trained.relief = options.relief
    if options.sheet:
        write_sheets(shipped, trained, options.sheet)
    if options.panel:
        write_panels(shipped, trained, options.panel, options.key or options.panel / "keys")
    if not options.no_table:
        teachers = Teachers(shared_folder() / "teachers")
        features = FeatureDistance(shared_folder() / "teachers")
        for name, bench in (("shipped", shipped), ("network", trained)):
            if name in (options.only or ("shipped", "network")):
                result = measure(bench, teachers, features, ladder=not options.no_ladder)
                print(f"\n{name}; kernel distance, edited over unedited: {result.distances}\n", flush=True)
                print_table(result.rows, faces)
    return 0


def latest() -> Path:
    """The trainer's checkpoint, or the small state that it starts from."""
    trained = WORK / "ageing" / CHECKPOINT
    return trained if trained.is_file() else START


def load_network(checkpoint: Path) -> HeadAger:
    """The averaged network of a trainer's checkpoint, or of a state that `export` wrote."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if "average" in state:
        names = state["average"]
        weights = {name[len("module.") :]: value for name, value in names.items() if name.startswith("module.")}
    else:
        weights = state["network"]
    network = HeadAger()
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()


def write_sheets(shipped: Bench, trained: Bench, folder: Path) -> None:
    """Sheets of portrait, shipped edit and network at 384 px."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, low, high, asked in (("older", 20, 48, OLD_AGE), ("younger", 55, 80, YOUTH)):
        rows = sheet_rows(shipped, low, high)
        tiles = []
        for row in rows:
            views = [shipped.crop(row).image, shipped.edit(row, age=asked), trained.edit(row, age=asked)]
            tiles.append(np.hstack([cv2.resize(inner(v), (CELL, CELL), interpolation=cv2.INTER_CUBIC) for v in views]))
        per = SHEET_ROWS * SHEET_COLUMNS
        for sheet in range(0, len(tiles) // per * per, per):
            part = tiles[sheet : sheet + per]
            grid = np.vstack([np.hstack(part[k : k + SHEET_COLUMNS]) for k in range(0, per, SHEET_COLUMNS)])
            cv2.imwrite(str(folder / f"{name}_{sheet // per}.png"), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))


def sheet_rows(bench: Bench, low: float, high: float, count: int = 12) -> list[int]:
    """Portraits of `val` of good size between two ages, in an order of chance; of each person one."""
    labels = bench.faces.labels
    rows = [
        int(row)
        for row in bench.faces.split("val")
        if low <= labels["age"][row] <= high
        and labels["crop_px"][row] > SHEET_PIXELS
        and abs(labels["yaw"][row]) < 30
        and labels["hat"][row] != 1
    ]
    chosen: dict[str, int] = {}
    for place in np.random.default_rng(7).permutation(len(rows)):
        chosen.setdefault(str(labels["person"][rows[place]]), rows[place])
    return list(chosen.values())[:count]


def write_panels(shipped: Bench, trained: Bench, sheets: Path, keys: Path) -> None:
    """Blind panels: really old among people made old, really young among people made young; all different people."""
    ages = shipped.faces.labels["age"]
    for name, real, source, asked in (
        ("old", (66, 90), (20, 50), OLD_AGE),
        ("young", (18, 33), (50, 80), YOUTH),
    ):
        pictures = []
        for row in sheet_rows(shipped, *real, PANEL_CELLS):
            pictures.append((Cell("real", row, float(ages[row])), inner(shipped.crop(row).image)))
        rows = sheet_rows(shipped, *source, 2 * PANEL_CELLS)
        for kind, bench, some in (("shipped", shipped, rows[::2]), ("network", trained, rows[1::2])):
            for row in some:
                pictures.append((Cell(kind, row, float(asked)), inner(bench.edit(row, age=asked))))
        write_panel(pictures, sheets / name, keys / f"{name}.json", seed=PANEL_SEED)


def _aged(low: float, high: float) -> Callable[[dict[str, Any]], NDArray[np.bool_]]:
    return lambda labels: np.asarray((labels["age"] >= low) & (labels["age"] <= high))


def _kernel(a: Floats, b: Floats) -> Floats:
    return np.asarray((a @ b.T / a.shape[1] + 1) ** 3, np.float32)


def _within(kernel: Floats) -> float:
    """Mean of a square kernel matrix without its diagonal."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _with_output(path: Path, output: str) -> tuple[ort.InferenceSession, str, str]:
    """A session that also gives an inner tensor, the name of its input, the name of the tensor."""
    model = onnx.load(str(path))
    model.graph.output.append(helper.make_empty_tensor_value_info(output))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name, output


def _engine(path: Path) -> Any:
    return load_engine(path, backend="openvino", precision="f32", threads=1)
