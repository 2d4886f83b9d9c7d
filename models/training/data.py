"""The aligned portraits that the embedded pack is trained on: pictures, labels, meshes and masks, in row order."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

SIZE = 256
"""Side of every portrait in pixels (FFHQ alignment, Karras et al. 2018)."""
MASK_SIZE = 128
"""Side of the hair and person masks, which cover the same extent."""

Split = Literal["train", "val"]

TEXT_COLUMNS = frozenset(
    {
        "id",
        "split",
        "person",
        "source",
        "licence",
        "origin",
        "sex",
        "sex_source",
        "age_source",
        "hair_colour",
        "emotion",
    }
)

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".work"
"""Where trainers keep caches and checkpoints; not in version control."""


def shared_folder() -> Path:
    """The folder with the training material: `LATENTCAM_SHARED`, or `shared` beside the checkout."""
    return Path(os.environ.get("LATENTCAM_SHARED", ROOT.parent / "shared"))


@dataclass(frozen=True, slots=True)
class FaceSet:
    """All portraits, one row each. Coordinates are (x, y) in pixels of the 256x256 picture, from its outer edge (the
    centre of the first pixel is at 0.5): the mean of a mesh and its mirrored reading is 128.

    Attributes:
        images: (N, 256, 256, 3) uint8 RGB, memory-mapped and read-only.
        mesh: (N, 478, 2) float32, MediaPipe topology with irises.
        points5: (N, 5, 2) float32: eyes, nose tip, mouth corners, left to right in the picture.
        hair: (N, 128, 128) uint8, probability x 255.
        person: (N, 128, 128) uint8, probability x 255.
        labels: the columns of `labels.csv`, each (N,): text columns as str, others float32 with NaN where empty.
    """

    images: NDArray[np.uint8]
    mesh: NDArray[np.float32]
    points5: NDArray[np.float32]
    hair: NDArray[np.uint8]
    person: NDArray[np.uint8]
    labels: dict[str, NDArray[Any]]

    @staticmethod
    def load(shared: Path, cache: Path = WORK / "faces") -> FaceSet:
        """Read `shared/faces`; the decoded pictures are kept as one array in `cache`, so that trainers share its pages.

        Args:
            shared: the folder that holds `faces/`.
            cache: where the decoded pictures are kept (about 670 MB).

        Raises:
            FileNotFoundError: the material is missing.
            ValueError: the files disagree about the rows.
        """
        folder = shared / "faces"
        labels = read_labels(folder / "labels.csv")
        ids = labels["id"]
        with np.load(folder / "landmarks.npz") as points, np.load(folder / "masks.npz") as masks:
            for name, rows in (("landmarks.npz", points["id"]), ("masks.npz", masks["id"])):
                if not np.array_equal(rows, ids):
                    raise ValueError(f"{name} and labels.csv list different pictures or another order")
            return FaceSet(
                images=_decoded(folder / "images", [str(i) for i in ids], cache),
                mesh=points["mesh"].astype(np.float32),
                points5=points["points5"].astype(np.float32),
                hair=masks["hair"],
                person=masks["person"],
                labels=labels,
            )

    def __len__(self) -> int:
        return len(self.images)

    def split(self, name: Split) -> NDArray[np.int64]:
        """Row numbers of one split. Pictures of one person never straddle splits."""
        return np.flatnonzero(self.labels["split"] == name)

    def image(self, row: int) -> NDArray[np.uint8]:
        """A writable copy of one picture, (256, 256, 3) uint8 RGB."""
        return np.array(self.images[row])

    def mask(self, which: Literal["hair", "person"], row: int, size: int = SIZE) -> NDArray[np.float32]:
        """One mask in [0, 1], (size, size) float32."""
        source = self.hair if which == "hair" else self.person
        sized: NDArray[np.uint8] = source[row]
        if size != MASK_SIZE:
            sized = cv2.resize(sized, (size, size), interpolation=cv2.INTER_LINEAR)
        return sized.astype(np.float32) / np.float32(255)


def read_labels(path: Path) -> dict[str, NDArray[Any]]:
    """Read `labels.csv` by column; empty numbers become NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path.name} has no rows")
    return {
        name: np.array([row[name] for row in rows])
        if name in TEXT_COLUMNS
        else np.array([row[name] or "nan" for row in rows], np.float32)
        for name in rows[0]
    }


def _decoded(folder: Path, ids: list[str], cache: Path) -> NDArray[np.uint8]:
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]
    path = cache / f"images_{digest}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(len(ids), SIZE, SIZE, 3))
        for row, name in enumerate(tqdm(ids, desc="decode portraits")):
            picture = cv2.imread(str(folder / f"{name}.jpg"), cv2.IMREAD_COLOR)
            if picture is None or picture.shape != (SIZE, SIZE, 3):
                raise ValueError(f"{name}.jpg is missing or not {SIZE}x{SIZE}")
            array[row] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        array.flush()
        part.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))
