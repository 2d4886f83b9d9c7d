"""Chromium with a camera that plays a file. `python -m tests.e2e.browser` tells whether there is one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The video goes over 127.0.0.1, the only address that a closed machine has.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    # A page in the background is a page under test all the same.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
)
INSTALL_HINT = "no Chromium: install it (apt-get install chromium) or name one in the environment variable CHROMIUM"


def find() -> str | None:
    """The path of an installed Chromium or Chrome: the environment variable CHROMIUM, or the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in CANDIDATES if (path := shutil.which(name))), None)


@contextmanager
def launched(
    playwright: Playwright, camera: Path | None, *, allowed: bool = True, sound: bool = False
) -> Iterator[Browser]:
    """A running browser.

    Args:
        playwright: from `sync_playwright`.
        camera: the clip its camera plays; None for a machine without a camera.
        allowed: whether it grants the camera to every page; otherwise it denies it.
        sound: whether pages may play sound that nobody asked for.
    """
    arguments = list(QUIET)
    if camera is not None:
        arguments += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    if sound:
        arguments.append("--autoplay-policy=no-user-gesture-required")
    arguments.append("--use-fake-ui-for-media-stream" if allowed else "--deny-permission-prompts")
    browser = playwright.chromium.launch(executable_path=find(), args=["--headless=new", *arguments], headless=True)
    try:
        yield browser
    finally:
        browser.close()


if __name__ == "__main__":
    print(find() or INSTALL_HINT)
    sys.exit(find() is None)
