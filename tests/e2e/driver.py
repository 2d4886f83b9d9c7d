"""What the end-to-end tests do with a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.e2e.fake_camera import READ_COUNTER_JS

Floats = NDArray[np.float32]

# Compare frames of the same number: `remember(n)` keeps n frames, `compare(n)` gives the difference between n later
# frames and those, in rows of blocks. Differences are averaged over blocks and frames before their sign is dropped:
# what a codec adds is noise about zero and goes, what an edit adds stays.
COMPARE_JS = (
    f"() => {{ const counter = {READ_COUNTER_JS};"
    + """
  const WIDTH = 160, HEIGHT = 120, BLOCK = 4, PATIENCE_MS = 120_000;
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
    const columns = WIDTH / BLOCK, rows = HEIGHT / BLOCK;
    const sum = new Float64Array(3 * columns * rows);
    let frames = 0;
    await each(count, (number, data) => {
      const before = kept.get(number);
      if (!before) return false;
      for (let i = 0; i < WIDTH * HEIGHT; i += 1) {
        const block = Math.floor((i % WIDTH) / BLOCK) + columns * Math.floor(i / (WIDTH * BLOCK));
        for (let c = 0; c < 3; c += 1) sum[3 * block + c] += data[4 * i + c] - before[4 * i + c];
      }
      frames += 1;
      return true;
    });
    const scale = 1 / (3 * frames * BLOCK * BLOCK);
    const values = Array.from({ length: columns * rows }, (_, block) =>
      scale * [0, 1, 2].reduce((total, c) => total + Math.abs(sum[3 * block + c]), 0));
    return { columns, rows, values };
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


def remember_frames(page: Page, count: int = 40) -> None:
    """Keep `count` frames of the returned video, to compare later ones with."""
    page.evaluate("(count) => window.remember(count)", count)


def difference(page: Page, count: int = 12) -> Floats:
    """Difference of `count` frames from the remembered ones of the same number, per block: (30, 40), 0..255."""
    result = page.evaluate("(count) => window.compare(count)", count)
    return np.array(result["values"], np.float32).reshape(result["rows"], result["columns"])


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


SMALL_TARGETS_JS = """(least) => {
  const pressed = "a[href]:not(.skip), button, input, select, textarea, summary, [role=slider]";
  const reach = least / 2 - 2; // hit tests round to whole pixels
  const controlAt = (x, y) => {
    const hit = document.elementFromPoint(x, y);
    return hit?.closest(pressed) ?? hit?.closest("label")?.control;
  };
  const withinText = (control) => control.matches("a") && getComputedStyle(control).display === "inline";
  const small = [];
  for (const control of (document.querySelector("dialog[open]") ?? document).querySelectorAll(pressed)) {
    if (!control.checkVisibility({ visibilityProperty: true }) || withinText(control)) continue;
    const label = control.closest("label");
    const target = label?.control === control ? label : control;
    target.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const { left, top, width, height } = target.getBoundingClientRect();
    const [x, y] = [left + width / 2, top + height / 2];
    const around = [[x - reach, y], [x + reach, y], [x, y - reach], [x, y + reach]];
    if (Math.min(width, height) > least - 0.1 && around.every((point) => controlAt(...point) === control)) continue;
    const name = control.id || control.getAttribute("aria-label") || control.textContent.trim() || control.value;
    small.push(`${name}: ${width.toFixed(1)} x ${height.toFixed(1)}`);
  }
  return small;
}"""


def small_targets(page: Page, least: float) -> list[str]:
    """What is shown, can be pressed, and is not at least `least` CSS pixels wide and high, or is partly covered.

    Links within text are left out, as in WCAG 2.2 (2.5.5 and 2.5.8). Where a dialog is open, it alone is looked at.
    """
    return [str(one) for one in page.evaluate(SMALL_TARGETS_JS, least)]
