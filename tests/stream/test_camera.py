import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.arrays import Image
from stream import camera
from stream.camera import CameraError, run
from stream.pipeline import Pipeline
from stream.settings import Settings
from tests.stream.conftest import World, look_of


class Film:
    """A camera that plays the stand-in world; each frame waits until the one before was sent."""

    def __init__(self, world: World, frames: int) -> None:
        self.world, self.left = world, frames
        self.ready = threading.Semaphore(1)
        self.sent: list[Image] = []

    def read(self) -> tuple[bool, Image | None]:
        self.ready.acquire(timeout=10)
        self.left -= 1
        return (True, self.world.picture()) if self.left >= 0 else (False, None)

    def send(self, frame: Image) -> None:
        self.sent.append(frame)
        self.ready.release()


def test_frames_are_edited_and_sent_as_rgb(
    world: World, make_pipeline: Callable[[World], Pipeline], tint: Settings
) -> None:
    film = Film(world, 5)
    assert run(film, film, make_pipeline(world), look_of(tint)) == 5
    raw = world.picture()[..., ::-1]
    assert all(frame.shape == raw.shape for frame in film.sent)
    assert film.sent[-1].astype(int)[120, 160, 0] - raw[120, 160, 0] > 50
    np.testing.assert_array_equal(film.sent[-1][:40], raw[:40])


def test_a_slow_edit_drops_frames(world: World, make_pipeline: Callable[[World], Pipeline], tint: Settings) -> None:
    class Fast:
        frames = 50
        ended = threading.Event()

        def read(self) -> tuple[bool, Image | None]:
            self.frames -= 1
            if self.frames < 0:
                self.ended.set()
                return False, None
            return True, world.picture()

        def send(self, frame: Image) -> None:
            self.ended.wait(timeout=10)

    fast = Fast()
    assert run(fast, fast, make_pipeline(world), look_of(tint)) < 50


def test_a_silent_camera_is_an_error(
    world: World, make_pipeline: Callable[[World], Pipeline], tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "CAMERA_SILENT_S", 0.05)
    never = threading.Event()

    class Silent:
        def read(self) -> tuple[bool, Image | None]:
            never.wait(timeout=10)
            return False, None

        def send(self, frame: Image) -> None:
            raise AssertionError

    with pytest.raises(CameraError, match="no picture"):
        run(Silent(), Silent(), make_pipeline(world), look_of(tint))
    never.set()


def test_the_camera_is_not_read_after_the_end(
    world: World, make_pipeline: Callable[[World], Pipeline], tint: Settings
) -> None:
    class Endless:
        ended = threading.Event()

        def read(self) -> tuple[bool, Image | None]:
            self.ended.wait(timeout=0.002)
            return (False, None) if self.ended.is_set() else (True, world.picture())

        def send(self, frame: Image) -> None:
            raise KeyboardInterrupt

    endless, before = Endless(), set(threading.enumerate())
    try:
        with pytest.raises(KeyboardInterrupt):
            run(endless, endless, make_pipeline(world), look_of(tint))
        assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "camera"]
    finally:
        endless.ended.set()


def test_a_camera_has_no_negative_number(capsys: pytest.CaptureFixture[str]) -> None:
    """OpenCV ends the process for one where there is no camera."""
    with pytest.raises(SystemExit):
        camera.main(["--device", "-1"])
    assert "invalid whole number from 0 value: '-1'" in capsys.readouterr().err


def test_cameras_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert camera.main(["--list"]) == 0
    assert re.search(r"^(no camera|--device \d+: )", capsys.readouterr().out)


def test_a_virtual_camera_is_told_from_a_real_one(tmp_path: Path) -> None:
    device = tmp_path / "devices" / "virtual" / "video4linux" / "video9"
    device.mkdir(parents=True)
    (device / "name").write_text("Latentcam\n")
    assert camera._linux_camera(device) == "--device 9: virtual camera 'Latentcam' (/dev/video9)"


def test_a_camera_that_turns_keeps_the_virtual_cameras_size(
    world: World, make_pipeline: Callable[[World], Pipeline], tint: Settings
) -> None:
    world.people = []
    sizes = [(640, 480), (1280, 720), (720, 1280), (641, 361), (640, 480)]

    class Turning(Film):
        def read(self) -> tuple[bool, Image | None]:
            self.ready.acquire(timeout=10)
            self.left -= 1
            if self.left < 0:
                return False, None
            width, height = sizes[-1 - self.left]
            return True, np.full((height, width, 3), 90, np.uint8)

    film = Turning(world, len(sizes))
    assert run(film, film, make_pipeline(world), look_of(tint)) == len(sizes)
    assert {frame.shape for frame in film.sent} == {(480, 640, 3)}
    upright = film.sent[2]
    assert (upright[:, 320] == 90).all()
    assert (upright[:, :180] == 0).all()
    assert (upright[:, -180:] == 0).all()
    assert (film.sent[1][240] == 90).all()
    assert (film.sent[1][:50] == 0).all()
