"""Getting an editor's weights with a click, from a file server on this machine."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Playwright, expect

from models.editor import Controls
from models.entry import Entry, Weights
from models.weights.downloads import Downloads
from signaling.app import create_app
from signaling.settings import ServerSettings
from stream.locks import Locks
from stream.networks import EngineInfo
from tests.e2e import browser as chromium
from tests.e2e.conftest import fresh_page
from tests.file_server import DATA, SHA256, Server, listening
from tests.models.editing import no_editor

LICENCE = "MIT; its pictures under CC BY-NC 4.0 (not for commercial use)"


class NoEngines:
    """What the page asks a runtime for before anybody goes live."""

    def __init__(self, row: Entry) -> None:
        self.entries = {row.name: row}
        self.speeds: dict[str, float] = {}
        self.locks = Locks()

    def engines(self) -> list[EngineInfo]:
        return []

    def controls_model(self, name: str) -> type[Controls]:
        return Controls


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium.launched(playwright, None) as running:
        yield running


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as state:
        yield state


@pytest.fixture
def url(tmp_path: Path, files: Server) -> Iterator[str]:
    weights = Weights(tmp_path / "weights.bin", LICENCE, "github.com/a/test", len(DATA), SHA256, (files.url,))
    row = Entry(
        name="net",
        title="A network",
        description="Does nothing.",
        controls=lambda: Controls,
        load=no_editor,
        weights=(weights,),
    )
    app = create_app(ServerSettings(), NoEngines(row), Downloads({"net": row}))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    ends_at = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with fresh_page(browser) as opened:
        yield opened


def test_licence_click_progress_cancel_and_ready(page: Page, url: str, files: Server) -> None:
    page.goto(url)
    page.locator("#picker > summary").click()
    expect(page.locator(".badge")).to_have_text("Needs weights")
    page.get_by_role("button", name="Get A network").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(LICENCE)
    expect(dialog).to_contain_text("About 1.0 MB are fetched. ")
    expect(dialog).to_contain_text("are free there.")
    terms = dialog.locator(".terms")
    expect(terms.locator("summary strong")).to_have_text(["MIT", "CC BY-NC 4.0"])
    terms.first.locator("summary").click()
    expect(terms.first.locator("pre")).to_contain_text("Permission is hereby granted")
    terms.last.locator("summary").click()
    expect(terms.last.get_by_role("link")).to_have_attribute("href", re.compile("^https://creativecommons.org/"))
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "licence.png")
    source = dialog.get_by_role("link", name="github.com/a/test")
    expect(source).to_have_attribute("href", "https://github.com/a/test")
    get = dialog.get_by_role("button", name="Get it (1.0 MB)")
    expect(get).to_be_disabled()
    assert files.ranges == []

    files.gate = threading.Event()
    dialog.get_by_role("checkbox").check()
    get.click()
    expect(dialog).to_contain_text("weights.bin: 0.5 MB of 1.0 MB")
    dialog.get_by_role("button", name="Cancel").click()
    go_on = dialog.get_by_role("button", name="Go on")
    expect(go_on).to_be_visible()

    files.gate.set()
    dialog.get_by_role("checkbox").check()
    go_on.click()
    expect(dialog).to_contain_text("It is ready")
    dialog.get_by_role("button", name="Done").click()
    expect(page.locator(".badge")).to_have_text("Ready")
    expect(page.locator(".editor input")).to_be_enabled()


def test_a_failure_is_told(page: Page, url: str, files: Server) -> None:
    files.body = b"something else" * 1000
    page.goto(url)
    page.locator("#picker > summary").click()
    page.get_by_role("button", name="Get A network").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Get it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("sha256")
    expect(dialog.get_by_role("button", name="Try again")).to_be_visible()
