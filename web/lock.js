// "Lock to me": a snapshot is inverted on the server, and from then on a latent editor moves that latent.

import { button, make } from "./dom.js";
import { request } from "./http.js";
import { asJpeg, sendPhoto } from "./photos.js";
import { errorWords } from "./words.js";

const POLL_MS = 700;

/**
 * @typedef {object} Lock how far a snapshot is, in the server's words.
 * @property {string} id
 * @property {string} editor
 * @property {"waiting"|"running"|"done"|"failed"|"cancelled"} state
 * @property {number} step
 * @property {number} steps
 * @property {string} error
 *
 * @typedef {Lock & {session: string}} Held session: the one that the snapshot was sent for, and that it ends with.
 *
 * @typedef {object} Options
 * @property {() => {editor: string, lockable: boolean, live: boolean, session: string}} facts what the page shows now.
 * @property {() => HTMLVideoElement} camera
 * @property {() => string|null} token
 * @property {(id: string) => void} onLock the setting `latent_lock` shall have this value; "" unlocks.
 */

export class LatentLock {
  /** @type {Options} */
  #options;
  /** @type {Held|null} the one in use or in work, or why there is none. */
  #lock = null;
  #timer = 0;
  #text = make("p", { className: "help", role: "status" });
  #bar = make("progress", { max: 1, value: 0, hidden: true });
  #start = button("Lock to me", "", () => this.#begin());
  #stop = button("Cancel", "quiet", () => this.forget());
  element = make("div", { className: "latent-lock", hidden: true });

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#bar.setAttribute("aria-label", "Reading your face");
    const row = make("div", { className: "actions" });
    row.append(this.#start, this.#stop);
    this.element.append(row, this.#bar, this.#text);
    this.show();
  }

  /** Show what the page's editor can do now. */
  show() {
    const { editor, lockable, live, session } = this.#options.facts();
    if (this.#lock?.session !== session) this.#drop(); // a session that moves to another server leaves it behind
    const lock = this.#lock?.editor === editor ? this.#lock : null;
    const busy = isBusy(lock);
    this.element.hidden = !lockable;
    this.#start.hidden = busy || lock?.state === "done";
    this.#start.disabled = !live || (!lock && isBusy(this.#lock));
    this.#stop.hidden = !busy && lock?.state !== "done";
    this.#stop.textContent = busy ? "Cancel" : "Unlock";
    this.#bar.hidden = !busy;
    if (busy && lock.steps) this.#bar.value = lock.step / lock.steps;
    else this.#bar.removeAttribute("value");
    this.#text.textContent = words(lock);
  }

  /** Forget the snapshot, here and on the server. */
  forget() {
    const lock = this.#lock;
    this.#drop();
    if (lock?.state === "done") this.#options.onLock("");
    if (lock?.id) this.#remove(lock);
    this.show();
  }

  /** The session has ended, and the server has forgotten the snapshot. */
  end() {
    this.#drop();
    this.show();
  }

  /** @param {Held} lock */
  #remove(lock) {
    request(addressOf(lock), this.#options.token(), { method: "DELETE" }).catch(() => {});
  }

  /** @param {Held} lock */
  #isCurrent(lock) {
    return this.#lock === lock && lock.session === this.#options.facts().session;
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#lock = null;
  }

  async #begin() {
    const { editor, session } = this.#options.facts();
    if (this.#lock) this.forget();
    /** @type {Held} */
    const begun = { id: "", editor, session, state: "waiting", step: 0, steps: 0, error: "" };
    this.#lock = begun;
    this.show();
    try {
      const photo = await asJpeg(this.#options.camera());
      const response = await sendPhoto("locks", { editor, session }, photo, this.#options.token());
      this.#take(begun, await response.json());
    } catch (error) {
      this.#take(begun, { ...begun, state: "failed", error: errorWords(error) });
    }
  }

  async #poll() {
    const lock = this.#lock;
    if (!lock || !this.#isCurrent(lock)) return this.show();
    try {
      const response = await request(addressOf(lock), this.#options.token());
      this.#take(lock, await response.json());
    } catch (error) {
      this.#take(lock, { ...lock, state: "failed", error: errorWords(error) });
    }
  }

  /**
   * @param {Held} before what was known when the server was asked.
   * @param {Lock} told
   */
  #take(before, told) {
    const lock = { ...told, session: before.session };
    if (this.#isCurrent(before)) {
      this.#lock = lock;
      if (lock.state === "done") this.#options.onLock(lock.id);
      else if (isBusy(lock)) this.#timer = setTimeout(() => this.#poll(), POLL_MS);
    } else if (!before.id && lock.id) this.#remove(lock); // cancelled before it had an id
    this.show();
  }
}

/**
 * @param {Held} lock
 * @returns {string} with the session: in a cluster, it says which machine has the lock.
 */
function addressOf({ id, session }) {
  return `locks/${id}?${new URLSearchParams({ session })}`;
}

/**
 * @param {Lock|null} lock
 * @returns {lock is Lock & {state: "waiting"|"running"}} whether the server has it in work.
 */
function isBusy(lock) {
  return lock?.state === "waiting" || lock?.state === "running";
}

/** @param {Lock|null} lock */
function words(lock) {
  switch (lock?.state) {
    case "waiting":
      return "Waiting for its turn…";
    case "running":
      return lock.steps ? `Reading your face: ${Math.round((100 * lock.step) / lock.steps)} %. Minutes on a processor, seconds on a GPU.` : "Reading your face…";
    case "done":
      return "Locked to you until this session ends: your pose and expression move it.";
    case "failed":
      return lock.error;
    default:
      return "Draws you more closely: one snapshot is read thoroughly. Look straight at the camera.";
  }
}
