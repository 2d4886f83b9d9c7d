"""A browser for the page's modules."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e import browser as chromium

WEB = Path(__file__).resolve().parent.parent.parent / "web"


class Quiet(SimpleHTTPRequestHandler):
    """Serves the page's files; every other path is an empty page to import them into."""

    def do_GET(self) -> None:
        if self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>modules</title><main></main>")
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def blank() -> Iterator[Page]:
    """An empty page from which the modules can be imported."""
    if chromium.find() is None:
        pytest.skip(chromium.INSTALL_HINT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=WEB)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with sync_playwright() as playwright, chromium.launched(playwright, None) as browser:
                page = browser.new_page()
                page.set_default_timeout(60_000)
                page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
                yield page
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fresh(blank: Page) -> Page:
    """The same page, loaded anew and without memory: what a module keeps doing ends with the test."""
    blank.evaluate("localStorage.clear()")
    blank.reload()
    return blank
