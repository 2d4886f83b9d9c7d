"""`python -m tests.e2e.steered FLAGS`: `python -m stream.camera FLAGS` with a camera and a virtual camera of its own.

The camera shows the swaying astronaut of the other tests, the virtual camera shows nobody anything.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.arrays import Image
from signaling import virtual_camera
from stream import camera
from tests.e2e import fake_camera

SIZE = 640, 480


class Lens:
    """Plays a short clip at the rate of raw ones."""

    def __init__(self) -> None:
        scene = fake_camera.astronaut()
        self._frames = [fake_camera.frame(*SIZE, scene, index, 20) for index in range(20)]
        self._count = 0

    def read(self) -> tuple[bool, Image]:
        time.sleep(1 / fake_camera.SLOW_FPS)
        self._count += 1
        return True, self._frames[self._count % len(self._frames)]


class Nowhere:
    """A virtual camera without a device."""

    device = "a stand-in"

    def send(self, frame: Image) -> None:
        pass


@contextmanager
def open_devices(arguments: argparse.Namespace) -> Iterator[tuple[Any, tuple[int, int], Any]]:
    yield Lens(), SIZE, Nowhere()


if __name__ == "__main__":
    camera.open_devices = open_devices
    sys.exit(virtual_camera.main())
