"""`python -m models.training.evaluate segmenter`: the masks on val, on composed occluders and on a clip with a hand."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.select import load
from models.arrays import Floats, Image
from models.editor import Masks
from models.embedded import EMBEDDED
from models.face.segmenter import Segmenter
from models.training.data import MASK_SIZE, SIZE, FaceSet, shared_folder
from models.training.segmenter import occluders
from models.training.segmenter.occluder_drawing import Kind

WEIGHTS = EMBEDDED / "segmenter.onnx"
NOISE = 4.0
"""Standard deviation of the camera noise in the steadiness test, in grey levels per channel of the 256 px crop."""
COMPOSED: tuple[Kind, ...] = ("hand", "microphone", "cup", "strands", "card", "cloth", "glasses")

HAND_CLIP = "insightface__810_1684206192.mp4"
HANDS: dict[int, tuple[tuple[int, int], ...]] = {
    230: (
        *((135, 247), (139, 244), (148, 253), (155, 268), (158, 290), (163, 300), (166, 319), (192, 320), (208, 318)),
        *((220, 322), (222, 350), (216, 354), (204, 343), (199, 350), (198, 358), (192, 375), (178, 383), (160, 379)),
        *((152, 390), (140, 400), (100, 400), (124, 356), (138, 330), (143, 320), (142, 300), (141, 280), (137, 262)),
    ),
    242: (
        *((115, 236), (117, 231), (124, 238), (131, 255), (133, 270), (137, 290), (140, 303), (160, 300), (178, 303)),
        *((189, 308), (188, 340), (181, 341), (172, 328), (168, 350), (158, 362), (143, 368), (131, 378), (122, 396)),
        *((118, 400), (80, 400), (103, 355), (108, 340), (114, 315), (120, 303), (119, 280), (120, 262), (116, 245)),
    ),
    258: (
        *((101, 250), (103, 241), (109, 242), (116, 252), (120, 268), (121, 285), (127, 303), (145, 300), (165, 303)),
        *((172, 308), (171, 330), (169, 344), (163, 341), (152, 335), (146, 350), (137, 362), (128, 368), (119, 375)),
        *((112, 392), (108, 400), (78, 400), (92, 360), (97, 335), (100, 312), (106, 303), (105, 285), (107, 268)),
    ),
    274: (
        *((120, 286), (131, 290), (133, 297), (124, 299), (112, 306), (103, 318), (99, 324), (100, 338), (108, 342)),
        *((118, 328), (127, 320), (145, 320), (165, 330), (174, 345), (175, 367), (165, 372), (150, 376), (140, 385)),
        *((130, 400), (90, 400), (80, 375), (83, 355), (79, 322), (82, 315), (97, 303), (108, 294)),
    ),
    298: (
        *((148, 266), (156, 261), (160, 264), (150, 292), (157, 285), (168, 266), (176, 262), (183, 259), (192, 270)),
        *((190, 280), (198, 287), (202, 289), (201, 303), (198, 320), (192, 345), (180, 360), (170, 380), (165, 400)),
        *((105, 400), (97, 380), (84, 355), (80, 325), (75, 313), (76, 298), (80, 292), (83, 300), (88, 320)),
        *((98, 336), (103, 340), (112, 322), (130, 298), (141, 276)),
    ),
}
"""Outlines of the hand in five frames of the hand clip, drawn by eye to about 2 px: frame -> (x, y) in pixels."""


def main(argv: list[str]) -> int:
    """Print the segmenter's table; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate segmenter", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/, clips/ and teachers/")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--no-time", action="store_true", help="leave out the timing, on a busy machine")
    options = parser.parse_args(argv)
    faces = FaceSet.load(options.shared)
    rows = faces.split("val")
    with load(options.weights, threads=1) as engine:
        segmenter = Segmenter(engine)
        print(f"{options.weights.name} on {engine.backend} {engine.precision}, {len(rows)} val pictures\n")
        print("| measure | goal | result |\n|---|---|---|")
        hair, person = overlaps(segmenter, faces, rows)
        present = np.array([faces.mask("hair", row, MASK_SIZE).mean() > 0.01 for row in rows])
        _row("hair IoU, mean over pictures with hair / pooled", ">= 0.85", _mean(hair[present]), _pooled(hair))
        _row("person IoU, mean / pooled", ">= 0.93", _mean(person), _pooled(person))
        found = {kind: composed_overlap(segmenter, faces, rows, kind) for kind in COMPOSED}
        asked = [found[kind] for kind in ("hand", "microphone", "cup", "strands")]
        _row("occluder IoU, pooled: hand, microphone, cup, strands together", ">= 0.70", _pooled(np.concatenate(asked)))
        for kind, values in found.items():
            _row(f"- {kind}", "", _pooled(values))
        if (options.shared / "clips" / HAND_CLIP).is_file():
            edited, called = hand_clip(segmenter, options.shared)
            _row("hand clip: hand pixels edited / called occluder", "<= 0.05", edited, called)
        for name, share in flicker(segmenter, faces, rows[::4]).items():
            _row(f"edge flicker, {name}", "<= 0.01", share)
        print("\n| group | pictures | hair IoU | person IoU |\n|---|---|---|---|")
        for name, chosen in groups(faces, rows):
            print(f"| {name} | {chosen.sum()} | {_mean(hair[chosen & present]):.3f} | {_mean(person[chosen]):.3f} |")
    if not options.no_time:
        for line in timings(options.weights):
            print(line)
    return 0


def overlaps(segmenter: Segmenter, faces: FaceSet, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Intersection and union of hair and person with `masks.npz`, per picture: two (N, 2) arrays, in mask pixels."""
    hair: list[tuple[int, int]] = []
    person: list[tuple[int, int]] = []
    for row in rows:
        masks = segmenter.read(faces.image(row))
        for found, name, into in ((masks.hair, "hair", hair), (masks.person, "person", person)):
            sized = cv2.resize(found, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA) > 0.5
            want = (faces.hair if name == "hair" else faces.person)[row] > 127
            into.append(((sized & want).sum(), (sized | want).sum()))
    return np.array(hair, np.float32), np.array(person, np.float32)


def composed_overlap(segmenter: Segmenter, faces: FaceSet, rows: NDArray[np.int64], kind: Kind) -> Floats:
    """Intersection and union of the occluder with what was pasted, (N, 2); one composed picture per row."""
    results = []
    fabrics = [faces.images[row] for row in rows[:24]]
    for row in rows:
        rng = np.random.default_rng((7, int(row), COMPOSED.index(kind)))
        image = faces.image(row).astype(np.float32)
        cutout = occluders.draw(rng, image, faces.mesh[row], fabrics, kind)
        composed, alpha = occluders.paste(rng, image, cutout)
        masks = segmenter.read(np.clip(composed, 0, 255).astype(np.uint8))
        found = cv2.resize(masks.occluder, (SIZE, SIZE)) > 0.5
        results.append(((found & (alpha > 0.5)).sum(), (found | (alpha > 0.5)).sum()))
    return np.array(results, np.float32)


def hand_clip(segmenter: Segmenter, shared: Path) -> tuple[float, float]:
    """Share of the outlined hands' pixels that an edit of face and hair would touch, and share called occluder."""
    frames = dict(enumerate(clip_frames(shared / "clips" / HAND_CLIP)))
    detector = face_finder(shared)
    edited, called, total = 0, 0, 0
    for number, outline in HANDS.items():
        frame = frames[number]
        points5 = detector(frame)
        if points5 is None:
            continue
        matrix = ffhq_matrix(points5, SIZE, 1.0)
        hand = np.zeros(frame.shape[:2], np.uint8)
        cv2.fillPoly(hand, [np.array(outline, np.int32)], 255)
        crop = cv2.warpAffine(frame, matrix, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(hand, matrix, (SIZE, SIZE)) > 127
        masks = segmenter.read(np.ascontiguousarray(crop[..., ::-1]))
        occluder = cv2.resize(masks.occluder, (SIZE, SIZE))
        surface = cv2.resize(np.maximum(masks.face, masks.hair), (SIZE, SIZE))
        edited += int(((surface * (1 - occluder) > 0.5) & inside).sum())
        called += int(((occluder > 0.5) & inside).sum())
        total += int(inside.sum())
    return edited / max(total, 1), called / max(total, 1)


def flicker(segmenter: Segmenter, faces: FaceSet, rows: NDArray[np.int64], frames: int = 4) -> dict[str, float]:
    """A still face under camera noise: share of a mask's pixels that change per frame."""
    changed = dict.fromkeys(("hair", "face", "person"), 0.0)
    area = dict.fromkeys(changed, 0.0)
    for row in rows:
        rng = np.random.default_rng(int(row))
        image = faces.image(row).astype(np.float32)
        before: Masks | None = None
        for _ in range(frames):
            noisy = np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)
            masks = segmenter.read(noisy)
            if before is not None:
                for name in changed:
                    now, last = getattr(masks, name) > 0.5, getattr(before, name) > 0.5
                    changed[name] += float((now != last).sum())
                    area[name] += float(last.sum())
            before = masks
    return {name: changed[name] / max(area[name], 1.0) for name in changed}


def groups(faces: FaceSet, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Named groups of val pictures: skin tone, sex, age band, yaw, glasses, hair colour, baldness."""
    label = {name: values[rows] for name, values in faces.labels.items()}
    for name, low, high in (("dark", 0, 50), ("medium", 50, 65), ("light", 65, 101)):
        yield f"skin L* {low}-{min(high, 100)} ({name})", (label["skin_L"] >= low) & (label["skin_L"] < high)
    for sex in ("F", "M"):
        yield f"sex {sex}", label["sex"] == sex
    for low, high in ((0, 16), (16, 40), (40, 60), (60, 120)):
        yield f"age {low}-{high}", (label["age"] >= low) & (label["age"] < high)
    for low, high in ((0, 10), (10, 25), (25, 90)):
        yield f"yaw {low}-{high}", (np.abs(label["yaw"]) >= low) & (np.abs(label["yaw"]) < high)
    yield "glasses", label["glasses"] > 0
    yield "no glasses flagged", ~(label["glasses"] > 0)
    yield "hat or scarf", label["hat"] > 0
    yield "balding (>= 0.5)", label["baldness"] >= 0.5
    for colour in sorted(set(label["hair_colour"])):
        yield f"hair {colour}", label["hair_colour"] == colour


def timings(weights: Path) -> Iterator[str]:
    """One core, batch 1: best and median of 200 runs per precision, in ms."""
    for precision in ("f32", "bf16"):
        with load(weights, backend="openvino", precision=precision, threads=1) as engine:
            segmenter = Segmenter(engine)
            image = np.zeros((SIZE, SIZE, 3), np.uint8)
            taken = []
            for _ in range(200):
                start = time.perf_counter()
                segmenter.read(image)
                taken.append(1000 * (time.perf_counter() - start))
        yield f"openvino {precision}: best {min(taken):.2f} ms, median {np.median(taken):.2f} ms with resizing"


def clip_frames(path: Path) -> Iterator[Image]:
    """Frames of a clip, (H, W, 3) uint8 BGR."""
    capture = cv2.VideoCapture(str(path))
    try:
        while True:
            ok, frame = capture.read()
            if not ok:
                return
            yield np.asarray(frame, np.uint8)
    finally:
        capture.release()


def face_finder(shared: Path) -> Callable[[Image], Floats | None]:
    """The measuring stick YuNet: frame (BGR) -> (5, 2) float32 points of the largest face, or None."""
    detector = cv2.FaceDetectorYN.create(str(shared / "teachers" / "yunet_n_640.onnx"), "", (640, 640), 0.6)

    def find(frame: Image) -> Floats | None:
        detector.setInputSize((frame.shape[1], frame.shape[0]))
        _, found = detector.detect(frame)
        if found is None or not len(found):
            return None
        largest = max(found, key=lambda face: face[2] * face[3])
        points: Floats = np.asarray(largest[4:14], np.float32).reshape(5, 2)
        return points

    return find


def ffhq_matrix(points5: Floats, size: int, margin: float) -> NDArray[np.float64]:
    """2x3 matrix, frame to crop pixels, of FFHQ's quad (Karras et al. 2018) enlarged by `margin`."""
    eyes, mouth = points5[:2].mean(0), points5[3:].mean(0)
    eye_to_eye, eye_to_mouth = points5[1] - points5[0], mouth - eyes
    x = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]])
    half = max(2.0 * np.hypot(*eye_to_eye), 1.8 * np.hypot(*eye_to_mouth)) * margin
    x = x / max(float(np.hypot(*x)), 1e-6) * half
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * eye_to_mouth
    source = np.stack([centre - x - y, centre - x + y, centre + x + y]).astype(np.float32)
    target = np.array([[0, 0], [0, size], [size, size]], np.float32) - 0.5
    return np.asarray(cv2.getAffineTransform(source, target), np.float64)


def _mean(values: Floats) -> float:
    return float((values[:, 0] / np.maximum(values[:, 1], 1)).mean()) if len(values) else float("nan")


def _pooled(values: Floats) -> float:
    return float(values[:, 0].sum() / max(values[:, 1].sum(), 1))


def _row(name: str, goal: str, *values: float) -> None:
    print(f"| {name} | {goal} | {' / '.join(f'{value:.4f}' for value in values)} |", flush=True)
