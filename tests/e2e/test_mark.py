"""From a camera through the server to who watches, into a file, and to the detector; and the page's own answer."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Playwright, expect

from stream.mark import __main__ as command
from stream.mark.claims import verify
from stream.mark.identity import VARIABLE, load_identity
from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.conftest import fresh_page
from tests.e2e.driver import go_live, set_value, wait_until_edited
from tests.e2e.service import Service

STREAM = "marked"
RECORD_S = 6

RECORD_JS = """
async (seconds) => {
  const recorder = new MediaRecorder(document.getElementById("edited").srcObject, { videoBitsPerSecond: 2_500_000 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  recorder.stop();
  await stopped;
  const reader = new FileReader();
  const read = new Promise((resolve) => { reader.onload = resolve; });
  reader.readAsDataURL(new Blob(parts));
  await read;
  return reader.result.split(",")[1];
}
"""


def test_what_a_viewer_records_says_that_it_is_edited(
    playwright: Playwright, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.pem"))
    near = replace(fake_camera.astronaut(), height=190, sway=0.3)
    clip = fake_camera.write_clip(tmp_path / "camera.mjpeg", 640, 480, near, 90, counted=False)
    recorded, shot = tmp_path / "viewer.webm", tmp_path / "snapshot.png"
    with (
        Service(log=tmp_path / "log.txt") as service,
        chromium.launched(playwright, clip) as browser,
        fresh_page(browser) as sender,
        fresh_page(browser) as viewer,
    ):
        sender.add_init_script(f"localStorage.setItem('latentcam', JSON.stringify({{ output: '{STREAM}' }}))")
        go_live(sender, service.url)
        set_value(sender, "age", 75)
        wait_until_edited(sender)
        viewer.goto(f"{service.url}/?view=output&stream={STREAM}")
        viewer.wait_for_function("() => document.getElementById('edited').videoWidth > 0")
        recorded.write_bytes(b64decode(viewer.evaluate(RECORD_JS, RECORD_S)))
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

        # the same file dropped into the page gets the same answer; a picture of nobody gets another one
        cv2.imwrite(str(shot), np.full((240, 320, 3), 127, np.uint8))
        sender.locator("#fold-marks").evaluate("(details) => { details.open = true; }")
        sender.locator("#marks-file").set_input_files(str(recorded))
        expect(sender.locator("#marks-answer")).to_contain_text(operator)
        sender.locator("#marks-file").set_input_files(str(shot))
        expect(sender.locator("#marks-answer")).to_contain_text("No face was found")
