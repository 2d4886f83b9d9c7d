"""The page's modules one by one, in a browser but without a server."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Page

from signaling.overlay import pack_points
from stream.settings import Settings
from tests.web.modules import run

SCHEMA = {
    "$defs": {"Hair": {"enum": ["own", "dark_red"], "type": "string"}},
    "properties": {
        "age": {
            "anyOf": [{"type": "number", "minimum": 15, "maximum": 85}, {"type": "null"}],
            "default": None,
            "title": "Age",
            "unit": "years",
            "step": 1,
        },
        "smile": {"type": "number", "minimum": -1, "maximum": 1, "default": 0.0, "title": "Smile"},
        "count": {"type": "integer", "minimum": 0, "maximum": 9, "default": 0, "title": "Count"},
        "on": {"type": "boolean", "default": False, "title": "On"},
        "hair": {"$ref": "#/$defs/Hair", "default": "own", "title": "Hair"},
        "dye": {"type": "string", "format": "color", "default": "#7a3fbf", "title": "Dye"},
        "free": {"type": "string", "title": "Not drawable"},
        "open": {"type": "number", "title": "No bounds"},
    },
}
DRAW = """
  const changes = [];
  const { fieldsOf } = await import("/fields.js");
  const fields = fieldsOf(a);
  const drawn = m.drawControls(document.querySelector("main"), fields, (name, value) => changes.push([name, value]));
  drawn.show({});
  const row = (name) => document.querySelector(`[data-name="${name}"]`);
  const move = (input, value) => {
    input.value = value;
    for (const type of ["input", "change"]) input.dispatchEvent(new Event(type));
  };
"""


def test_schema_gives_fields(blank: Page) -> None:
    fields = run(blank, "fields", "return m.fieldsOf(a)", SCHEMA)
    kinds = {field["name"]: (field["kind"], field["nullable"]) for field in fields}
    assert kinds == {
        "age": ("number", True),
        "smile": ("number", False),
        "count": ("number", False),
        "on": ("switch", False),
        "hair": ("choice", False),
        "dye": ("colour", False),
    }
    by_name = {field["name"]: field for field in fields}
    assert (by_name["age"]["minimum"], by_name["age"]["maximum"], by_name["age"]["step"]) == (15, 85, 1)
    assert by_name["smile"]["step"] == pytest.approx(0.01)
    assert by_name["count"]["step"] == 1
    assert by_name["hair"]["choices"] == [
        {"value": "own", "title": "Own", "help": ""},
        {"value": "dark_red", "title": "Dark red", "help": ""},
    ]


def test_every_control_has_a_label(blank: Page) -> None:
    unnamed = run(
        blank,
        "controls",
        DRAW
        + """return [...document.querySelectorAll("input, select, button")].filter(
            (element) => !element.getAttribute("aria-label") && !element.labels?.[0]?.textContent
        ).map((element) => element.outerHTML)""",
        SCHEMA,
    )
    assert unnamed == []


def test_moving_a_control_tells_its_value(blank: Page) -> None:
    changes = run(
        blank,
        "controls",
        DRAW
        + """
        move(row("smile").querySelector("input[type=range]"), "-0.5");
        changes.length = 1;
        row("age").querySelector("[role=switch]").click();
        move(row("age").querySelector(".value"), "400");
        move(row("age").querySelector(".value"), "forty");
        move(row("hair").querySelector("select"), "dark_red");
        row("on").querySelector("input").click();
        row("smile").querySelector(".reset").click();
        return changes;""",
        SCHEMA,
    )
    assert changes == [["smile", -0.5], ["age", 50], ["age", 85], ["hair", "dark_red"], ["on", True], ["smile", 0]]


def test_a_control_says_what_the_face_lacks(blank: Page) -> None:
    said = run(
        blank,
        "controls",
        DRAW
        + """
        const said = () => row("smile").querySelector(".obstacle").textContent;
        drawn.show({ smile: 1 });
        drawn.hinder({ smile: "no hair is seen", gone: "nobody" });
        const all = [said(), row("smile").querySelector("input").disabled];
        drawn.show({});
        all.push(said());
        drawn.show({ smile: 0.5 });
        all.push(said());
        drawn.hinder({});
        return [...all, said()];""",
        SCHEMA,
    )
    assert said == ["No hair is seen.", False, "", "No hair is seen.", ""]


RELATED = {
    "properties": {
        "age": {
            "anyOf": [
                {"type": "number", "minimum": 15, "maximum": 85},
                {"type": "string", "pattern": "^[+-][1-9][0-9]?$", "format": "difference"},
                {"type": "null"},
            ],
            "default": None,
            "title": "Age",
            "unit": "years",
            "step": 1,
        },
        "colour": {
            "anyOf": [{"enum": ["red", "custom"], "type": "string"}, {"type": "null"}],
            "default": None,
            "title": "Colour",
            "wakes": {"amount": 1.0},
        },
        "custom": {
            "type": "string",
            "format": "color",
            "default": "#7a3fbf",
            "title": "Own colour",
            "sets": {"colour": "custom"},
            "wakes": {"amount": 1.0},
        },
        "amount": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 1.0,
            "title": "Amount",
            "needs": "colour",
        },
    },
}


@pytest.mark.parametrize(
    ("look", "name", "value", "after"),
    [
        ({}, "colour", "red", {"colour": "red"}),
        ({"amount": 0}, "colour", "red", {"colour": "red"}),
        ({"amount": 0.4}, "colour", "red", {"colour": "red", "amount": 0.4}),
        (
            {"colour": "red", "amount": 0},
            "custom",
            "#00ff00",
            {"colour": "custom", "custom": "#00ff00"},
        ),
        ({"colour": "red", "amount": 0}, "colour", None, {"amount": 0}),
        ({}, "age", "+20", {"age": "+20"}),
        ({}, "age", "+0", {}),
        ({"age": 40}, "age", None, {}),
    ],
)
def test_a_move_acts(blank: Page, look: dict[str, Any], name: str, value: Any, after: dict[str, Any]) -> None:
    moved = run(blank, "fields", "return m.moved(m.fieldsOf(a[0]), a[1], a[2], a[3])", [RELATED, look, name, value])
    assert moved == after


def test_a_control_that_cannot_act_says_what_is_missing(blank: Page) -> None:
    said = run(
        blank,
        "controls",
        DRAW
        + """
        const amount = () => [row("amount").querySelector("input[type=range]").disabled, row("amount").innerText];
        const before = amount();
        drawn.show({ colour: "red" });
        return [before, amount()[0], row("colour").querySelector("select").disabled];""",
        RELATED,
    )
    assert said[0][0]
    assert "Set “Colour” first." in said[0][1]
    assert said[1:] == [False, False]


def test_one_of_several_controls_is_enough(blank: Page) -> None:
    switch = {"type": "boolean", "default": True, "title": "Brows", "needs": "grey age"}
    grey = {"type": "number", "minimum": 0, "maximum": 1, "default": 0.0, "title": "Grey"}
    said = run(
        blank,
        "controls",
        DRAW
        + """
        const said = (values) => {
          drawn.show(values);
          return [row("brows").querySelector("input").disabled, row("brows").querySelector("[id^=lack]").textContent];
        };
        return [said({}), said({ age: 60 }), said({ grey: 1 })];""",
        {"properties": {"age": RELATED["properties"]["age"], "grey": grey, "brows": switch}},
    )
    assert said == [[True, "Set “Age” or “Grey” first."], [False, ""], [False, ""]]


def test_ages_may_be_differences(blank: Page) -> None:
    told = run(
        blank,
        "controls",
        DRAW
        + """
        const value = row("age").querySelector(".value");
        const slider = row("age").querySelector("input[type=range]");
        const told = () => [value.value, slider.min, slider.max, slider.value, slider.getAttribute("aria-valuetext")];
        move(value, "+20");
        move(value, "500");
        const error = row("age").querySelector(".error").textContent;
        drawn.show({ age: "-15" });
        const shown = told();
        move(slider, "0");
        row("age").querySelector(".mode").click();
        drawn.show({ age: 50 });
        move(value, "500");
        return { changes, error, shown, now: told(), last: row("age").querySelector(".error").textContent };""",
        RELATED,
    )
    assert told == {
        "changes": [["age", "+20"], ["age", "+50"], ["age", None], ["age", 50], ["age", 85]],
        "error": "−50 to +50",
        "shown": ["−15", "-50", "50", "-15", "−15 years"],
        "now": ["85", "15", "85", "50", "50 years"],
        "last": "15 to 85",
    }


def test_what_is_typed_acts_or_is_answered(blank: Page) -> None:
    """ "off" is what the box itself shows; of what is no number, the range was not said."""
    told = run(
        blank,
        "controls",
        DRAW
        + """
        const value = row("age").querySelector(".value");
        const error = () => row("age").querySelector(".error").textContent;
        drawn.show({ age: 50 });
        move(value, "old");
        const seen = [value.value, error()];
        drawn.complain("age", "");
        move(value, " Off ");
        return [...seen, error(), changes];""",
        RELATED,
    )
    assert told == ["50", "A number: 15 to 85", "", [["age", None]]]


def test_show_and_complain(blank: Page) -> None:
    shown = run(
        blank,
        "controls",
        DRAW
        + """
        drawn.show({ age: 70, hair: "dark_red" });
        const known = drawn.complain("age", "<b>too old</b>");
        return {
          value: row("age").querySelector(".value").value, slider: row("age").querySelector("input[type=range]").value,
          moved: [...document.querySelectorAll(".moved")].map((element) => element.dataset.name),
          hair: row("hair").querySelector("select").selectedOptions[0].textContent,
          error: row("age").querySelector(".error").textContent, markup: row("age").querySelectorAll("b").length,
          known, unknown: drawn.complain("nose", "?"),
        };""",
        SCHEMA,
    )
    assert shown == {
        "value": "70",
        "slider": "70",
        "moved": ["age", "hair"],
        "hair": "Dark red",
        "error": "<b>too old</b>",
        "markup": 0,
        "known": True,
        "unknown": False,
    }


def test_only_fitting_changes_are_kept(blank: Page) -> None:
    """What was remembered by an older version must not be refused by a newer server."""
    values = {"age": 300, "smile": 0.5, "hair": "green", "dye": "#000000", "gone": 1, "on": False}
    kept = run(blank, "fields", "return m.changedValues(m.fieldsOf(a[0]), a[1])", [SCHEMA, values])
    assert kept == {"smile": 0.5, "dye": "#000000"}


def test_the_servers_words_for_choices_are_taken(blank: Page) -> None:
    fields = run(blank, "fields", "return m.fieldsOf(a)", Settings.model_json_schema())
    by_name = {field["name"]: field for field in fields}
    assert list(by_name) == [
        "amount",
        "bypass",
        "faces",
        "lost",
        "smoothing",
        "mark",
        "label",
        "label_corner",
        "label_when",
        "quality",
    ]
    assert [choice["title"] for choice in by_name["lost"]["choices"]] == ["Show camera", "Hold edit", "Blur"]
    assert "Nobody sees you unedited" in by_name["lost"]["choices"][2]["help"]
    assert (by_name["smoothing"]["standard"], by_name["smoothing"]["step"]) == (0.5, 0.05)
    assert all(field["title"] for field in fields)


@pytest.mark.parametrize(
    ("last", "differs"),
    [
        (None, {}),
        ("damaged", {}),
        (
            {"lost": "blur", "smoothing": 0.8, "faces": "locked", "lock": 7},
            {"lost": "blur", "smoothing": 0.8, "faces": "locked"},
        ),
        ({"lost": "explode", "smoothing": 8, "mark": "yes", "gone": 1}, {}),
        ({"controls": {"age": 70, "photo": "0a"}}, {"controls": {"age": 70}}),
    ],
)
def test_settings_begin_as_they_were_where_the_server_takes_them(
    blank: Page, last: Any, differs: dict[str, Any]
) -> None:
    settings = run(blank, "page", "return m.startingSettings(a[0], a[1])", [Settings.model_json_schema(), last])
    assert settings == {**Settings().model_dump(), **differs}


PAGE = """
  localStorage.clear();
  const page = new m.Page();
  const editor = (name) => ({ name, state: "ready", presets: [], controls: a.controls });
  page.learn({ editors: [editor("one"), editor("two")], settings: a.settings });
  page.use(page.firstEditor);
"""


def test_every_editor_keeps_its_look(blank: Page) -> None:
    looks = run(
        blank,
        "page",
        PAGE
        + """
        page.want({ controls: { smile: 0.5 } });
        page.use(page.editorNamed("two"));
        const other = page.wanted.controls;
        page.use(page.editorNamed("one"));
        return [other, page.wanted.controls, JSON.parse(localStorage.getItem("latentcam")).controls];""",
        {"controls": SCHEMA, "settings": Settings.model_json_schema()},
    )
    assert looks == [{}, {"smile": 0.5}, {"one": {"smile": 0.5}}]


def test_what_the_server_uses_counts(blank: Page) -> None:
    wanted = run(
        blank,
        "page",
        PAGE
        + """
        page.want({ smoothing: 0.9, lock: 3, controls: { smile: 0.5 } });
        const remembered = JSON.parse(localStorage.getItem("latentcam")).settings;
        page.confirmed = { ...page.wanted, smoothing: 0.2, controls: { smile: 0, count: 4 } };
        page.follow();
        return { remembered, now: page.wanted };""",
        {"controls": SCHEMA, "settings": Settings.model_json_schema()},
    )
    assert (wanted["remembered"]["smoothing"], wanted["remembered"]["lock"]) == (0.9, None)
    assert (wanted["now"]["smoothing"], wanted["now"]["controls"]) == (0.2, {"count": 4})


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 kB"), (99_000, "99 kB"), (1e5, "0.1 MB"), (9.94e6, "9.9 MB"), (13.9e6, "14 MB"), (2.3e9, "2.3 GB")],
)
def test_sizes_for_people(blank: Page, size: float, text: str) -> None:
    assert run(blank, "words", "return m.size(a)", size) == text


@pytest.mark.parametrize(
    ("value", "step", "text"), [(0.3, 0.01, "0.30"), (-1, 0.1, "−1.0"), (42, 1, "42"), (0.125, 0.005, "0.125")]
)
def test_format(blank: Page, value: float, step: float, text: str) -> None:
    assert run(blank, "controls", "return m.format(...a)", [value, step]) == text


def test_back_off_grows_to_its_limit(blank: Page) -> None:
    waits = run(blank, "connection", "return [0, 1, 2, 9].map((attempt) => m.backOff(attempt, 0.5))")
    assert waits == [500, 1000, 2000, 10_000]
    spread = run(blank, "connection", "return [0, 0.999].map((random) => m.backOff(0, random))")
    assert spread == pytest.approx([375, 625], abs=1)


CHANNEL = """
  class Channel extends EventTarget {
    readyState = "open";
    sent = [];
    send(text) { this.sent.push(JSON.parse(text)); }
    say(message) { this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify({ v: 1, ...message }) })); }
  }
  const channel = new Channel();
  const control = new m.Control(channel);
  const settings = () => channel.sent.filter(({ type }) => type === "settings");
  const until = async (condition) => { while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5)); };
"""


def test_slider_moves_are_merged_and_the_newest_wins(blank: Page) -> None:
    sent = run(
        blank,
        "control",
        CHANNEL
        + """
        for (let age = 20; age <= 60; age += 1) control.change({ controls: { age } });
        control.change({ bypass: true });
        const first = settings();
        channel.say({ type: "settings", id: first[0].id, settings: {} });
        await until(() => settings().length > 1);
        const settled = control.settled;
        channel.say({ type: "settings", id: settings()[1].id, settings: {} });
        const after = control.settled;
        control.stop();
        const contents = (messages) => messages.map((message) => message.settings);
        return { first: contents(first), all: contents(settings()), settled, after };""",
    )
    assert sent["first"] == [{"controls": {"age": 20}}]
    assert sent["all"] == [{"controls": {"age": 20}}, {"controls": {"age": 60}, "bypass": True}]
    assert (sent["settled"], sent["after"]) == (False, True)


def test_junk_on_the_channel_is_ignored(blank: Page) -> None:
    heard = run(
        blank,
        "control",
        CHANNEL
        + """
        const heard = [];
        for (const type of ["settings", "stats"]) {
          control.addEventListener(type, ({ detail }) => heard.push(detail.type));
        }
        for (const data of ["{", "null", "7", '{"v":2,"type":"stats"}']) {
          channel.dispatchEvent(new MessageEvent("message", { data }));
        }
        channel.say({ type: "stats" });
        control.stop();
        return heard;""",
    )
    assert heard == ["stats"]


def test_round_trip_is_measured(blank: Page) -> None:
    trip = run(
        blank,
        "control",
        CHANNEL
        + """
        const ping = channel.sent.find(({ type }) => type === "ping");
        channel.say({ type: "pong", id: ping.id, t: ping.t });
        control.stop();
        return control.roundTrip;""",
    )
    assert 0 <= trip < 60_000


LAG = """
  const phase = (time) => a.speed * (3 * Math.sin(time / 211) + 2 * Math.sin(time / 97));
  const grey = (time) => Uint8Array.from({ length: 576 }, (_, i) => 128 + 100 * Math.sin(i / 9 + phase(time)));
  const times = Array.from({ length: 40 }, (_, i) => 1000 + i * 33.3);
  const local = times.map((time) => ({ time, grey: grey(time) }));
  const returned = times.slice(10).map((time) => ({ time: time + 7, grey: grey(time + 7 - a.delay) }));
  return m.bestLag(local, returned);
"""


@pytest.mark.parametrize("delay", [45, 120, 250])
def test_delay_is_found_in_the_pictures(blank: Page, delay: float) -> None:
    assert run(blank, "before", LAG, {"delay": delay, "speed": 1}) == pytest.approx(delay, abs=20)


def test_a_meter_that_is_stopped_looks_at_no_frame(blank: Page) -> None:
    """It is stopped within a burst, whenever a session ends; its frame loops went on for as long as the page."""
    asked = blank.evaluate("""async () => {
      const { DelayMeter } = await import("/before.js");
      let asked = 0, shown = [];
      const video = () => ({ requestVideoFrameCallback: (see) => { asked += 1; shown.push(see); return asked; } });
      const meter = new DelayMeter(video(), video());
      meter.start();
      await new Promise((resolve) => setTimeout(resolve, 100));
      const before = asked;
      meter.stop();
      for (const see of shown) see(0, {});
      return [before, asked];
    }""")
    assert asked == [2, 2]


def test_a_sample_is_no_mirror(blank: Page) -> None:
    shown = blank.evaluate("""async () => {
      const { Page } = await import("/page.js");
      const page = new Page();
      page.preferences.mirror = true;
      const own = page.mirrored;
      page.sample = new File([], "picture.jpg");
      return [own, page.mirrored];
    }""")
    assert shown == [True, False]


def test_delay_of_a_still_picture_is_unknown(blank: Page) -> None:
    assert run(blank, "before", LAG, {"delay": 100, "speed": 0}) is None
    assert run(blank, "before", "return m.bestLag([], [])") is None


def test_presets_are_kept_per_editor(blank: Page) -> None:
    kept = run(
        blank,
        "presets",
        """
        localStorage.clear();
        m.keepPreset("embedded", { title: "Mine", controls: { age: 70 } });
        m.keepPreset("embedded", { title: "Mine", controls: { age: 80 } });
        m.keepPreset("hair", { title: "Red", controls: { amount: 1 } });
        m.removePreset("hair", "Red");
        return [m.ownPresets("embedded"), m.ownPresets("hair")];""",
    )
    assert kept == [[{"title": "Mine", "controls": {"age": 80}}], []]


@pytest.mark.parametrize(
    "stored", ["", "null", "[]", "7", '{"presets":{"embedded":"x"}}', '{"presets":{"embedded":[null]}}']
)
def test_damaged_memory_is_forgotten(blank: Page, stored: str) -> None:
    presets = run(blank, "presets", "localStorage.setItem('latentcam', a); return m.ownPresets('embedded')", stored)
    assert presets == []


def test_stages_add_up_to_the_measured_delay(blank: Page) -> None:
    browser = {"encodeMs": 4, "roundTripMs": 2, "bufferMs": 10, "decodeMs": 1}
    server = {"stages": {"track": {"p50": 3}, "render": {"p50": 5}}, "server_ms": {"p50": 10}}
    stages = run(blank, "stats", "return m.delayStages(...a)", [browser, server, 50])
    assert {stage["name"]: stage["ms"] for stage in stages} == {
        "upload": 4,
        "network": 2,
        "wait": 2,
        "track": 3,
        "render": 5,
        "buffer": 10,
        "decode": 1,
        "rest": 23,
    }


def test_allowed_ranges_in_words(blank: Page) -> None:
    cases = [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"anyOf": [{"type": "number", "minimum": 15, "maximum": 85}, {"type": "null"}]},
        ["a", "b"],
        {"type": "boolean"},
        None,
    ]
    words = run(blank, "words", "return a.map(m.allowedWords)", cases)
    assert words == ["0 to 1", "15 to 85, or off", "a, b", "boolean", ""]


def test_privacy_line_tells_where_the_video_goes(blank: Page) -> None:
    here = run(blank, "words", "return m.privacyWords({ hostname: '127.0.0.1', host: '127.0.0.1:8080' })")
    there = run(blank, "words", "return m.privacyWords({ hostname: 'cam.example', host: 'cam.example' })")
    assert "this computer" in here
    assert "cam.example" in there


def test_a_hello_that_came_before_anybody_listened_counts(blank: Page) -> None:
    heard = run(
        blank,
        "control",
        CHANNEL
        + """
        const early = new m.Control(channel, [JSON.stringify({ v: 1, type: "hello", settings: { smoothing: 1 } })]);
        return new Promise((resolve) => early.on("hello", ({ settings }) => resolve(settings)));""",
    )
    assert heard == {"smoothing": 1}


OFFER = (
    "v=0\r\nm=video 9 X 96\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:secret\r\na=candidate:1\r\na=sendrecv\r\n"
    "a=fmtp:96 profile-level-id=42e01f\r\na=fmtp:97 profile-level-id=640034\r\nm=audio 9 X 97\r\na=mid:1\r\n"
    "a=ice-ufrag:old\r\na=ice-pwd:secret\r\n"
)


def test_an_ice_restart_is_said_in_a_fragment(blank: Page) -> None:
    said = run(blank, "whip", "return m.fragmentOf(a);", OFFER)
    assert said == "m=video 9 X 96\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:secret\r\na=candidate:1\r\n"
    answer = (
        "a=ice-ufrag:new\r\na=ice-pwd:other\r\nm=video 9 X 0\r\na=mid:0\r\na=candidate:7\r\na=end-of-candidates\r\n"
    )
    both = run(blank, "whip", "return m.restarted(a[0], a[1]);", [OFFER, answer])
    assert both.count("a=ice-ufrag:new\r\n") == both.count("a=candidate:7\r\n") == 2
    assert "old" not in both
    assert "a=candidate:1\r\n" not in both
    assert both.index("a=sendrecv") < both.index("a=ice-ufrag:new") < both.index("m=audio")


def test_the_page_says_which_level_it_decodes(blank: Page) -> None:
    said = run(blank, "whip", "return m.decodable(a);", OFFER)
    assert "profile-level-id=42e034\r\n" in said
    assert "profile-level-id=640034\r\n" in said


RECORD_WEBM = """
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: "video/webm;codecs=vp8" });
  const chunks = [];
  recorder.addEventListener("dataavailable", ({ data }) => chunks.push(data));
  recorder.start(200);
  for (let i = 0; i < 40; i += 1) {
    context.fillStyle = `rgb(${6 * i} 0 0)`;
    context.fillRect(0, 0, 64, 48);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.stop();
  await stopped;
  const whole = new Blob(chunks, { type: "video/webm" });
  const bytesOf = async (blob) => btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
"""


def test_a_webm_recording_gets_a_duration_and_an_index(blank: Page, tmp_path: Path) -> None:
    raw, better, odd = run(
        blank,
        "webm",
        RECORD_WEBM
        + """
        const odd = new Blob(["no WebM at all"]);
        return [await bytesOf(whole), await bytesOf(await m.seekable(whole)), (await m.seekable(odd)) === odd];""",
    )
    assert odd, "what it does not understand stays as it is"
    times: list[list[int]] = []
    duration: int | None = None
    for name, data in (("raw", raw), ("better", better)):
        (tmp_path / f"{name}.webm").write_bytes(base64.b64decode(data))
        with av.open(str(tmp_path / f"{name}.webm")) as file:
            duration = file.duration
            times.append([frame.pts or 0 for frame in file.decode(video=0)])
    assert times[0] == times[1], "every picture is there, at its time"
    assert duration is not None
    assert duration / 1e6 == pytest.approx(times[1][-1] / 1000, abs=0.1)
    with av.open(str(tmp_path / "better.webm")) as file:
        file.seek(0)
        assert next(file.decode(video=0)).pts == times[1][0]


def test_files_are_named_by_the_clock_on_the_wall(blank: Page) -> None:
    assert run(blank, "save", "return m.localTime(new Date(2026, 0, 2, 3, 4, 5))") == "2026-01-02 03-04-05"


def test_an_overlay_is_drawn_where_the_server_says(blank: Page) -> None:
    """Points survive the way through the message; a mirrored view mirrors them, and no words."""
    corners = np.array([[64, 48], [64, 432], [320, 432], [320, 48]], np.float32)
    face = {"id": 3, "edited": True, "mesh": "", "quad": pack_points(corners, (640, 480)), "outlines": []}
    points, right, left, cleared = run(
        blank,
        "overlay",
        f"""const face = {json.dumps(face)};"""
        + """
        const canvas = Object.assign(document.createElement("canvas"), { style: "width: 640px; height: 480px" });
        document.body.append(canvas);
        const overlay = new m.Overlay(canvas);
        overlay.use(true);
        const edgeOf = async (mirror) => {
          overlay.draw({ faces: [face], stages: { track: 1.5 }, detected: false }, { mirror });
          await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          const row = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1).data;
          return Array.from({ length: canvas.width }, (_, x) => x).filter((x) => row[4 * x + 3] > 100);
        };
        const shown = [await edgeOf(false), await edgeOf(true)];
        overlay.use(false);
        const rest = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
        canvas.remove();
        return [m.unpackPoints(face.quad), ...shown, !rest];""",
    )
    np.testing.assert_allclose(points, corners / (640, 480), atol=1e-4)
    assert [min(right), max(right)] == pytest.approx([96, 480], abs=2)
    assert [min(left), max(left)] == pytest.approx([480, 864], abs=2)
    assert cleared


def test_what_was_set_of_an_editor_stays_on_when_another_is_chosen(blank: Page) -> None:
    stacks = run(
        blank,
        "page",
        PAGE
        + """
        const stacks = [];
        const choose = (name) => {
          page.wanted.layers = page.stack;
          page.use(page.editorNamed(name));
          const { editor, controls, amount, layers } = page.wanted;
          stacks.push({ editor, controls, amount, layers });
        };
        page.want({ controls: { smile: 0.5 }, amount: 0.8 });
        choose("two");
        choose("one");
        page.want({ controls: {} });
        choose("two");
        return stacks;""",
        {"controls": SCHEMA, "settings": Settings.model_json_schema()},
    )
    layer = {"controls": {"smile": 0.5}, "amount": 0.8}
    assert stacks == [
        {"editor": "two", "controls": {}, "amount": 1, "layers": {"one": layer}},
        {"editor": "one", "layers": {}, **layer},
        {"editor": "two", "controls": {}, "amount": 1, "layers": {}},
    ]


@pytest.mark.parametrize(
    ("preset", "on"),
    [
        ({"controls": {"age": 60}}, True),
        ({"controls": {"age": 60}, "amount": 0.5}, False),
        ({"controls": {"age": 60}, "layers": {}}, False),
        ({"controls": {"age": 60}, "layers": {"hair": {"controls": {"colour": "red"}, "amount": 1}}}, True),
        ({"controls": {"age": 60}, "layers": {"hair": {"controls": {"colour": "blond"}, "amount": 1}}}, False),
        ({"controls": {"age": 61}}, False),
    ],
)
def test_a_preset_is_the_whole_stack(blank: Page, preset: dict[str, Any], on: bool) -> None:
    wanted = {
        "controls": {"age": 60},
        "amount": 1,
        "layers": {"hair": {"controls": {"colour": "red"}, "amount": 1}},
    }
    assert run(blank, "presets", "return m.isOn(a[0], a[1])", [preset, wanted]) is on


def test_only_layers_that_the_server_can_draw_are_remembered(blank: Page) -> None:
    layers = run(
        blank,
        "page",
        """
        localStorage.setItem("latentcam", JSON.stringify({ settings: { layers: {
          one: { controls: { smile: 0.5, photo: "ab", gone: 1 }, amount: 0.5 },
          two: { controls: { smile: 0 } }, nobody: { controls: { smile: 1 } }, odd: 7,
        } } }));
        const page = new m.Page();
        const editor = (name) => ({ name, state: "ready", presets: [], controls: a.controls });
        page.learn({ editors: [editor("one"), editor("two")], settings: a.settings });
        return page.wanted.layers;""",
        {"controls": SCHEMA, "settings": Settings.model_json_schema()},
    )
    assert layers == {"one": {"controls": {"smile": 0.5}, "amount": 0.5}}


@pytest.mark.parametrize(
    ("browser", "delay", "server", "line"),
    [
        ((29.7, 30), 45.2, {"reduced": ""}, "30 fps, 45 ms later than your camera; everything kept up."),
        ((12, 30), None, {"reduced": "edits on every third frame"}, "12 fps; to keep up: edits on every third frame."),
        ((0, 30), None, {"reduced": ""}, "0 fps; your camera sent 30."),
        ((25, None), None, {"reduced": ""}, "25 fps; everything kept up."),
    ],
)
def test_stats_begin_with_a_line_for_people(
    blank: Page, browser: tuple[float, float | None], delay: float | None, server: dict[str, str], line: str
) -> None:
    code = "return m.statsLine({ fps: a[0], sentFps: a[1] }, a[2], a[3])"
    assert run(blank, "stats", code, [*browser, delay, server]) == line


def test_undo_and_redo_go_by_steps(blank: Page) -> None:
    """The moves of a drag are one step; a change after an undo forgets what was undone."""
    seen = run(
        blank,
        "history",
        """
        const history = new m.History(0);
        for (const [state, at] of [[1, 0], [2, 100], [3, 200], [4, 5000], [4, 9000]]) history.record(state, at);
        const seen = [history.undo(), history.undo(), history.undo(), history.redo(), history.canRedo];
        history.record(9, 20000);
        return [...seen, history.redo(), history.undo(), history.canUndo];""",
    )
    assert seen == [3, 0, None, 3, True, None, 3, True]


def test_undo_goes_back_to_what_was_in_force(blank: Page) -> None:
    """Not to what was wanted before the server told what it uses, nor to what it refused."""
    states = blank.evaluate("""async () => {
      const { History } = await import("/history.js");
      const history = new History("remembered");
      history.rebase("of the server");
      const first = history.canUndo;
      history.record("one's own", 0);
      history.rebase("as it was taken");
      return [first, history.undo(), history.redo(), history.canRedo];
    }""")
    assert states == [False, "of the server", "as it was taken", False]


def test_editors_that_run_come_first_and_many_others_are_folded(blank: Page) -> None:
    def editor(name: str, state: str) -> dict[str, Any]:
        facts = {"description": f"what {name} does", "why": "", "licence": "MIT", "size_mb": 0}
        return {"name": name, "title": name.upper(), "state": state, **facts}

    drawn = run(
        blank,
        "editors",
        """
        const main = document.querySelector("main");
        const names = () => [...main.querySelectorAll(".editor:not([hidden]) strong")].map((e) => e.textContent);
        m.drawEditors(main, a.slice(0, 3), "a", () => {}, () => {});
        const few = [names(), main.querySelector("details") !== null];
        m.drawEditors(main, a, "b", () => {}, () => {});
        const details = main.querySelector("details");
        const search = main.querySelector("details input");
        const all = names();
        search.value = "what G";
        search.dispatchEvent(new Event("input"));
        const summary = details.querySelector("summary").textContent;
        return { few, all, open: details.open, summary, found: names() };""",
        [editor(name, "ready" if name in "bh" else "needs weights") for name in "abcdefgh"],
    )
    assert drawn["few"] == [["B", "A", "C"], False]
    assert drawn["all"] == ["B", "H", "A", "C", "D", "E", "F", "G"]
    assert (drawn["open"], drawn["summary"]) == (False, "6 published editors")
    assert drawn["found"] == ["B", "H", "G"]


def test_a_machine_is_behind_when_frames_are_missing_for_a_while(blank: Page) -> None:
    code = """
      const pace = new m.Pace();
      return a.map(([came, left, now]) => pace.isBehind({ fps_in: came, fps_out: left }, now));
    """
    steady = [
        [30, 29, 0],
        [30, 10, 1000],
        [30, 10, 6000],
        [30, 10, 7000],
        [30, 29, 8000],
        [30, 10, 9000],
        [1, 0, 99000],
    ]
    assert run(blank, "pace", code, steady) == [False, False, False, True, False, False, False]


def test_every_way_into_a_call_has_its_steps(blank: Page) -> None:
    code = """
      const address = "http://127.0.0.1:8080/?view=output&stream=x";
      const lines = (way) => m.callSteps(way, address).map(({ text, code }) => `${text} ${code ?? ""}`);
      return Object.fromEntries(a.map((way) => [way, lines(way)]));
    """
    steps = run(blank, "calls", code, ["obs", "linux", "windows", "macos"])
    assert "1280" in steps["obs"][1]
    assert "720" in steps["obs"][1]
    assert "v4l2loopback" in steps["linux"][0]
    for way in ("linux", "windows", "macos"):
        command = ' -m stream.camera --from-session "http://127.0.0.1:8080/?view=output&stream=x"'
        assert any(command in step for step in steps[way]), way


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([["pointerenter", "mouse", 300], ["pointerleave", "mouse", 0]], ["begin", "end"]),
        ([["pointerenter", "mouse", 20], ["pointerleave", "mouse", 300]], []),
        (
            [["pointerenter", "mouse", 300], ["click", "mouse", 0], ["pointerleave", "mouse", 0]],
            ["begin", "end", "press"],
        ),
        ([["pointerdown", "touch", 450], ["pointerup", "touch", 0], ["click", "touch", 0]], ["begin", "end"]),
        ([["pointerdown", "touch", 20], ["pointerup", "touch", 0], ["click", "touch", 0]], ["press"]),
    ],
)
def test_a_look_is_shown_while_its_button_is_hovered_or_held(
    blank: Page, events: list[Any], expected: list[str]
) -> None:
    code = """
      const button = document.createElement("button");
      const seen = [];
      m.previewOn(button, { begin: () => seen.push("begin"), end: () => seen.push("end") });
      button.addEventListener("click", () => seen.push("press"));
      for (const [type, pointerType, after] of a) {
        button.dispatchEvent(new PointerEvent(type, { pointerType }));
        await new Promise((resolve) => setTimeout(resolve, after));
      }
      return seen;
    """
    assert run(blank, "preview", code, events) == expected


EDITORS: list[dict[str, Any]] = [
    {
        "name": name,
        "title": title,
        "description": "Does something.",
        "state": state,
        "why": "",
        "licence": "MIT",
        "size_mb": megabytes,
        "group": group,
        "licences": [{"name": "MIT", "url": "https://opensource.org/license/mit"}, {"name": "your own", "url": ""}],
        "hardware": "A plain processor.",
        "speeds": [{"where": "on this server", "ms": 12.5}],
        "download": f"Download: {megabytes} MB.",
        "picture": "gallery/older.webp" if name == "far" else "",
        "illustration": name == "far",
        "lockable": False,
        "controls": {},
        "presets": [],
    }
    for name, title, state, group, megabytes in (
        ("embedded", "Age", "ready", "ready", 0),
        ("mine", "My translation", "ready", "own", 3),
        ("far", "Far away", "needs weights", "published", 1200),
    )
]


def test_the_gallery_groups_searches_and_acts(blank: Page) -> None:
    told = run(
        blank,
        "gallery",
        """
  const dialog = document.createElement("dialog");
  document.querySelector("main").append(dialog);
  const done = [];
  const act = (kind) => (name) => done.push([kind, name]);
  m.setUpGallery(dialog, { onPick: act("pick"), onFetch: act("fetch") }).open(a, "embedded");
  const heads = [...dialog.querySelectorAll("h3")].map((head) => head.textContent);
  const facts = [...dialog.querySelectorAll("li")].map((item) => item.textContent);
  const links = [...dialog.querySelectorAll("a")].map((link) => [link.href, link.rel]);
  const search = dialog.querySelector("input");
  search.value = "FAR away";
  search.dispatchEvent(new Event("input"));
  const seen = (card) => !card.hidden && !card.closest("section").hidden;
  const cards = [...dialog.querySelectorAll("article")].filter(seen);
  const shown = cards.map((card) => card.querySelector("h4").textContent);
  dialog.querySelector("article button.get").click();
  const open = dialog.open;
  const captions = [...dialog.querySelectorAll("figcaption")].map((caption) => caption.textContent);
  return { heads, facts: facts.slice(4, 8), link: links[0], shown, done, open, captions };
""",
        EDITORS,
    )
    assert told["heads"] == ["Ready (1)", "Your own (1)", "Published, need weights (1)"]
    assert told["facts"] == [
        "Download: 3 MB.",
        "Licence: MIT; your own",
        "A plain processor.",
        "12.5 ms a frame (on this server)",
    ]
    assert told["link"] == ["https://opensource.org/license/mit", "noopener noreferrer"]
    assert told["captions"] == ["Illustration, drawn by the editors that ship with Latentcam"]
    assert told["shown"] == ["Far away"]
    assert told["done"] == [["fetch", "far"]]
    assert told["open"] is False


def test_a_lock_is_followed_to_its_end_and_forgotten(blank: Page) -> None:
    told = run(
        blank,
        "lock",
        """
  const asked = [];
  const answers = [
    { id: "1", editor: "e4e", state: "running", step: 0, steps: 0, error: "" },
    { id: "1", editor: "e4e", state: "running", step: 5, steps: 10, error: "" },
    { id: "1", editor: "e4e", state: "done", step: 10, steps: 10, error: "" },
  ];
  window.fetch = async (path, init) => {
    asked.push([init?.method ?? "GET", String(path).split("?")[0]]);
    return init?.method === "DELETE" ? new Response(null, { status: 204 }) : Response.json(answers.shift());
  };
  const locked = [];
  const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  canvas.getContext("2d");
  const facts = { editor: "e4e", lockable: true, live: true, session: "s" };
  const onLock = (id) => locked.push(id);
  const lock = new m.LatentLock({ facts: () => facts, camera: () => canvas, token: () => null, onLock });
  document.querySelector("main").append(lock.element);
  const [start, stop] = lock.element.querySelectorAll("button");
  start.click();
  const texts = [];
  for (let wait = 0; wait < 400 && locked.length === 0; wait++) {
    texts.push(lock.element.querySelector("p").textContent);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const after = [start.hidden, stop.hidden, stop.textContent];
  stop.click();
  facts.lockable = false;
  lock.show();
  return { asked, locked, after, half: texts.some((text) => text.includes("50 %")), hidden: lock.element.hidden };
""",
    )
    assert told["locked"] == ["1", ""]
    assert told["after"] == [True, False, "Unlock"]
    assert told["half"]
    assert told["hidden"]
    assert told["asked"] == [["POST", "locks"], ["GET", "locks/1"], ["GET", "locks/1"], ["DELETE", "locks/1"]]


RECORDING = """
  globalThis.begun = 0;
  globalThis.MediaRecorder = class extends EventTarget {
    static isTypeSupported() { return true; }
    state = "inactive";
    start() { begun += 1; this.state = "recording"; }
    stop() { this.state = "inactive"; }
  };
  const canvas = Object.assign(document.createElement("canvas"), { width: 4, height: 4 });
  canvas.getContext("2d");
  const stream = canvas.captureStream();
  const size = { camera: 8, edited: 4 };
  const video = (name) => Object.defineProperties(document.createElement("video"), {
    videoWidth: { get: () => size[name] },
    videoHeight: { get: () => size[name] },
  });
  const [edited, camera] = [video("edited"), video("camera")];
  edited.srcObject = stream;
  const before = document.createElement("canvas");
  const recording = new m.Recording({ camera, edited, before, split: () => 0.5 }, { onFile() {}, onChange() {} });
  recording.start("edited");
"""


def test_no_file_is_begun_of_a_stream_that_has_ended(blank: Page) -> None:
    code = """
      const first = begun;
      recording.interrupt();
      stream.getTracks().forEach((track) => track.stop());
      recording.goOn(); // the camera's size changed some seconds ago, and the session is a new one by now
      return [first, begun, recording.running];
    """
    assert run(blank, "recording", RECORDING + code) == [1, 1, True]


def test_a_file_ends_only_where_a_size_is_another(blank: Page) -> None:
    """An element tells of the size of a new stream too, perhaps after a file of it was begun."""
    code = """
      const files = [begun];
      for (const element of [camera, edited]) {
        element.dispatchEvent(new Event("resize"));
        files.push(begun);
      }
      size.edited = 6;
      edited.dispatchEvent(new Event("resize"));
      return [...files, begun];
    """
    assert run(blank, "recording", RECORDING + code) == [1, 1, 1, 2]


LOCK = """
  const asked = [];
  let answers = [];
  window.fetch = async (path, init) => {
    asked.push([init?.method ?? "GET", String(path)]);
    return init?.method === "DELETE" ? new Response(null, { status: 204 }) : answers.shift()();
  };
  const told = (state, error = "") => () => Response.json({ id: "1", editor: "e4e", state, step: 0, steps: 0, error });
  const busy = () => Response.json({ detail: "other snapshots are waiting" }, { status: 503 });
  const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  canvas.getContext("2d");
  const facts = { editor: "e4e", lockable: true, live: true, session: "s" };
  const locked = [];
  const onLock = (id) => locked.push(id);
  const lock = new m.LatentLock({ facts: () => facts, camera: () => canvas, token: () => null, onLock });
  const [start, stop] = lock.element.querySelectorAll("button");
  const text = () => lock.element.querySelector("p").textContent;
  const at = (change) => (Object.assign(facts, change), lock.show(), [start.hidden, start.disabled, stop.hidden]);
  const until = async (condition) => {
    for (let wait = 0; wait < 400 && !condition(); wait++) await new Promise((resolve) => setTimeout(resolve, 10));
  };
"""
FREE = [False, False, True]  # Start is there and can be pressed, Stop is not there


def test_a_snapshot_that_failed_keeps_no_editor_from_being_locked(blank: Page) -> None:
    seen = run(
        blank,
        "lock",
        LOCK
        + """
  answers = [told("failed", "No face is in this picture."), told("running"), told("cancelled")];
  start.click();
  await until(() => text().startsWith("No face"));
  const failed = [at({}), text(), at({ editor: "psp" })];
  at({ editor: "e4e" });
  start.click();
  await until(() => text() === "Reading your face…");
  const running = [at({}), at({ editor: "psp" }), at({ editor: "e4e" })];
  await until(() => !start.hidden);
  return { failed, running, cancelled: at({}), left: answers.length, asked: asked.map(([method]) => method) };
""",
    )
    assert seen["failed"] == [FREE, "No face is in this picture.", FREE]
    assert seen["running"] == [[True, False, False], [False, True, True], [True, False, False]]
    assert seen["cancelled"] == FREE
    assert (seen["left"], seen["asked"]) == (0, ["POST", "DELETE", "POST", "GET"])


def test_a_lock_stays_behind_where_the_session_moves(blank: Page) -> None:
    seen = run(
        blank,
        "lock",
        LOCK
        + """
  answers = [busy, told("done"), told("running")];
  start.click();
  await until(() => locked.length);
  const done = [...at({}), text()];
  const moved = [...at({ session: "t" }), text()];
  start.click();
  await until(() => text() === "Reading your face…");
  facts.session = "u";
  await until(() => !start.hidden); // as soon as it is to be asked for
  return { done, moved, locked, asked };
""",
    )
    assert seen["done"][:3] == [True, False, False]
    assert seen["done"][3].startswith("Locked to you")
    assert seen["moved"][:3] == FREE
    assert seen["moved"][3].startswith("Draws you more closely")
    assert seen["locked"] == ["1"], "a lock of before is not taken off the session that follows"
    posts = [["POST", f"locks?editor=e4e&session={session}"] for session in "sst"]
    assert seen["asked"] == posts, "a busy server is asked again, a session that is gone is not"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, "output-away"),
        (401, "output-token"),
        (404, "output-unknown"),
        (503, "output-full"),
        *((other, "output-refused") for other in (400, 403, 409, 429, 500)),
    ],
)
def test_only_a_full_server_says_that_its_places_are_taken(blank: Page, status: int, state: str) -> None:
    told = run(
        blank,
        "watch",
        """
  const { Refused } = await import("/whip.js");
  const { stateWords } = await import("/states.js");
  const error = a ? new Refused("refused", "too many requests", null, a) : new TypeError("fetch");
  const { state, reason } = m.troubleOf(error);
  return { state, ...stateWords(state, { reason }) };
""",
        status,
    )
    assert told["state"] == state
    assert ("places for viewers are taken" in told["text"]) is (status == 503)
    assert (told["text"] == "Too many requests.") is (state == "output-refused")
    assert told["title"]


@pytest.mark.parametrize(
    ("change", "width", "may"),
    [
        ("", 1280, True),
        ("", 640, False),
        ("page.prefer({ slow: true })", 1280, False),
        ("page.prefer({ resolution: '1280x720' })", 1280, False),
        ("page.sample = new File([], 'clip.webm')", 1280, False),
    ],
)
def test_the_picture_gets_smaller_only_where_the_page_chose_its_size(
    blank: Page, change: str, width: int, may: bool
) -> None:
    code = f"localStorage.clear(); const page = new m.Page(); {change}; return page.maySlowDown(a)"
    assert run(blank, "page", code, width) is may


def test_ids_of_a_session_end_with_it(blank: Page) -> None:
    code = "const page = new m.Page(); page.want({ bypass: true, lock: 3, latent_lock: 'a1' }); return page.lasting"
    lasting = run(blank, "page", code)
    assert (lasting["bypass"], lasting["lock"], lasting["latent_lock"]) == (True, None, "")


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"key": "e"}, "E"),
        ({"key": "E", "shiftKey": True}, "E"),
        ({"key": "?", "shiftKey": True}, "?"),
        ({"key": "e", "altKey": True}, ""),
        ({"key": "r", "ctrlKey": True}, "Ctrl + R"),
        ({"key": "z", "ctrlKey": True}, "Ctrl + Z"),
        ({"key": "z", "metaKey": True}, "Ctrl + Z"),
        ({"key": "Z", "metaKey": True, "shiftKey": True}, "Ctrl + Shift + Z"),
        ({"key": "y", "ctrlKey": True}, "Ctrl + Shift + Z"),
        ({"key": "z", "ctrlKey": True, "altKey": True}, ""),
    ],
)
def test_keys_have_the_names_of_the_list(blank: Page, event: dict[str, Any], key: str) -> None:
    assert run(blank, "shortcuts", "return m.keyOf(new KeyboardEvent('keydown', a))", event) == key
