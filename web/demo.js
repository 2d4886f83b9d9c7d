// A short clip of a person before and after, for those who have not started a camera yet. It is loaded only where it shows.

import { byId } from "./dom.js";

const ADDRESS = "demo.mp4";

export class Demo {
  #button = byId("demo", HTMLButtonElement);
  #video = /** @type {HTMLVideoElement} */ (this.#button.firstElementChild);

  constructor() {
    this.#button.addEventListener("click", () => this.#play(this.#video.paused));
    this.#video.addEventListener("error", () => (this.#button.hidden = true)); // this browser cannot play it
  }

  /** @param {boolean} on whether it is in sight. */
  show(on) {
    if (this.#button.hidden !== on) return;
    this.#button.hidden = !on;
    if (on && !this.#video.src) this.#video.src = ADDRESS;
    // Who wants less motion presses it, and sees the first picture until then.
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (on && still) this.#video.preload = "auto";
    this.#play(on && !still);
  }

  /** @param {boolean} on */
  #play(on) {
    if (on) this.#video.play().catch(() => {});
    else this.#video.pause();
    this.#button.setAttribute("aria-label", on ? "Pause the demo" : "Play the demo");
  }
}
