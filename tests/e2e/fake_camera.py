"""A camera for Chromium: a clip with a moving real face and a frame counter that survives the codec.

The pictures come from installed packages (scikit-image's astronaut, InsightFace's group photo), so the tests need no
material of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import insightface
import numpy as np
from numpy.typing import NDArray
from skimage import data

Image = NDArray[np.uint8]

FPS = 30
SLOW_FPS = 10
"""Of raw clips: what a server with networks manages on a share of two cores. It then has time for all that comes."""
FRAMES = 300
COUNTER_BITS = 9
BLOCKS = COUNTER_BITS + 1
"""The last block is the parity of the others, so that a half-drawn counter is not taken for a number."""
BLOCK = 1 / 24
"""Side of a counter block as a part of the picture's width. The blocks lie in a row from the top left corner."""
ONE = (40, 220, 250)
ZERO = (150, 40, 10)
"""BGR. Far apart in luma, which every codec keeps at full resolution."""


@dataclass(frozen=True)
class Scene:
    """A still picture and where its face is, in parts of the picture's own pixels.

    Attributes:
        picture: (H, W, 3) uint8 BGR.
        centre: (x, y) in pixels that is brought to the middle of the clip.
        height: height in pixels of the still that fills the clip's height.
        sway: how much it moves; 1 is a lively person.
    """

    picture: Image
    centre: tuple[float, float]
    height: float
    sway: float = 1.0


def astronaut() -> Scene:
    """One person, the face about a third of the clip's height."""
    picture = data.astronaut()  # type: ignore[no-untyped-call]
    return Scene(np.ascontiguousarray(picture[..., ::-1]), (225, 125), 290)


def group() -> Scene:
    """Six people, almost still: on a machine that manages few frames a second they can yet be told apart."""
    path = Path(insightface.__file__).parent / "data" / "images" / "t1.jpg"
    picture = cv2.imread(str(path))
    return Scene(np.asarray(picture, np.uint8), (640, 400), 760, sway=0.15)


def nobody() -> Scene:
    """Coloured noise without a face."""
    noise = np.random.default_rng(0).integers(40, 200, (12, 16, 3), np.uint8)
    return Scene(np.asarray(cv2.resize(noise, (1024, 768), interpolation=cv2.INTER_CUBIC), np.uint8), (512, 384), 600)


def write_clip(
    path: Path, width: int, height: int, scene: Scene, frames: int = FRAMES, *, counted: bool = True
) -> Path:
    """Write a file that loops without a seam.

    Args:
        path: its ending is how Chromium knows the format: .mjpeg plays at 30 fps, .y4m at `SLOW_FPS`.
        width: of the clip, in pixels.
        height: of the clip, in pixels.
        scene: what moves.
        frames: length of the loop, at most 2 ** COUNTER_BITS.
        counted: whether the counter is drawn.
    """
    raw = path.suffix == ".y4m"
    with path.open("wb") as file:
        if raw:
            file.write(f"YUV4MPEG2 W{width} H{height} F{SLOW_FPS}:1 Ip A1:1 C420\n".encode())
        for index in range(frames):
            picture = frame(width, height, scene, index, frames)
            if counted:
                draw_counter(picture, index)
            file.write(_raw(picture) if raw else _jpeg(picture))
    return path


def _raw(picture: Image) -> bytes:
    return b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes()


def _jpeg(picture: Image) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def frame(width: int, height: int, scene: Scene, index: int, frames: int = FRAMES) -> Image:
    """Frame `index` of the clip: the still, swaying as a person in front of a camera does. (H, W, 3) uint8 BGR."""
    turn = 2 * math.pi * index / frames
    sway = scene.sway
    scale = height / scene.height * (1 + 0.03 * sway * math.sin(2 * turn))
    angle = 0.05 * sway * math.sin(3 * turn)
    dx, dy = 0.06 * sway * width * math.sin(2 * turn), 0.03 * sway * height * math.sin(4 * turn)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y = scene.centre
    move = np.array(
        [[cos, -sin, width / 2 + dx - cos * x + sin * y], [sin, cos, height * 0.52 + dy - sin * x - cos * y]]
    )
    picture = cv2.warpAffine(
        scene.picture, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(picture, np.uint8)


def draw_counter(picture: Image, number: int) -> None:
    """Draw `number` into the top left corner, in place."""
    side = BLOCK * picture.shape[1]
    bits = [(number >> bit) & 1 for bit in range(COUNTER_BITS)]
    for place, bit in enumerate([*bits, sum(bits) % 2]):
        x0, x1 = round(place * side), round((place + 1) * side)
        picture[: round(side), x0:x1] = ONE if bit else ZERO


# The same reading, in the page: counter(source) gives the number of the frame that `source` shows, or null.
READ_COUNTER_JS = f"""
(() => {{
  const canvas = document.createElement("canvas");
  canvas.width = {BLOCKS * 8}; canvas.height = 8;
  const context = canvas.getContext("2d", {{ willReadFrequently: true }});
  return (source) => {{
    const width = source.videoWidth || source.width;
    if (!width) return null;
    const side = width * {BLOCK};
    context.drawImage(source, 0, 0, side * {BLOCKS}, side, 0, 0, {BLOCKS * 8}, 8);
    const {{ data }} = context.getImageData(0, 0, {BLOCKS * 8}, 8);
    let number = 0, parity = 0;
    for (let place = 0; place < {BLOCKS}; place += 1) {{
      const at = 4 * (4 * {BLOCKS * 8} + 8 * place + 4);
      const bit = data[at] > 128 ? 1 : 0;
      if (place < {COUNTER_BITS}) {{ number |= bit << place; parity ^= bit; }}
      else if (bit !== parity) return null;
    }}
    return number;
  }};
}})()
"""
