"""What a person meets: small things that are plainly right or wrong."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.conftest import Clips, fresh_page
from tests.e2e.driver import go_live, set_value, small_targets
from tests.e2e.service import Service


@pytest.fixture(scope="module")
def group(playwright: Playwright, clips: Clips) -> Iterator[Browser]:
    """A browser whose camera shows several people."""
    with chromium.launched(playwright, clips("group")) as running:
        yield running


def test_the_page_says_why_nothing_is_edited(page: Page, service: Service) -> None:
    go_live(page, service.url)
    idle = page.locator("#idle")
    expect(idle).to_have_text("Nothing is edited: no control is moved.")
    page.get_by_role("button", name="20 years older").click()
    expect(idle).to_be_empty()
    page.get_by_role("button", name="Reset all").click()
    page.locator("#picker > summary").click()
    page.locator(".editor", has_text="Child of two").click()
    expect(idle).to_contain_text("choose a photo")
    expect(page.locator('[data-name="genes"] .help').last).to_have_text("Choose a photo first.")


def test_an_own_colour_acts_at_once(page: Page, service: Service) -> None:
    go_live(page, service.url)
    page.locator("#picker > summary").click()
    page.locator(".editor", has_text="Hair colour").click()
    set_amount = page.locator('[data-name="amount"] input[type=range]')
    expect(set_amount).to_be_disabled()
    page.locator("#control-custom").fill("#30a040")
    expect(page.locator("#control-colour")).to_have_value("custom")
    expect(set_amount).to_be_enabled()
    expect(page.locator("#idle")).to_be_empty()
    set_value(page, "amount", 0)
    expect(page.locator("#idle")).to_have_text("Nothing is edited: Amount is 0.")
    page.locator("#control-colour").select_option("red")
    expect(page.locator("#idle")).to_be_empty()


def test_the_mark_is_readable_in_the_mirrored_view(page: Page, service: Service) -> None:
    go_live(page, service.url)
    set_value(page, "bald", 1)
    page.locator("#fold-faces").evaluate("(details) => { details.open = true; }")
    page.locator("#control-label").select_option("badge")
    mark = page.locator("#mark")
    expect(mark).to_be_visible()
    turns = [
        page.locator(one).evaluate("(element) => new DOMMatrix(getComputedStyle(element).transform).a")
        for one in ("#flip", "#mark")
    ]
    assert turns == [-1, -1], "turned twice: as others see it"
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "mark.png")
    page.locator("#mirror").click()
    expect(mark).to_be_hidden()


def test_one_person_shows_who_is_edited_before_a_choice(group: Browser, service: Service) -> None:
    with fresh_page(group) as page:
        go_live(page, service.url)
        set_value(page, "bald", 1)
        page.locator("#fold-faces").evaluate("(details) => { details.open = true; }")
        page.get_by_role("radio", name="One person").check()
        edited = page.locator(".face[aria-pressed=true]")
        expect(edited).to_have_count(1)
        expect(edited).to_have_text("Editing this person")
        expect(page.locator(".face[aria-pressed=false]").first).to_be_visible()


def test_a_camera_that_gives_less_says_so(page: Page, service: Service) -> None:
    go_live(page, service.url)
    page.evaluate(
        """() => {
          const camera = MediaStreamTrack.prototype;
          const given = camera.getSettings;
          camera.getSettings = function () { return { ...given.call(this), width: 640, height: 480 }; };
          document.getElementById("fold-camera").open = true;
        }"""
    )
    page.locator("#resolution").select_option("1920x1080")
    expect(page.locator("#resolution-help")).to_have_text("This camera gives 640 × 480, not 1920 × 1080.")
    page.locator("#resolution").select_option("640x480")
    expect(page.locator("#resolution-help")).to_contain_text("Higher is sharper")


def test_the_page_goes_on_when_the_camera_is_allowed(playwright: Playwright, service: Service, clips: Clips) -> None:
    """Whoever says no first, and yes later, need not press anything in the page."""
    with chromium.launched(playwright, clips("astronaut"), allowed=False) as browser, fresh_page(browser) as page:
        page.goto(service.url + "/?autostart=1")
        expect(page.locator("body")).to_have_attribute("data-state", "denied")
        page.context.grant_permissions(["camera"], origin=service.url)
        expect(page.locator("body")).to_have_attribute("data-state", "live")


def test_the_output_is_empty_when_the_page_stops(browser: Browser, service: Service) -> None:
    with fresh_page(browser) as page, fresh_page(browser) as audience:
        page.goto(service.url)
        page.evaluate("""localStorage.setItem("latentcam", JSON.stringify({ output: "studio" }))""")
        go_live(page, service.url)
        audience.goto(service.url + "/?view=output&stream=studio")
        shows = "document.getElementById('edited').videoWidth > 0"
        audience.wait_for_function(f"() => {shows}")
        page.get_by_role("button", name="Stop").click()
        audience.wait_for_function("() => document.getElementById('edited').srcObject === null")
        page.get_by_role("button", name="Start camera").click()
        audience.wait_for_function(f"() => {shows}")


def test_a_silent_server_is_noticed_before_it_counts_as_lost(browser: Browser, tmp_path: Path) -> None:
    with Service(log=tmp_path / "log.txt") as service, fresh_page(browser) as page:
        go_live(page, service.url)
        states = page.evaluate_handle(
            """() => {
              const states = [];
              const note = () => states.push(document.body.dataset.state);
              new MutationObserver(note).observe(document.body, { attributeFilter: ["data-state"] });
              return states;
            }"""
        )
        os.kill(service.pid, signal.SIGSTOP)
        try:
            expect(page.locator("body")).to_have_attribute("data-state", "silent")
        finally:
            os.kill(service.pid, signal.SIGCONT)
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        assert states.json_value()[0] == "silent"
        service.kill()
        page.wait_for_function("() => document.body.dataset.state === 'lost'")
        assert "silent" in states.json_value()[1:] or states.json_value()[-1] == "lost"


def test_looks_combine(page: Page, service: Service) -> None:
    go_live(page, service.url)
    page.get_by_role("button", name="20 years older").click()
    page.locator("#picker > summary").click()
    page.locator(".editor", has_text="Hair colour").click()
    page.get_by_role("button", name="Red", exact=True).click()
    together = page.locator("#layers-chips .chip")
    expect(together).to_have_text("Age, hair loss, smile")
    costs = page.locator("#layer-costs tbody tr")
    expect(costs).to_have_count(2)
    expect(costs.filter(has_text="Hair colour")).to_have_text(re.compile(r"^Hair colour\d+\.\d ms\d+\.\d ms$"))
    page.get_by_role("button", name="Save current").click()
    page.get_by_label("Name of the preset").fill("Red and older")
    page.keyboard.press("Enter")
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(together).to_have_text("Age, hair loss, smile")
    page.get_by_role("button", name="Reset all").click()
    expect(page.locator("#layers")).to_be_hidden()
    page.get_by_role("button", name="Red and older", exact=True).click()
    expect(together).to_have_count(1)
    together.click()
    expect(page.locator("#editor-title")).to_have_text("Age, hair loss, smile")
    expect(page.locator('#controls .control[data-name="age"] .value')).to_have_value("+20")
    page.get_by_role("button", name="Take off Hair colour").click()
    expect(page.locator("#layers")).to_be_hidden()


def test_a_look_can_be_undone(page: Page, service: Service) -> None:
    go_live(page, service.url)
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    page.get_by_role("button", name="Bald", exact=True).click()
    bald = page.locator('#controls .control[data-name="bald"] .value')
    expect(bald).to_have_value("1.00")
    page.keyboard.press("Control+z")
    expect(bald).to_have_value("0.00")
    expect(undo).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    expect(bald).to_have_value("1.00")
    expect(redo).to_be_disabled()


def test_a_picture_does_in_place_of_a_camera(playwright: Playwright, service: Service, tmp_path: Path) -> None:
    face = fake_camera.astronaut()
    clip = fake_camera.write_clip(tmp_path / "clip.mjpeg", 640, 480, face, 1, counted=False)
    with av.open(str(clip)) as film:
        cv2.imwrite(str(tmp_path / "face.png"), next(film.decode(video=0)).to_ndarray(format="bgr24"))
    (tmp_path / "text.png").write_text("no picture")
    with chromium.launched(playwright, None) as browser, fresh_page(browser) as page:
        page.goto(service.url)
        page.locator("#try-file").set_input_files(tmp_path / "text.png")
        expect(page.locator("body")).to_have_attribute("data-state", "bad-file")
        expect(page.get_by_role("button", name="Try with a picture or clip")).to_be_visible()
        page.locator("#try-file").set_input_files(tmp_path / "face.png")
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        assert page.evaluate("document.getElementById('edited').videoWidth") == 640
        expect(page.locator("#picture")).to_have_attribute("data-mirror", "false")
        page.get_by_role("button", name="Bald", exact=True).click()
        expect(page.locator("#layer-costs")).to_contain_text("Age, hair loss, smile")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("body")).to_have_attribute("data-state", "start")


def test_looks_are_shown_on_ones_own_face(browser: Browser, service: Service) -> None:
    with fresh_page(browser, looks=True) as page:
        go_live(page, service.url)
        looks = page.locator("#looks .thumbnail")
        expect(looks.first).to_have_text("Original")
        expect(looks.first).to_have_attribute("aria-pressed", "true")
        bald = page.locator("#looks").get_by_role("button", name="Bald", exact=True)
        bald.click()
        expect(bald).to_have_attribute("aria-pressed", "true")
        red = page.locator("#looks").get_by_role("button", name="Red", exact=True)
        red.click()
        expect(red).to_have_attribute("aria-pressed", "true")
        expect(bald).to_have_attribute("aria-pressed", "true")
        bald.click()
        expect(bald).to_have_attribute("aria-pressed", "false")
        looks.first.click()
        expect(page.locator("#layers")).to_be_hidden()


def test_an_output_says_what_is_wrong_until_it_has_shown_something(browser: Browser, service: Service) -> None:
    with fresh_page(browser) as page, fresh_page(browser) as audience:
        audience.goto(service.url + "/?view=output&stream=set-up")
        card = audience.locator("#state")
        expect(card).to_contain_text("Nobody sends this stream")
        page.goto(service.url)
        page.evaluate("""localStorage.setItem("latentcam", JSON.stringify({ output: "set-up" }))""")
        go_live(page, service.url)
        expect(card).to_be_hidden()
        expect(audience.locator("#edited")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(audience.locator("body")).to_have_attribute("data-state", "output-unknown")
        expect(card).to_be_hidden()
        assert audience.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgba(0, 0, 0, 0)"


def test_the_first_look_is_a_demo_and_the_keys_are_listed(page: Page, service: Service) -> None:
    page.goto(service.url)
    demo = page.get_by_role("button", name="Play the demo")
    demo.click()  # the page of the tests asks for less motion, so it waits
    page.wait_for_function("() => document.querySelector('#demo video').currentTime > 0")
    expect(page.get_by_role("button", name="Pause the demo")).to_be_visible()
    page.keyboard.press("?")
    keys = page.locator("#shortcuts")
    expect(keys).to_contain_text("Snapshot")
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "keys.png")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.locator("#fold-call > summary").click()
    page.locator("label[for=output]").click()
    expect(page.locator("#call-steps")).to_contain_text("1280")
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "call.png")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(demo).to_be_hidden()


def transparent_shot(page: Page) -> NDArray[np.uint8]:
    """(H, W, 4) uint8 BGRA of the page, with the browser's own white left out."""
    data = np.frombuffer(page.screenshot(omit_background=True), np.uint8)
    shot = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert shot is not None
    return np.asarray(shot if shot.shape[2] == 4 else cv2.cvtColor(shot, cv2.COLOR_BGR2BGRA), np.uint8)


def test_an_output_fills_the_window_where_that_is_asked_for(browser: Browser, service: Service) -> None:
    """A 4:3 camera in the 16:9 source of OBS: whole over what lies behind, cropped, or with black beside it."""
    size = 1280, 720
    with fresh_page(browser) as page:
        page.goto(service.url)
        page.evaluate("""localStorage.setItem("latentcam", JSON.stringify({ output: "shaped" }))""")
        go_live(page, service.url)
        page.locator("#fold-call").evaluate("(details) => { details.open = true; }")
        address = page.locator("#output-address")
        expect(address).to_have_value(re.compile("stream=shaped$"))
        for fit, beside in (("fill", 255), ("bars", 255), ("whole", 0)):
            page.locator(f"#fit input[value={fit}]").check(force=True)
            expect(page.locator("#fit-help")).not_to_be_empty()
            with fresh_page(browser, *size) as audience:
                audience.goto(address.input_value())
                audience.wait_for_function("() => document.getElementById('edited').videoWidth > 0")
                expect(audience.locator("#edited")).to_be_visible()
                shot = transparent_shot(audience)
                assert (shot[300:400, 5:100, 3] == beside).all(), fit
                assert (shot[300:400, 5:100, :3].max() > 40) is np.bool_(fit == "fill"), fit
                if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
                    audience.screenshot(path=Path(folder) / f"output-{fit}.png")
        page.locator("#fit input[value=fill]").check(force=True)
        page.locator("#call-way input[value=linux]").check(force=True)
        expect(page.locator("#call-steps")).to_contain_text("--fit fill")
        if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / "call-fit.png")


def test_the_default_resolution_is_said_before_the_camera_starts(page: Page, service: Service) -> None:
    page.goto(service.url)
    help_line = page.locator("#resolution-help")
    expect(help_line).to_have_text("1280 × 720 where camera and machine keep up, else 640 × 480.")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    expect(help_line).to_contain_text("This camera gives 640 × 480.")


MORE_STATS_JS = """() => {
  const { addEventListener } = RTCDataChannel.prototype;
  RTCDataChannel.prototype.addEventListener = function (type, listener, options) {
    const more = ({ data }) => {
      const message = JSON.parse(data);
      listener({ data: JSON.stringify(message.type === "stats" ? { ...message, ...window.moreStats } : message) });
    };
    return addEventListener.call(this, type, type === "message" ? more : listener, options);
  };
}"""
"""Lets the server's figures say what `window.moreStats` says."""


def test_a_control_says_what_the_face_lacks(page: Page, service: Service) -> None:
    """No silent no-op: what the server says of a face without hair stands at the control, and goes with it."""
    page.add_init_script(f"({MORE_STATS_JS})()")
    go_live(page, service.url)
    page.get_by_role("button", name="Bald", exact=True).click()
    page.evaluate("window.moreStats = { obstacles: { embedded: { bald: 'no hair is seen', smile: 'nobody asked' } } }")
    lack = page.locator('#controls .control[data-name="bald"] .obstacle')
    expect(lack).to_have_text("No hair is seen.")
    expect(page.locator('#controls .control[data-name="smile"] .obstacle')).to_be_empty()
    if folder := os.environ.get("LATENTCAM_SCREENSHOTS"):
        lack.scroll_into_view_if_needed()
        page.screenshot(path=Path(folder) / "obstacle.png")
    page.locator("#picker > summary").click()
    page.locator(".editor", has_text="Hair colour").click()
    page.get_by_role("button", name="Red", exact=True).click()
    expect(page.locator("#idle")).to_have_text("Age, hair loss, smile: no hair is seen.")
    page.get_by_role("button", name="Take off Age, hair loss, smile").click()
    expect(page.locator("#idle")).to_be_empty()


@pytest.mark.parametrize(("touch", "least"), [(True, 44), (False, 24)])
def test_everything_that_is_pressed_is_large_enough(
    browser: Browser, service: Service, touch: bool, least: int
) -> None:
    """44 pixels for a finger, 24 for a mouse (WCAG 2.2, 2.5.5 and 2.5.8), and nothing is pushed out of the page."""

    def check(what: str) -> None:
        for width, height in ((375, 667), (667, 375), (390, 844), (1280, 720)):
            page.set_viewport_size({"width": width, "height": height})
            assert small_targets(page, least) == [], f"{what}, {width} x {height}"
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width
            assert page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(panel)") == 0

    with fresh_page(browser, touch=touch) as page:
        page.goto(service.url)
        expect(page.locator("#control-age")).to_be_attached()
        assert page.evaluate("matchMedia('(pointer: coarse)').matches") is touch
        check("before the camera")
        set_value(page, "age", 75)
        page.get_by_role("button", name="Save current").click()
        page.get_by_label("Name of the preset").fill("Older")
        page.keyboard.press("Enter")
        page.locator("#picker > summary").click()
        page.locator(".editor", has_text="Hair colour").click()
        page.get_by_role("button", name="Red", exact=True).click()
        page.locator("#control-custom").fill("#30a040")
        # What is shown while it is live, without the work.
        page.evaluate(
            """() => {
              document.body.dataset.state = "live";
              document.getElementById("state").hidden = true;
              const shown = ["readout", "stop", "strip", "recording", "divider", "stats-body"];
              for (const id of shown) document.getElementById(id).hidden = false;
              document.getElementById("readout").textContent = "28 fps";
              for (const details of document.querySelectorAll("details")) details.open = true;
            }"""
        )
        page.locator("label[for=output]").click()
        page.locator("#call-way input[value=linux]").check(force=True)
        check("live")
        page.get_by_role("button", name="All editors in a gallery").click()
        expect(page.locator("#gallery .gallery-card").first).to_be_visible()
        check("the gallery")
        page.keyboard.press("Escape")
        page.locator(".get").first.click()
        expect(page.locator("#weights .files")).to_be_visible()
        check("the weights")
