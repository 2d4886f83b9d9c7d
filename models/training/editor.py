"""`python -m models.training editor`: measure the statistics, train reader and ager, export the embedded editor.

Everything is kept under `.work/editor` and resumed from there; a stage that is done is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.ageing import Ageing
from models.face_space import FaceSpace
from models.head_space import head_picture
from models.training.ager import new_ager, train_ager
from models.training.data import ROOT, WORK, FaceSet, shared_folder
from models.training.editor_export import export_ager, export_reader, write_tables
from models.training.editor_networks import ATTRIBUTES, Reader
from models.training.face_space import measure_geometry
from models.training.pairs import PairFactory, Pairs, make_pairs, usable
from models.training.reader import train_reader
from models.training.statistics import (
    ageing_colour,
    ageing_shape,
    brow_field,
    common_folds,
    scalp_tables,
    skin_field,
    textures_of,
)
from models.training.teachers import Teachers

Floats = NDArray[np.float32]
Tables = dict[str, NDArray[Any]]

ADULT = 16
MOST_YAW = 45.0
"""Portraits turned further away do not shape the texture square, degrees."""


def main(argv: list[str]) -> int:
    """Train from the portraits to the shipped files."""
    parser = argparse.ArgumentParser(prog="python -m models.training editor", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "embedded", help="folder of the embedded pack")
    parser.add_argument("--work", type=Path, default=WORK / "editor", help="folder of caches and checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="processor threads torch may use")
    parser.add_argument("--reader-epochs", type=int, default=30)
    parser.add_argument("--pair-seconds", type=float, default=3600, help="time for making pairs")
    parser.add_argument("--minutes", type=float, default=90, help="time for training the ager")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device)

    faces = FaceSet.load(shared_folder())
    rows = faces.split("train")
    adults = rows[faces.labels["age"][rows] > ADULT]
    tables = _once(options.work / "tables.npz", lambda: measure(faces, adults))
    space = FaceSpace.from_tables(tables)
    textures = _once(options.work / "textures.npz", lambda: {"textures": textures_of(faces, space)})["textures"]
    priors = _once(options.work / "priors.npz", lambda: measure_priors(faces, textures, adults))
    write_tables(tables, options.out)

    reader = train_reader(faces, space, options.work, device, options.reader_epochs)
    export_reader(reader, options.out)
    factory = PairFactory(
        faces,
        space,
        Ageing.from_tables(tables),
        textures=textures,
        colour=priors["colour"],
        rows=rows,
        glasses=read_glasses(faces, space, reader),
    )
    if not (options.work / "pairs.npz").is_file():
        teachers = Teachers(shared_folder() / "teachers")
        make_pairs(factory, teachers, usable(faces, rows), seconds=options.pair_seconds).save(
            options.work / "pairs.npz"
        )
    network = new_ager(priors["colour"], priors["folds"], brow_field(space))
    pairs = Pairs.load(options.work / "pairs.npz")
    export_ager(train_ager(factory, pairs, network, options.work, device, minutes=options.minutes), options.out)
    return 0


def measure(faces: FaceSet, rows: NDArray[np.int64]) -> Tables:
    """The tables that ship: geometry, ageing of shape, the scalp."""
    tables = measure_geometry(faces, rows[np.abs(faces.labels["yaw"][rows]) < MOST_YAW])
    space = FaceSpace.from_tables(tables)
    tables |= scalp_tables(faces, space, rows)
    tables["ageing_shape"] = ageing_shape(faces, space, rows).astype(np.float16)
    tables["ageing_skin"] = np.round(skin_field(space) * 255).astype(np.uint8)
    tables["modes"] = tables["modes"].astype(np.float16)
    tables["corners"] = tables["corners"].astype(np.uint16)
    return tables


def measure_priors(faces: FaceSet, textures: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tables:
    """What the ager starts from: mean change of colour, folds that the old share."""
    return {"colour": ageing_colour(faces, textures, rows), "folds": common_folds(faces, textures, rows)}


def read_glasses(faces: FaceSet, space: FaceSpace, reader: Reader) -> Floats:
    """The reader's probability of glasses on every portrait, (N,) float32."""
    device = next(reader.parameters()).device
    read = []
    for row in range(len(faces)):
        head = head_picture(faces.images[row], space.fit(faces.mesh[row]))
        planes = torch.from_numpy(np.ascontiguousarray(head.transpose(2, 0, 1))[None]).to(device).float()
        with torch.no_grad():
            read.append(float(reader(planes)[0, ATTRIBUTES.index("glasses")].sigmoid()))
    return np.array(read, np.float32)


def _once(path: Path, make: Callable[[], Tables]) -> Tables:
    if not path.is_file():
        tables = make()
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **tables)
        part.replace(path)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
