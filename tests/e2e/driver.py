"""What the end-to-end tests do with a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.e2e.fake_camera import READ_COUNTER_JS

Floats = NDArray[np.float32]

# Compare frames of the same number: `remember(n)` keeps n frames, `compare(n)` gives the mean absolute difference per
# pixel between n later frames and the remembered ones of the same number, in rows.
COMPARE_JS = (
    f"() => {{ const counter = {READ_COUNTER_JS};"
    + """
  const WIDTH = 160, HEIGHT = 120, PATIENCE_MS = 60_000;
  const video = document.getElementById("edited");
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const kept = new Map();
  const each = (wanted, onFrame) => new Promise((resolve, reject) => {
    const seen = new Set();
    setTimeout(() => reject(new Error(`only ${seen.size} of ${wanted} frames with a readable counter`)), PATIENCE_MS);
    const step = () => {
      const number = counter(video);
      if (number !== null) {
        context.drawImage(video, 0, 0, WIDTH, HEIGHT);
        if (onFrame(number, context.getImageData(0, 0, WIDTH, HEIGHT).data)) seen.add(number);
      }
      if (seen.size >= wanted) resolve([...seen]);
      else video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  });
  window.remember = (count) => {
    kept.clear();
    return each(count, (number, data) => kept.set(number, data.slice()));
  };
  window.compare = async (count) => {
    const sum = new Float64Array(WIDTH * HEIGHT);
    let frames = 0;
    await each(count, (number, data) => {
      const before = kept.get(number);
      if (!before) return false;
      for (let i = 0; i < sum.length; i += 1) {
        for (let c = 0; c < 3; c += 1) sum[i] += Math.abs(data[4 * i + c] - before[4 * i + c]) / 3;
      }
      frames += 1;
      return true;
    });
    return { width: WIDTH, height: HEIGHT, values: Array.from(sum, (value) => Math.round((1000 * value) / frames)) };
  };
  window.counter = () => counter(video);
}
"""
)


def go_live(page: Page, url: str, *, path: str = "/?autostart=1") -> None:
    """Open the page and wait for edited video."""
    page.goto(url + path)
    expect(page.locator("body")).to_have_attribute("data-state", "live")


def watch(page: Page) -> None:
    """Load the tools that read frames in the page."""
    page.evaluate(COMPARE_JS)


def remember_frames(page: Page, count: int = 60) -> None:
    """Keep `count` frames of the returned video, to compare later ones with."""
    page.evaluate("(count) => window.remember(count)", count)


def difference(page: Page, count: int = 12) -> Floats:
    """Mean absolute difference of `count` frames from the remembered ones of the same number: (120, 160), 0..255."""
    result = page.evaluate("(count) => window.compare(count)", count)
    values = np.array(result["values"], np.float32) / 1000
    return values.reshape(result["height"], result["width"])


def set_value(page: Page, name: str, value: float) -> None:
    """Type a value into a number control."""
    field = page.locator(f'#controls .control[data-name="{name}"] .value')
    field.fill(str(value))
    field.press("Enter")


def value_of(page: Page, name: str) -> str:
    """What a number control shows."""
    return page.locator(f'#controls .control[data-name="{name}"] .value').input_value()


def wait_until_edited(page: Page) -> None:
    """Wait until the server says that it renders edits."""
    page.locator("#stats").evaluate("(details) => { details.open = true; }")
    expect(page.locator("#delay-stages")).to_contain_text("Render")
