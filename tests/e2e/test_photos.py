"""Photos and the output for OBS, through the real server and a real browser."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, expect
from skimage import data

from tests.e2e.conftest import fresh_page
from tests.e2e.driver import go_live, wait_until_edited
from tests.e2e.service import Service


def test_a_strip_of_the_camera_to_save(page: Page, service: Service, tmp_path: Path) -> None:
    go_live(page, service.url)
    page.get_by_role("button", name="Lifespan").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="Your face at six ages")).to_be_visible()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Save").click()
    download.value.save_as(tmp_path / "strip.jpg")
    strip = cv2.imread(str(tmp_path / "strip.jpg"))
    assert strip is not None
    assert strip.shape[1] > 2 * strip.shape[0]


def choose(page: Page, photo: Path, button: str = "From a photo…") -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button).click()
    chooser.value.set_files(photo)


def test_a_hair_colour_from_a_photo(page: Page, service: Service, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]
    (tmp_path / "text.png").write_text("no picture")
    go_live(page, service.url)
    page.locator("#picker > summary").click()
    page.get_by_role("radio", name="Hair colour").click()
    expect(page.get_by_role("button", name="Lifespan")).to_be_hidden()
    colour = page.locator("#control-custom")
    before = colour.input_value()
    row = page.locator(".control[data-name=custom]")
    choose(page, tmp_path / "text.png")
    expect(row.get_by_role("alert")).to_contain_text("no picture")
    choose(page, tmp_path / "photo.png")
    expect(page.locator("#control-colour")).to_have_value("custom")
    expect(row.locator(".error")).to_be_empty()
    assert colour.input_value() != before


def test_a_second_parent_from_a_photo(page: Page, service: Service, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), data.astronaut()[..., ::-1] // 2)  # type: ignore[no-untyped-call]
    cv2.imwrite(str(tmp_path / "nobody.png"), data.coffee())  # type: ignore[no-untyped-call]
    go_live(page, service.url)
    page.locator("#picker > summary").click()
    page.get_by_role("radio", name="Child of two").click()
    row = page.locator(".control[data-name=photo]")
    choose(page, tmp_path / "nobody.png", "Second parent: Choose a photo…")
    expect(row.get_by_role("alert")).to_contain_text("No face")
    choose(page, tmp_path / "photo.png", "Second parent: Choose a photo…")
    expect(row.locator(".error")).to_be_empty()
    wait_until_edited(page)


def test_settings_outlive_a_server_that_forgets_a_photo(browser: Browser, tmp_path: Path) -> None:
    """The new server does not know the photo: without it, all else is as it was, and nobody is kept out."""
    cv2.imwrite(str(tmp_path / "photo.png"), data.astronaut()[..., ::-1] // 2)  # type: ignore[no-untyped-call]
    settings = "JSON.parse(localStorage.latentcam).settings"
    with Service(log=tmp_path / "first.txt") as first, fresh_page(browser) as page:
        page.add_init_script(
            "localStorage.latentcam ??= JSON.stringify({ settings: { lost: 'blur', smoothing: 0.25, label: 'badge' } })"
        )
        go_live(page, first.url)
        page.locator("#picker > summary").click()
        page.get_by_role("radio", name="Child of two").click()
        choose(page, tmp_path / "photo.png", "Second parent: Choose a photo…")
        wait_until_edited(page)
        first.kill()
        expect(page.locator("#state-title")).to_have_text("Connection lost")
        with Service("--port", str(first.port), log=tmp_path / "second.txt"):
            expect(page.locator("body")).to_have_attribute("data-state", "live")
            expect(page.locator(".control[data-name=photo] .error")).not_to_be_empty()
            kept = page.evaluate(f"() => {settings}")
            assert (kept["lost"], kept["smoothing"], kept["label"]) == ("blur", 0.25, "badge")
            page.close()


def test_obs_shows_the_running_session(page: Page, service: Service, browser: Browser) -> None:
    go_live(page, service.url)
    for fold in ("#fold-camera", "#fold-call"):
        page.locator(f"{fold} > summary").click()
    page.locator("label[for=sound]").click()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    page.locator("label[for=output]").click()
    address = page.locator("#output-address").input_value()
    with fresh_page(browser) as output:
        output.add_init_script("navigator.mediaDevices.getUserMedia = () => { throw new Error('opens a camera'); }")
        output.goto(address)
        output.wait_for_function("() => document.getElementById('edited').videoWidth >= 320")
        assert np.isclose(output.evaluate("() => document.getElementById('edited').clientHeight"), 800, atol=2)
        output.wait_for_function(
            "() => document.getElementById('edited').srcObject.getAudioTracks().some((track) => !track.muted)"
        )
        assert output.evaluate("getComputedStyle(document.getElementById('flip')).transform") == "none"
        # The session goes on under the same name when it was lost.
        page.reload()
        output.wait_for_function("() => document.getElementById('edited').srcObject === null")
        output.wait_for_function(
            "() => document.getElementById('edited').videoWidth >= 320 && !document.getElementById('edited').paused"
        )
