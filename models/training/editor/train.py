"""`python -m models.training editor`: measure the statistics, train the reader, export the embedded editor.

Everything is kept under `.work/editor` and resumed from there; a stage that is done is not done again, and given more
time a stage goes on. The defaults are what the shipped files were trained with; longer is better.
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

from engines.select import load as load_engine
from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import ATTRIBUTES
from models.face.head_space import head_picture
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.export import export_reader, write_tables
from models.training.editor.networks import Reader
from models.training.editor.reader import train_reader
from models.training.editor.scalp import scalp_tables
from models.training.editor.statistics import (
    ageing_shape,
    brow_field,
    face_taper,
    fleeting_modes,
    lip_field,
    skin_field,
    skin_trends,
    smile_trends,
    textures_of,
)
from models.training.editor.stubble import stubble_tables
from models.training.editor.texture_space import measure_geometry

Tables = dict[str, NDArray[Any]]

ADULT = 16
LIKELY_GLASSES = 0.5
MOST_YAW = 45.0
"""Portraits turned further away do not shape the texture square, degrees."""


def main(argv: list[str]) -> int:
    """Train from the portraits to the shipped files."""
    parser = argparse.ArgumentParser(prog="python -m models.training editor", description=__doc__)
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the embedded pack")
    parser.add_argument("--work", type=Path, default=WORK / "editor", help="folder of caches and checkpoints")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="processor threads torch may use")
    parser.add_argument("--reader-epochs", type=int, nargs=2, default=(30, 22), help="of mild views, of poor ones")
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
    textures = unwrapped(faces, space, options.work / "textures.npy")
    reader = train_reader(faces, space, options.work, device, tuple(options.reader_epochs))
    export_reader(reader, options.out)
    glasses = _once(options.work / "glasses.npz", lambda: {"glasses": read_glasses(faces, space, reader)})["glasses"]
    tables |= _once(options.work / "ageing.npz", lambda: measure_ageing(faces, space, textures, rows, glasses))
    tables |= _once(options.work / "identity.npz", lambda: identity_tables(faces, space, adults))
    tables |= _once(options.work / "smile.npz", lambda: smile_tables(faces, space, textures, adults))
    segmenter = Segmenter(load_engine(EMBEDDED / "segmenter.onnx", precision="f32", threads=1))
    tables |= _once(options.work / "stubble.npz", lambda: stubble_tables(faces, space, adults, segmenter))
    write_tables(tables, options.out)

    return 0


def measure(faces: FaceSet, rows: NDArray[np.int64]) -> Tables:
    """The tables of geometry and of the scalp."""
    tables = measure_geometry(faces, rows[np.abs(faces.labels["yaw"][rows]) < MOST_YAW])
    tables |= scalp_tables(faces, FaceSpace.from_tables(tables), rows)
    tables["modes"] = tables["modes"].astype(np.float16)
    tables["corners"] = tables["corners"].astype(np.uint16)
    return tables


def measure_ageing(
    faces: FaceSet, space: FaceSpace, textures: NDArray[np.uint8], rows: NDArray[np.int64], glasses: Floats
) -> Tables:
    """The tables of `models.embedded.ageing.Ageing` and `models.embedded.skin.Skin`."""
    shape, youth = ageing_shape(faces, space, rows)
    wearing = (faces.labels["glasses"] == 1) | (glasses > LIKELY_GLASSES)
    skin = {name: values.astype(np.float16) for name, values in skin_trends(faces, textures, rows, wearing).items()}
    fields = {"ageing_skin": skin_field(space), "skin_brows": brow_field(space), "skin_lips": lip_field(space)}
    return (
        {"ageing_shape": shape.astype(np.float16), "ageing_youth": youth.astype(np.float16)}
        | {f"skin_{name}": values for name, values in skin.items()}
        | {name: np.round(field * 255).astype(np.uint8) for name, field in fields.items()}
    )


def smile_tables(faces: FaceSet, space: FaceSpace, textures: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tables:
    """The tables of `models.embedded.smile.Smile`."""
    shape, skin = smile_trends(faces, space, textures, rows)
    return {"smile_shape": shape.astype(np.float16), "smile_skin": skin.astype(np.float16)}


def identity_tables(faces: FaceSet, space: FaceSpace, rows: NDArray[np.int64]) -> Tables:
    """The tables of `models.embedded.child.Identity`."""
    modes = fleeting_modes(faces, space, rows)
    return {
        "fleeting_modes": modes.astype(np.float16),
        "face_taper": np.round(face_taper(space) * 255).astype(np.uint8),
    }


def unwrapped(faces: FaceSet, space: FaceSpace, path: Path) -> NDArray[np.uint8]:
    """Every portrait's face unwrapped, (N, 192, 192, 3) uint8 RGB, memory-mapped from `path`."""
    if not path.is_file():
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, textures_of(faces, space), allow_pickle=False)
        part.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


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
