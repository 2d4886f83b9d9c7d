"""The page of `python -m stream.camera`: it steers that camera and has none of its own."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Playwright, expect

from tests.e2e import browser as chromium
from tests.e2e.conftest import fresh_page
from tests.e2e.driver import set_value, value_of, wait_until_edited
from tests.e2e.service import Service


def test_a_page_without_a_camera_steers_the_servers(playwright: Playwright, tmp_path: Path) -> None:
    with (
        Service("--set", "bald=1", log=tmp_path / "log.txt", program=("-m", "tests.e2e.steered")) as service,
        chromium.launched(playwright, None) as browser,
        fresh_page(browser) as page,
        fresh_page(browser, 390, 844, touch=True) as other,
    ):
        page.goto(service.url)
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        assert value_of(page, "bald") == "1.00", "the page takes over what is set"
        expect(page.locator(".top .privacy")).to_have_text("This page steers camera 0, 640 × 480, shown by a stand-in.")
        for hidden in ("#views", "#strip", "#stop", "#fold-camera", "#fold-call"):
            expect(page.locator(hidden)).to_be_hidden()
        set_value(page, "age", 80)
        wait_until_edited(page)
        other.goto(service.url)
        expect(other.locator("body")).to_have_attribute("data-state", "live")
        assert value_of(other, "age") == "80"
        set_value(other, "age", 30)
        expect(page.locator('#controls .control[data-name="age"] .value')).to_have_value("30")
        page.get_by_role("button", name="Snapshot").click()
        expect(page.locator("#toasts")).to_contain_text("Saved")
        if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "steered.png")
            other.screenshot(path=Path(folder) / "steered-phone.png")
        page.reload()
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        assert value_of(page, "age") == "30"
