"""The page's panels and dialogs on the elements of index.html, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from stream.settings import Settings
from tests.web.modules import run

ELEMENTS = """
  const parsed = new DOMParser().parseFromString(await (await fetch("/index.html")).text(), "text/html");
  document.body.replaceChildren(...parsed.body.children);
  const { Page } = await import("/page.js");
  const page = new Page();
  const id = (name) => document.getElementById(name);
  const until = async (condition) => {
    for (let wait = 0; wait < 300; wait += 1) {
      if (condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`never: ${condition}`);
  };
"""
SMILE = {"properties": {"smile": {"type": "number", "minimum": -1, "maximum": 1, "default": 0.0, "title": "Smile"}}}
PANEL = (
    ELEMENTS
    + """
  const ready = { description: "", state: "ready", presets: [], licence: "", controls: a.controls };
  const editor = (name) => ({ ...ready, name, title: name });
  page.learn({ editors: ["one", "two", "three"].map(editor), settings: a.settings });
  window.changes = [];
  const onChange = (patch) => changes.push(patch);
  const panel = new m.SettingsPanel(page, { onChange, onShow() {}, onFetch() {}, toast() {} });
  panel.draw();
"""
)
SCHEMAS: dict[str, Any] = {"controls": SMILE, "settings": Settings.model_json_schema()}


def test_arrow_keys_look_through_the_editors_and_enter_or_space_chooses(fresh: Page) -> None:
    """Each press of an arrow key chose one, and closed the list."""
    run(fresh, "settings", PANEL + "id('picker').open = true; id('editors').querySelector('input').focus();", SCHEMAS)
    seen = """() => [document.getElementById("picker").open,
        document.activeElement.value ?? document.activeElement.localName,
        document.querySelector("#editors input:checked").value, changes.map(({ editor }) => editor)]"""
    keyboard = fresh.keyboard
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    assert fresh.evaluate(seen) == [True, "three", "three", []]
    keyboard.press("Shift+Tab")
    assert fresh.evaluate(seen) == [True, "summary", "one", []], "none was chosen"
    keyboard.press("Tab")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    assert fresh.evaluate(seen) == [False, "summary", "two", ["two"]]
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.press("Space")
    assert fresh.evaluate(seen) == [False, "summary", "two", ["two"]], "the one in use is kept"
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.press("ArrowUp")
    keyboard.press("Space")
    assert fresh.evaluate(seen) == [False, "summary", "one", ["two", "one"]]
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.press("ArrowDown")
    fresh.locator(".editor", has_text="three").click()
    assert fresh.evaluate(seen) == [False, "summary", "three", ["two", "one", "three"]]


def test_a_look_that_names_a_standard_value_is_put_on_and_taken_off(fresh: Page) -> None:
    """Those of the hair colours name the full amount: none was shown as on, and a second press took none off."""
    hair = {
        "colour": {"type": "string", "enum": ["red", "none"], "default": "none"},
        "amount": {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0},
    }
    seen = run(
        fresh,
        "settings",
        PANEL
        + """
        const red = { editor: "two", controls: { colour: "red", amount: 1 } };
        const faint = { editor: "one", controls: { colour: "none", amount: 0.5 } };
        const shown = () => [panel.shows(red), panel.shows(faint)];
        panel.toggle(red);
        const seen = [shown()];
        panel.toggle(faint);
        seen.push(shown());
        panel.toggle(red);
        seen.push(shown());
        return seen;""",
        SCHEMAS | {"controls": {"properties": hair}},
    )
    assert seen == [[True, False], [True, True], [False, True]]


def test_the_keyboard_stays_at_the_layers(fresh: Page) -> None:
    """All were drawn anew whenever anything changed."""
    seen = run(
        fresh,
        "settings",
        PANEL
        + """
        const layer = { controls: { smile: 1 }, amount: 1 };
        panel.change({ layers: { two: layer, three: layer } });
        const focus = () => document.activeElement.getAttribute("aria-label") ?? document.activeElement.localName;
        const [, second] = document.querySelectorAll("#layers-chips .remove");
        second.focus();
        panel.show();
        const kept = document.activeElement === second;
        document.querySelector("#layers-chips .remove").focus();
        document.activeElement.click();
        const next = document.activeElement;
        const where = [kept, next.textContent, next.isConnected];
        document.querySelector("#layers-chips .remove").click();
        return [...where, focus()];""",
        SCHEMAS,
    )
    assert seen == [True, "three", True, "summary"]


def test_a_download_leaves_the_keyboard_where_it_is(fresh: Page) -> None:
    seen = run(
        fresh,
        "weights",
        """
        const progress = { running: false, phase: "", error: "" };
        Object.assign(progress, { file: "a.bin", number: 1, files: 1, done: 1e6, total: 0 });
        const told = { name: "far", title: "Far", state: "needs weights", why: "",
          licence: "MIT", licences: [], terms: [],
          size: 9e6, to_fetch: 9e6, unknown_sizes: 0, converts: false, free: 9e9, allowed: true, files: [], progress };
        let asked = 0;
        window.fetch = async (url, { method = "GET" } = {}) => {
          if (method === "POST") Object.assign(progress, { running: true, phase: "fetching" });
          if (progress.running && method === "GET") {
            asked += 1;
            Object.assign(progress, { total: asked > 1 ? 0 : 4e6, done: 2e6 * asked });
          }
          if (asked > 2) Object.assign(progress, { running: false, phase: "done" });
          return Response.json(asked > 2 ? { ...told, state: "ready" } : told);
        };
        const until = async (condition) => {
          for (let wait = 0; wait < 500 && !condition(); wait += 1) {
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        };
        const dialog = document.createElement("dialog");
        document.querySelector("main").append(dialog);
        const seen = [];
        const meter = () => dialog.querySelector("progress");
        const line = () => dialog.querySelector("[role=status]")?.textContent;
        const note = () => seen.push([document.activeElement.textContent, meter()?.position, line()]);
        await m.setUpWeights(dialog, { token: () => null, onReady: () => seen.push("ready") }).open("far");
        dialog.querySelector("input").click();
        const go = dialog.querySelector("button.primary");
        go.focus();
        go.click();
        await until(meter);
        const [first, cancel] = [meter(), document.activeElement];
        note();
        await until(() => asked === 1 && first.position > 0);
        note();
        await until(() => asked === 2 && first.position < 0);
        seen.push(meter() === first && document.activeElement === cancel);
        await until(() => !meter());
        note();
        return seen;""",
    )
    assert seen == [
        ["Cancel", -1, "a.bin: 1.0 MB"],
        ["Cancel", 0.5, "a.bin: 2.0 MB of 4.0 MB"],
        True,
        "ready",
        ["Done", None, None],
    ]


def test_an_output_has_a_name_on_plain_http(fresh: Page) -> None:
    names = run(
        fresh,
        "calls",
        ELEMENTS
        + """
        Object.defineProperty(Crypto.prototype, "randomUUID", { value: undefined });
        new m.Calls(page, { onOutput() {}, toast() {} });
        const names = [];
        for (let press = 0; press < 3; press += 1) {
          id("output").click();
          names.push(page.preferences.output);
        }
        return names;""",
    )
    assert names[1] == ""
    assert len(names[0]) == len(names[2]) == 32
    assert names[0] != names[2]
    assert set(names[0]) <= set("0123456789abcdef")


def test_a_recording_can_be_stopped_while_the_page_reconnects(fresh: Page) -> None:
    seen = run(
        fresh,
        "picture",
        ELEMENTS
        + """
        const picture = new m.Picture(page, { toast() {}, onFace() {} });
        const off = () => ["record", "snapshot"].map((name) => id(name).disabled);
        page.live = true;
        picture.goLive();
        picture.toggleRecording();
        page.live = false;
        picture.end();
        const seen = off();
        picture.toggleRecording();
        return [seen, off()];""",
    )
    assert seen == [[False, True], [True, True]]


STYLED = (
    ELEMENTS
    + """
  for (const href of ["/style.css", "/gallery.css"]) {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
    const loaded = new Promise((resolve) => sheet.addEventListener("load", resolve));
    document.head.append(sheet);
    await loaded;
  }
"""
)


@pytest.mark.parametrize("size", [(640, 400), (667, 375), (390, 844), (1280, 800)])
def test_controls_fit_into_the_panel(fresh: Page, size: tuple[int, int]) -> None:
    """A moved age, with its switch, its reset and its unit, was wider than the panel of a phone on its side."""
    fresh.set_viewport_size({"width": size[0], "height": size[1]})
    age = {
        "anyOf": [
            {"type": "number", "minimum": 15, "maximum": 85},
            {"type": "string", "format": "difference"},
            {"type": "null"},
        ]
    }
    colour = {"type": "string", "format": "color", "default": "#8a4b2a", "title": "Own colour"}
    properties = {"age": {**age, "title": "Age", "unit": "years"}, "own": {**colour, "photo": "From a photo…"}}
    wide = run(
        fresh,
        "controls",
        STYLED
        + """
        const { fieldsOf } = await import("/fields.js");
        delete id("panel").dataset.empty;
        const drawn = m.drawControls(id("controls"), fieldsOf(a), () => {});
        drawn.show({ age: "+20", own: a.properties.own.default });
        const label = [...id("controls").querySelectorAll(".label")].at(-1);
        const lines = Math.round(label.getBoundingClientRect().height / parseFloat(getComputedStyle(label).lineHeight));
        return [id("panel").scrollWidth - id("panel").clientWidth, lines];""",
        {"properties": properties},
    )
    assert wide[0] == 0
    assert wide[1] == 1 or size[0] < 1280, "a label of two words is one line where there is room"


@pytest.mark.parametrize("size", [(667, 375), (1280, 800)])
def test_nothing_makes_the_page_longer_than_the_window(fresh: Page, size: tuple[int, int]) -> None:
    """Searched for a word far down the panel, the browser pushed the picture out of the window, with no way back."""
    fresh.set_viewport_size({"width": size[0], "height": size[1]})
    code = (
        STYLED
        + """
        delete id("panel").dataset.empty;
        for (const fold of document.querySelectorAll("details")) fold.open = true;
        for (const each of document.querySelectorAll("#panel [hidden]")) each.hidden = false;
        const { scrollHeight } = document.documentElement;
        id("fold-marks").scrollIntoView();
        return [scrollHeight, scrollY];"""
    )
    assert run(fresh, "view", code) == [size[1], 0]


@pytest.mark.parametrize("size", [(390, 844), (360, 740), (768, 1024), (1280, 800)])
def test_a_first_visit_sees_the_whole_card(fresh: Page, size: tuple[int, int]) -> None:
    """The line about what is sent was below the edge of a box that scrolls, on a phone."""
    fresh.set_viewport_size({"width": size[0], "height": size[1]})
    code = (
        STYLED
        + """
        new m.View(page).showState("start");
        await new Promise((resolve) => setTimeout(resolve, 50));
        return id("state").scrollHeight - id("state").clientHeight;"""
    )
    assert run(fresh, "view", code) == 0


def test_everything_that_is_pressed_is_large_enough(fresh: Page) -> None:
    """24 pixels, the least of WCAG 2.2 (2.5.8)."""
    small = run(
        fresh,
        "shortcuts",
        STYLED
        + """
        for (const details of document.querySelectorAll("details")) details.open = true;
        delete id("panel").dataset.empty;
        return [...document.querySelectorAll("button, a, summary, input[type=file], select")]
          .map((element) => [element.id || element.textContent, element.getBoundingClientRect()])
          .filter(([, { width, height }]) => width && height && Math.min(width, height) < 24)
          .map(([name]) => name);""",
    )
    assert small == []


def test_the_list_of_keys_begins_with_its_first(fresh: Page) -> None:
    """The focus on the button below it had scrolled a low screen to its end."""
    fresh.set_viewport_size({"width": 640, "height": 300})
    code = (
        STYLED
        + """
      const dialog = id("shortcuts") ?? document.querySelector("dialog");
      dialog.className = "dialog";
      m.showShortcuts(dialog, Array.from("ABCDEFGHIJKL", (key) => [key, `does ${key}`, () => {}]));
      return [dialog.scrollHeight > dialog.clientHeight, dialog.scrollTop];
    """
    )
    assert run(fresh, "shortcuts", code) == [True, 0]


@pytest.mark.parametrize(
    ("size", "sample", "advice"), [((1280, 720), False, True), ((640, 480), False, False), ((1280, 720), True, False)]
)
def test_a_lower_resolution_is_advised_only_where_there_is_one(
    fresh: Page, size: tuple[int, int], sample: bool, advice: bool
) -> None:
    """Of what comes back, not of what was asked for: a camera may have no other."""
    hint = run(
        fresh,
        "view",
        ELEMENTS
        + """
        const [width, height] = a[0];
        Object.defineProperties(id("edited"), { videoWidth: { value: width }, videoHeight: { value: height } });
        if (a[1]) page.sample = new File([], "me.jpg");
        const view = new m.View(page);
        view.goLive();
        page.live = true;
        const now = performance.now();
        performance.now = () => now + 60_000;
        view.showServer({ fps_in: 30, fps_out: 3, faces: [{}] });
        return id("hint").textContent;""",
        [size, sample],
    )
    assert hint.startswith("The server manages fewer than 10 frames")
    assert hint.endswith("A lower resolution helps.") == advice


@pytest.mark.parametrize(("fps", "said"), [(0, ""), (20, "No face in view. Turn to the camera, both eyes visible.")])
def test_no_face_is_missed_where_no_frame_was_looked_at(fresh: Page, fps: float, said: str) -> None:
    code = (
        ELEMENTS
        + """
        const view = new m.View(page);
        page.live = true;
        view.goLive();
        const now = performance.now();
        performance.now = () => now + 2_000;
        view.showServer({ fps_in: 30, fps_out: a, faces: [] });
        return id("hint").textContent;"""
    )
    assert run(fresh, "view", code, fps) == said


@pytest.mark.parametrize(
    ("allowed", "downloadable", "known", "said"),
    [
        (True, True, 9e6, "kept there. About 9.0 MB are fetched, and one file whose size the authors do not state. "),
        (True, True, 0, "kept there. One file whose size the authors do not state is fetched. "),
        (True, False, 0, "weights on the machine that runs Latentcam.a.bin cannot be downloaded: ask them."),
        (False, True, 9e6, "weights on the machine that runs Latentcam.This server fetches nothing"),
    ],
)
def test_weights_say_what_is_fetched_where_it_can_be(
    fresh: Page, allowed: bool, downloadable: bool, known: float, said: str
) -> None:
    """They were said to be fetched, and below that they cannot be downloaded."""
    told: dict[str, Any] = {
        "name": "far",
        "title": "Far",
        "state": "needs weights",
        "why": "",
        "licence": "MIT",
        "licences": [],
    }
    told |= {"terms": [], "size": known, "to_fetch": known, "unknown_sizes": 1, "converts": False, "free": 9e9}
    told |= {"allowed": allowed, "progress": {"running": False, "phase": "", "error": ""}}
    told["files"] = [{"name": "a.bin", "here": False, "downloadable": downloadable, "origin": "ask them"}]
    text = run(
        fresh,
        "weights",
        """
        window.fetch = async () => Response.json(a);
        const dialog = document.createElement("dialog");
        document.querySelector("main").append(dialog);
        await m.setUpWeights(dialog, { token: () => null, onReady() {} }).open("far");
        dialog.querySelector("ul").remove();
        return dialog.textContent;""",
        told,
    )
    assert said in text
    assert ("fetched" in text) == (allowed and downloadable)


LOOKS = (
    ELEMENTS
    + """
  const looks = new m.Looks({ isOn: () => false, onPick() {}, onPreview() {} });
  const camera = document.createElement("canvas");
  camera.width = camera.height = 8;
  Object.assign(camera, { videoWidth: 8, videoHeight: 8 });
  camera.getContext("2d");
  const answers = [];
  window.fetch = () => new Promise((resolve) => answers.push((title) => resolve(
    title ? Response.json({ looks: [{ editor: "", title, controls: {} }], image: "" })
      : Response.json({ detail: "there is no face in the photo" }, { status: 422 }))));
  window.setTimeout = ((timer) => (act, after) => timer(act, after > 1000 ? 0 : after))(window.setTimeout);
  const asked = (count) => until(() => answers.length === count);
  const row = () => id("looks").textContent;
"""
)


def test_looks_of_another_source_go(fresh: Page) -> None:
    """Who looked at the camera before stayed in the row, over the picture of somebody else."""
    seen = run(
        fresh,
        "looks",
        LOOKS
        + """
        const seen = [];
        looks.draw(camera, "first");
        looks.forget();
        looks.draw(camera, "first"); // another session with the same camera, while they are drawn
        seen.push(id("looks-block").hidden, row());
        await asked(1);
        looks.draw(camera, "second");
        await asked(2);
        answers[0]("late");
        answers[1]("second");
        await until(() => row() === "second");
        looks.draw(camera, "second");
        looks.forget();
        looks.draw(camera, "second"); // the same camera again: what is there stays until the new ones are
        seen.push(row(), answers.length);
        looks.draw(camera, new File([], "me.jpg"));
        seen.push(row());
        return seen;""",
    )
    assert seen[:2] == [False, "Drawing the looks on your face…"], "what is below it stays where it is"
    assert seen[2:] == ["second", 2, "Drawing the looks on your face…"]


def test_looks_that_could_not_be_drawn_can_be_asked_for(fresh: Page) -> None:
    """They were tried four times, and never again."""
    seen = run(
        fresh,
        "looks",
        LOOKS
        + """
        looks.draw(camera, "");
        for (let count = 1; count <= 4; count += 1) {
          await asked(count);
          answers.at(-1)("");
        }
        await until(() => id("looks").querySelector("button"));
        const said = row();
        id("looks").querySelector("button").click();
        await asked(5);
        answers.at(-1)("Original");
        await until(() => row() === "Original");
        return said;""",
    )
    assert seen == "There is no face in the photo.Try again"


def test_looks_are_not_drawn_of_a_camera_that_is_off(fresh: Page) -> None:
    """After Stop the row said "Drawing the looks on your face…" and asked the server four more times."""
    seen = run(
        fresh,
        "looks",
        LOOKS
        + """
        looks.draw(camera, "");
        await asked(1);
        looks.stop();
        const seen = [id("looks-block").hidden];
        answers[0]("");
        await new Promise((resolve) => setTimeout(resolve, 200));
        seen.push(answers.length);
        looks.draw(camera, "");
        await asked(2);
        answers[1]("Original");
        await until(() => row() === "Original");
        looks.stop(); // what is drawn can be pressed before the next start
        seen.push(id("looks-block").hidden);
        return seen;""",
    )
    assert seen == [True, 1, False]


@pytest.mark.parametrize("state", ["refused", "idle", "closed", "wrong-token", "unreachable"])
def test_a_camera_that_is_on_can_be_stopped(fresh: Page, state: str) -> None:
    code = (
        ELEMENTS + "const view = new m.View(page); view.showState(a[0], { camera: a[1] }); return !id('stop').hidden;"
    )
    assert [run(fresh, "view", code, [state, on]) for on in (True, False)] == [True, False]


def test_no_state_of_a_failed_start_is_a_dead_end(fresh: Page) -> None:
    states = ["denied", "no-camera", "no-match", "bad-file", "busy", "ended", "refused", "idle", "closed"]
    assert all(run(fresh, "states", "return a.map((name) => m.stateWords(name).action)", states))


CLIP = """
  const made = [];
  const make = document.createElement.bind(document);
  document.createElement = (name) => {
    const element = make(name);
    made.push(element);
    return element;
  };
  const urls = new Set();
  const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (file) => {
    const url = create(file);
    urls.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    urls.delete(url);
    revoke(url);
  };
"""


def test_a_clip_ends_with_its_stream(fresh: Page) -> None:
    seen = run(
        fresh,
        "sample",
        CLIP
        + """
        const file = new File([await (await fetch("/demo.mp4")).blob()], "demo.mp4", { type: "video/mp4" });
        const stream = await m.openSample(file);
        const [video] = made;
        const before = [video.paused, urls.size];
        stream.getTracks().forEach((track) => track.stop());
        for (let wait = 0; wait < 200 && urls.size; wait += 1) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return [...before, video.paused, urls.size, video.getAttribute("src")];""",
    )
    assert seen == [False, 1, True, 0, None]


def test_a_clip_that_cannot_be_shown_is_let_go(fresh: Page) -> None:
    code = """
      const file = new File(["no video"], "clip.mp4", { type: "video/mp4" });
      const error = await m.openSample(file).catch((error) => error);
      return [error instanceof Error || error instanceof DOMException, urls.size];
    """
    assert run(fresh, "sample", CLIP + code) == [True, 0]
