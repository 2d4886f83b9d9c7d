"""Measure the embedded editor on portraits it has never seen: its table, per group, and sheets to look at."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.select import load as load_engine
from models.arrays import Image
from models.editor import Controls, Crop
from models.embedded import EMBEDDED
from models.embedded import editor as embedded_editor
from models.embedded.attributes import AGE
from models.embedded.editor import EmbeddedControls, EmbeddedEditor
from models.face.segmenter import Segmenter
from models.training.apply import PAD, apply_edit, inner, portrait_crop
from models.training.data import SIZE, FaceSet, shared_folder
from models.training.editor.teachers import Teachers

"""Pixels around a portrait that make its crop as wide as the editor's (margin 1.25)."""
LADDER = (15, 25, 35, 45, 55, 65, 75, 85)
PARTS = ("age", "ladder", "bald", "smile", "off")
SHEET_FACES = 40
BACKGROUND_DISTANCE = 0.15
"""How far from the person, in crop sides, background counts as background near the head."""


@dataclass
class Row:
    """One line of the table: a value per portrait.

    Attributes:
        name: what is measured.
        goal: the bar, as text.
        values: (row of the portrait, value).
    """

    name: str
    goal: str
    values: list[tuple[int, float]] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Print the tables; with `--sheet` also write sheets of 40 faces per edit there."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate editor", description=__doc__)
    parser.add_argument("--sheet", type=Path, help="folder for sheets of 40 faces per edit")
    parser.add_argument("--faces", type=int, default=60, help="portraits per row of the table")
    parser.add_argument("--weights", type=Path, default=EMBEDDED, help="folder of the embedded pack")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    options = parser.parse_args(argv)
    parts = options.only or PARTS
    cv2.setNumThreads(1)
    faces = FaceSet.load(shared_folder())
    editor = embedded_editor.load(_engine, options.weights)
    bench = Bench(faces, editor, Segmenter(_engine(EMBEDDED / "segmenter.onnx")), options.faces)
    rows = bench.measure(Teachers(shared_folder() / "teachers"), parts)
    if rows:
        print_table(rows, faces)
    if options.sheet:
        bench.sheets(options.sheet)
    return 0


class Bench:
    """Portraits of `val` put through the editor as the stream would do it.

    Args:
        faces: the portraits.
        editor: what is measured.
        segmenter: the masks it works with.
        count: portraits per measurement, at most.
    """

    def __init__(self, faces: FaceSet, editor: EmbeddedEditor, segmenter: Segmenter, count: int) -> None:
        self.faces = faces
        self.editor = editor
        self.segmenter = segmenter
        self.count = count
        self._crops: dict[int, Crop] = {}

    def rows(self, wanted: Callable[[dict[str, Any]], NDArray[np.bool_]]) -> list[int]:
        """Portraits of adults on `val` that fit."""
        labels = self.faces.labels
        rows = self.faces.split("val")
        plain = (labels["age"] > 17) & (np.abs(labels["yaw"]) < 35) & (labels["hat"] != 1)
        return [int(row) for row in rows if (plain & wanted(labels))[row]][: self.count]

    def crop(self, row: int) -> Crop:
        """The editor's crop of one portrait, 320x320."""
        if row not in self._crops:
            faces = self.faces
            self._crops[row] = portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], self.segmenter)
        return self._crops[row]

    def edit(self, row: int, **controls: Any) -> Image:
        """The edited portrait, (320, 320, 3) uint8 RGB."""
        return run(self.editor, self.crop(row), EmbeddedControls(**controls))

    def measure(self, teachers: Teachers, parts: Sequence[str] = PARTS) -> list[Row]:
        """The rows of the table that belong to `parts`."""
        ages = _Ages(self, teachers)
        found: list[Row] = []
        if "age" in parts:
            found += self._measure_age(ages)
        if "ladder" in parts:
            found.append(self._measure_ladder(ages))
        if "bald" in parts:
            found += self._measure_bald(teachers, ages)
        if "smile" in parts:
            found += self._measure_smile(ages)
        if "off" in parts:
            found.append(self._measure_off())
        return found

    def _measure_age(self, ages: _Ages) -> list[Row]:
        older = _two("age=75 on 25-50: years", ">= +20, >= +16")
        sharp = Row("sharpness after age=75", "0.8-1.4")
        behind = Row("background changed by age=75, of 255", "<= 2")
        for row in self.rows(lambda x: (x["age"] >= 25) & (x["age"] <= 50)):
            ages.shift(row, older, age=75)
            sharp.values.append((row, sharpness(self.edit(row, age=75), self.crop(row)) / self.own_sharpness(row)))
            behind.values.append((row, self.background_change(row, age=75)))
        younger = _two("age=25 on 50-75: years", "<= -14, <= -11")
        for row in self.rows(lambda x: (x["age"] >= 50) & (x["age"] <= 75)):
            ages.shift(row, younger, age=25)
        kept = Row("identity after age +-30", ">= 0.60")
        for row in self.rows(lambda x: x["age"] > 17):
            own = float(self.editor.encode(self.crop(row), EmbeddedControls())[AGE]) * 100
            way = 30 if own < 50 else -30
            kept.values.append((row, ages.likeness(row, age=float(np.clip(own + way, 15, 85)))))
        return [*older, *younger, kept, sharp, behind]

    def _measure_ladder(self, ages: _Ages) -> Row:
        ladder = Row("monotone ladder 15..85: share of faces", ">= 0.85")
        for row in self.rows(lambda x: x["age"] > 17):
            steps = [np.mean(ages.of(self.edit(row, age=age), row)) for age in LADDER]
            ladder.values.append((row, float(np.all(np.diff(steps) > 0))))
        return ladder

    def _measure_bald(self, teachers: Teachers, ages: _Ages) -> list[Row]:
        men, women = Row("shaved: hair left, men", "<= 0.10"), Row("shaved: hair left, women", "<= 0.15")
        sides = Row("bald=1: hair left at the sides", "")
        falls = Row("bald 0..1: hair falls steadily", "1")
        kept = Row("identity after bald=1", ">= 0.65")
        shift = _two("bald=1: shift of age", "within +-4")
        for row in self.rows(lambda x: x["baldness"] < 0.1):
            amounts = [
                self.hair_left(teachers, row, bald=amount, bald_sides=0) for amount in (0.0, 0.25, 0.5, 0.75, 1.0)
            ]
            if amounts[0] < 0.005:
                continue
            (men if self.faces.labels["sex"][row] == "M" else women).values.append((row, amounts[-1] / amounts[0]))
            sides.values.append((row, self.hair_left(teachers, row, bald=1) / amounts[0]))
            falls.values.append((row, float(np.all(np.diff(amounts) < 0.01 * amounts[0]))))
            kept.values.append((row, ages.likeness(row, bald=1)))
            ages.shift(row, shift, bald=1)
        return [men, women, sides, falls, kept, *shift]

    def _measure_smile(self, ages: _Ages) -> list[Row]:
        kept = Row("identity after smile=1", "")
        shift = _two("smile=1: shift of age", "")
        for row in self.rows(lambda x: x["smile"] < 0.3):
            kept.values.append((row, ages.likeness(row, smile=1)))
            ages.shift(row, shift, smile=1)
        return [kept, *shift]

    def _measure_off(self) -> Row:
        off = Row("controls off: pixels changed", "0")
        for row in self.rows(lambda x: x["age"] > 17)[:10]:
            crop = self.crop(row)
            off.values.append((row, float((run(self.editor, crop, EmbeddedControls()) != crop.image).sum())))
        return off

    def hair_left(self, teachers: Teachers, row: int, **controls: Any) -> float:
        """Mean hair probability above the brows."""
        brows = float(self.faces.mesh[row][[105, 334], 1].min())
        portrait = inner(self.edit(row, **controls))
        return float(teachers.hair(portrait)[: int(brows / SIZE * 160)].mean())

    def own_sharpness(self, row: int) -> float:
        """Sharpness of the unedited face."""
        return sharpness(self.crop(row).image, self.crop(row))

    def background_change(self, row: int, **controls: Any) -> float:
        """Mean absolute change of the background near the head, of 255; what lies beyond the photograph is none."""
        crop = self.crop(row)
        assert crop.masks is not None
        person = cv2.resize(np.maximum(crop.masks.person, crop.masks.hair), crop.image.shape[:2])
        solid = (person > 0.1).astype(np.uint8)
        reach = 2 * int(BACKGROUND_DISTANCE * len(person)) + 1
        near = (cv2.dilate(solid, np.ones((reach, reach), np.uint8)) > 0) & (
            cv2.dilate(solid, np.ones((7, 7), np.uint8)) == 0
        )
        near = near[PAD:-PAD, PAD:-PAD]
        if not near.any():
            return 0.0
        change = np.abs(self.edit(row, **controls).astype(np.float32) - crop.image)
        return float(inner(change)[near].mean())

    def sheets(self, folder: Path) -> None:
        """Write one sheet of 40 faces, before and after, per edit."""
        folder.mkdir(parents=True, exist_ok=True)
        full = lambda x: x["baldness"] < 0.2  # noqa: E731
        plans: list[tuple[str, list[int], list[dict[str, Any]]]] = [
            ("older", self.rows(lambda x: (x["age"] >= 20) & (x["age"] <= 55)), [{"age": 75}]),
            ("younger", self.rows(lambda x: x["age"] >= 48), [{"age": 25}]),
            ("bald", self.rows(full), [{"bald": 0.5}, {"bald": 1}]),
            ("grey", self.rows(full), [{"hair_grey": 1}]),
            ("smile", self.rows(lambda x: x["age"] > 17), [{"smile": 1}, {"smile": -1}]),
            ("older_bald", self.rows(full), [{"age": 75, "bald": 1}]),
        ]
        for name, rows, edits in plans:
            chosen = rows[:: max(1, len(rows) // SHEET_FACES)][:SHEET_FACES]
            tiles = []
            for row in chosen:
                views = [self.crop(row).image, *(self.edit(row, **controls) for controls in edits)]
                tiles.append(np.hstack([cv2.resize(view, (200, 200), interpolation=cv2.INTER_AREA) for view in views]))
            cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(_grid(tiles, 5), cv2.COLOR_RGB2BGR))


def run(editor: EmbeddedEditor, crop: Crop, controls: Controls) -> Image:
    """One crop through the editor, at the crop's resolution."""
    latent = editor.encode(crop, controls)
    return apply_edit(editor.render(crop, latent, editor.steer(latent, controls), controls), crop.image)


def sharpness(image: Image, crop: Crop) -> float:
    """Standard deviation of the Laplacian inside the face."""
    assert crop.mesh is not None
    face = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(crop.mesh.astype(np.int32)), 1)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[cv2.erode(face, np.ones((9, 9), np.uint8)) > 0].std())


def groups_of(faces: FaceSet, row: int) -> Iterable[str]:
    """The groups a portrait is reported in."""
    labels = faces.labels
    yield "men" if labels["sex"][row] == "M" else "women"
    yield "dark" if labels["skin_L"][row] < 50 else "light"
    if labels["glasses"][row] == 1:
        yield "glasses"
    if labels["smile"][row] > 0.5:
        yield "smile"
    if abs(labels["yaw"][row]) > 12:
        yield "turned"


GROUPS = ("men", "women", "dark", "light", "glasses", "smile", "turned")


def print_table(rows: list[Row], faces: FaceSet) -> None:
    """Print mean, goal and mean per group of each row as Markdown."""
    print("| measure | goal | all | n | " + " | ".join(GROUPS) + " |")
    print("|---|---|---|---|" + "---|" * len(GROUPS))
    for row in rows:
        groups: dict[str, list[float]] = {name: [] for name in GROUPS}
        for index, value in row.values:
            for name in groups_of(faces, index):
                groups[name].append(value)
        means = " | ".join(f"{np.mean(v):.2f} ({len(v)})" if v else "-" for v in groups.values())
        whole = float(np.mean([value for _, value in row.values])) if row.values else float("nan")
        print(f"| {row.name} | {row.goal} | {whole:.2f} | {len(row.values)} | {means} |")


class _Ages:
    """Apparent ages and identity before and after, the former remembered."""

    def __init__(self, bench: Bench, teachers: Teachers) -> None:
        self._bench = bench
        self._teachers = teachers
        self._before: dict[int, tuple[float, float]] = {}

    def of(self, image: Image, row: int) -> tuple[float, float]:
        faces = self._bench.faces
        return self._teachers.ages(inner(image), faces.points5[row], faces.mesh[row])

    def shift(self, row: int, into: tuple[Row, Row], **controls: Any) -> None:
        if row not in self._before:
            self._before[row] = self.of(self._bench.crop(row).image, row)
        after = self.of(self._bench.edit(row, **controls), row)
        for line, new, old in zip(into, after, self._before[row], strict=True):
            line.values.append((row, new - old))

    def likeness(self, row: int, **controls: Any) -> float:
        points = self._bench.faces.points5[row]
        before = self._teachers.identity(inner(self._bench.crop(row).image), points)
        return float(before @ self._teachers.identity(inner(self._bench.edit(row, **controls)), points))


def _two(name: str, goal: str) -> tuple[Row, Row]:
    return Row(f"{name} (genderage)", goal), Row(f"{name} (face-api)", goal)


def _grid(tiles: list[Image], columns: int) -> Image:
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    tiles = [*tiles, *blank]
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def _engine(path: Path) -> Any:
    return load_engine(path, backend="openvino", precision="f32", threads=1)
