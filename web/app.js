// The page: camera -> server -> screen, and everything that can be set on the way. This module wires the others.
//
// Address parameters: ?autostart=1 starts the camera at once; ?view=output shows nothing but the edited video, of a
// camera of its own, or with &stream=NAME of the session that is sent under this name. &fit=fill crops it to the shape of
// the window, &fit=bars puts black beside it; otherwise what lies behind shows there.
// #token=... hands over the access token, which then leaves the address bar.

import { Calls } from "./calls.js";
import { onCameraAllowed } from "./camera.js";
import { Devices } from "./devices.js";
import { byId } from "./dom.js";
import { setUpGallery } from "./gallery.js";
import { LatentLock } from "./lock.js";
import { Looks } from "./looks.js";
import { setUpMarks } from "./marks.js";
import { Pace } from "./pace.js";
import { LARGE, Page, SMALL } from "./page.js";
import { showStrip } from "./photos.js";
import { Picture } from "./picture.js";
import { Session } from "./session.js";
import { SettingsPanel } from "./settings.js";
import { keyOf, showShortcuts } from "./shortcuts.js";
import { remember, remembered, tabValue } from "./storage.js";
import { View } from "./view.js";
import { WakeLock } from "./wake.js";
import { watchStream } from "./watch.js";
import { setUpWeights } from "./weights.js";
import { endpoint } from "./whip.js";
import { privacyWords } from "./words.js";

const STATS_EVERY_MS = 1_000;
const RECORDING_EVERY_MS = 500;

const query = new URLSearchParams(location.search);
const output = query.get("view") === "output";

const page = new Page();
const view = new View(page);
const looks = new Looks({
  isOn: (look) => settings.shows(look),
  onPick: (look) => settings.toggle(look),
  onPreview: (look) => settings.previewLook(look),
});
const wakeLock = new WakeLock();
const toast = (/** @type {string} */ text) => view.toast(text);
const picture = new Picture(page, { toast, onFace: (id) => settings.change({ faces: "locked", lock: id }) });
const session = new Session(page, picture);
const weights = setUpWeights(byId("weights", HTMLDialogElement), {
  token: () => tabValue("token"),
  onReady: () => session.refresh().then(() => settings.showEditors(), () => {}),
});
const settings = new SettingsPanel(page, {
  onChange: (patch) => session.steer(patch),
  onShow: () => {
    looks.mark();
    latentLock.show();
  },
  onFetch: (editor) => weights.open(editor),
  toast,
});
const latentLock = new LatentLock({
  facts: () => ({ editor: page.wanted.editor, lockable: (page.editor?.lockable ?? false) && !page.steers, live: page.live, session: page.session }),
  camera: () => picture.camera,
  token: () => tabValue("token"),
  onLock: (id) => settings.change({ latent_lock: id }),
});
const gallery = setUpGallery(byId("gallery", HTMLDialogElement), {
  onPick: (editor) => settings.pick(editor),
  onFetch: (editor) => weights.open(editor),
});
const devices = new Devices(page, {
  onCamera: () => session.changeCamera(),
  onSound: () => session.restart({ newCamera: true }),
});
const calls = new Calls(page, { onOutput: () => session.restart(), toast });
const pace = new Pace();

/** @type {import("./shortcuts.js").Shortcut[]} */
const shortcuts = [
  ["E", "Editing off and back on", () => settings.change({ bypass: !page.wanted.bypass })],
  ["B", "Before", () => toggleView("before")],
  ["C", "Compare: split view", () => toggleView("split")],
  ["M", "Mirror your own view", () => picture.toggleMirror()],
  ["S", "Snapshot", () => picture.snapshot()],
  ["R", "Record, and stop", () => picture.toggleRecording()],
  ["P", "Small window on top", () => picture.toggleFloat()],
  ["F", "Full screen", () => picture.toggleFullscreen()],
  ["D", "Draw mesh, crop and masks", () => byId("overlay-on").click()],
  ["Ctrl + Z", "Undo", () => settings.undo()],
  ["Ctrl + Shift + Z", "Redo", () => settings.redo()],
  ["?", "This list", listShortcuts],
];

main();

function main() {
  takeTokenFromAddress();
  if (output) {
    document.body.classList.add("output");
    document.body.dataset.fit = query.get("fit") ?? "";
    page.preferences.mirror = false; // an audience is shown what others see
  }
  for (const line of document.querySelectorAll(".privacy")) line.textContent = privacyWords(location);
  listenToSession();
  listenToUser();
  listenToBrowser();
  setUpMarks(() => tabValue("token"));
  byId("controls").after(latentLock.element);
  byId("gallery-open").addEventListener("click", () => gallery.open(page.capabilities?.editors ?? [], page.editor?.name ?? ""));
  picture.showMirror();
  devices.show();
  calls.show();
  if ("RTCPeerConnection" in window) session.begin();
  else session.say("unsupported");
}

function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  tabValue("token", token);
  history.replaceState(null, "", location.pathname + location.search);
}

function listenToSession() {
  session.on("state", ({ name, facts }) => {
    view.showState(name, facts);
    if (["start", "closed", "idle", "refused"].includes(name)) picture.stop();
    if (!facts.camera) looks.stop();
  });
  session.on("known", begin);
  session.on("live", () => {
    view.goLive();
    picture.goLive();
    wakeLock.hold();
    latentLock.show();
    drawLooks();
  });
  session.on("leaving", () => picture.changeOver());
  session.on("ended", () => {
    view.end();
    picture.end();
    latentLock.end();
    wakeLock.release();
  });
  session.on("settled", () => settings.follow());
  session.on("refused", ({ field, text }) => settings.complain(field, text));
  session.on("stats", (stats) => {
    view.showServer(stats);
    page.obstacles = stats.obstacles ?? {};
    settings.showObstacles();
    picture.showFaces(stats);
    picture.showMark(stats);
    if (pace.isBehind(stats)) slowDown();
  });
  session.on("overlay", (overlay) => picture.showOverlay(overlay));
  session.on("camera", (track) => {
    if (page.live) drawLooks(); // of another camera; of the same one, they stay
    else looks.forget();
    pace.restart();
    devices.showCameras(track);
    picture.showMirror();
  });
  session.on("silent", () => {
    toast("The microphone cannot be used: there is no sound.");
    devices.setSound(false);
  });
}

function drawLooks() {
  if (!output && !page.steers) looks.draw(picture.camera, page.sample ?? page.preferences.device);
}

/** The machine does not keep up: a smaller picture, where one is left to try. */
function slowDown() {
  if (!page.maySlowDown(picture.camera.videoWidth)) return;
  page.prefer({ slow: true });
  toast(`${SMALL.join(" × ")} from now on: this machine does not keep up at ${LARGE.join(" × ")}.`);
  session.changeCamera();
}

/** The server has told what it can do: wait for the user, or start where the user left off. */
function begin() {
  view.showVersion(page.capabilities?.version);
  settings.draw();
  if (page.steers) {
    document.body.classList.add("steers");
    for (const line of document.querySelectorAll(".privacy")) line.textContent = `This page steers ${page.steers}.`;
    return session.start();
  }
  const stream = query.get("stream");
  if (output && stream !== null) watch(stream);
  else if (output || query.get("autostart") === "1" || tabValue("live") === "1") session.start();
  else session.wait();
}

/**
 * Show somebody's session and nothing else.
 *
 * @param {string} stream its name.
 */
function watch(stream) {
  session.say("");
  // What is wrong is said while the source is set up. Once it has shown something, an audience sees the scene behind it.
  if (remembered().watched === stream) view.showVideo();
  watchStream(picture.edited, {
    url: endpoint("whep", stream),
    iceServers: page.capabilities?.iceServers ?? [],
    token: tabValue("token"),
    onTrouble: (state, reason) => session.say(state, { reason }),
    onPicture: () => {
      view.showVideo();
      session.say("");
      remember({ watched: stream });
    },
  });
}

function listenToUser() {
  /** @type {Record<string, () => void>} id of a button -> what it does. */
  const buttons = {
    "state-action": () => session.goOn(),
    stop: () => session.stop(),
    mirror: () => picture.toggleMirror(),
    snapshot: () => picture.snapshot(),
    strip: showLifespan,
    record: () => picture.toggleRecording(),
    "recording-pause": () => picture.togglePause(),
    float: () => picture.toggleFloat(),
    fullscreen: () => picture.toggleFullscreen(),
    readout: () => view.openStats(),
    "shortcuts-open": listShortcuts,
  };
  for (const [id, act] of Object.entries(buttons)) byId(id).addEventListener("click", act);
  byId("overlay-on").addEventListener("change", showOverlay);
  const sample = byId("try-file", HTMLInputElement);
  byId("try").addEventListener("click", () => sample.click());
  sample.addEventListener("change", () => {
    const [file] = sample.files ?? [];
    sample.value = ""; // the same file may be chosen again
    if (file) session.startWith(file);
  });
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = byId("token", HTMLInputElement);
    tabValue("token", token.value);
    token.value = "";
    session.begin();
  });
  document.addEventListener("keydown", shortcut);
}

function showOverlay() {
  const { checked } = byId("overlay-on", HTMLInputElement);
  picture.useOverlay(checked);
  session.showOverlay(checked);
}

function showLifespan() {
  const { editor, controls, amount, layers } = page.wanted;
  const control = page.lifespanField?.name;
  const dialog = byId("lifespan", HTMLDialogElement);
  if (control) showStrip(dialog, picture.camera, { settings: { editor, controls, amount, layers }, control, token: tabValue("token") });
}

/** @param {"before"|"split"} what */
function toggleView(what) {
  if (page.steers) toast("This page steers a camera of the server, and has none of its own to compare with.");
  else picture.toggleView(what);
}

function listShortcuts() {
  showShortcuts(byId("shortcuts", HTMLDialogElement), shortcuts);
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  const { repeat, target } = event;
  const typing = "input:not([type=range],[type=radio],[type=checkbox]), select, textarea";
  if (document.querySelector("dialog[open]") || (target instanceof Element && target.matches(typing))) return;
  const pressed = keyOf(event);
  const [, , act] = shortcuts.find(([key]) => key === pressed) ?? [];
  const withCtrl = pressed.startsWith("Ctrl");
  // A broadcast shows what the panel of another page says: no key may bring the camera or lines into it.
  if (!act || (!withCtrl && (output || repeat))) return;
  if (withCtrl) event.preventDefault();
  act();
}

function listenToBrowser() {
  document.addEventListener("visibilitychange", () => session.wake());
  document.addEventListener("resume", () => session.wake());
  window.addEventListener("online", () => session.retryNow());
  window.addEventListener("pagehide", () => session.close());
  window.addEventListener("pageshow", ({ persisted }) => persisted && session.reopen());
  onCameraAllowed(() => session.allowCamera());
  navigator.mediaDevices?.addEventListener?.("devicechange", () => session.changeDevices());
  setInterval(() => view.showStats(session.peer, () => picture.delay), STATS_EVERY_MS);
  setInterval(() => picture.tick(), RECORDING_EVERY_MS);
}
