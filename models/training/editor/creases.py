"""`python -m models.training.editor.creases`: make the tables of creases and necks that `models.embedded` lends."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.attributes import CREASES, read_tables
from models.embedded.creases import MOST_RELIEF, likeness
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.ageing.guides import AGE_DISTANCE, Guides, skin_field
from models.training.ageing.prepare import prepare
from models.training.data import WORK, FaceSet, shared_folder
from models.training.editor.necks import lent_necks

OLD_AGE = 75.0


def main(argv: list[str]) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m models.training.editor.creases", description=__doc__)
    parser.add_argument("--work", type=Path, default=WORK / "ageing", help="folder of the ageing's caches")
    parser.add_argument("--out", type=Path, default=EMBEDDED / CREASES)
    options = parser.parse_args(argv)
    faces = FaceSet.load(shared_folder())
    space = FaceSpace.from_tables(read_tables(EMBEDDED))
    guides = Guides(faces, space, prepare(faces, options.work).masks, options.work / "relief.npy")
    labels, rows = faces.labels, guides.bank
    reliefs = [np.clip(guides.creases(int(row)) / MOST_RELIEF, -1, 1) for row in rows]
    lightness = np.nan_to_num(labels["skin_L"], nan=60.0) / 100
    alike = [
        likeness(space.fit(faces.mesh[row]), labels["smile"][row], lightness[row], float(labels["sex"][row] == "M"))
        for row in rows
    ]
    table = {
        "relief": np.round(np.stack(reliefs) * 127).astype(np.int8),
        "contrast": np.array([guides.contrast(relief * MOST_RELIEF) for relief in reliefs], np.float32),
        "likeness": np.stack(alike),
        "smile": labels["smile"][rows].astype(np.float32),
        "apart": (np.abs(labels["age"][rows] - OLD_AGE) * AGE_DISTANCE).astype(np.float32),
        "skin": np.round(skin_field() * 255).astype(np.uint8),
        "neck": lent_necks(faces, Segmenter(load_engine(EMBEDDED / "segmenter.onnx", precision="f32", threads=1))),
        "mouth": np.round(guides.mouth_corners * 255).astype(np.uint8),
    }
    part = options.out.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{f"creases_{name}": of_it for name, of_it in table.items()})
    part.replace(options.out)
    print(f"{options.out.name}: {len(rows)} lenders, {options.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
