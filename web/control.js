// The data channel "control": settings out, statistics in. JSON text messages, protocol version 1.

import { Emitter } from "./emitter.js";

const VERSION = 1;
// A dragged slider makes a hundred moves a second; the newest is what counts.
const SETTINGS_INTERVAL_MS = 50;
const ANSWER_TIMEOUT_MS = 1_500;
const PING_INTERVAL_MS = 2_000;
const SILENCE_MS = 8_000;

/**
 * @import { OverlayMessage } from "./overlay.js"
 * @import { Settings } from "./page.js"
 * @import { ServerStats } from "./stats.js"
 * @import { Allowed } from "./words.js"
 *
 * @typedef {object} Events the server's messages, and its silence.
 * @property {{session: string, settings: Settings, idle?: string}} hello idle: why nothing is edited, "" where something is.
 * @property {{settings: Settings, idle?: string}} settings
 * @property {{reason: string, field?: string, allowed?: Allowed|string[]|null}} error
 * @property {ServerStats} stats
 * @property {OverlayMessage} overlay
 * @property {{reason: string, detail?: string}} bye
 * @property {undefined} silent the server stopped answering.
 */

/** @extends {Emitter<Events>} */
export class Control extends Emitter {
  /** @type {RTCDataChannel} */
  #channel;
  #id = 0;
  /** @type {Partial<Settings>|null} */
  #queued = null;
  /** @type {number|null} id of the message whose answer is due. */
  #waitingFor = null;
  #sentAt = -Infinity;
  #timer = 0;
  #pinger = 0;
  #heardAt = performance.now();
  #pingedAt = -Infinity;
  #stopped = new AbortController();
  /** @type {number|null} the last round trip in milliseconds. */
  roundTrip = null;

  /**
   * @param {RTCDataChannel} channel an open channel.
   * @param {string[]} [early] messages that came before; they are taken in once the caller has had time to listen.
   */
  constructor(channel, early = []) {
    super();
    this.#channel = channel;
    const { signal } = this.#stopped;
    channel.addEventListener("message", ({ data }) => this.#receive(data), { signal });
    channel.addEventListener("close", () => this.stop(), { signal });
    this.#pinger = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    this.#ping();
    queueMicrotask(() => early.forEach((data) => this.#receive(data)));
  }

  /** performance.now() time of the last message from the server. */
  get heardAt() {
    return this.#heardAt;
  }

  /** Whether every change was answered. */
  get settled() {
    return this.#queued === null && this.#waitingFor === null;
  }

  /**
   * Ask for a change of settings; changes that pile up are merged, the newest value of each wins.
   *
   * @param {Partial<Settings>} patch
   */
  change(patch) {
    this.#queued = { ...this.#queued, ...patch };
    this.#flush();
  }

  /** @param {number} seconds how often statistics are wanted; 0 is never. */
  wantStats(seconds) {
    this.#send({ type: "stats", every: seconds });
  }

  /** @param {number} seconds how often what lies behind the edit is wanted; 0 is never. */
  wantOverlay(seconds) {
    this.#send({ type: "overlay", every: seconds });
  }

  stop() {
    this.#stopped.abort();
    clearInterval(this.#pinger);
    clearTimeout(this.#timer);
  }

  #flush() {
    clearTimeout(this.#timer);
    if (this.#queued === null) return;
    const since = performance.now() - this.#sentAt;
    const wait = (this.#waitingFor === null ? SETTINGS_INTERVAL_MS : ANSWER_TIMEOUT_MS) - since;
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#flush(), wait);
      return;
    }
    this.#waitingFor = this.#send({ type: "settings", settings: this.#queued });
    this.#queued = null;
    this.#sentAt = performance.now();
  }

  #ping() {
    const now = performance.now();
    // Timers sleep with the tab: silence counts only from when this page was awake to listen.
    if (now - this.#heardAt > SILENCE_MS && now - this.#pingedAt < 2 * PING_INTERVAL_MS) {
      this.emit("silent", undefined);
      return;
    }
    this.#pingedAt = now;
    this.#send({ type: "ping", t: now });
  }

  /**
   * @param {{type: string, [key: string]: unknown}} message
   * @returns {number|null} its id; null when the channel is closed.
   */
  #send(message) {
    if (this.#channel.readyState !== "open") return null;
    const id = ++this.#id;
    const numbered = ["stats", "overlay"].includes(message.type) ? message : { ...message, id };
    this.#channel.send(JSON.stringify({ v: VERSION, ...numbered }));
    return id;
  }

  /** @param {string} data from the server. */
  #receive(data) {
    this.#heardAt = performance.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message?.v !== VERSION) return;
    if (message.type === "pong") {
      this.roundTrip = performance.now() - message.t;
      return;
    }
    if ((message.type === "settings" || message.type === "error") && message.id === this.#waitingFor) {
      this.#waitingFor = null;
    }
    this.emit(message.type, message);
    this.#flush();
  }
}
