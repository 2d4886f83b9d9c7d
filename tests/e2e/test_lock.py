"""Locking an editor to the caller in the page: snapshot, progress, cancel, lock, end of the session."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, Route, expect

from models.entry import weights_folder
from tests.e2e.conftest import WAIT_MS, fresh_page
from tests.e2e.driver import go_live, set_value
from tests.e2e.hasty import STEPS
from tests.e2e.service import Service
from tests.models import tiny

EDITOR = "stylegan1"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that finds the editor's converted weights where its user's lie."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.shrink(patch)
        tiny.ready(EDITOR)
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with Service(log=log, program=("-m", "tests.e2e.hasty")) as running:
        yield running
    shutil.rmtree(weights_folder(), ignore_errors=True)


class Told:
    """What the server answers about locks."""

    def __init__(self, page: Page) -> None:
        self.answers: list[tuple[str, int, dict[str, Any]]] = []
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if "/locks" in response.url:
            body = response.json() if response.status in (200, 202) else {}
            self.answers.append((response.request.method, response.status, body))

    def states(self) -> list[str]:
        return [body["state"] for _, _, body in self.answers if body]

    def last_id(self) -> str:
        return [body["id"] for _, _, body in self.answers if body][-1]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that has the looks drawn: the server refuses a snapshot meanwhile."""
    with fresh_page(browser, looks=True) as opened:
        yield opened


def test_a_snapshot_is_locked_until_the_session_ends(page: Page, service: Service) -> None:
    told = Told(page)
    go_live(page, service.url)
    choose_editor(page)
    panel = page.locator(".latent-lock")
    lock = panel.get_by_role("button", name="Lock to me")
    progress = panel.get_by_role("progressbar", name="Reading your face")

    # A snapshot that is cancelled is forgotten by the server too. Its progress is held back: it is not over yet.
    page.route(re.compile("/locks/[0-9a-f]+"), hold_progress)
    # While the server draws the looks, it refuses the snapshot, and the page sends it again.
    with page.expect_response(lambda answer: "/locks" in answer.url and answer.status == 202):
        lock.click()
    expect(progress).to_be_visible()
    with page.expect_response(lambda response: response.request.method == "DELETE") as deleted:
        panel.get_by_role("button", name="Cancel").click()
    assert deleted.value.status == 204
    expect(progress).to_be_hidden()
    page.unroute_all(behavior="ignoreErrors")
    wait_until_forgotten(page, service, told.last_id())

    # A lock is the server's answer to the setting, and unlocking takes it back.
    lock.click()
    expect(panel.get_by_role("status")).to_contain_text("Locked to you")
    own = told.last_id()
    assert told.states()[-1] == "done"
    assert told.answers[-1][2]["step"] == told.answers[-1][2]["steps"] == STEPS
    assert is_there(page, service, own)
    panel.get_by_role("button", name="Unlock").click()
    expect(lock).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)  # nothing was refused
    wait_until_forgotten(page, service, own)

    # What is locked is forgotten with the session.
    lock.click()
    expect(panel.get_by_role("status")).to_contain_text("Locked to you")
    own = told.last_id()
    assert is_there(page, service, own)
    page.get_by_role("button", name="Stop").click()
    expect(panel.get_by_role("status")).to_contain_text("Draws you more closely")
    wait_until_forgotten(page, service, own)
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(lock).to_be_enabled()


def hold_progress(route: Route) -> None:
    """Leave questions about a lock without an answer."""
    if route.request.method != "GET":
        route.continue_()


def choose_editor(page: Page) -> None:
    """The editor that is locked, its drawing shown whole."""
    page.locator("#picker > summary").click()
    page.locator("#picker details.others").evaluate("(details) => { details.open = true; }")
    page.locator(f'.editor:has(input[value="{EDITOR}"])').click()
    set_value(page, "smile", 0.1)
    page.locator("#control-detail").select_option("full")


def is_there(page: Page, service: Service, id: str) -> bool:
    """Whether the server has a lock of this id."""
    return page.request.get(f"{service.url}/locks/{id}").status == 200


def wait_until_forgotten(page: Page, service: Service, id: str) -> None:
    """Wait until the server has no lock of this id."""
    for _ in range(WAIT_MS // 100):
        if not is_there(page, service, id):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the server still has {id}")
