// The page: camera -> server -> screen, and everything that can be set on the way.
//
// Address parameters: ?autostart=1 starts the camera at once; ?view=output shows nothing but the edited video, of a
// camera of its own, or with &stream=NAME of the session that is sent under this name.
// #token=... hands over the access token, which then leaves the address bar.

import { BeforeView, DelayMeter, everyFrame } from "./before.js";
import { listCameras, openCamera, stopStream } from "./camera.js";
import { setUpCompare } from "./compare.js";
import { authorization, Connection, reasonOf } from "./connection.js";
import { changedValues, drawControls, fieldsOf, make } from "./controls.js";
import { Control } from "./control.js";
import { drawEditors } from "./editors.js";
import { setUpFaces } from "./faces.js";
import { controlsOfPhoto, showStrip, wordsOf } from "./photos.js";
import { drawPresets, keepPreset, ownPresets, removePreset } from "./presets.js";
import { Recorder, takeSnapshot } from "./recorder.js";
import { allowedWords, privacyWords, stateWords } from "./states.js";
import { drawStats, readStats } from "./stats.js";
import { remember, remembered, tabValue } from "./storage.js";
import { watchStream } from "./watch.js";
import { setUpWeights } from "./weights.js";

const STATS_EVERY_S = 1;
const FACES_EVERY_S = 0.2;
const NO_FACE_MS = 1_500;
const SLOW_FPS = 10;
const SLOW_MS = 5_000;
const TOAST_MS = 5_000;
const RETRY_CAPABILITIES_MS = 3_000;

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const saved = remembered();

const STANDARD = { editor: "", controls: {}, bypass: false, faces: "all", lock: null, lost: "show", smoothing: 0.5, badge: false, quality: "auto" };
const STEADY_FIELDS = fieldsOf({
  properties: {
    smoothing: {
      type: "number", minimum: 0, maximum: 1, step: 0.05, default: 0.5, title: "Smoothing",
      description: "More is calmer, less follows quick moves sooner.",
    },
    badge: { type: "boolean", default: false, title: "Mark the picture as edited" },
    quality: {
      type: "string", enum: ["auto", "full"], default: "auto", title: "Quality",
      description: "Auto edits less often when the server cannot keep up; full drops frames instead.",
    },
  },
});
const LOST_HELP = {
  show: "The camera is shown as it is until the face is back.",
  hold: "The last edit stays for a moment.",
  blur: "The picture is blurred whenever there is no edited face, from the first frame on. Nobody sees you unedited.",
};

const page = {
  capabilities: null,
  editor: null, // the EditorInfo in use
  fields: [],
  wanted: startingSettings(),
  confirmed: null, // what the server last said it uses
  controlsOf: withoutPhotos(saved.controls ?? {}), // editor name -> controls, so that switching editors keeps each one's look
  mirror: saved.mirror ?? true,
  device: saved.device ?? "",
  resolution: saved.resolution ?? "640x480",
  sound: saved.sound ?? false,
  output: saved.output ?? "", // name under which this session can be watched; only who knows it can
  stream: null,
  control: null,
  state: "",
  live: false,
  serverStats: null,
  browserStats: null,
  faceSeenAt: 0,
  fastAt: 0,
  retryTimer: 0,
};

const connection = new Connection();
const camera = $("camera");
const edited = $("edited");
const meter = new DelayMeter(camera, edited);
const before = new BeforeView(camera, edited, $("before"), meter);
const recorder = new Recorder((name) => {
  showRecording();
  toast(name ? `Saved ${name}` : "Nothing was recorded.");
});
const compare = setUpCompare({ picture: $("picture"), divider: $("divider"), views: $("views") }, () => runBefore());
const faceBoxes = setUpFaces($("faces"), (id) => setSettings({ faces: "locked", lock: id }));
const steady = drawControls($("steady"), STEADY_FIELDS, (name, value) => setSettings({ [name]: value }));
const weights = setUpWeights($("weights"), { token: () => tabValue("token"), onReady: refreshEditors });
let controls = { show() {}, complain: () => false };
let markPreset = () => {};
let removeStateTimer = () => {};

main();

async function main() {
  takeTokenFromAddress();
  if (query.get("view") === "output") {
    document.body.classList.add("output");
    page.mirror = false; // an audience is shown what others see
  }
  for (const line of document.querySelectorAll(".privacy")) line.textContent = privacyWords(location);
  listen();
  showMirror();
  showSettings();
  $("resolution").value = page.resolution;
  $("sound").checked = page.sound;
  showOutput();
  if (window.RTCPeerConnection) await begin();
  else showState("unsupported");
}

/** Ask the server what it can do, then wait for the user, or start where the user left off. */
async function begin() {
  if (!(await loadCapabilities())) return;
  if (document.body.classList.contains("output") && query.has("stream")) return watch(query.get("stream"));
  const again = tabValue("live") === "1";
  if (query.get("autostart") === "1" || document.body.classList.contains("output") || again) await start();
  else showState(navigator.mediaDevices?.getUserMedia ? "start" : "insecure", { host: location.host });
}

/** Show somebody's session and nothing else. */
function watch(stream) {
  showState("");
  document.body.dataset.shown = "yes";
  const { iceServers = [] } = page.capabilities;
  return watchStream(edited, { url: named(new URL("whep", document.baseURI), stream), iceServers, token: tabValue("token") });
}

function named(url, stream) {
  if (stream) url.searchParams.set("stream", stream);
  return url;
}

/** What was set last time; names that this version does not know are left out, or the server would refuse them all. */
function startingSettings() {
  const known = Object.entries(STANDARD).map(([name, standard]) => [name, saved.settings?.[name] ?? standard]);
  const settings = { ...Object.fromEntries(known), lock: null };
  return { ...settings, controls: withoutPhotos({ now: settings.controls }).now };
}

/** The server keeps what it read of a photo only while it runs. */
function withoutPhotos(looks) {
  const without = ({ photo, ...look }) => look;
  return Object.fromEntries(Object.entries(looks).map(([editor, look]) => [editor, without(look ?? {})]));
}

function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  tabValue("token", token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** @returns {Promise<boolean>} whether the server told what it can do; if not, the page says why and goes on by itself. */
async function loadCapabilities() {
  const token = tabValue("token");
  if (!page.state) showState("loading");
  try {
    const response = await fetch("capabilities", { headers: authorization(token) });
    if (response.status === 401) {
      showState(token ? "wrong-token" : "token");
      return false;
    }
    if (!response.ok) throw new Error(await reasonOf(response));
    page.capabilities = await response.json();
  } catch (error) {
    const reason = error instanceof TypeError ? "" : error.message;
    showState("unreachable", { reason, retryAt: performance.now() + RETRY_CAPABILITIES_MS });
    clearTimeout(page.retryTimer);
    page.retryTimer = setTimeout(() => page.state === "unreachable" && begin(), RETRY_CAPABILITIES_MS);
    return false;
  }
  $("version").textContent = `Latentcam ${page.capabilities.version ?? ""}`.trim();
  delete $("panel").dataset.empty;
  const ready = page.capabilities.editors.filter(({ state }) => state === "ready");
  useEditor(ready.find(({ name }) => name === page.wanted.editor) ?? ready[0] ?? null);
  return true;
}

// Starting and stopping

async function start() {
  tabValue("live", "1");
  try {
    if (!page.stream?.active) {
      showState("asking");
      await useCamera();
    }
    showState("connecting");
    const { iceServers = [] } = page.capabilities;
    connection.start({
      url: named(new URL("whip", document.baseURI), page.output),
      stream: page.stream,
      iceServers,
      token: tabValue("token"),
      settings: () => ({ ...page.wanted, lock: null }), // ids of faces belong to a session
    });
  } catch (error) {
    if (!error.problem) throw error;
    showState(error.problem, { host: location.host });
  }
}

function stop() {
  tabValue("live", null);
  endSession();
  connection.stop();
  stopStream(page.stream);
  page.stream = null;
  camera.srcObject = null;
  showState("start");
}

/** Open the camera that is chosen; some cameras cannot be opened twice, so the old one goes first. */
async function useCamera() {
  stopStream(page.stream);
  const [width, height] = page.resolution.split("x").map(Number);
  const wish = { deviceId: page.device, width, height };
  page.stream = page.sound ? await openWithSound(wish) : await openCamera({ ...wish, sound: false });
  const [track] = page.stream.getVideoTracks();
  track.addEventListener("ended", () => {
    if (track !== page.stream?.getVideoTracks()[0]) return;
    endSession();
    connection.stop();
    showState("ended");
  });
  camera.srcObject = page.stream;
  await showCameras(track);
}

/** A microphone that is missing or blocked must not cost the picture. */
async function openWithSound(wish) {
  try {
    return await openCamera({ ...wish, sound: true });
  } catch {
    const stream = await openCamera({ ...wish, sound: false });
    toast("The microphone cannot be used: there is no sound.");
    setSound(false);
    return stream;
  }
}

function setSound(on) {
  page.sound = on;
  remember({ sound: on });
  $("sound").checked = on;
}

/** Sound is agreed on when a connection is made, so a change needs a new one. */
async function changeSound(on) {
  setSound(on);
  if (!page.stream) return;
  endSession();
  stopStream(page.stream);
  await start();
}

/** The name of a stream is agreed on when a connection is made, too. */
async function changeOutput(on) {
  page.output = on ? crypto.randomUUID() : "";
  remember({ output: page.output });
  showOutput();
  if (!page.stream) return;
  endSession();
  await start();
}

function showOutput() {
  $("output").checked = page.output !== "";
  $("output-row").hidden = page.output === "";
  const token = tabValue("token");
  $("output-address").value = `${new URL(".", location.href)}?view=output&stream=${page.output}${token ? `#token=${encodeURIComponent(token)}` : ""}`;
  $("output-help").textContent = `A browser source with this address shows the edited video, and nothing else. Whoever knows it can watch${token ? " and use this server: your token is in it" : ""}.`;
}

function copyOutput() {
  navigator.clipboard.writeText($("output-address").value).then(
    () => toast("Copied."),
    () => $("output-address").focus(), // which selects it
  );
}

async function changeCamera() {
  if (!page.stream) return;
  try {
    await useCamera();
    await connection.replaceStream(page.stream);
  } catch (error) {
    if (!error.problem) throw error;
    endSession();
    connection.stop();
    showState(error.problem, { host: location.host });
  }
}

async function showCameras(track) {
  const cameras = await listCameras();
  const current = track.getSettings().deviceId ?? "";
  $("device").replaceChildren(...cameras.map(({ id, label }) => make("option", { value: id, textContent: label })));
  $("device").value = page.device || current;
  const { width, height } = track.getSettings();
  $("camera-summary").textContent = width ? `${width} × ${height}` : "";
}

// The session

function openSession(channel) {
  const control = new Control(channel);
  page.control = control;
  control.addEventListener("hello", ({ detail }) => {
    page.confirmed = detail.settings;
    page.wanted.lock = null;
    control.change(page.wanted); // whatever was moved while the connection was made
    wantStats();
  });
  control.addEventListener("settings", ({ detail }) => {
    page.confirmed = detail.settings;
    if (control.settled) followServer();
  });
  control.addEventListener("error", ({ detail }) => {
    if (control.settled) followServer();
    const allowed = allowedWords(detail.allowed);
    complain(detail.field ?? "", allowed ? `${detail.reason} (allowed: ${allowed})` : detail.reason);
  });
  control.addEventListener("stats", ({ detail }) => showServerStats(detail));
  control.addEventListener("silent", () => connection.renew());
  control.addEventListener("bye", ({ detail }) => {
    if (detail.reason === "shutdown") return connection.renew();
    endSession();
    connection.stop();
    showState(detail.reason === "idle" ? "idle" : "closed", { reason: detail.detail ?? detail.reason });
  });
}

function endSession() {
  page.control?.stop();
  page.control = null;
  page.confirmed = null;
  page.live = false;
  page.serverStats = null;
  page.browserStats = null;
  recorder.stop();
  meter.stop();
  before.run(false);
  faceBoxes.show([], { mirror: false, locked: null });
  $("snapshot").disabled = true;
  $("strip").disabled = true;
  $("record").disabled = true;
  $("stop").hidden = true;
  $("readout").hidden = true;
  $("hint").textContent = "";
}

/** The first edited frame is on screen. */
function goLive() {
  if (page.live || !page.control) return;
  page.live = true;
  document.body.dataset.shown = "yes";
  page.faceSeenAt = page.fastAt = performance.now();
  showState("");
  $("snapshot").disabled = false;
  $("strip").disabled = false;
  $("record").disabled = false;
  $("stop").hidden = false;
  meter.start();
  runBefore();
}

connection.addEventListener("channel", ({ detail }) => openSession(detail.channel));
connection.addEventListener("stream", ({ detail }) => {
  edited.srcObject = detail.stream;
  const stopWaiting = everyFrame(edited, () => {
    if (edited.srcObject !== detail.stream) return stopWaiting();
    if (!edited.videoWidth || !page.control) return undefined;
    goLive();
    return stopWaiting();
  });
});
connection.addEventListener("state", ({ detail }) => {
  const { state, problem, reason, retryAt } = detail;
  if (state === "connecting") {
    if (!["lost", "full", "unreachable"].includes(page.state)) showState("connecting");
    else showState(page.state, { reason: page.reason, retryAt: null });
  } else if (state === "waiting") {
    endSession();
    // Once connected, whatever fails next is still the same loss to the user.
    const name = problem === "unreachable" && page.state === "lost" ? "lost" : problem;
    showState(name, { reason, retryAt });
  } else if (state === "stopped") {
    endSession();
    showState(problem === "token" && tabValue("token") ? "wrong-token" : problem, { reason });
  }
});

// Settings

/** Change settings from the page: shown at once, sent to the server, taken back if it refuses. */
function setSettings(patch) {
  page.wanted = { ...page.wanted, ...patch };
  if (patch.controls) page.controlsOf[page.wanted.editor] = patch.controls;
  remember({ settings: { ...page.wanted, lock: null }, controls: page.controlsOf });
  complain("", "");
  showSettings();
  page.control?.change(patch);
  if ("faces" in patch) wantStats();
}

/** Show what the server uses, which is not what was wanted when it refused something. */
function followServer() {
  if (!page.confirmed) return;
  const { editor } = page.confirmed;
  if (editor !== page.editor?.name) useEditor(page.capabilities.editors.find(({ name }) => name === editor) ?? null);
  page.wanted = { ...page.confirmed, controls: changedValues(page.fields, page.confirmed.controls) };
  if (page.editor) page.controlsOf[editor] = page.wanted.controls;
  remember({ settings: { ...page.wanted, lock: null }, controls: page.controlsOf });
  showSettings();
}

function setControl(name, value) {
  const { [name]: old, ...rest } = page.wanted.controls;
  const field = page.fields.find((one) => one.name === name);
  setSettings({ controls: value === field.standard ? rest : { ...rest, [name]: value } });
}

/** Let the editor take from a photo what it takes. */
async function takePhoto(name, file) {
  const editor = page.editor.name;
  complain("", "");
  controls.complain(name, "Reading the photo…");
  try {
    const taken = await controlsOfPhoto(editor, file, tabValue("token"));
    controls.complain(name, "");
    if (page.editor.name === editor) setSettings({ controls: changedValues(page.fields, { ...page.wanted.controls, ...taken }) });
  } catch (error) {
    complain(name, wordsOf(error));
  }
}

/** The control that makes a lifespan, if the editor has one. */
function ageField() {
  return page.fields.find(({ name, kind }) => kind === "number" && ["age", "target_age"].includes(name));
}

function lifespan() {
  const { editor, controls: look } = page.wanted;
  showStrip($("lifespan"), camera, { settings: { editor, controls: look }, control: ageField().name, token: tabValue("token") });
}

/** Make an editor's controls the page's, and its last look the one that is wanted. */
function useEditor(editor) {
  page.editor = editor;
  page.fields = fieldsOf(editor?.controls);
  const look = changedValues(page.fields, page.controlsOf[editor?.name] ?? {});
  page.wanted = { ...page.wanted, editor: editor?.name ?? "", controls: look };
  controls = drawControls($("controls"), page.fields, setControl, takePhoto);
  $("strip").hidden = !ageField();
  if (page.fields.length === 0) $("controls").append(make("p", { className: "help", textContent: "This editor has nothing to set." }));
  showEditors();
  drawEditorPresets();
  showSettings();
}

function showSettings() {
  const { controls: look, bypass, faces, lost } = page.wanted;
  controls.show(look);
  markPreset(look);
  steady.show(page.wanted);
  $("editing").checked = !bypass;
  $("panel").classList.toggle("bypassed", bypass);
  $("reset").disabled = Object.keys(look).length === 0;
  for (const input of $("who").querySelectorAll("input")) input.checked = input.value === faces;
  for (const input of $("lost").querySelectorAll("input")) input.checked = input.value === lost;
  $("lost-help").textContent = LOST_HELP[lost];
  const picking = faces === "locked";
  $("picture").classList.toggle("picking", picking);
  $("who-help").textContent = picking ? "Press a face in the picture. Everyone else stays as they are." : "";
  $("faces-summary").textContent = { all: "Everyone", largest: "Largest", locked: "One person" }[faces];
}

/** Say what was refused, at the control it belongs to. Empty text clears every complaint. */
function complain(field, text) {
  for (const { name } of [...page.fields, ...STEADY_FIELDS]) {
    controls.complain(name, "");
    steady.complain(name, "");
  }
  $("setting-error").textContent = "";
  if (!text) return;
  const name = field.replace(/^controls\./, "");
  if (!controls.complain(name, text) && !steady.complain(name, text)) toast(`${field ? `${field}: ` : ""}${text}`);
}

function showEditors() {
  $("preset-add").disabled = !page.editor;
  $("editor-title").textContent = page.editor?.title ?? "No editor is ready";
  $("editor-summary").textContent = page.editor?.description ?? "";
  drawEditors($("editors"), page.capabilities.editors, page.editor?.name, (name) => {
    useEditor(page.capabilities.editors.find((editor) => editor.name === name));
    setSettings({ editor: name, controls: page.wanted.controls });
    $("picker").open = false;
    $("picker").querySelector("summary").focus();
  }, (name) => weights.open(name));
}

/** An editor has become ready: its controls and state are the server's to tell. */
async function refreshEditors() {
  const response = await fetch("capabilities", { headers: authorization(tabValue("token")) });
  if (!response.ok) return;
  page.capabilities = await response.json();
  showEditors();
}

function drawEditorPresets() {
  const editor = page.editor?.name ?? "";
  // A value that is the standard one is left out of the look that is on: it shall not keep a preset from being marked.
  const looks = (presets) => presets.map((preset) => ({ ...preset, controls: changedValues(page.fields, preset.controls) }));
  markPreset = drawPresets($("presets"), looks(page.editor?.presets ?? []), looks(ownPresets(editor)), {
    onPick: (look) => {
      const { photo = "" } = page.wanted.controls;
      setSettings({ controls: changedValues(page.fields, { photo, ...look }) });
    },
    onRemove: (title) => {
      removePreset(editor, title);
      drawEditorPresets();
      $("preset-add").focus();
    },
  });
  markPreset(page.wanted.controls);
}

// What is on screen

/** Show one of the page's states over the video; "" takes it away. */
function showState(name, { reason = "", retryAt = null, host = "" } = {}) {
  removeStateTimer();
  page.state = name;
  page.reason = reason;
  document.body.dataset.state = name || "live";
  $("state").hidden = name === "";
  const tone = { "": "good", start: "quiet", asking: "busy", connecting: "busy", loading: "busy", lost: "busy" }[name] ?? "bad";
  $("status").dataset.tone = tone;
  $("stop").hidden = !["", "connecting", "lost", "full"].includes(name);
  if (name === "") {
    $("status").textContent = "Live";
    return;
  }
  const words = () => stateWords(name, { reason, host, seconds: retryAt ? Math.ceil((retryAt - performance.now()) / 1000) : 0 });
  const { title, action, note, busy } = words();
  $("status").textContent = name === "start" ? "Ready" : title;
  $("state-title").textContent = title;
  $("state-text").textContent = words().text;
  $("state-action").textContent = action;
  $("state-action").hidden = !action;
  $("state-note").textContent = note;
  $("state").classList.toggle("waiting", busy || name === "lost");
  $("token-form").hidden = !name.includes("token");
  // The button that was pressed is gone: the keyboard goes on where the page waits for something.
  if (name !== "start" && document.activeElement === document.body) $(name.includes("token") ? "token" : "state-action").focus();
  if (retryAt) {
    const timer = setInterval(() => ($("state-text").textContent = words().text), 500);
    removeStateTimer = () => clearInterval(timer);
  }
}

function act() {
  if (["lost", "full", "unreachable"].includes(page.state) && page.stream) return connection.retryNow();
  if (page.state === "unreachable") return begin();
  if (page.state === "no-match") page.device = "";
  return start();
}

function runBefore() {
  before.run(page.live && compare.view !== "edited");
}

function showMirror() {
  $("picture").dataset.mirror = String(page.mirror);
  $("mirror").setAttribute("aria-pressed", String(page.mirror));
}

function showRecording() {
  const running = recorder.running;
  $("record").setAttribute("aria-pressed", String(running));
  $("record").querySelector("span").textContent = running ? "Stop" : "Record";
  $("recording").hidden = !running;
  const seconds = Math.floor(recorder.seconds);
  $("recording-time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function wantStats() {
  page.control?.wantStats(page.wanted.faces === "locked" ? FACES_EVERY_S : STATS_EVERY_S);
}

function showServerStats(stats) {
  page.serverStats = stats;
  const faces = stats.faces ?? [];
  faceBoxes.show(page.wanted.faces === "locked" ? faces : [], { mirror: page.mirror, locked: page.wanted.lock });
  const now = performance.now();
  if (faces.length > 0 || page.wanted.bypass) page.faceSeenAt = now;
  // Slow only counts when frames come in faster than they leave.
  if (stats.fps_out >= SLOW_FPS || stats.fps_in < 1.5 * stats.fps_out) page.fastAt = now;
  const hint = page.live ? hintWords(now) : "";
  if ($("hint").textContent !== hint) $("hint").textContent = hint;
}

function hintWords(now) {
  if (now - page.faceSeenAt > NO_FACE_MS) return "No face in view. Turn to the camera, both eyes visible.";
  if (now - page.fastAt > SLOW_MS) {
    const lower = $("resolution").selectedIndex > 0 ? " A lower resolution helps." : "";
    return `The server manages fewer than ${SLOW_FPS} frames a second.${lower}`;
  }
  return "";
}

async function showBrowserStats() {
  const { peer } = connection;
  if (!page.live || !peer || document.hidden) return;
  const stats = readStats(await peer.getStats(), page.browserStats);
  page.browserStats = stats;
  if (stats.fps === null) return;
  const { delay } = meter;
  drawStats(
    {
      body: $("stats-body"), empty: $("stats-empty"), total: $("delay-total"), caption: $("delay-caption"), bar: $("delay-bar"),
      stages: $("delay-stages"), figures: $("figures"),
    },
    { browser: stats, server: page.serverStats, delay },
  );
  const readout = [`${stats.fps.toFixed(stats.fps < SLOW_FPS ? 1 : 0)} fps`, delay === null ? "" : `${Math.round(delay)} ms`, page.serverStats?.reduced ? "reduced" : ""].filter(Boolean).join(" · ");
  $("readout").textContent = readout;
  $("readout").title = page.serverStats?.reduced ? `To keep up: ${page.serverStats.reduced}.` : "";
  $("readout").hidden = false;
  $("stats-summary").textContent = readout;
}

function toast(text) {
  const element = make("p", { className: "toast", textContent: text });
  $("toasts").append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}

// What the user does

function listen() {
  $("state-action").addEventListener("click", act);
  $("stop").addEventListener("click", stop);
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    tabValue("token", $("token").value);
    $("token").value = "";
    begin();
  });
  $("mirror").addEventListener("click", toggleMirror);
  $("snapshot").addEventListener("click", snapshot);
  $("strip").addEventListener("click", lifespan);
  $("record").addEventListener("click", toggleRecording);
  $("fullscreen").addEventListener("click", toggleFullscreen);
  $("readout").addEventListener("click", () => {
    $("stats").open = true;
    $("stats").scrollIntoView({ block: "nearest" });
    $("stats").querySelector("summary").focus();
  });
  $("editing").addEventListener("change", ({ target }) => setSettings({ bypass: !target.checked }));
  $("reset").addEventListener("click", () => setSettings({ controls: {} }));
  $("who").addEventListener("change", ({ target }) => setSettings({ faces: target.value, lock: null }));
  $("lost").addEventListener("change", ({ target }) => setSettings({ lost: target.value }));
  $("device").addEventListener("change", ({ target }) => {
    page.device = target.value;
    remember({ device: page.device });
    changeCamera();
  });
  $("resolution").addEventListener("change", ({ target }) => {
    page.resolution = target.value;
    remember({ resolution: page.resolution });
    changeCamera();
  });
  $("sound").addEventListener("change", ({ target }) => changeSound(target.checked));
  $("output").addEventListener("change", ({ target }) => changeOutput(target.checked));
  $("output-address").addEventListener("focus", ({ target }) => target.select());
  $("output-copy").addEventListener("click", copyOutput);
  listenToPresetForm();
  edited.addEventListener("resize", () => {
    $("picture").style.setProperty("--ratio", String(edited.videoWidth / edited.videoHeight));
  });
  document.addEventListener("keydown", shortcut);
  document.addEventListener("visibilitychange", wake);
  document.addEventListener("resume", wake);
  window.addEventListener("online", () => connection.retryNow());
  window.addEventListener("pagehide", () => connection.stop());
  window.addEventListener("pageshow", ({ persisted }) => persisted && page.stream && start());
  navigator.mediaDevices?.addEventListener?.("devicechange", () => {
    if (["no-camera", "no-match", "ended"].includes(page.state)) start();
    else if (page.stream) showCameras(page.stream.getVideoTracks()[0]);
  });
  setInterval(showBrowserStats, 1000 * STATS_EVERY_S);
  setInterval(() => recorder.running && showRecording(), 500);
}

function listenToPresetForm() {
  const form = $("preset-form");
  const close = () => {
    form.hidden = true;
    $("preset-add").focus();
  };
  $("preset-add").addEventListener("click", () => {
    form.hidden = false;
    $("preset-name").value = "";
    $("preset-name").focus();
  });
  $("preset-cancel").addEventListener("click", close);
  form.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const title = $("preset-name").value.trim();
    if (!title) return;
    keepPreset(page.editor.name, title, page.wanted.controls);
    drawEditorPresets();
    close();
  });
}

/** A tab that slept may have lost its camera, its connection or its playing video. */
function wake() {
  if (document.hidden || !page.stream) return;
  for (const video of [camera, edited]) video.play().catch(() => {});
  if (page.stream.getVideoTracks()[0].readyState === "ended") start();
  else connection.retryNow();
}

function toggleMirror() {
  page.mirror = !page.mirror;
  remember({ mirror: page.mirror });
  showMirror();
}

async function snapshot() {
  if (!page.live) return;
  toast(`Saved ${await takeSnapshot(edited, compare.view === "edited" ? null : $("before"))}`);
}

function toggleRecording() {
  if (recorder.running) recorder.stop();
  else if (page.live && !recorder.start(edited.srcObject, edited.videoWidth, edited.videoHeight)) {
    toast("This browser cannot record video.");
  }
  showRecording();
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("stage").requestFullscreen?.().catch(() => toast("This browser does not allow full screen here."));
}

function shortcut(event) {
  if (event.repeat || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input:not([type=range],[type=radio],[type=checkbox]), select, textarea")) return;
  const actions = {
    e: () => setSettings({ bypass: !page.wanted.bypass }),
    b: () => compare.show(compare.view === "before" ? "edited" : "before"),
    c: () => compare.show(compare.view === "split" ? "edited" : "split"),
    m: toggleMirror,
    s: snapshot,
    r: toggleRecording,
    f: toggleFullscreen,
  };
  actions[event.key.toLowerCase()]?.();
}
