"""The server, the browser and the cameras of the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.service import Service

WAIT_MS = 120_000
"""For anything that is waited for: a slow machine under load is not a failure."""
LOOP = 5 * fake_camera.SLOW_FPS
"""Frames of the clips' loop: five seconds, so that the same frame comes back soon."""

# Ten looks of one face take the server seconds, and every page asks for them: most get a row of the original alone.
NO_LOOKS_JS = """
const ask = window.fetch;
window.fetch = (path, init) => String(path).startsWith("looks?")
  ? Promise.resolve(Response.json({ looks: [{ editor: "", title: "Original", controls: {} }], image: "data:," }))
  : ask(path, init);
"""

Clips = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test of this folder a second try, which the report shows: browser, server and cameras share two cores."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Gives the clip of a scene ("astronaut", "group", "nobody"); made when first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def clip(name: str, width: int = 640, height: int = 480) -> Path:
        path = folder / f"{name}-{width}x{height}.y4m"
        if not path.exists():
            fake_camera.write_clip(path, width, height, getattr(fake_camera, name)(), LOOP)
        return path

    return clip


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    if chromium.find() is None:
        pytest.skip(chromium.INSTALL_HINT)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that all tests of this folder share; those that end it or fill it start their own."""
    with Service(log=tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright, clips: Clips) -> Iterator[Browser]:
    """A browser whose camera shows one person."""
    with chromium.launched(playwright, clips("astronaut")) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without memory; an error in its scripts fails the test."""
    with fresh_page(browser) as opened:
        yield opened


class fresh_page(AbstractContextManager[Page]):
    """A page in a context of its own.

    Args:
        browser: that it is in.
        width: of its window, in pixels.
        height: of its window, in pixels.
        touch: whether it is pressed by fingers.
        looks: whether the server draws the looks on the camera's face.
    """

    def __init__(
        self, browser: Browser, width: int = 1280, height: int = 800, *, touch: bool = False, looks: bool = False
    ) -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, has_touch=touch, reduced_motion="reduce"
        )
        self._context.set_default_timeout(WAIT_MS)
        if not looks:
            self._context.add_init_script(NO_LOOKS_JS)
        self._errors: list[str] = []

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", lambda line: self._errors.append(line.text) if "Content Security" in line.text else None)
        return page

    def __exit__(self, *_: object) -> None:
        self._context.close()
        assert not self._errors
