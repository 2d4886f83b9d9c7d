// What the page tells: its state over the video, status, hints, figures, and passing notes.

import { Demo } from "./demo.js";
import { byId, make } from "./dom.js";
import { SMALL } from "./page.js";
import { stateWords } from "./states.js";
import { drawStats, readStats, statsLine } from "./stats.js";

const NO_FACE_MS = 1_500;
const SLOW_FPS = 10;
const SLOW_MS = 5_000;
const TOAST_MS = 5_000;
const COUNTDOWN_MS = 500;

// States in which a picture or a clip helps.
const WITHOUT_CAMERA = ["start", "denied", "no-camera", "no-match", "busy", "ended", "insecure", "bad-file"];

/** @type {Record<string, string>} state -> how its status looks; "bad" for all others. */
const TONES = { "": "good", start: "quiet", asking: "busy", connecting: "busy", loading: "busy", lost: "busy", silent: "busy" };

/**
 * @import { Page } from "./page.js"
 * @import { StateFacts } from "./session.js"
 * @import { BrowserStats, ServerStats } from "./stats.js"
 */

export class View {
  /** @type {Page} */
  #page;
  /** @type {ServerStats|null} */
  #server = null;
  /** @type {BrowserStats|null} */
  #browser = null;
  #faceSeenAt = 0;
  #fastAt = 0;
  #countdown = 0;
  #demo = new Demo();

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
  }

  /**
   * Show one of the page's states over the video; "" takes it away.
   *
   * @param {string} name
   * @param {StateFacts} facts
   */
  showState(name, { reason = "", retryAt = null, host = "", camera = false } = {}) {
    clearInterval(this.#countdown);
    const [status, action] = [byId("status"), byId("state-action", HTMLButtonElement)];
    document.body.dataset.state = name || "live";
    byId("state").hidden = name === "";
    this.#demo.show(name === "start" && !document.body.classList.contains("output"));
    status.dataset.tone = TONES[name] ?? "bad";
    byId("stop").hidden = !camera && !["", "connecting", "lost", "silent", "full"].includes(name);
    if (name === "") {
      status.textContent = "Live";
      return;
    }
    const words = () => stateWords(name, { reason, host, seconds: retryAt ? Math.ceil((retryAt - performance.now()) / 1000) : 0 });
    const showText = () => (byId("state-text").textContent = words().text);
    const { title, action: label, note, busy } = words();
    status.textContent = name === "start" ? "Ready" : title;
    byId("state-title").textContent = title;
    showText();
    action.textContent = label;
    action.hidden = !label;
    byId("state-note").textContent = note;
    byId("try").hidden = !WITHOUT_CAMERA.includes(name);
    byId("state").classList.toggle("waiting", busy || name === "lost");
    const wantsToken = name.includes("token");
    byId("token-form").hidden = !wantsToken;
    // The button that was pressed is gone: the keyboard goes on where the page waits for something.
    if (name !== "start" && document.activeElement === document.body) byId(wantsToken ? "token" : "state-action").focus();
    if (retryAt) this.#countdown = setInterval(showText, COUNTDOWN_MS);
  }

  /** @param {string|undefined} version of the server. */
  showVersion(version) {
    byId("version").textContent = `Latentcam ${version ?? ""}`.trim();
    delete byId("panel").dataset.empty;
  }

  /** Something is to be seen. */
  showVideo() {
    document.body.dataset.shown = "yes";
  }

  goLive() {
    this.showVideo();
    this.#faceSeenAt = this.#fastAt = performance.now();
  }

  end() {
    this.#server = null;
    this.#browser = null;
    byId("stop").hidden = true;
    byId("readout").hidden = true;
    byId("hint").textContent = "";
  }

  /** @param {ServerStats} stats */
  showServer(stats) {
    this.#server = stats;
    const now = performance.now();
    // Where nothing is edited, the server looks for no face; nor where no frame came through, as while an editor loads.
    if (stats.faces?.length || stats.fps_out === 0 || this.#page.wanted.bypass || this.#page.idle) this.#faceSeenAt = now;
    // Slow only counts when frames come in faster than they leave.
    if (stats.fps_out >= SLOW_FPS || stats.fps_in < 1.5 * stats.fps_out) this.#fastAt = now;
    const hint = byId("hint");
    const words = this.#page.live ? this.#hint(now) : "";
    if (hint.textContent !== words) hint.textContent = words;
  }

  /** @param {number} now */
  #hint(now) {
    if (now - this.#faceSeenAt > NO_FACE_MS) return "No face in view. Turn to the camera, both eyes visible.";
    if (now - this.#fastAt > SLOW_MS) {
      const smaller = this.#page.steers ? ` --width ${SMALL[0]} --height ${SMALL[1]} helps.` : " A lower resolution helps.";
      const { videoWidth, videoHeight } = byId("edited", HTMLVideoElement);
      const lower = !this.#page.sample && Math.min(videoWidth, videoHeight) > SMALL[1] ? smaller : "";
      return `The server manages fewer than ${SLOW_FPS} frames a second.${lower}`;
    }
    return "";
  }

  /**
   * Read and draw the figures of a connection.
   *
   * @param {RTCPeerConnection|null} peer
   * @param {() => number|null} delay measured from camera to screen in ms, when known.
   */
  async showStats(peer, delay) {
    if (!this.#page.live || !peer || document.hidden) return;
    const browser = readStats(await peer.getStats(), this.#browser);
    this.#browser = browser;
    if (browser.fps === null) return;
    const measured = delay();
    const [stages] = byId("delay-stages", HTMLTableElement).tBodies;
    drawStats(
      {
        body: byId("stats-body"),
        empty: byId("stats-empty"),
        total: byId("delay-total"),
        caption: byId("delay-caption"),
        bar: byId("delay-bar"),
        stages,
        layers: byId("layer-costs", HTMLTableElement),
        figures: byId("figures"),
      },
      { browser, server: this.#server, delay: measured, titleOf: (name) => this.#page.editorNamed(name)?.title ?? name },
    );
    byId("stats-line").textContent = statsLine(browser, measured, this.#server);
    const reduced = this.#server?.reduced;
    const rate = `${browser.fps.toFixed(browser.fps < SLOW_FPS ? 1 : 0)} fps`;
    const words = [rate, measured === null ? "" : `${Math.round(measured)} ms`, reduced ? "reduced" : ""].filter(Boolean).join(" · ");
    const readout = byId("readout");
    readout.textContent = words;
    readout.title = reduced ? `To keep up: ${reduced}.` : "";
    readout.hidden = false;
    byId("stats-summary").textContent = words;
  }

  /** Bring the figures to where the user sees them. */
  openStats() {
    const stats = byId("stats", HTMLDetailsElement);
    stats.open = true;
    stats.scrollIntoView({ block: "nearest" });
    stats.querySelector("summary")?.focus();
  }

  /** @param {string} text shown for a moment. */
  toast(text) {
    const element = make("p", { className: "toast", textContent: text });
    byId("toasts").append(element);
    setTimeout(() => element.remove(), TOAST_MS);
  }
}
