"""The whole way: camera, browser, server, networks, browser."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Download, Page, Playwright, Route, expect

from tests.e2e import browser as chromium
from tests.e2e import fake_camera
from tests.e2e.conftest import WAIT_MS, Clips, fresh_page
from tests.e2e.driver import difference, go_live, remember_frames, set_value, value_of, wait_until_edited, watch
from tests.e2e.service import Service

# Where the astronaut's head always is, and where it never is, in parts of the picture (y0, y1, x0, x1).
HEAD = (0.3, 0.72, 0.4, 0.6)
BACKGROUND = ((0.2, 0.95, 0.0, 0.14), (0.2, 0.95, 0.86, 1.0))


def part(values: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    height, width = values.shape[:2]
    y0, y1, x0, x1 = box
    return values[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)]


def test_slider_edits_the_face_and_nothing_else(page: Page, service: Service) -> None:
    go_live(page, service.url)
    watch(page)
    assert page.evaluate("window.remember(5)"), "the counter in the returned frames can be read"
    remember_frames(page)
    noise = difference(page)
    set_value(page, "age", 80)
    set_value(page, "bald", 1)
    wait_until_edited(page)
    edited = difference(page)

    background = np.concatenate([part(edited, box).ravel() for box in BACKGROUND])
    head = part(edited, HEAD).mean()
    assert head > 3 * part(noise, HEAD).mean() + 2, "the face changes"
    assert background.mean() < head / 4, "the background does not"

    page.get_by_role("switch", name="Editing").uncheck()
    expect(page.locator("#delay-stages")).not_to_contain_text("Render")
    assert part(difference(page), HEAD).mean() < head / 3, "bypassed, the camera is back"


def test_returned_video_is_the_camera(page: Page, service: Service) -> None:
    """With no control moved, what comes back is the camera within what the codec loses."""
    go_live(page, service.url)
    expect(page.locator("#readout")).to_contain_text("ms")  # the measured delay: camera and returned video were matched
    page.get_by_role("radio", name="Split").check()
    error = page.wait_for_function(
        """() => {
          const shot = (source) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
            const context = canvas.getContext("2d");
            context.drawImage(source, 0, 0, 64, 36);
            return context.getImageData(0, 0, 64, 36).data;
          };
          const before = document.getElementById("before");
          if (before.width < 320) return false;
          const [a, b] = [shot(before), shot(document.getElementById("edited"))];
          const error = a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;
          return error < 12 ? { error } : false;
        }"""
    )
    assert error.json_value()["error"] > 0


def test_presets_and_reload(page: Page, service: Service) -> None:
    go_live(page, service.url)
    preset = page.locator("#presets .chip").first
    preset.click()
    expect(preset).to_have_attribute("aria-pressed", "true")
    set_value(page, "bald", 0.4)
    expect(preset).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Save current").click()
    page.get_by_label("Name of the preset").fill("Mine")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Mine", exact=True)).to_have_attribute("aria-pressed", "true")
    age = value_of(page, "age")

    with page.expect_request(lambda request: request.method == "POST") as offered:
        page.reload()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    settings = json.loads(parse_qs(urlsplit(offered.value.url).query)["settings"][0])
    assert settings["controls"]["bald"] == 0.4, "the settings travel with the offer, for the first frame"
    assert value_of(page, "bald") == "0.40"
    assert value_of(page, "age") == age
    page.get_by_role("button", name="Reset all").click()
    assert value_of(page, "bald") == "0.00"
    page.get_by_role("button", name="Mine", exact=True).click()
    assert value_of(page, "bald") == "0.40"
    page.get_by_role("button", name="Remove the preset Mine").click()
    expect(page.get_by_role("button", name="Mine", exact=True)).to_have_count(0)


def test_a_typed_value_is_clamped(page: Page, service: Service) -> None:
    go_live(page, service.url)
    set_value(page, "age", 60)
    wait_until_edited(page)
    set_value(page, "age", 500)
    error = page.locator('#controls .control[data-name="age"] .error')
    expect(error).to_have_text("15 to 85")
    expect(page.locator('#controls .control[data-name="age"] .value')).to_have_value("85")
    set_value(page, "age", 70)
    expect(error).to_be_empty()


def test_other_editor(page: Page, service: Service) -> None:
    go_live(page, service.url)
    page.locator("#picker > summary").click()
    page.locator(".editor", has_text="Hair colour").click()
    expect(page.locator('#controls .control[data-name="amount"]')).to_be_visible()
    page.get_by_role("button", name="Red", exact=True).click()
    wait_until_edited(page)
    assert value_of(page, "amount") == "1.00"
    page.reload()
    expect(page.locator("#editor-title")).to_have_text("Hair colour")
    assert value_of(page, "amount") == "1.00"


def test_a_camera_that_comes_late_is_closed(page: Page, service: Service) -> None:
    """Who presses Stop, or chooses again, while the browser opens a camera has no camera on that nobody shows."""
    page.add_init_script(
        """window.opened = [];
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
          const stream = await open(wanted);
          window.opened.push(stream);
          await window.gate;
          return stream;
        };"""
    )
    close_gate = "() => { window.gate = new Promise((open) => { window.openGate = open; }); }"
    on = "window.opened.flatMap((stream) => stream.getTracks()).filter((track) => track.readyState === 'live').length"
    go_live(page, service.url)
    page.locator("#fold-camera").evaluate("(details) => { details.open = true; }")
    page.evaluate(close_gate)
    for count, resolution in enumerate(("640x480", "1280x720"), start=2):
        page.locator("#resolution").select_option(resolution)
        page.wait_for_function(f"() => window.opened.length === {count}")
    page.evaluate("() => window.openGate()")
    page.wait_for_function(f"() => {on} === 1")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    page.evaluate(close_gate)
    page.locator("#resolution").select_option("640x480")
    page.wait_for_function("() => window.opened.length === 4")
    page.get_by_role("button", name="Stop").click()
    page.evaluate("() => window.openGate()")
    page.wait_for_function(f"() => {on} === 0")
    assert page.locator("body").get_attribute("data-state") == "start"


def test_a_microphone_that_comes_late_is_not_sent(page: Page, service: Service) -> None:
    """Sound is switched off while the browser asks for the first time; who then presses Allow is not heard."""
    page.add_init_script(
        """window.opened = [];
        localStorage.latentcam ??= JSON.stringify({ sound: true });
        const gate = new Promise((open) => { window.openGate = open; });
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
          const stream = await open({ video: wanted.video });
          const sound = new AudioContext().createMediaStreamDestination().stream;
          if (wanted.audio) stream.addTrack(sound.getAudioTracks()[0]);
          window.opened.push(stream);
          if (wanted.audio) await gate;
          return stream;
        };"""
    )
    page.goto(service.url)
    page.get_by_role("button", name="Start camera").click()
    page.wait_for_function("() => window.opened.length === 1")
    page.locator("#fold-camera").evaluate("(details) => { details.open = true; }")
    page.locator("label[for=sound]").click()
    page.wait_for_function("() => window.opened.length === 2")
    page.evaluate("() => window.openGate()")
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    live = "(stream) => stream.getTracks().filter((track) => track.readyState === 'live').map((track) => track.kind)"
    assert page.evaluate(f"() => window.opened.map({live})") == [[], ["video"]]


def test_a_camera_that_is_changed_while_connecting_is_the_one_that_is_sent(page: Page, service: Service) -> None:
    go_live(page, service.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST" and not held:
            held.append(route)
        else:
            route.fallback()

    page.route(re.compile("/whip"), hold)
    for fold in ("#fold-camera", "#fold-call"):
        page.locator(fold).evaluate("(details) => { details.open = true; }")
    page.locator("label[for=output]").click()  # a new session
    expect(page.locator("body")).to_have_attribute("data-state", "connecting")
    for _ in range(WAIT_MS // 100):
        if held:
            break
        page.wait_for_timeout(100)
    page.evaluate("() => { window.before = document.getElementById('camera').srcObject; }")
    page.locator("#resolution").select_option("640x480")
    page.wait_for_function("() => document.getElementById('camera').srcObject !== window.before")
    held[0].continue_()
    expect(page.locator("body")).to_have_attribute("data-state", "live")
    frames_pass(page, 5)


def test_reconnects_after_the_server_restarts(browser: Browser, tmp_path: Path) -> None:
    with Service(log=tmp_path / "first.txt") as first, fresh_page(browser) as page:
        go_live(page, first.url)
        set_value(page, "age", 75)
        wait_until_edited(page)
        first.kill()
        expect(page.locator("#state-title")).to_have_text("Connection lost")
        with Service("--port", str(first.port), log=tmp_path / "second.txt"):
            expect(page.locator("body")).to_have_attribute("data-state", "live")
            assert value_of(page, "age") == "75"
            wait_until_edited(page)
            page.close()


def test_the_session_goes_on_over_another_network(page: Page, service: Service) -> None:
    """Chromium restarts ICE, and the server answers a PATCH: no new session is opened."""
    requests: list[tuple[str, int]] = []
    page.on("response", lambda response: requests.append((response.request.method, response.status)))
    go_live(page, service.url)
    watch(page)
    opened = requests.count(("POST", 201))
    with page.expect_response(lambda response: response.request.method == "PATCH") as patched:
        page.evaluate("dispatchEvent(new Event('online'))")
    assert patched.value.status == 200
    assert patched.value.headers["etag"]
    assert page.evaluate("window.remember(30)"), "frames come after the restart"
    assert requests.count(("POST", 201)) == opened
    assert ("DELETE", 200) not in requests


def test_full_server_lets_in_when_a_place_is_free(browser: Browser, tmp_path: Path) -> None:
    with Service("--max-sessions", "1", log=tmp_path / "log.txt") as service, fresh_page(browser) as first:
        go_live(first, service.url)
        with fresh_page(browser) as second:
            second.goto(service.url + "/?autostart=1")
            expect(second.locator("#state-title")).to_have_text("The server is full")
            first.get_by_role("button", name="Stop").click()
            expect(second.locator("body")).to_have_attribute("data-state", "live")


def test_token(browser: Browser, tmp_path: Path) -> None:
    with Service("--token", "open sesame, please", log=tmp_path / "log.txt") as service, fresh_page(browser) as page:
        page.goto(service.url)
        expect(page.locator("#state-title")).to_have_text("This server asks for a token")
        expect(page.get_by_label("Access token")).to_be_focused()
        expect(page.get_by_role("button", name="Save current")).to_be_hidden()
        page.get_by_label("Access token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#state-title")).to_have_text("That token was not accepted")
        page.goto(service.url + "/?autostart=1#token=open%20sesame,%20please")
        page.reload()
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        assert "sesame" not in page.url


def test_denied_camera(playwright: Playwright, service: Service, clips: Clips) -> None:
    with chromium.launched(playwright, clips("astronaut"), allowed=False) as browser, fresh_page(browser) as page:
        page.goto(service.url)
        page.get_by_role("button", name="Start camera").click()
        expect(page.locator("#state-title")).to_have_text("The camera is blocked")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_no_camera(playwright: Playwright, service: Service) -> None:
    with chromium.launched(playwright, None) as browser, fresh_page(browser) as page:
        page.goto(service.url + "/?autostart=1")
        expect(page.locator("#state-title")).to_have_text("No camera found")


def test_page_that_is_not_secure(page: Page, service: Service) -> None:
    page.add_init_script("Object.defineProperty(Navigator.prototype, 'mediaDevices', { value: undefined })")
    page.goto(service.url)
    expect(page.locator("#state-title")).to_have_text("This page may not use the camera")


def test_nobody_in_view(playwright: Playwright, service: Service, clips: Clips) -> None:
    with chromium.launched(playwright, clips("nobody")) as browser, fresh_page(browser) as page:
        go_live(page, service.url)
        expect(page.locator("#hint")).to_be_empty()  # nothing is edited: no face is looked for
        set_value(page, "bald", 1)
        expect(page.locator("#hint")).to_contain_text("No face in view")


def test_one_person_of_a_group(playwright: Playwright, service: Service, clips: Clips) -> None:
    with chromium.launched(playwright, clips("group")) as browser, fresh_page(browser) as page:
        page.add_init_script("localStorage.setItem('latentcam', JSON.stringify({ resolution: '640x480' }))")
        go_live(page, service.url)
        page.locator("#fold-faces summary").click()
        page.get_by_role("radio", name="One person").check()
        # Pressed in one go: the boxes follow the faces, and a pointer that waits for them to rest would wait long.
        page.wait_for_function(
            """() => {
              const faces = document.querySelectorAll(".face");
              faces[1]?.click();
              return faces.length > 1;
            }"""
        )
        expect(page.locator('.face[aria-pressed="true"]')).to_have_count(1)
        set_value(page, "age", 80)
        wait_until_edited(page)


def test_keyboard_alone(page: Page, service: Service) -> None:
    page.goto(service.url)
    start = page.get_by_role("button", name="Start camera")
    expect(start).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
        if start.evaluate("(button) => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-state", "live")

    page.keyboard.press("c")
    divider = page.get_by_role("slider", name="Before and after divider")
    divider.focus()
    for key in ("ArrowRight", "ArrowRight", "PageUp"):
        page.keyboard.press(key)
    expect(divider).to_have_attribute("aria-valuenow", "64")
    page.keyboard.press("Home")
    expect(divider).to_have_attribute("aria-valuenow", "0")

    page.locator("#control-bald").focus()
    page.keyboard.press("End")
    assert value_of(page, "bald") == "1.00"
    page.keyboard.press("m")
    expect(page.locator("#mirror")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("e")
    expect(page.get_by_role("switch", name="Editing")).not_to_be_checked()


def test_divider_follows_the_pointer(page: Page, service: Service) -> None:
    go_live(page, service.url)
    page.get_by_role("radio", name="Split").check()
    picture = page.locator("#picture").bounding_box()
    divider = page.get_by_role("slider", name="Before and after divider")
    grip = divider.bounding_box()
    assert picture is not None
    assert grip is not None
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(picture["x"] + 0.25 * picture["width"], picture["y"] + 50, steps=5)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")


def test_camera_changes_resolution_in_the_middle(playwright: Playwright, service: Service, clips: Clips) -> None:
    with chromium.launched(playwright, clips("astronaut", 1280, 720)) as browser, fresh_page(browser) as page:
        page.add_init_script("localStorage.setItem('latentcam', JSON.stringify({ resolution: '640x480' }))")
        go_live(page, service.url)
        page.wait_for_function("() => document.getElementById('edited').videoHeight === 480")
        page.locator("#fold-camera summary").click()
        page.get_by_label("Resolution").select_option("1280x720")
        page.wait_for_function("() => document.getElementById('edited').videoHeight === 720")
        expect(page.locator("body")).to_have_attribute("data-state", "live")


def test_snapshot_and_recording(page: Page, service: Service, tmp_path: Path) -> None:
    page.add_init_script("localStorage.setItem('latentcam', JSON.stringify({ sound: true }))")
    go_live(page, service.url)
    page.get_by_role("radio", name="Split").check()
    page.wait_for_function("() => document.getElementById('before').width > 300")
    with page.expect_download() as snapshot:
        page.get_by_role("button", name="Snapshot").click()
    snapshot.value.save_as(tmp_path / "snapshot.png")
    picture = cv2.imread(str(tmp_path / "snapshot.png"))
    assert picture is not None
    assert picture.shape[1] > 2 * page.evaluate("document.getElementById('edited').videoWidth")
    left, right = picture[:, :600], picture[:, -600:]
    assert left.std() > 10
    assert right.std() > 10

    page.keyboard.press("r")
    expect(page.locator("#recording-time")).not_to_have_text(re.compile("^0:0[01]$"))
    with page.expect_download() as recording:
        page.keyboard.press("r")
    path = tmp_path / recording.value.suggested_filename
    recording.value.save_as(path)
    with av.open(str(path)) as file:
        kinds = {packet.stream.type for packet in file.demux() if packet.size}
    with av.open(str(path)) as file:
        frames = sum(1 for _ in file.decode(video=0))
    assert kinds == {"video", "audio"}
    assert frames > 1


def frames_pass(page: Page, count: int) -> None:
    """Wait until as many further frames of the edited video were shown, within the time that a page may take."""
    page.evaluate(
        """(count) => {
          const video = document.getElementById("edited");
          video.dataset.left = count;
          const step = () => {
            video.dataset.left -= 1;
            if (video.dataset.left > 0) video.requestVideoFrameCallback(step);
          };
          video.requestVideoFrameCallback(step);
        }""",
        count,
    )
    page.wait_for_function("() => Number(document.getElementById('edited').dataset.left) <= 0")


def seconds_pass(page: Page, count: int) -> None:
    """Wait until the recording is as many seconds longer."""
    seconds = (
        "document.getElementById('recording-time').textContent"
        ".split(':').reduce((sum, part) => 60 * sum + Number(part), 0)"
    )
    ends = page.evaluate(seconds) + count
    page.wait_for_function(f"() => {seconds} >= {ends}")


def frames_of(path: Path) -> list[tuple[int, int]]:
    """The sizes of all pictures of a video."""
    with av.open(str(path)) as file:
        assert file.duration
        return [(frame.width, frame.height) for frame in file.decode(video=0)]


def test_a_recording_goes_on_in_another_file(
    playwright: Playwright, service: Service, clips: Clips, tmp_path: Path
) -> None:
    """A change of size ruins an MP4 from there on; a new session, for sound or an output, ended it."""
    files: list[Path] = []
    with chromium.launched(playwright, clips("astronaut", 1280, 720)) as browser, fresh_page(browser) as page:
        go_live(page, service.url)
        downloads: list[Download] = []
        page.on("download", lambda download: downloads.append(download))  # noqa: PLW0108  a function of Python
        page.locator("#fold-camera").evaluate("(details) => { details.open = true; }")
        page.locator("#resolution").select_option("640x480")
        page.wait_for_function("() => document.getElementById('edited').videoHeight === 480")
        frames_pass(page, 5)
        page.keyboard.press("r")
        expect(page.locator("#recording-time")).not_to_have_text(re.compile("^0:0[01]$"))
        page.locator("#resolution").select_option("1280x720")
        page.wait_for_function("() => document.getElementById('edited').videoHeight === 720")
        frames_pass(page, 20)
        with page.expect_response(lambda response: response.request.method == "POST" and "/whip" in response.url):
            page.locator("label[for=sound]").click()  # a new session, and a third file
        expect(page.locator("body")).to_have_attribute("data-state", "live")
        frames_pass(page, 20)
        seconds_pass(page, 2)  # a browser writes nothing of a stream whose sound has not begun
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        expect(page.locator("#recording-size")).to_contain_text("B")
        leave = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        assert not page.evaluate(leave), "the browser asks before it is lost"
        page.locator("#record").click()
        expect(page.locator("#recording")).to_be_hidden()
        page.wait_for_function(f"() => {leave}")
        for _ in range(WAIT_MS // 100):
            if len(downloads) >= 3:
                break
            page.wait_for_timeout(100)
        assert len(downloads) == 3, f"{len(downloads)} files; the page says: {page.locator('#toasts').text_content()}"
        for number, download in enumerate(downloads):
            files.append(tmp_path / f"{number}.mp4")
            download.save_as(files[-1])
    sizes = [frames_of(file) for file in files]
    assert [set(one) for one in sizes] == [{(640, 480)}, {(1280, 720)}, {(1280, 720)}], "each of one size"


def test_both_sides_are_recorded(page: Page, service: Service, tmp_path: Path) -> None:
    page.add_init_script("localStorage.setItem('latentcam', JSON.stringify({ record: 'both' }))")
    go_live(page, service.url)
    page.keyboard.press("r")
    expect(page.locator("#recording-time")).not_to_have_text(re.compile("^0:0[01]$"))
    with page.expect_download() as recording:
        page.keyboard.press("r")
    recording.value.save_as(tmp_path / "both.mp4")
    assert set(frames_of(tmp_path / "both.mp4")) == {(1280, 480)}


def test_output_view_shows_only_the_video(page: Page, service: Service) -> None:
    go_live(page, service.url, path="/?view=output")
    expect(page.locator(".panel")).to_be_hidden()
    expect(page.locator(".top")).to_be_hidden()
    stage = page.locator("#stage").bounding_box()
    assert stage == {"x": 0, "y": 0, "width": 1280, "height": 800}


def test_output_view_is_not_mirrored_and_lets_the_scene_through(page: Page, service: Service) -> None:
    go_live(page, service.url, path="/?view=output")
    assert page.locator("#flip").evaluate("(flip) => getComputedStyle(flip).transform") == "none"
    shot = cv2.imdecode(np.frombuffer(page.screenshot(omit_background=True), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shot is not None
    alpha = shot[:, :, 3]
    beside = (1280 - 800 * 4 // 3) // 2
    assert not alpha[:, : beside - 2].any(), "as a browser source, nothing is painted beside the picture"
    assert (alpha[:, beside + 2 : -beside - 2] == 255).all()


def test_output_view_takes_no_keys(page: Page, service: Service) -> None:
    go_live(page, service.url, path="/?view=output")
    state = """() => [document.getElementById("overlay-on").checked, document.getElementById("editing").checked,
        {...document.getElementById("picture").dataset}]"""
    before = page.evaluate(state)
    for key in "ebcmsrpd":
        page.keyboard.press(key)
    assert page.evaluate(state) == before


def test_output_view_never_shows_the_raw_camera(page: Page, service: Service) -> None:
    go_live(page, service.url, path="/?view=output")
    page.evaluate("document.body.dataset.state = 'lost'; document.getElementById('state').hidden = false")
    for part_of_it in ("#camera", "#edited", "#state"):
        expect(page.locator(part_of_it)).to_be_hidden()


@pytest.mark.parametrize(
    ("width", "height"),
    [(1440, 900), (1024, 768), (862, 700), (844, 390), (667, 375), (640, 400), (390, 844), (320, 568)],
)
def test_everything_has_its_place_at_every_size(page: Page, service: Service, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(service.url)
    expect(page.locator("#state-title")).to_have_text("Your face, edited live")
    # What the header shows while it is live and busy, without the work.
    page.evaluate(
        """() => {
          document.body.dataset.state = "live";
          for (const id of ["readout", "stop", "strip"]) document.getElementById(id).hidden = false;
          document.getElementById("readout").textContent = "28 fps · 210 ms · reduced";
          document.getElementById("status").textContent = "Live";
        }"""
    )
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    names = ("#stop", "#stage", ".toolbar", "#record", "#fullscreen", "#panel")
    boxes = {name: page.locator(name).bounding_box() for name in names}
    for name, box in boxes.items():
        assert box is not None, name
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= width, name
    panel = boxes["#panel"]
    assert panel is not None
    for box in (boxes["#stage"], boxes["#record"], boxes["#fullscreen"]):
        assert box is not None
        beside = box["x"] + box["width"] <= panel["x"]
        assert beside or box["y"] + box["height"] <= panel["y"]
    for tool in page.locator(".tool:visible").all():
        label = tool.locator("span").bounding_box()
        assert label is not None
        assert label["width"] > 20, "every tool has its name"


def test_an_upright_camera_fills_an_upright_phone(browser: Browser, service: Service) -> None:
    with fresh_page(browser, 390, 844, touch=True) as page:
        page.goto(service.url)
        page.evaluate(
            """() => {
              document.documentElement.style.setProperty("--ratio", "0.75");
              document.body.dataset.state = "live";
            }"""
        )
        picture = page.locator("#picture").bounding_box()
        assert picture is not None
        assert picture["width"] > 340
        assert picture["height"] > 460


def test_the_page_can_be_installed(page: Page, service: Service) -> None:
    page.goto(service.url)
    manifest = page.evaluate(
        """async () => {
          const address = document.querySelector("link[rel=manifest]").href;
          const response = await fetch(address);
          const { icons, display, name } = await response.json();
          const sizes = await Promise.all(icons.map(async ({ src }) => {
            const image = new Image();
            image.src = new URL(src, address).href;
            await image.decode();
            return image.naturalWidth;
          }));
          return { type: response.headers.get("content-type"), sizes, display, name };
        }"""
    )
    assert manifest["type"] == "application/manifest+json"
    assert manifest["sizes"][1:] == [192, 512, 512]
    assert (manifest["display"], manifest["name"]) == ("standalone", "Latentcam")


def test_the_screen_stays_on_while_live(page: Page, service: Service) -> None:
    page.add_init_script(
        """window.locks = [];
        navigator.wakeLock.request = async (kind) => {
          const lock = { kind, released: false, async release() { this.released = true; } };
          window.locks.push(lock);
          return lock;
        };"""
    )
    go_live(page, service.url)
    locks = "window.locks.map(({ kind, released }) => [kind, released])"
    assert page.evaluate(locks) == [["screen", False]]
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate(locks) == [["screen", True]]


def test_the_focus_is_not_behind_the_picture(playwright: Playwright, browser: Browser, service: Service) -> None:
    with fresh_page(browser, 390, 700, touch=True) as page:
        page.goto(service.url)
        expect(page.locator("#control-age")).to_be_attached()
        page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
        page.locator("#fold-faces summary").focus()
        page.keyboard.press("Shift+Tab")
        hidden = page.evaluate(
            """() => {
              const { left, top, width, height } = document.activeElement.getBoundingClientRect();
              return document.elementFromPoint(left + width / 2, top + height / 2).closest(".theatre") !== null;
            }"""
        )
        assert not hidden


SCREENSHOT_AFTER_MS = 10_000
"""By then browser and server have found out how many bits the way between them carries."""


def test_screenshots(playwright: Playwright, service: Service, tmp_path: Path) -> None:
    """The pictures that the README shows."""
    folder = os.environ.get("LATENTCAM_SCREENSHOTS")
    if not folder:
        pytest.skip("writes pictures only where LATENTCAM_SCREENSHOTS says")
    clip = fake_camera.write_clip(tmp_path / "clip.mjpeg", 640, 480, fake_camera.astronaut(), counted=False)
    for name, width, height in (("page", 1280, 800), ("phone", 390, 844)):
        with (
            chromium.launched(playwright, clip) as browser,
            fresh_page(browser, width, height, touch=width < 500, looks=True) as page,
        ):
            go_live(page, service.url)
            page.get_by_role("radio", name="Split").check()
            set_value(page, "age", 75)
            set_value(page, "bald", 1)
            wait_until_edited(page)
            page.locator("#stats").evaluate("(details) => { details.open = false; }")
            page.evaluate("document.activeElement.blur(); document.querySelector('.panel').scrollTop = 0")
            expect(page.locator("#readout")).to_contain_text("ms")
            page.wait_for_timeout(SCREENSHOT_AFTER_MS)
            page.screenshot(path=Path(folder) / f"{name}.png")


def test_what_lies_behind_the_edit_can_be_drawn_over_it(page: Page, service: Service, tmp_path: Path) -> None:
    go_live(page, service.url)
    set_value(page, "age", 75)
    overlay = page.locator("#overlay")
    expect(overlay).to_be_hidden()
    page.keyboard.press("d")
    expect(overlay).to_be_visible()
    expect(overlay).to_have_attribute("data-faces", re.compile(r"\d+"))
    expect(page.locator("#overlay-on")).to_be_checked()
    painted = "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert overlay.evaluate(painted)
    page.locator("#stage").screenshot(path=tmp_path / "overlay.png")
    page.keyboard.press("d")
    expect(overlay).to_be_hidden()
    assert not overlay.evaluate(painted)
