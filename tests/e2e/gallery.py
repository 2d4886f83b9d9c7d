"""`python -m tests.e2e.gallery web/gallery`: the gallery's pictures of what an editor does, made with what ships.

The face is NASA's public-domain portrait of Eileen Collins. Left the camera, right what the stream returns. The second
parent of the child is she herself, mirrored. `models.gallery.PICTURES` says which editor shows which.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.arrays import Image
from stream.photos import controls_of_photo, still
from stream.runtime import Runtime
from stream.settings import Settings
from tests.e2e import fake_camera

WIDTH, HEIGHT = 640, 480
HEAD = np.s_[55:355, 172:472]
"""Where the head is."""
SHOWN = 192
"""Side of each half in pixels."""
QUALITY = 82
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "embedded": ("embedded", {"age": 85}),
    "hair": ("hair", {"colour": "red", "amount": 1.0}),
    "child": ("child", {"age": 10}),
    "older": ("embedded", {"age": 75}),
    "younger": ("embedded", {"age": 15}),
    "bald": ("embedded", {"bald": 1.0}),
    "blond": ("hair", {"colour": "blond", "amount": 1.0}),
    "smile": ("embedded", {"smile": 1.0}),
}
"""Name of the picture -> editor and controls."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write NAME.webp for each of `LOOKS`.

    Args:
        argv: the folder.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    runtime = Runtime.load()
    camera = fake_camera.frame(WIDTH, HEIGHT, fake_camera.astronaut(), 0, 150)
    for name, (editor, chosen) in LOOKS.items():
        controls = chosen
        if editor == "child":
            controls = controls_of_photo(runtime, editor, np.ascontiguousarray(camera[:, ::-1])) | chosen
        look = runtime.look(Settings(mark=False), {"editor": editor, "controls": controls})
        edited = still(camera, runtime.pipeline(), look).image
        picture = np.hstack([_half(camera), _half(edited)])
        cv2.imwrite(str(folder / f"{name}.webp"), picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    runtime.close()
    return 0


def _half(picture: Image) -> Image:
    return np.asarray(cv2.resize(picture[HEAD], (SHOWN, SHOWN), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    sys.exit(main())
