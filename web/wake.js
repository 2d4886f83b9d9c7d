// Keep the screen on while the edited video is shown: nobody touches a phone that is held up to be looked at.

export class WakeLock {
  /** @type {WakeLockSentinel|null} */
  #lock = null;
  #wanted = false;

  constructor() {
    // A browser takes the lock away with the tab; it is asked for again when the tab is back.
    document.addEventListener("visibilitychange", () => this.#take());
  }

  hold() {
    this.#wanted = true;
    this.#take();
  }

  release() {
    this.#wanted = false;
    this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  async #take() {
    if (!this.#wanted || document.hidden || (this.#lock && !this.#lock.released)) return;
    try {
      this.#lock = await navigator.wakeLock.request("screen");
    } catch {
      return; // this browser has none, or the battery is low
    }
    if (!this.#wanted) this.release();
  }
}
