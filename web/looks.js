// A row of looks as small pictures of the user's own face; one press puts a look on, another takes it off.

import { button, byId, make } from "./dom.js";
import { looksOfFace } from "./photos.js";
import { previewOn } from "./preview.js";
import { tabValue } from "./storage.js";
import { errorWords } from "./words.js";

const TRIES = 4;
const RETRY_MS = 4_000;

/**
 * @import { Look } from "./fields.js"
 *
 * @typedef {{editor: string, title: string, controls: Look}} Thumbnail editor: "" for the face as it is.
 */

export class Looks {
  #asked = false;
  #turn = 0;
  #drawing = false;
  /** @type {unknown} what the pictures are of: a camera, or a file; undefined before there are any. */
  #source;
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
   * Until one does, it is tried again a few times. Those of another source go at once.
   *
   * @param {HTMLVideoElement} camera
   * @param {unknown} source what `camera` shows: the name of a camera, or a file.
   */
  async draw(camera, source) {
    if ((this.#asked || this.#drawing) && source === this.#source) return; // the server draws one row of a client at a time
    this.#asked = this.#drawing = true;
    const turn = ++this.#turn;
    if (source !== this.#source || this.#buttons.length === 0) this.#say("Drawing the looks on your face…");
    this.#source = source;
    let why = "";
    for (let left = TRIES; left > 0; left -= 1) {
      try {
        const { looks, image } = await looksOfFace(camera, tabValue("token"));
        if (turn !== this.#turn) return;
        this.#drawing = false;
        return this.#show(looks, image);
      } catch (error) {
        // Nobody in view yet, or the server is busy; without them, the presets are there all the same.
        why = errorWords(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        if (turn !== this.#turn) return;
      }
    }
    this.#asked = this.#drawing = false;
    if (this.#buttons.length === 0) this.#say(why, button("Try again", "quiet", () => this.draw(camera, source)));
  }

  /** Somebody else may be in front of the camera when it shows a picture again. */
  forget() {
    this.#asked = false;
  }

  /** The camera is off: no picture of it is sent any more, and a row that only says how far it is goes. */
  stop() {
    this.#turn += 1;
    this.#asked = this.#drawing = false;
    byId("looks-block").hidden = this.#buttons.length === 0;
  }

  mark() {
    for (const { button, look } of this.#buttons) button.setAttribute("aria-pressed", String(this.#isOn(look)));
  }

  /**
   * In place of the pictures, in a row as high as they are: what is below stays where it is.
   *
   * @param {string} words
   * @param {HTMLElement[]} actions
   */
  #say(words, ...actions) {
    this.#buttons = [];
    byId("looks").replaceChildren(make("p", { className: "help", textContent: words, role: "status" }), ...actions);
    byId("looks-block").hidden = false;
  }

  /**
   * @param {Thumbnail[]} looks
   * @param {string} image
   */
  #show(looks, image) {
    this.#buttons = looks.map((look, index) => {
      const press = make("button", { type: "button", className: "thumbnail" });
      const face = make("span", { className: "face-of" });
      face.setAttribute("aria-hidden", "true");
      face.style.backgroundImage = `url(${image})`;
      face.style.backgroundSize = `${100 * looks.length}% 100%`;
      face.style.backgroundPosition = `${(100 * index) / Math.max(1, looks.length - 1)}% 0`;
      press.append(face, make("span", { textContent: look.title }));
      previewOn(press, { begin: () => this.#onPreview(look), end: () => this.#onPreview(null) });
      press.addEventListener("click", () => this.#onPick(look));
      return { button: press, look };
    });
    byId("looks").replaceChildren(...this.#buttons.map(({ button }) => button));
    byId("looks-block").hidden = false;
    this.mark();
  }
}
