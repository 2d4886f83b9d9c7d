"""insightface's `FaceAnalysis` as the front of the tracker: our own pack, or any of insightface's by name."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.arrays import Floats, Image
from models.embedded import TRACKER

log = logging.getLogger(__name__)

MAX_FACES = 8
THRESHOLD = 0.5
"""insightface's own default."""
EMBEDDED_THRESHOLD = 0.4
"""Lower, because the tracker weighs the score together with what the landmark network says."""
MIN_INPUT_PX = 8


class PackError(RuntimeError):
    """A face pack cannot be loaded; the message names it and what mends it."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A face that the detector found.

    Attributes:
        box: (4,) float32, x0, y0, x1, y1 in frame pixels.
        points5: (5, 2) float32, eyes, nose tip, mouth corners, left to right in the picture.
        score: 0..1.
    """

    box: Floats
    points5: Floats
    score: float


class Detector:
    """The detector of an InsightFace pack."""

    def __init__(self, pack: str = "embedded", size: int = 320, threshold: float | None = None) -> None:
        """Load a pack.

        Args:
            pack: "embedded", a directory with ONNX files, or the name of a pack that insightface knows or downloads
                ("buffalo_l", ...; those weights are for non-commercial use).
            size: side of the detector's square input in pixels; a multiple of 32.
            threshold: lowest score of a detection, 0..1; by default what suits the pack.

        Raises:
            PackError: the pack is missing, incomplete or damaged, or has no detector with key points.
        """
        name = str(TRACKER) if pack == "embedded" else pack
        self._size = size
        self._model = _load(name, pack)
        if threshold is None:
            threshold = EMBEDDED_THRESHOLD if pack == "embedded" else THRESHOLD
        self._model.prepare(-1, input_size=(size, size), det_thresh=threshold)

    def __call__(self, image: Image) -> list[Detection]:
        """Find faces.

        Args:
            image: (H, W, 3) uint8 BGR.

        Returns:
            The `MAX_FACES` surest detections at most, the largest ones first.
        """
        height, width = image.shape[:2]
        if min(height, width) * self._size < MIN_INPUT_PX * max(height, width):
            return []  # a sliver holds no face, and insightface cannot scale it into its input
        # not max_num: insightface would rather keep small faces in the middle than large ones beside it
        boxes, points = self._model.detect(image)
        found = [
            Detection(box[:4].astype(np.float32), five.astype(np.float32), float(box[4]))
            for box, five in zip(boxes, points, strict=True)
            if np.isfinite(box).all() and np.isfinite(five).all()
        ]
        found = sorted(found, key=lambda d: -d.score)[:MAX_FACES]
        return sorted(found, key=lambda d: -float((d.box[2] - d.box[0]) * (d.box[3] - d.box[1])))


def _load(name: str, pack: str) -> Any:
    mend = "git checkout -- models/embedded" if pack == "embedded" else f"fetch the pack {pack!r} again"
    if pack == "embedded" and not any(Path(name).glob("*.onnx")):  # insightface would look for it on the network
        raise PackError(f"the face pack in {name} is missing; mend it with: {mend}")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(sys.stderr),
    ):  # insightface prints where it downloads from
        warnings.simplefilter("ignore")
        import onnxruntime  # noqa: PLC0415
        from insightface.app import FaceAnalysis  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            analysis = FaceAnalysis(
                name=name, allowed_modules=["detection"], providers=["CPUExecutionProvider"], sess_options=options
            )
        except OSError as error:  # of the disk, or of requests: its exceptions are no ConnectionError of Python's
            raise PackError(
                f"the face pack {pack!r} can be neither read here nor fetched; use --pack embedded"
            ) from error
        except (
            Exception
        ) as error:  # insightface raises whatever its parsers raise: turn it into one error with a way out
            raise PackError(f"the face pack in {name} cannot be loaded ({error}); mend it with: {mend}") from error
    if not getattr(analysis.det_model, "use_kps", False):
        raise PackError(f"the face pack {pack!r} has no detector with key points")
    return analysis.det_model
