"""Published editors in the page. Their networks are those of `tests.models.tiny`: small, with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from models import catalog
from models.entry import weights_folder
from tests.e2e.driver import Floats, difference, go_live, remember_frames, watch
from tests.e2e.service import Service
from tests.e2e.test_page import BACKGROUND, HEAD, part
from tests.models import tiny

EDITORS = ("starganv2", "e4e")
"""One that looks at the picture and one of latents; `tests.models.test_published_live` drives the others."""
TRIES = 60
"""Looks at a dozen frames each, while an editor is loaded."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that finds converted weights where its user's lie."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.shrink(patch)
        for name in EDITORS:
            tiny.ready(name)
    with Service(log=tmp_path_factory.mktemp("server") / "log.txt") as running:
        yield running
    shutil.rmtree(weights_folder(), ignore_errors=True)


def test_published_editors_edit_the_face_in_the_page(page: Page, service: Service) -> None:
    go_live(page, service.url)
    watch(page)
    remember_frames(page)
    for name in EDITORS:
        title = catalog.ENTRIES[name].title
        page.locator("#picker > summary").click()
        page.locator("#picker details.others").evaluate("(details) => { details.open = true; }")
        page.locator(f'.editor:has(input[value="{name}"])').click()
        expect(page.locator("#editor-title")).to_have_text(title)
        preset = page.locator("#presets .chip").first
        preset.click()
        expect(preset).to_have_attribute("aria-pressed", "true")
        assert any(lands_on_the_head(difference(page)) for _ in range(TRIES)), title


def lands_on_the_head(change: Floats) -> bool:
    head = float(part(change, HEAD).mean())
    return head > 6 and all(part(change, box).mean() < head / 3 for box in BACKGROUND)
