"""The detector as a command: what it says of marked and unmarked files, and of what is no file at all."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.face.detector import MAX_FACES
from stream import files
from stream.look import Look
from stream.mark import __main__ as command
from stream.mark.detect import FOUND, NOT_FOUND, UNREADABLE, Report, _frames
from stream.mark.reader import Reading
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings

PORTRAIT = Path(__file__).resolve().parents[3] / "docs" / "before-after.webp"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.load(RuntimeSettings(threads=1))
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def look(runtime: Runtime) -> Look:
    return runtime.look(Settings(), {"controls": {"age": 75}})


@pytest.fixture(scope="module")
def portrait() -> Image:
    """The unedited half of the picture in README, (H, W, 3) uint8 BGR."""
    picture = cv2.imread(str(PORTRAIT))
    assert picture is not None
    return np.asarray(picture[:, : picture.shape[1] // 2], np.uint8)


def detect(path: Path | str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    capsys.readouterr()
    status = command.main(["detect", str(path), "--report"])
    return status, json.loads(capsys.readouterr().out)


def test_a_marked_picture_is_found_and_an_unmarked_one_is_not(
    runtime: Runtime, look: Look, portrait: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, marked, crop = tmp_path / "plain.png", tmp_path / "marked.jpg", tmp_path / "crop.jpg"
    cv2.imwrite(str(plain), portrait)
    files.process(plain, marked, runtime, look)
    edited = cv2.imread(str(marked))
    assert edited is not None
    cv2.imwrite(str(crop), cv2.resize(edited[5:, 9:], None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA))
    assert detect(plain, capsys)[0] == NOT_FOUND
    for path in (marked, crop):
        status, report = detect(path, capsys)
        assert status == FOUND
        [pixels] = report["pixels"]
        assert pixels["kinds"] == ["age"]
        assert not pixels["mirrored"]


def test_a_marked_video_is_found_even_in_the_mirror(
    runtime: Runtime, look: Look, portrait: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, marked, mirrored = tmp_path / "plain.mp4", tmp_path / "marked.mp4", tmp_path / "mirrored.mp4"
    write_video(plain, [np.roll(portrait, index // 2, 1) for index in range(16)])
    files.process(plain, marked, runtime, look)
    with av.open(str(marked)) as video:
        shown = [np.asarray(frame.to_ndarray(format="bgr24"))[:, ::-1] for frame in video.decode(video=0)]
    write_video(mirrored, [np.ascontiguousarray(frame, np.uint8) for frame in shown])
    assert detect(plain, capsys)[0] == NOT_FOUND
    status, report = detect(marked, capsys)
    assert (status, report["kind"]) == (FOUND, "video")
    status, report = detect(mirrored, capsys)
    assert status == FOUND
    assert report["pixels"][0]["mirrored"]


def test_what_is_not_marked_says_nothing(
    runtime: Runtime, look: Look, portrait: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, off = tmp_path / "plain.png", tmp_path / "off.png"
    cv2.imwrite(str(plain), portrait)
    unmarked = Look(look.settings.model_copy(update={"mark": False}), look.layers)
    files.process(plain, off, runtime, unmarked)
    assert np.any(cv2.imread(str(off)) != portrait)
    assert detect(off, capsys)[0] == NOT_FOUND


@pytest.mark.parametrize(
    ("suffix", "flags"), [(".mkv", ""), (".mp4", "frag_keyframe+empty_moov"), (".mp4", "faststart")]
)
def test_a_recording_that_is_broken_off_is_read_up_to_there(tmp_path: Path, suffix: str, flags: str) -> None:
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (20, 120, 160, 3), np.uint8)
    write_video(path, list(noise), {"movflags": flags} if flags else {})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    report = Report(path.name, "video", Reading())
    assert 8 <= sum(1 for _ in _frames(path, path.name, 100, report)) < 20


def test_no_face_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((240, 320, 3), 127, np.uint8))
    assert command.main(["detect", str(tmp_path / "grey.png")]) == NOT_FOUND
    assert "No face was found" in capsys.readouterr().out


def test_a_crowd_is_read_as_far_as_it_is_seen(
    portrait: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = cv2.resize(portrait, (90, round(90 * portrait.shape[0] / portrait.shape[1])), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "crowd.png"), np.tile(small, (10, 20, 1)))
    status, report = detect(tmp_path / "crowd.png", capsys)
    assert (status, report["faces"]) == (NOT_FOUND, MAX_FACES)
    assert (
        f"Not more than {MAX_FACES} faces of a picture are looked at, the ones that are seen best." in report["words"]
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.png", None, "No such file"),
        ("empty.mp4", b"", "is empty"),
        ("text.txt", b"hello " * 100, "neither a picture nor a video"),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "damaged or cut off"),
        ("noise.mp4", b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 9, "neither a picture nor a video"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    name: str, content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert command.main(["detect", str(path)]) == UNREADABLE
    said = capsys.readouterr().err
    assert words in said
    assert "returned" not in said, "no words of FFmpeg"


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1/x", "http://127.0.0.1:1/x.png", "http://[bad"])
def test_an_address_that_cannot_be_fetched_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["detect", address]) == UNREADABLE
    assert "error: " in capsys.readouterr().err


def test_an_address_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((240, 320, 3), 127, np.uint8))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        assert command.main(["detect", f"http://127.0.0.1:{port}/grey.png"]) == NOT_FOUND
        assert command.main(["detect", f"http://127.0.0.1:{port}/gone.png"]) == UNREADABLE
        server.shutdown()
    assert "404" in capsys.readouterr().err


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["guess"]) == 2
    assert "usage" in capsys.readouterr().err


def write_video(path: Path, frames: list[Image], options: dict[str, str] | None = None) -> None:
    with av.open(str(path), "w", options=options or {}) as writer:
        stream = writer.add_stream("libx264", rate=25, options={"crf": "16", "preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = (side // 2 * 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            even = np.ascontiguousarray(frame[: stream.height, : stream.width])
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="bgr24")))
        writer.mux(stream.encode(None))
