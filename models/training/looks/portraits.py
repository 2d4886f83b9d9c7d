"""What the trainer of hair looks reads, made once: hair and beards of portraits, how they look, and their light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.base import Engine
from engines.select import load as load_engine
from models.arrays import Floats, Rows
from models.editor import Crop
from models.embedded import EMBEDDED
from models.embedded.beard import find_grey_beard
from models.embedded.beard_alpha import BEARD_NETWORK, BeardAlpha
from models.embedded.matte import MATTE, HairMatte
from models.embedded.strands import LIT_LENGTH, LOOK_LENGTH, measure_light, measure_look
from models.face.segmenter import Segmenter
from models.training.apply import PAD, portrait_crop
from models.training.data import SIZE, WORK, FaceSet

FOLDER = WORK / "looks"
LEAST_FACE = 50
"""Pixels of a mask of the face that tell its colour."""
LEAST_BEARD = 900
"""Pixels of a portrait that a beard covers at least."""


@dataclass(frozen=True, slots=True)
class Portraits:
    """Heads of hair, one for each portrait of `FaceSet`, or beards.

    Attributes:
        rows: (N,) those of the portraits.
        alpha: (N, 256, 256) uint8, hair x 255.
        looks: (N, LOOK_LENGTH) float32, packed `Look`; zeros where there is too little hair.
        lights: (N, LIT_LENGTH) float32, packed `Lit`.
        skins: (N, 3) float32 RGB, 0..255, median of the face.
    """

    rows: Rows
    alpha: NDArray[np.uint8]
    looks: Floats
    lights: Floats
    skins: Floats


def read_portraits(faces: FaceSet, folder: Path = FOLDER) -> Portraits:
    """Hair of all portraits; what is missing in `folder` is made."""
    matte = HairMatte(_engine(MATTE))

    def hair(crop: Crop, row: int) -> Floats:
        assert crop.masks is not None
        return matte.read(crop.image, crop.masks.hair)

    return _kept(folder / "hair", faces, np.arange(len(faces)), hair)


def read_beards(faces: FaceSet, folder: Path = FOLDER) -> Portraits:
    """Beards of men of `train`, dark ones and grey ones; what is missing in `folder` is made."""
    dark = BeardAlpha(_engine(BEARD_NETWORK))

    def beard(crop: Crop, row: int) -> Floats:
        alpha = dark.read(crop)
        return alpha if alpha.sum() > LEAST_BEARD else find_grey_beard(crop)

    men = faces.split("train")
    labels = faces.labels
    men = men[(labels["sex"][men] == "M") & (labels["age"][men] > 17) & (np.abs(labels["yaw"][men]) < 35)]
    read = _kept(folder / "beards", faces, men, beard)
    shown = (read.looks[:, 0] > 0) & (read.alpha.sum((1, 2)) / 255 > LEAST_BEARD)
    return Portraits(*(part[shown] for part in (read.rows, read.alpha, read.looks, read.lights, read.skins)))


def _kept(folder: Path, faces: FaceSet, rows: Rows, read: Callable[[Crop, int], Floats]) -> Portraits:
    """What `read` finds on portraits, from `folder` where it is there."""
    numbers, planes = folder / "looks.npz", folder / "alpha.npy"
    if not numbers.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        segmenter = Segmenter(_engine("segmenter.onnx"))
        alpha = np.zeros((len(rows), SIZE, SIZE), np.uint8)
        looks, lights = (np.zeros((len(rows), length), np.float32) for length in (LOOK_LENGTH, LIT_LENGTH))
        skins = np.zeros((len(rows), 3), np.float32)
        for place, row in enumerate(tqdm(rows, desc=folder.name, mininterval=20)):
            crop = portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], segmenter)
            assert crop.masks is not None
            side = len(crop.masks.face)
            small = cv2.resize(crop.image, (side, side), interpolation=cv2.INTER_AREA)
            seen = small[crop.masks.face * (1 - crop.masks.occluder) * (1 - crop.masks.hair) > 0.7]
            if len(seen) < LEAST_FACE:
                continue
            occluder = cv2.resize(crop.masks.occluder, (len(crop.image),) * 2)
            found = np.asarray((read(crop, int(row)) * (1 - occluder))[PAD:-PAD, PAD:-PAD], np.float32)
            look = measure_look(faces.image(row).astype(np.float32), found)
            if look is not None:
                skins[place] = np.median(seen, axis=0)
                alpha[place], looks[place] = np.round(found * 255), look.pack()
                lights[place] = measure_light(crop.image, skins[place]).pack()
        np.save(planes, alpha)
        np.savez(numbers, looks=looks, lights=lights, skins=skins)
    with np.load(numbers) as stored:
        return Portraits(rows, np.load(planes, mmap_mode="r"), stored["looks"], stored["lights"], stored["skins"])


def with_hair(faces: FaceSet, portraits: Portraits, rows: Rows) -> Rows:
    """Those of some rows that show a head of hair, without a hat."""
    labels = faces.labels
    shown = portraits.alpha[rows].mean((1, 2)) / 255
    return rows[
        (portraits.looks[rows, 0] > 0)
        & (shown > 0.05)
        & (labels["hat"][rows] != 1)
        & (np.nan_to_num(labels["baldness"][rows], nan=1.0) < 0.6)
        & (labels["outside_fraction"][rows] < 0.15)
        & (labels["crop_px"][rows] > 140)
    ]


def _engine(name: str) -> Engine:
    return load_engine(EMBEDDED / name, backend="openvino", precision="f32", threads=1)
