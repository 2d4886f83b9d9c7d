// A row of looks as small pictures of the user's own face; one press puts a look on, another takes it off.

import { byId, make } from "./dom.js";
import { looksOfFace } from "./photos.js";
import { previewOn } from "./preview.js";
import { tabValue } from "./storage.js";

const TRIES = 4;
const RETRY_MS = 4_000;

/**
 * @import { Look } from "./fields.js"
 *
 * @typedef {{editor: string, title: string, controls: Look}} Thumbnail editor: "" for the face as it is.
 */

export class Looks {
  #asked = false;
  /** @type {{button: HTMLButtonElement, look: Thumbnail}[]} */
  #buttons = [];
  /** @type {(look: Thumbnail) => boolean} */
  #isOn;
  /** @type {(look: Thumbnail) => void} */
  #onPick;
  /** @type {(look: Thumbnail|null) => void} */
  #onPreview;

  /**
   * @param {{isOn: (look: Thumbnail) => boolean, onPick: (look: Thumbnail) => void, onPreview: (look: Thumbnail|null) => void}}
   *   handlers onPreview: a look is to be shown for the moment; null when that moment is over.
   */
  constructor({ isOn, onPick, onPreview }) {
    this.#isOn = isOn;
    this.#onPick = onPick;
    this.#onPreview = onPreview;
  }

  /**
   * Have them drawn, once: on the first picture that shows a face.
   * Until one does, it is tried again a few times.
   *
   * @param {HTMLVideoElement} camera
   */
  async draw(camera) {
    if (this.#asked) return;
    this.#asked = true;
    for (let left = TRIES; left > 0; left -= 1) {
      try {
        const { looks, image } = await looksOfFace(camera, tabValue("token"));
        return this.#show(looks, image);
      } catch {
        // Nobody in view yet, or the server is busy; without them, the presets are there all the same.
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#asked = false;
    return undefined;
  }

  /** Another face is in front of the camera. */
  forget() {
    this.#asked = false;
  }

  mark() {
    for (const { button, look } of this.#buttons) button.setAttribute("aria-pressed", String(this.#isOn(look)));
  }

  /**
   * @param {Thumbnail[]} looks
   * @param {string} image
   */
  #show(looks, image) {
    this.#buttons = looks.map((look, index) => {
      const button = make("button", { type: "button", className: "thumbnail" });
      const face = make("span", { className: "face-of" });
      face.setAttribute("aria-hidden", "true");
      face.style.backgroundImage = `url(${image})`;
      face.style.backgroundSize = `${100 * looks.length}% 100%`;
      face.style.backgroundPosition = `${(100 * index) / Math.max(1, looks.length - 1)}% 0`;
      button.append(face, make("span", { textContent: look.title }));
      previewOn(button, { begin: () => this.#onPreview(look), end: () => this.#onPreview(null) });
      button.addEventListener("click", () => this.#onPick(look));
      return { button, look };
    });
    byId("looks").replaceChildren(...this.#buttons.map(({ button }) => button));
    byId("looks-block").hidden = false;
    this.mark();
  }
}
