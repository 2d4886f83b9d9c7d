"""A visit, in a browser whose camera, peer connections and server are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.modules import run

# As in tests/e2e: a browser on a busy machine gets a second try, which the report names.
pytestmark = pytest.mark.flaky(reruns=1)

WORLD = """
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (condition, what) => {
    for (let wait = 0; wait < 300; wait += 1) {
      if (condition()) return;
      await sleep(20);
    }
    throw new Error(`never: ${what ?? condition}`);
  };
  const world = { opened: [], gate: null, refusal: null, mute: false };
  Object.assign(world, { peers: [], answers: [], requests: [], moves: true });
  const moving = (moves) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
    const context = canvas.getContext("2d");
    let count = 0;
    setInterval(() => {
      if (!moves()) return;
      context.fillStyle = `rgb(${(count += 7) % 255} 0 0)`;
      context.fillRect(0, 0, 64, 48);
    }, 40);
    return canvas.captureStream();
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const { gate, refusal } = world;
    await gate;
    if (refusal) throw new DOMException("no", refusal);
    const stream = moving(() => true);
    for (const track of stream.getTracks()) Object.defineProperty(track, "muted", { get: () => world.mute });
    world.opened.push(stream);
    return stream;
  };
  class Channel extends EventTarget {
    readyState = "connecting";
    send() {}
    say(message) { this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify({ v: 1, ...message }) })); }
  }
  window.RTCPeerConnection = class extends EventTarget {
    iceGatheringState = "complete";
    connectionState = "new";
    localDescription = { sdp: "a=candidate:1" };
    channel = new Channel();
    constructor() { super(); world.peers.push(this); }
    createDataChannel() { return this.channel; }
    addTransceiver(kind) {
      const sender = { getParameters: () => ({ encodings: [] }), setParameters() {}, replaceTrack() {} };
      const track = moving(() => world.moves).getVideoTracks()[0];
      const receiver = { track, transport: null, getStats: async () => new Map() };
      this.receiver ??= receiver;
      return { sender, receiver, setCodecPreferences() {} };
    }
    getSenders() { return []; }
    async setLocalDescription() {}
    async setRemoteDescription() {
      const { track } = this.receiver;
      this.dispatchEvent(Object.assign(new Event("track"), { track, receiver: {} }));
      setTimeout(() => {
        this.channel.readyState = "open";
        this.channel.dispatchEvent(new Event("open"));
        this.channel.say({ type: "hello", session: "s", settings: {} });
      });
    }
    become(state) {
      this.connectionState = state;
      this.dispatchEvent(new Event("connectionstatechange"));
    }
    close() {
      this.channel.readyState = "closed";
      this.channel.dispatchEvent(new Event("close"));
    }
  };
  window.fetch = async (url, { method = "GET" } = {}) => {
    world.requests.push(method);
    if (method !== "POST") return new Response(null, { status: 204 });
    const answer = world.answers.shift();
    if (answer === "away") throw new TypeError("Failed to fetch");
    if (answer) return Response.json({ detail: "a reason" }, { status: answer });
    return new Response("sdp", { status: 201, headers: { Location: "/whip/1" } });
  };
"""
VISIT = (
    WORLD
    + """
  const { Page } = await import("/page.js");
  const page = new Page();
  const video = () => Object.assign(document.createElement("video"), { muted: true, autoplay: true });
  const [camera, edited] = [video(), video()];
  document.querySelector("main").append(camera, edited);
  const session = new m.Session(page, { camera, edited });
  const states = [];
  session.on("state", ({ name, facts }) => states.push([name, facts.camera]));
  const names = () => states.map(([name]) => name).filter((name, at, all) => name !== all[at - 1]);
  const live = () => until(() => page.live && page.state === "", `live after ${names()}`);
  const goLive = async () => {
    await session.start();
    await live();
    states.length = 0;
  };
"""
)


@pytest.mark.parametrize(
    ("way", "states", "posts"),
    [
        (
            """let open;
            world.gate = new Promise((resolve) => { open = resolve; });
            const changed = session.changeCamera();
            session.wake();
            open();
            await changed;""",
            [],
            1,
        ),
        (
            """world.answers.push(500);
            world.peers[0].channel.say({ type: "bye", reason: "moving" });
            await until(() => states.length, "a state");""",
            ["connecting", ""],
            3,
        ),
        ("session.close(); await session.reopen();", ["connecting", ""], 2),
        ("await session.start();", ["connecting", ""], 2),
    ],
    ids=["back while another camera opens", "the first offer of a move fails", "back from the cache", "again"],
)
def test_the_card_goes_when_the_video_is_back(fresh: Page, way: str, states: list[str], posts: int) -> None:
    """It said "Connecting" over running video."""
    told = run(
        fresh,
        "session",
        f"""{VISIT}
        await goLive();
        {way}
        await live();
        return {{
          states: names(), posts: world.requests.filter((method) => method === "POST").length,
          on: world.opened.filter((stream) => stream.active).length,
        }};""",
    )
    assert told == {"states": states, "posts": posts, "on": 1}


FAST = """
  const now = performance.now.bind(performance);
  performance.now = () => 5 * now();
  setInterval(() => world.peers.at(-1)?.channel.say({ type: "stats" }), 50);
"""


def test_a_picture_that_stands_still_is_not_live(fresh: Page) -> None:
    """Figures that come hid that no picture did."""
    states = run(
        fresh,
        "session",
        FAST
        + VISIT
        + """
        await goLive();
        world.moves = false;
        await until(() => world.peers.length > 1, "a new session");
        world.moves = true;
        await live();
        return names();""",
    )
    assert states == ["silent", "lost", ""]


def test_a_camera_that_gives_no_pictures_costs_no_session(fresh: Page) -> None:
    states = run(
        fresh,
        "session",
        FAST
        + VISIT
        + """
        await goLive();
        world.mute = true;
        world.moves = false;
        await sleep(2500);
        return [names(), world.peers.length];""",
    )
    assert states == [[], 1]


def test_what_pauses_the_video_does_not_stop_it(fresh: Page) -> None:
    """Full screen ends so on phones."""
    run(
        fresh,
        "session",
        VISIT
        + """
        await goLive();
        await until(() => !edited.paused, "playing at first");
        edited.pause();
        await until(() => !edited.paused, "playing");""",
    )


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        ("NotAllowedError", "denied"),
        ("NotReadableError", "busy"),
        ("NotFoundError", "no-camera"),
        ("OverconstrainedError", "no-match"),
        (None, "ended"),
    ],
)
def test_another_camera_is_sent_where_the_last_one_failed(fresh: Page, refusal: str | None, state: str) -> None:
    """It was switched on, and nobody saw it."""
    told = run(
        fresh,
        "session",
        VISIT
        + """
        await goLive();
        world.refusal = a;
        if (a) await session.changeCamera();
        else world.opened[0].getVideoTracks()[0].dispatchEvent(new Event("ended"));
        const failed = page.state;
        world.refusal = null;
        await session.changeCamera();
        await live();
        return failed;""",
        refusal,
    )
    assert told == state


@pytest.mark.parametrize(
    ("happens", "state", "on"),
    [
        ("world.answers.push(403, 403); await session.start();", "refused", True),
        ("world.answers.push(401); await session.start();", "token", True),
        ("world.answers.push('away'); await session.start();", "unreachable", True),
        ("world.peers[0].channel.say({ type: 'bye', reason: 'idle' });", "idle", True),
        ("world.peers[0].channel.say({ type: 'bye', reason: 'ended' });", "closed", True),
        ("world.refusal = 'NotAllowedError'; await session.changeCamera();", "denied", False),
    ],
)
def test_every_state_says_whether_the_camera_is_on(fresh: Page, happens: str, state: str, on: bool) -> None:
    told = run(
        fresh,
        "session",
        f"{VISIT} await goLive(); {happens} await until(() => page.state === a, a); return states.at(-1);",
        state,
    )
    assert told == [state, on]


CONNECTION = (
    WORLD
    + """
  const timers = new Map();
  const [set, clear] = [window.setTimeout, window.clearTimeout];
  window.setTimeout = (call, ms) => {
    const id = set(call, ms);
    timers.set(id, { call, ms });
    return id;
  };
  window.clearTimeout = (id) => {
    timers.delete(id);
    clear(id);
  };
  const states = [];
  const connection = new m.Connection();
  connection.on("state", ({ state, problem, reason }) => states.push([state, problem, reason]));
  const url = new URL("/whip", location.href);
  connection.start({ url, stream: null, iceServers: [], token: null, settings: () => null });
  await until(() => states.length > 1, "a state");
"""
)


def test_a_way_that_comes_back_is_given_up_by_no_earlier_patience(fresh: Page) -> None:
    states = run(
        fresh,
        "connection",
        CONNECTION
        + """
        for (const state of ["disconnected", "disconnected", "connected"]) world.peers[0].become(state);
        for (const { call, ms } of timers.values()) if (ms >= 5000) call();
        const kept = states.at(-1)[0];
        connection.stop();
        return kept;""",
    )
    assert states == "connected"


@pytest.mark.parametrize(("answer", "reason"), [("away", ""), (500, "a reason")])
def test_the_browsers_words_are_not_the_servers(fresh: Page, answer: Any, reason: str) -> None:
    code = WORLD + "world.answers.push(a);" + CONNECTION.removeprefix(WORLD) + "connection.stop(); return states[1];"
    assert run(fresh, "connection", code, answer) == ["waiting", "unreachable", reason]


def test_a_stream_is_watched_where_the_browser_tells_of_no_frames(fresh: Page) -> None:
    run(
        fresh,
        "watch",
        WORLD
        + """
        delete HTMLVideoElement.prototype.requestVideoFrameCallback;
        const video = document.createElement("video");
        document.querySelector("main").append(video);
        const told = [];
        m.watchStream(video, {
          url: new URL("/whep", location.href), iceServers: [], token: null,
          onTrouble: (state) => told.push(state), onPicture: () => told.push("picture"),
        });
        await until(() => told.length, "anything");
        if (told[0] !== "picture" || !video.videoWidth) throw new Error(told);""",
    )
