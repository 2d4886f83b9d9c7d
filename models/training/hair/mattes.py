"""Mattes of hair: alpha and the hair's own colours, as labels. They are computed once and kept.

Two hair readers make a trimap: the labels of the portraits and a second network. Closed-form matting (Levin et al.
2008) gives alpha, multi-level foreground estimation (Germer et al. 2020) the colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tqdm import tqdm

from models.arrays import Floats, Image, Rows
from models.training.data import SIZE, WORK, FaceSet

MATTES = WORK / "hair" / "mattes.npz"
"""Where the mattes are kept."""
TEACHER = "mp_hair_segmentation.onnx"
TEACHER_SIZE = 512
SURE_HAIR = 0.8
"""Probability in the labels from which a pixel, well inside, is hair."""
MAYBE_HAIR = 0.08
"""Probability in either reader below which a pixel, with its surroundings, is not hair."""
UNSURE_SHARE = 0.30
"""Portraits with a larger unknown share of the trimap are left out: there the readers disagree over whole areas."""
KEPT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Mattes:
    """Alpha and colours of hair.

    Attributes:
        rows: (N,) rows of the portraits.
        alpha: (N, 256, 256) uint8, 0..255.
        foreground: (N, 256, 256, 3) uint8 RGB, the hair's own colours; meaningless where alpha is 0.
    """

    rows: Rows
    alpha: NDArray[np.uint8]
    foreground: NDArray[np.uint8]

    def only(self, rows: Rows) -> Mattes:
        """Those of some portraits."""
        chosen = np.isin(self.rows, rows)
        return Mattes(self.rows[chosen], self.alpha[chosen], self.foreground[chosen])


class Matting:
    """Makes mattes.

    Args:
        faces: the portraits.
        teachers: folder of the second hair reader.
    """

    def __init__(self, faces: FaceSet, teachers: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(teachers / TEACHER, options)
        self._faces = faces

    def trimap(self, row: int) -> Floats:
        """(256, 256) float32: 1 hair, 0 not hair, 0.5 unknown."""
        labels = self._faces.mask("hair", row)
        either = np.maximum(labels, self._second_reader(self._faces.image(row)))
        trimap = np.full((SIZE, SIZE), 0.5, np.float32)
        trimap[cv2.erode((labels > SURE_HAIR).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 1
        trimap[cv2.dilate((either > MAYBE_HAIR).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0] = 0
        return trimap

    def matte(self, row: int) -> tuple[Image, Image] | None:
        """Alpha (256, 256) and foreground (256, 256, 3) RGB, uint8; None where the readers disagree too much."""
        from pymatting import estimate_alpha_cf, estimate_foreground_ml  # noqa: PLC0415

        trimap = self.trimap(row)
        if not (trimap == 1).any() or (trimap == 0.5).mean() > UNSURE_SHARE:
            return None
        picture = self._faces.image(row).astype(np.float64) / 255
        alpha = estimate_alpha_cf(picture, trimap.astype(np.float64))
        foreground = estimate_foreground_ml(picture, alpha)
        return _bytes(alpha), _bytes(foreground)

    def _second_reader(self, image: Image) -> Floats:
        given = np.zeros((1, TEACHER_SIZE, TEACHER_SIZE, 4), np.float32)
        given[0, :, :, :3] = cv2.resize(image, (TEACHER_SIZE, TEACHER_SIZE)).astype(np.float32) / 255
        logits = self._session.run(None, {self._session.get_inputs()[0].name: given})[0][0]
        probability = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
        return np.asarray(cv2.resize(probability, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32)


def make_mattes(faces: FaceSet, rows: Rows, teachers: Path, path: Path = MATTES) -> Mattes:
    """Compute the mattes of some portraits, or read those that are there.

    Args:
        faces: the portraits.
        rows: whose hair.
        teachers: folder of the second hair reader.
        path: where they are kept; an interrupted run goes on from there.
    """
    done = np.zeros(0, np.int64)
    kept: list[tuple[int, Image, Image]] = []
    if path.is_file():
        with np.load(path) as file:
            done = file["done"]
            kept = list(zip(file["rows"].tolist(), file["alpha"], file["foreground"], strict=True))
    todo = [int(row) for row in rows if row not in set(done.tolist())]
    matting = Matting(faces, teachers)
    for count, row in enumerate(tqdm(todo, desc="mattes", disable=not todo), 1):
        if (made := matting.matte(row)) is not None:
            kept.append((row, *made))
        done = np.append(done, row)
        if count % KEPT_EVERY == 0 or count == len(todo):
            _write(path, done, kept)
    wanted = set(rows.tolist())
    chosen = [each for each in kept if each[0] in wanted]
    return Mattes(
        np.array([row for row, _, _ in chosen], np.int64),
        np.array([alpha for _, alpha, _ in chosen], np.uint8),
        np.array([foreground for _, _, foreground in chosen], np.uint8),
    )


def _write(path: Path, done: Rows, kept: list[tuple[int, Image, Image]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        done=done,
        rows=np.array([row for row, _, _ in kept], np.int64),
        alpha=np.array([alpha for _, alpha, _ in kept], np.uint8),
        foreground=np.array([foreground for _, _, foreground in kept], np.uint8),
    )
    part.replace(path)


def _bytes(values: NDArray[np.float64]) -> Image:
    return np.asarray(np.clip(values * 255 + 0.5, 0, 255), np.uint8)
