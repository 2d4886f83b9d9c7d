// "Lock to me": a snapshot is inverted on the server, and from then on a latent editor moves that latent.

import { button, make } from "./dom.js";
import { request } from "./http.js";
import { asJpeg } from "./photos.js";
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
 * @typedef {object} Options
 * @property {() => {editor: string, lockable: boolean, live: boolean, session: string}} facts what the page shows now.
 * @property {() => HTMLVideoElement} camera
 * @property {() => string|null} token
 * @property {(id: string) => void} onLock the setting `latent_lock` shall have this value; "" unlocks.
 */

export class LatentLock {
  /** @type {Options} */
  #options;
  /** @type {Lock|null} the one in use or in work. */
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
    const { editor, lockable, live } = this.#options.facts();
    const lock = this.#lock?.editor === editor ? this.#lock : null;
    const busy = lock?.state === "waiting" || lock?.state === "running";
    this.element.hidden = !lockable;
    this.#start.hidden = busy || lock?.state === "done";
    this.#start.disabled = !live || (this.#lock !== null && !lock && this.#lock.state !== "done");
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
    if (lock) request(this.#address(lock), this.#options.token(), { method: "DELETE" }).catch(() => {});
    this.show();
  }

  /** The session has ended, and the server has forgotten the snapshot. */
  end() {
    this.#drop();
    this.show();
  }

  /**
   * @param {Lock} lock
   * @returns {string} with the session: in a cluster, it says which machine has the lock.
   */
  #address(lock) {
    return `locks/${lock.id}?${new URLSearchParams({ session: this.#options.facts().session })}`;
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#lock = null;
  }

  async #begin() {
    const { editor, session } = this.#options.facts();
    if (this.#lock) this.forget();
    const begun = /** @type {Lock} */ ({ id: "", editor, state: "waiting", step: 0, steps: 0, error: "" });
    this.#lock = begun;
    this.show();
    try {
      const photo = await asJpeg(this.#options.camera());
      const response = await request(`locks?${new URLSearchParams({ editor, session })}`, this.#options.token(), {
        method: "POST",
        headers: { "Content-Type": "image/jpeg" },
        body: photo,
      });
      const lock = await response.json();
      if (this.#lock !== begun) return void request(this.#address(lock), this.#options.token(), { method: "DELETE" }).catch(() => {});
      this.#take(lock);
    } catch (error) {
      if (this.#lock === begun) this.#fail(editor, errorWords(error));
    }
  }

  async #poll() {
    const lock = this.#lock;
    if (!lock) return;
    try {
      const response = await request(this.#address(lock), this.#options.token());
      if (this.#lock === lock) this.#take(await response.json());
    } catch (error) {
      if (this.#lock === lock) this.#fail(lock.editor, errorWords(error));
    }
  }

  /** @param {Lock} lock */
  #take(lock) {
    this.#lock = lock;
    if (lock.state === "done") this.#options.onLock(lock.id);
    else if (lock.state !== "failed") this.#timer = setTimeout(() => this.#poll(), POLL_MS);
    this.show();
  }

  /**
   * @param {string} editor
   * @param {string} error
   */
  #fail(editor, error) {
    this.#lock = { id: "", editor, state: "failed", step: 0, steps: 0, error };
    this.show();
    this.#lock = null;
  }
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
