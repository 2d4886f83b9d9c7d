"""From a camera through the server to who watches, into a file, and to the detector; and the page's own answer."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from signaling.marks import WALL_S
from stream.mark import __main__ as command
from stream.mark.claims import verify
from stream.mark.identity import VARIABLE, load_identity
from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.conftest import WAIT_MS, fresh_page
from tests.e2e.driver import go_live, set_value, wait_until_edited
from tests.e2e.service import Service

STREAM = "marked"
GREY = cv2.imencode(".png", np.full((240, 320, 3), 127, np.uint8))[1].tobytes()
"""A picture of nobody."""
LONG_NAME = "a-name-without-any-place-to-break-" + 80 * "x" + ".txt"
FRAMES = 40
"""Edited frames that the viewer records at least: enough for a face of 200 pixels, however few a second there are."""
RECORDED_S = 6
"""Seconds that it records at least: a fast machine's first frames get few bits each, as a connection begins slowly."""

# Records the stream as a viewer would: as it comes, with the tracks that it has.
RECORD_JS = """
async ([frames, seconds, patience]) => {
  const video = document.getElementById("edited");
  const recorder = new MediaRecorder(video.srcObject, { videoBitsPerSecond: 2_500_000 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start(500);
  const ends = performance.now() + patience;
  const size = () => parts.reduce((sum, { size }) => sum + size, 0);
  while (size() < 1000 && performance.now() < ends) await new Promise((resolve) => setTimeout(resolve, 100));
  const first = video.getVideoPlaybackQuality().totalVideoFrames;
  const seen = () => video.getVideoPlaybackQuality().totalVideoFrames - first;
  const enough = performance.now() + 1000 * seconds;
  const more = () => seen() < frames || performance.now() < enough;
  while (more() && performance.now() < ends) await new Promise((resolve) => setTimeout(resolve, 100));
  recorder.stop();
  await stopped;
  const reader = new FileReader();
  const read = new Promise((resolve) => { reader.onload = resolve; });
  reader.readAsDataURL(new Blob(parts));
  await read;
  return { type: recorder.mimeType, data: reader.result.split(",")[1] };
}
"""
DROP_JS = """
([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.getElementById("marks-file").dispatchEvent(event);
  return event.defaultPrevented;
}
"""


def drop(page: Page, name: str, data: bytes) -> None:
    """Drop a file where the page answers whether it is edited."""
    page.locator("#fold-marks").evaluate("(details) => { details.open = true; }")
    assert page.evaluate(DROP_JS, [name, b64encode(data).decode()]), "otherwise the browser leaves the page"


def test_what_a_viewer_records_says_that_it_is_edited(
    playwright: Playwright, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.pem"))
    near = replace(fake_camera.astronaut(), height=190, sway=0.3)
    clip = fake_camera.write_clip(tmp_path / "camera.y4m", 640, 480, near, 30, counted=False)
    recorded = tmp_path / "viewer.mkv"
    with (
        Service(log=tmp_path / "log.txt") as service,
        chromium.launched(playwright, clip) as browser,
        fresh_page(browser) as sender,
        fresh_page(browser) as viewer,
    ):
        # a server that does not keep up marks some of the frames only, unless it is told to do all of its work
        stored = json.dumps({"output": STREAM, "settings": {"quality": "full"}})
        sender.add_init_script(f"localStorage.setItem('latentcam', {json.dumps(stored)})")
        go_live(sender, service.url)
        set_value(sender, "age", 75)
        wait_until_edited(sender)
        viewer.goto(f"{service.url}/?view=output&stream={STREAM}")
        viewer.wait_for_function("() => document.getElementById('edited').videoWidth > 0")
        recording = viewer.evaluate(RECORD_JS, [FRAMES, RECORDED_S, WAIT_MS])
        recorded.write_bytes(b64decode(recording["data"]))
        claim = httpx.get(f"{service.url}/whep/claim", params={"stream": STREAM})
        identity = load_identity(tmp_path / "key.pem")
        assert identity is not None
        operator = f"{identity.operator:08x}"
        said = verify(claim.content)
        assert said.kinds == frozenset({"age"})
        assert said.public == identity.public

        assert command.main(["detect", str(recorded), "--report"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [(one["kinds"], one["operator"]) for one in found["pixels"]] == [(["age"], operator)]
        if "avc1" in recording["type"]:  # Chromium writes what came, statements and all
            assert [(one["kinds"], one["key"]) for one in found["claims"]] == [(["age"], identity.fingerprint)]
        assert found["refused_claims"] == {}

        viewer.goto("about:blank")
        sender.locator("#stop").click()  # the detector is a process that lets live streams go first
        drop(sender, "from a call.mkv", recorded.read_bytes())
        answer = sender.locator("#marks-answer")
        expect(answer).to_contain_text(f"Edited by AI: age; by installation {operator}", timeout=1.1e3 * WALL_S)
        take_screenshot(sender, "marks-found")


def test_the_page_tells_whether_a_file_is_edited(browser: Browser, service: Service) -> None:
    """Three files, and one on a phone: `FILE_BURST`, so that none has to wait."""
    with fresh_page(browser) as page:
        page.goto(service.url)
        answer = page.locator("#marks-answer")
        drop(page, "nobody.png", GREY)
        expect(answer).to_contain_text("No face was found")
        drop(page, LONG_NAME, b"hello " * 50)
        expect(answer).to_contain_text("neither a picture nor a video")
        choose_file_and_fit(page, 1280)


def test_the_answer_fits_on_a_phone(browser: Browser, service: Service) -> None:
    with fresh_page(browser, 390, 844, touch=True) as page:
        page.goto(service.url)
        page.locator("#fold-marks").evaluate("(details) => { details.open = true; }")
        choose_file_and_fit(page, 390)


def choose_file_and_fit(page: Page, width: int) -> None:
    """Ask about a picture by the button; the answer has its place in a page of this width."""
    page.locator("#marks-file").set_input_files({"name": LONG_NAME, "mimeType": "image/png", "buffer": GREY})
    expect(page.locator("#marks-answer")).to_contain_text("No face was found")
    place = page.locator("#marks").bounding_box()
    assert place is not None
    assert place["x"] + place["width"] <= width
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    take_screenshot(page, f"marks-{width}")


def take_screenshot(page: Page, name: str) -> None:
    """Where LATENTCAM_SCREENSHOTS says, if it says."""
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        page.locator("#marks-answer").scroll_into_view_if_needed()
        page.screenshot(path=Path(folder) / f"{name}.png")
