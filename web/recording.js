// A recording from the press of a button to the next: of the edited video, of the split view, or of both sides. It is one
// file as long as the pictures keep their size and the session lasts, and goes on in another one after that: a file whose
// pictures change their size is ruined from there on.

import { everyFrame } from "./before.js";
import { contextOf } from "./dom.js";
import { Recorder } from "./recorder.js";

const RESIZE_MS = 3_000; // by then the edited video has the camera's new size, or will not have it

/**
 * @typedef {"edited"|"split"|"both"} What
 *
 * @typedef {object} Sources
 * @property {HTMLVideoElement} camera
 * @property {HTMLVideoElement} edited
 * @property {HTMLCanvasElement} before the camera as late as the edited video is.
 * @property {() => number} split where the divider is, 0 to 1.
 *
 * @typedef {object} Handlers
 * @property {(name: string|null) => void} onFile a file was saved; null: nothing was recorded.
 * @property {() => void} onChange begun, gone on, paused or ended.
 */

export class Recording {
  /** @type {Sources} */
  #sources;
  /** @type {Handlers} */
  #handlers;
  /** @type {What|null} null while nothing is to be recorded. */
  #what = null;
  /** @type {Recorder|null} null between two files as well. */
  #file = null;
  #release = () => {};
  /** Of the pictures when the file was begun. */
  #sizes = { camera: "", edited: "" };
  /** @type {Recorder[]} of this recording; what the browser has written of one may come after its end. */
  #files = [];
  #paused = false;

  /**
   * @param {Sources} sources
   * @param {Handlers} handlers
   */
  constructor(sources, handlers) {
    this.#sources = sources;
    this.#handlers = handlers;
    // The camera changes its size before the edited video does. An element also tells of the first size of a new stream,
    // and may do so after a file of that stream was begun.
    sources.camera.addEventListener("resize", () => {
      if (sizeOf(sources.camera) === this.#sizes.camera) return;
      this.interrupt();
      setTimeout(() => this.goOn(), RESIZE_MS);
    });
    sources.edited.addEventListener("resize", () => {
      if (sizeOf(sources.edited) !== this.#sizes.edited) this.interrupt();
      this.goOn();
    });
    addEventListener("beforeunload", (event) => this.running && event.preventDefault());
  }

  get running() {
    return this.#what !== null;
  }

  get paused() {
    return this.#paused;
  }

  /** Whether the camera's side is recorded as well. */
  get needsBefore() {
    return this.#what === "split" || this.#what === "both";
  }

  get seconds() {
    return this.#files.reduce((sum, { seconds }) => sum + seconds, 0);
  }

  get bytes() {
    return this.#files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * @param {What} what
   * @throws {Error} this browser cannot record.
   */
  start(what) {
    this.#what = what;
    this.#files = [];
    this.#paused = false;
    try {
      this.goOn();
    } catch (error) {
      this.#what = null;
      throw error;
    }
  }

  stop() {
    if (!this.running) return;
    this.#what = null;
    this.interrupt();
    this.#handlers.onChange();
  }

  togglePause() {
    this.#paused = !this.#paused;
    this.#file?.togglePause();
    this.#handlers.onChange();
  }

  /** The session is gone for a moment: save what there is. */
  interrupt() {
    if (!this.#file) return;
    this.#file.stop();
    this.#file = null;
    this.#release();
  }

  /** Edited video is there: begin a file, the first one or the next. */
  goOn() {
    const { edited } = this.#sources;
    const stream = edited.srcObject; // not active: its session has ended, and the next one is to come
    if (this.#what === null || this.#file || !(stream instanceof MediaStream) || !stream.active || !edited.videoWidth) return;
    this.#sizes = { camera: sizeOf(this.#sources.camera), edited: sizeOf(edited) };
    const shown = this.#what === "edited" ? direct(edited) : composed(this.#sources, this.#what);
    this.#release = shown.release;
    this.#file = new Recorder(shown.stream, shown.width, shown.height, this.#handlers.onFile);
    this.#files.push(this.#file);
    if (this.#paused) this.#file.togglePause();
    this.#handlers.onChange();
  }
}

/** @param {HTMLVideoElement} video */
const sizeOf = ({ videoWidth, videoHeight }) => `${videoWidth}x${videoHeight}`;

/** @param {HTMLVideoElement} edited */
function direct(edited) {
  const stream = /** @type {MediaStream} */ (edited.srcObject);
  return { stream, width: edited.videoWidth, height: edited.videoHeight, release: () => {} };
}

/**
 * Both sides drawn into one picture.
 *
 * @param {Sources} sources
 * @param {What} what
 */
function composed({ edited, before, split }, what) {
  const { videoWidth, videoHeight: height } = edited;
  const width = what === "both" ? 2 * videoWidth : videoWidth;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = contextOf(canvas, { alpha: false });
  const release = everyFrame(edited, () => {
    if (what === "both") {
      context.drawImage(before, 0, 0, videoWidth, height);
      context.drawImage(edited, videoWidth, 0, videoWidth, height);
      return;
    }
    const from = Math.round(split() * videoWidth);
    context.drawImage(edited, 0, 0, videoWidth, height);
    if (from > 0 && before.width > 0) context.drawImage(before, 0, 0, (from * before.width) / videoWidth, before.height, 0, 0, from, height);
    context.fillStyle = "#f4f1ec";
    context.fillRect(from - 1, 0, 2, height);
  });
  const stream = canvas.captureStream();
  for (const track of /** @type {MediaStream} */ (edited.srcObject).getAudioTracks()) stream.addTrack(track);
  return { stream, width, height, release };
}
