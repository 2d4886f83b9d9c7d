"""`python -m stream.evaluation tracker`: measure the tracker of the embedded pack and print its tables."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from engines.select import load
from models.arrays import Floats, Image
from models.crops import ffhq_quad
from models.embedded import TRACKER
from models.face.detector import EMBEDDED_THRESHOLD, Detector
from models.face.landmarks import Landmarks, region_of_box, region_of_mesh
from models.training.data import SIZE, WORK, FaceSet, shared_folder
from models.training.scenes import backgrounds, pasting
from models.training.scenes.geometry import eye_distance, face_box
from models.training.scenes.portraits import Portraits
from models.training.tracker.landmarks import POINTS
from models.training.tracker.scenes import Scene, SceneSamples
from stream.filters import OneEuro
from stream.tracking import Tracker
from stream.tracking.association import iou

CAMERA = (480, 640)
SMALLEST_FACE = 40
CLIP_FACE = 48
SAME_FACE = 0.5
TEACHER_PRESENCE = 5.0
FPS = 30.0
NOISE_LEVELS = 4.0
QUAD_CUTOFF_HZ, QUAD_BETA = 1.0, 25.0
"""The pipeline's quad filter at its default smoothing of 0.5."""


class Row(NamedTuple):
    """One line of the table."""

    what: str
    goal: str
    found: str


def main(argv: list[str]) -> int:
    """Measure and print.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m stream.evaluation tracker", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/, clips/ and teachers/")
    parser.add_argument("--folder", type=Path, default=TRACKER, help="folder with detector.onnx and landmarks.onnx")
    parser.add_argument(
        "--pictures", type=int, default=400, help="composed pictures with faces, and half as many without"
    )
    parser.add_argument("--every", type=int, default=1, help="use every n-th frame of the clips")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    faces = FaceSet.load(options.shared)
    val = faces.split("val")
    portraits = Portraits.of(faces, val)
    detectors = {size: Detector(str(options.folder), size, EMBEDDED_THRESHOLD) for size in (320, 640)}
    engine = load(options.folder / "landmarks.onnx", backend="onnxruntime", precision="f32", threads=1)
    landmarks = Landmarks(engine)
    rows = composed_rows(detectors, landmarks, portraits, options.pictures)
    errors = portrait_errors(landmarks, portraits)
    rows.append(Row("landmark error / eye distance, val, from a box", "<= 0.035", f"{errors['box'].mean():.4f}"))
    rows.append(Row("landmark error / eye distance, val, followed", "<= 0.035", f"{errors['followed'].mean():.4f}"))
    rows += clip_rows(detectors, landmarks, options.shared, options.every)
    rows += stream_rows(detectors[320], landmarks, portraits)
    rows += time_rows(options.folder)
    for row in rows:
        print(f"| {row.what} | {row.goal} | {row.found} |")
    print_groups(errors["followed"], {name: column[val] for name, column in faces.labels.items()})
    return 0


# Composed pictures


def composed_rows(detectors: dict[int, Detector], landmarks: Landmarks, portraits: Portraits, count: int) -> list[Row]:
    """Recall and false faces on composed 640x480 pictures of people that the training has not seen.

    A fifth of the face-free pictures shows a person whose face is replaced by texture. Given for the detector alone and
    for the tracker, which weighs the detector's score together with the presence that the landmark network sees.
    """
    rng = np.random.default_rng(7)
    scenes = SceneSamples(portraits, backgrounds.pool(rng, 150, 640, portraits), rng)
    with_faces = [scenes.scene(*CAMERA, faces=int(rng.choice([1, 1, 2, 4])), smallest=30) for _ in range(count)]
    without = [scenes.scene(*CAMERA, faces=0) for _ in range(count // 2)]
    wanted = sum(len(expected(scene)) for scene in with_faces)
    rows = []
    for size, detect in detectors.items():

        def detected(picture: Image, detect: Detector = detect) -> list[Floats]:
            return [detection.box for detection in detect(picture)]

        def tracked(picture: Image, detect: Detector = detect) -> list[Floats]:
            faces, _ = Tracker(detect, landmarks)(picture, 0.0)
            return [face_box(face.mesh) for face in faces if face.mesh is not None]

        for who, find in (("detector", detected), ("tracker", tracked)):
            hits = sum(recalled(scene, find(to_bgr(scene.picture))) for scene in with_faces)
            false = sum(len(find(to_bgr(scene.picture))) for scene in without)
            what = f"composed val, {who} at {size} px: recall of {wanted} faces"
            rows.append(Row(what, ">= 0.98", f"{hits / wanted:.4f}"))
            what = f"{who} at {size} px: false faces per face-free picture, of {len(without)}"
            rows.append(Row(what, "<= 0.01", f"{false / len(without):.4f}"))
    return rows


def expected(scene: Scene) -> Floats:
    """The boxes (K, 4) of the labelled faces of at least `SMALLEST_FACE` pixels."""
    return scene.boxes[~scene.ignored & (scene.boxes[:, 3] - scene.boxes[:, 1] >= SMALLEST_FACE)]


def recalled(scene: Scene, boxes: list[Floats]) -> int:
    """How many of the expected faces are among the boxes."""
    return sum(any(iou(wanted, box) >= SAME_FACE for box in boxes) for wanted in expected(scene))


def to_bgr(picture: Image) -> Image:
    """Swap the colour order."""
    return np.ascontiguousarray(picture[:, :, ::-1])


# Landmarks


def portrait_errors(landmarks: Landmarks, portraits: Portraits) -> dict[str, Floats]:
    """Mean point error over eye distance of every portrait: cut by its box, and cut by the mesh read there."""
    errors: dict[str, list[float]] = {"box": [], "followed": []}
    for image, mesh in zip(portraits.images, portraits.mesh, strict=True):
        picture = cv2.copyMakeBorder(to_bgr(image), 64, 64, 64, 64, cv2.BORDER_REFLECT)
        wanted = mesh + np.float32(64.5)
        first, _ = landmarks(picture, region_of_box(face_box(wanted)))
        second, _ = landmarks(picture, region_of_mesh(first))
        errors["box"].append(point_error(first, wanted))
        errors["followed"].append(point_error(second, wanted))
    return {name: np.array(values, np.float32) for name, values in errors.items()}


def point_error(found: Floats, wanted: Floats) -> float:
    """Mean distance of the points over the eye distance."""
    return float(np.linalg.norm(found - wanted, axis=1).mean() / eye_distance(wanted))


def print_groups(errors: Floats, labels: dict[str, NDArray[Any]]) -> None:
    """Print the landmark error by skin tone, sex, age, yaw and glasses."""
    groups: dict[str, NDArray[np.bool_]] = {}
    light = labels["skin_L"]
    for name, low, high in (("dark", 0, 45), ("medium", 45, 65), ("light", 65, 101)):
        groups[f"skin {name} (L {low}-{min(high, 100)})"] = (light >= low) & (light < high)
    for sex in ("F", "M"):
        groups[f"sex {sex}"] = labels["sex"] == sex
    for low, high in ((0, 15), (15, 30), (30, 45), (45, 60), (60, 120)):
        groups[f"age {low}-{high - 1}" if high < 120 else f"age {low}+"] = (labels["age"] >= low) & (
            labels["age"] < high
        )
    turned = np.abs(labels["yaw"])
    for low, high in ((0, 10), (10, 20), (20, 60)):
        groups[f"|yaw| {low}-{high}"] = (turned >= low) & (turned < high)
    groups["glasses"] = labels["glasses"] == 1
    groups["no glasses flagged"] = labels["glasses"] == 0
    print("\n| group | portraits | landmark error / eye distance |\n|---|---|---|")
    for name, chosen in groups.items():
        if chosen.any():
            print(f"| {name} | {int(chosen.sum())} | {errors[chosen].mean():.4f} |")


# Clips


class ClipTruth(NamedTuple):
    """What the teachers see in one frame.

    Attributes:
        boxes: (K, 4) SCRFD's faces of at least `CLIP_FACE` pixels.
        agreed: (K,) bool, YuNet sees them too.
        meshes: (K, 478, 2), NaN where the mesh teacher is not sure.
    """

    boxes: Floats
    agreed: NDArray[np.bool_]
    meshes: Floats


def clip_rows(detectors: dict[int, Detector], landmarks: Landmarks, shared: Path, every: int) -> list[Row]:
    """Recall and landmark error on the clips, against SCRFD and YuNet where they agree, and the mesh teacher."""
    rows = []
    found = dict.fromkeys(detectors, 0)
    total = 0
    errors: dict[str, list[float]] = {}
    per_clip: list[Row] = []
    for path in clip_paths(shared):
        truths = clip_truths(path, shared, every)
        here, wanted = dict.fromkeys(detectors, 0), 0
        for frame, truth in zip(frames(path, every), truths, strict=True):
            wanted += int(truth.agreed.sum())
            for size, detect in detectors.items():
                boxes = [d.box for d in detect(frame)]
                here[size] += sum(any(iou(box, b) >= SAME_FACE for b in boxes) for box in truth.boxes[truth.agreed])
            for box, mesh in zip(truth.boxes, truth.meshes, strict=True):
                if np.isfinite(mesh).all():
                    first, _ = landmarks(frame, region_of_box(box))
                    second, _ = landmarks(frame, region_of_mesh(first))
                    errors.setdefault(path.stem, []).append(point_error(second, mesh))
        total += wanted
        for size in detectors:
            found[size] += here[size]
        shares = ", ".join(f"{here[size] / max(wanted, 1):.3f} at {size}" for size in detectors)
        error = float(np.mean(errors.get(path.stem, [np.nan])))
        per_clip.append(Row(f"clip {path.stem} ({wanted} faces)", "", f"recall {shares}; landmarks {error:.4f}"))
    for size in detectors:
        rows.append(Row(f"clips, recall at {size} px ({total} faces)", ">= 0.97", f"{found[size] / max(total, 1):.4f}"))
    everything = np.concatenate([np.array(values) for values in errors.values()])
    rows.append(Row("landmark error / eye distance, clips (all faces)", "<= 0.05", f"{everything.mean():.4f}"))
    return rows + per_clip


def clip_paths(shared: Path) -> list[Path]:
    """The clips, by name."""
    return sorted(p for p in (shared / "clips").iterdir() if p.suffix in {".mp4", ".gif"})


def frames(path: Path, every: int = 1) -> Iterator[Image]:
    """Frames of a clip, BGR."""
    video = cv2.VideoCapture(str(path))
    index = 0
    while True:
        ok, frame = video.read()
        if not ok:
            return
        if index % every == 0:
            yield np.asarray(frame, np.uint8)
        index += 1


def clip_truths(path: Path, shared: Path, every: int) -> list[ClipTruth]:
    """The teachers' reading of a clip, remembered in `.work`."""
    key = hashlib.sha256(path.read_bytes() + bytes([every])).hexdigest()[:12]
    cache = WORK / "tracker" / f"clip_{key}.npz"
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        teachers = Teachers(shared)
        read = [teachers.read(frame) for frame in tqdm(frames(path, every), desc=path.stem)]
        np.savez(
            cache,
            counts=np.array([len(truth.boxes) for truth in read]),
            boxes=np.concatenate([truth.boxes for truth in read]),
            agreed=np.concatenate([truth.agreed for truth in read]),
            meshes=np.concatenate([truth.meshes for truth in read]),
        )
    with np.load(cache) as stored:
        ends = np.cumsum(stored["counts"])[:-1]
        parts = zip(*(np.split(stored[name], ends) for name in ClipTruth._fields), strict=True)
        return [ClipTruth(*part) for part in parts]


class Teachers:
    """SCRFD, YuNet and the MediaPipe mesh as measuring sticks."""

    def __init__(self, shared: Path) -> None:
        folder = shared / "teachers"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from insightface.model_zoo.scrfd import SCRFD  # noqa: PLC0415
        self._scrfd: Any = SCRFD(str(folder / "scrfd_500m_bnkps.onnx"))
        self._scrfd.prepare(-1, input_size=(640, 640), det_thresh=0.5)
        self._yunet = cv2.FaceDetectorYN.create(str(folder / "yunet_n_640.onnx"), "", (640, 640), 0.6)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        mesh = str(folder / "mp_face_landmarks_256.onnx")
        self._mesh = onnxruntime.InferenceSession(mesh, options, providers=["CPUExecutionProvider"])

    def read(self, frame: Image) -> ClipTruth:
        """The faces of one frame, BGR."""
        height, width = frame.shape[:2]
        self._yunet.setInputSize((width, height))
        second = self._yunet.detect(frame)[1]
        others = [] if second is None else [np.array([x, y, x + w, y + h]) for x, y, w, h in second[:, :4]]
        boxes, agreed, meshes = [], [], []
        for *box, _ in self._scrfd.detect(frame)[0]:
            corners = np.array(box, np.float32)
            if max(corners[2] - corners[0], corners[3] - corners[1]) < CLIP_FACE:
                continue
            boxes.append(corners)
            agreed.append(any(iou(corners, other) >= SAME_FACE for other in others))
            meshes.append(self._mesh_of(frame, corners))
        return ClipTruth(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(agreed, bool),
            np.array(meshes, np.float32).reshape(-1, POINTS, 2),
        )

    def _mesh_of(self, frame: Image, box: Floats) -> Floats:
        """The mesh after two passes, the second with level eyes; NaN where the teacher sees no face."""
        region = region_of_box(box)
        mesh = np.full((POINTS, 2), np.nan, np.float32)
        for _ in range(3):
            corners = region.corners()[:3] - 0.5
            square = np.array([[-0.5, -0.5], [-0.5, 255.5], [255.5, 255.5]], np.float32)
            matrix = cv2.getAffineTransform(corners.astype(np.float32), square)
            crop = cv2.cvtColor(cv2.warpAffine(frame, matrix, (256, 256)), cv2.COLOR_BGR2RGB)
            points, presence = self._mesh.run(
                None, {self._mesh.get_inputs()[0].name: crop[None].astype(np.float32) / 255}
            )[:2]
            if float(np.ravel(presence)[0]) < TEACHER_PRESENCE:
                return np.full((POINTS, 2), np.nan, np.float32)
            unit = points.reshape(-1, 3)[:POINTS, :2] / 128 - 1
            mesh = region.centre + unit[:, :1] * region.axis + unit[:, 1:] * region.down
            region = region_of_mesh(mesh)
        return np.asarray(mesh, np.float32)


# Over time


def stream_rows(detect: Detector, landmarks: Landmarks, portraits: Portraits) -> list[Row]:
    """Jitter of a still face, lag of a moving one, and the ids of crossing, returning and cut-away faces."""
    rng = np.random.default_rng(11)
    cv2.setRNGSeed(11)
    rows = sorted(rng.choice(len(portraits), 8, replace=False).tolist())
    stills = [jitter(Tracker(detect, landmarks), portraits, row) for row in rows]
    raw, smooth = (float(np.mean([still[i] for still in stills])) for i in (0, 1))
    lags = [lag(Tracker(detect, landmarks), portraits, row) for row in rows]
    found = []
    for name, script in IDS.items():
        right = sum(script(Tracker(detect, landmarks), portraits, rows[i], rows[i + 1]) for i in range(7))
        found.append(f"{name} {right}/7")
    return [
        Row("still face with noise: corner jitter, raw -> smoothed, px", "<= 0.25", f"{raw:.3f} -> {smooth:.3f}"),
        Row("moving face: lag of the smoothed quad, frames", "<= 1", f"{np.mean(lags):.2f} (worst {max(lags):.2f})"),
        Row("ids", "all", ", ".join(found)),
    ]


def shot(portraits: Portraits, places: list[tuple[int, float, float, float]]) -> Image:
    """A 640x480 BGR frame with faces (row, x, y, height) on a plain room, with sensor noise."""
    height, width = CAMERA
    frame = np.full((height, width, 3), (96, 110, 120), np.uint8)
    cv2.rectangle(frame, (60, 40), (220, 300), (150, 150, 140), -1)
    cv2.rectangle(frame, (460, 120), (620, 470), (70, 80, 100), -1)
    for row, x, y, size in places:
        box = face_box(portraits.mesh[row])
        scale = size / float(box[3] - box[1])
        middle = (box[:2] + box[2:]) / 2
        matrix = np.array([[scale, 0, x - scale * middle[0]], [0, scale, y - scale * middle[1]]], np.float32)
        colour, to_frame = pasting.shrink(portraits.images[row], matrix, scale)
        mask = cv2.resize(portraits.person[row], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
        frame = pasting.blend(frame, cv2.warpAffine(colour, to_frame, (width, height), flags=cv2.INTER_LINEAR), alpha)
    noise = np.empty(frame.shape, np.int16)
    cv2.randn(noise, 0, NOISE_LEVELS)
    return to_bgr(cv2.add(frame, noise, dtype=cv2.CV_8U))


def corners_of(mesh_points5: Floats, smooth: OneEuro, unit: float, now: float) -> tuple[Floats, Floats]:
    """The FFHQ quad's corners as read and as the pipeline smooths them."""
    quad = ffhq_quad(mesh_points5)
    values = smooth(np.stack([quad.centre, quad.axis]) / np.float32(unit), now) * np.float32(unit)
    return quad.corners(), type(quad)(values[0], values[1]).corners()


def jitter(track: Tracker, portraits: Portraits, row: int) -> tuple[float, float]:
    """Standard deviation of the quad's corners of a still face over 2 s, raw and smoothed, in pixels of 640x480."""
    smooth, raw_corners, smooth_corners = OneEuro(QUAD_CUTOFF_HZ, QUAD_BETA), [], []
    unit = 0.0
    for index in range(75):
        faces, _ = track(shot(portraits, [(row, 320, 240, 170)]), index / FPS)
        if not faces:
            return float("nan"), float("nan")
        unit = unit or ffhq_quad(faces[0].points5).side
        raw, smoothed = corners_of(faces[0].points5, smooth, unit, index / FPS)
        if index >= 15:
            raw_corners.append(raw)
            smooth_corners.append(smoothed)
    return _spread(raw_corners), _spread(smooth_corners)


def _spread(corners: list[Floats]) -> float:
    stacked = np.stack(corners)
    return float(np.sqrt(np.square(stacked - stacked.mean(0)).sum(2).mean()))


def lag(track: Tracker, portraits: Portraits, row: int) -> float:
    """How many frames the smoothed quad is behind the raw one while the face crosses the picture in 2 s."""
    smooth = OneEuro(QUAD_CUTOFF_HZ, QUAD_BETA)
    step, unit, behind = 6.0, 0.0, []
    for index in range(60):
        faces, _ = track(shot(portraits, [(row, 140 + step * index, 240, 170)]), index / FPS)
        if not faces:
            return float("nan")
        unit = unit or ffhq_quad(faces[0].points5).side
        raw, smoothed = corners_of(faces[0].points5, smooth, unit, index / FPS)
        if index >= 15:
            behind.append(float((raw - smoothed)[:, 0].mean()) / step)
    return float(np.mean(behind))


def passing(
    track: Tracker,
    portraits: Portraits,
    one: int,
    other: int,
    *,
    front: tuple[float, float, float],
    back: tuple[float, float, float],
) -> bool:
    """One person passes in front of another: whether both keep their ids.

    Args:
        track: a fresh tracker.
        portraits: the people.
        one: row of the person in front.
        other: row of the person behind.
        front: where the one in front starts and ends, x in pixels, and the height of the face.
        back: the same of the one behind.
    """
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for index in range(60):
        near, far = (start + (end - start) * index / 59 for start, end, _ in (front, back))
        faces, _ = track(shot(portraits, [(other, far, 225, back[2]), (one, near, 250, front[2])]), index / FPS)
        named = {}
        for face in faces:
            middle = float(face.box[[0, 2]].mean())
            named["one" if abs(middle - near) < abs(middle - far) else "other"] = face.id
        if index == 5:
            before = named
        after = named
    return len(before) == 2 and before == after


def hiding(track: Tracker, portraits: Portraits, one: int, other: int) -> bool:
    """Somebody walks behind a post while another stands by: whether both keep their ids."""
    before: set[int] = set()
    after: set[int] = set()
    for index in range(60):
        frame = shot(portraits, [(one, 90 + 5.5 * index, 240, 150), (other, 550, 240, 140)])
        cv2.rectangle(frame, (200, 0), (310, 480), (60, 70, 80), -1)
        faces, _ = track(frame, index / FPS)
        if index == 5:
            before = {face.id for face in faces}
        after = {face.id for face in faces}
    return len(before) == 2 and before == after


def returning(track: Tracker, portraits: Portraits, one: int, other: int) -> bool:
    """A face is gone for 0.7 s and comes back nearby while another stays: whether it has its id again."""
    before: set[int] = set()
    after: set[int] = set()
    for index in range(50):
        places = [(other, 470.0, 240.0, 150.0)]
        if not 15 <= index < 36:
            places.append((one, 180.0 + (25 if index >= 36 else 0), 240.0, 160.0))
        faces, _ = track(shot(portraits, places), index / FPS)
        if index == 14:
            before = {face.id for face in faces}
        after = {face.id for face in faces}
    return len(before) == 2 and before == after


def cutting(track: Tracker, portraits: Portraits, one: int, other: int) -> bool:
    """The picture is cut to another person in another place: whether the id is a new one."""
    before: set[int] = set()
    after: set[int] = set()
    backdrop = np.random.default_rng(one).integers(0, 256, (6, 8, 3), np.uint8)
    for index in range(30):
        if index < 15:
            frame = shot(portraits, [(one, 300, 240, 170)])
        else:
            frame = shot(portraits, [(other, 330, 250, 190)])
            room = cv2.resize(backdrop, (640, 480), interpolation=cv2.INTER_CUBIC)
            mask = np.full(CAMERA, 255, np.uint8)
            cv2.ellipse(mask, (330, 290), (150, 200), 0, 0, 360, 0, -1)
            frame = pasting.blend(frame, room, mask)
        faces, _ = track(frame, index / FPS)
        if index == 14:
            before = {face.id for face in faces}
        after = {face.id for face in faces}
    return len(before) == 1 and len(after) == 1 and not before & after


IDS: dict[str, Callable[[Tracker, Portraits, int, int], bool]] = {
    "crossing": partial(passing, front=(130, 510, 165), back=(510, 130, 130)),
    "crossing at one size": partial(passing, front=(130, 510, 150), back=(510, 130, 150)),
    "overtaking": partial(passing, front=(110, 530, 165), back=(260, 380, 130)),
    "passing a still one": partial(passing, front=(110, 530, 180), back=(320, 320, 120)),
    "behind a post": hiding,
    "returning": returning,
    "new id after a cut": cutting,
}
"""Scripts of two people each, and whether the tracker's ids came out right."""


# Time


def time_rows(folder: Path) -> list[Row]:
    """Milliseconds on one core with OpenVINO, the least of many runs."""
    rows = []
    for name, size, goal in (("detector", 320, "<= 4"), ("landmarks", 192, "<= 2")):
        times = ", ".join(
            f"{precision} {_milliseconds(folder / f'{name}.onnx', size, precision):.2f}"
            for precision in ("f32", "bf16")
        )
        rows.append(Row(f"{name} at {size} px, one core, ms", goal, times))
    return rows


def _milliseconds(path: Path, size: int, precision: str, runs: int = 300) -> float:
    import openvino  # noqa: PLC0415

    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape([1, 3, size, size])
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    blob = np.random.default_rng(0).normal(0, 1, (1, 3, size, size)).astype(np.float32)
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        request.infer({0: blob})
        best = min(best, time.perf_counter() - start)
    return best * 1e3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
