// Photos for the server to read: shrunk here first, upright, as JPEG; nothing else of the file leaves the browser.

import { blobOf, button, contextOf, make } from "./dom.js";
import { Refusal, request } from "./http.js";
import { save } from "./save.js";
import { errorWords } from "./words.js";

/** @import { Look } from "./fields.js" */

const LONGEST = 1280;
const QUALITY = 0.92;
const TIMEOUT_MS = 60_000;
const TRIES = 4;
const BUSY_MS = 1_000;

/**
 * @param {Blob|HTMLVideoElement} source a picture file, or a video for what it shows.
 * @returns {Promise<Blob>} a JPEG of at most `LONGEST` pixels a side.
 */
export async function asJpeg(source) {
  const picture = source instanceof Blob ? await decoded(source) : source;
  const [width, height] = "videoWidth" in picture ? [picture.videoWidth, picture.videoHeight] : [picture.width, picture.height];
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  contextOf(canvas, { alpha: false }).drawImage(picture, 0, 0, canvas.width, canvas.height);
  return blobOf(canvas, "image/jpeg", QUALITY);
}

/** @param {Blob} file */
async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error("This is no picture that this browser can read.");
  }
}

/**
 * @param {string} editor its name.
 * @param {File} file
 * @param {string|null} token
 * @returns {Promise<Look>} the controls with which an editor takes from a photo what it takes.
 */
export async function controlsOfPhoto(editor, file, token) {
  const response = await sendPhoto("photos", { editor }, await asJpeg(file), token);
  return (await response.json()).controls;
}

/**
 * The looks that ship, drawn on the face that a video shows.
 *
 * @param {HTMLVideoElement} camera
 * @param {string|null} token
 * @returns {Promise<{looks: {editor: string, title: string, controls: Look}[], image: string}>} image: all of them side by
 *   side, as an address.
 */
export async function looksOfFace(camera, token) {
  return (await sendPhoto("looks", {}, await asJpeg(camera), token)).json();
}

/**
 * One face at all ages, in a dialog, to save.
 *
 * @param {HTMLDialogElement} dialog emptied and filled.
 * @param {HTMLVideoElement} camera
 * @param {{settings: Record<string, unknown>, control: string, token: string|null}} wish control: name of the one
 *   that makes the ages.
 */
export async function showStrip(dialog, camera, { settings, control, token }) {
  const text = make("p", { className: "help", textContent: "Drawing your face at six ages…", role: "status" });
  const close = button("Close", "quiet", () => dialog.close());
  const actions = make("div", { className: "actions" });
  actions.append(close);
  dialog.replaceChildren(make("h2", { textContent: "Lifespan" }), text, actions);
  dialog.showModal();
  try {
    const photo = await asJpeg(camera);
    const response = await sendPhoto("strip", { settings: JSON.stringify(settings), control }, photo, token);
    const strip = await response.blob();
    const url = URL.createObjectURL(strip);
    dialog.addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
    const frame = make("div", { className: "strip", tabIndex: 0 }); // scrolls where the screen is narrow
    frame.append(make("img", { src: url, alt: "Your face at six ages" }));
    text.replaceWith(frame);
    actions.prepend(button("Save", "primary", () => save(strip, "jpg")));
  } catch (error) {
    text.textContent = errorWords(error);
  }
}

/**
 * Send a photo. The server reads one of a client at a time: while it draws the looks, it is asked again.
 *
 * @param {string} path
 * @param {Record<string, string>} query
 * @param {Blob} photo a JPEG.
 * @param {string|null} token
 * @returns {Promise<Response>} with a status of success.
 * @throws {Refusal} it is still busy after a few tries, or refuses the photo.
 * @throws {TypeError|DOMException} it does not answer.
 */
export async function sendPhoto(path, query, photo, token) {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  for (let tries = 1; ; tries++) {
    try {
      return await request(`${path}?${new URLSearchParams(query)}`, token, {
        method: "POST",
        headers: { "Content-Type": "image/jpeg" },
        body: photo,
        signal,
      });
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 503 || tries === TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  }
}
