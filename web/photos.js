// Photos for the server to read: shrunk here first, upright, as JPEG; nothing else of the file leaves the browser.

import { authorization, reasonOf } from "./connection.js";
import { make } from "./controls.js";
import { save } from "./recorder.js";
import { sentence } from "./states.js";

const LONGEST = 1280;
const QUALITY = 0.92;
const TIMEOUT_MS = 60_000;

/** @returns {Promise<Blob>} a picture file or what a video shows, as a JPEG of at most `LONGEST` pixels a side. */
export async function asJpeg(source) {
  let picture = source;
  if (source instanceof Blob) {
    try {
      picture = await createImageBitmap(source);
    } catch {
      throw new Error("This is no picture that this browser can read.");
    }
  }
  const [width, height] = [picture.videoWidth ?? picture.width, picture.videoHeight ?? picture.height];
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d", { alpha: false }).drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** @returns {Promise<Record<string, any>>} the controls with which an editor takes from a photo what it takes. */
export async function controlsOfPhoto(editor, file, token) {
  const response = await post("photos", { editor }, await asJpeg(file), token);
  return (await response.json()).controls;
}

/**
 * One face at all ages, in a dialog, to save.
 *
 * @param {HTMLDialogElement} dialog emptied and filled.
 * @param {HTMLVideoElement} camera
 * @param {{settings: object, control: string, token: string|null}} wish settings: editor and controls.
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
    const response = await post("strip", { settings: JSON.stringify(settings), control }, photo, token);
    const strip = await response.blob();
    const url = URL.createObjectURL(strip);
    dialog.addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
    const frame = make("div", { className: "strip", tabIndex: 0 }); // scrolls where the screen is narrow
    frame.append(make("img", { src: url, alt: "Your face at six ages" }));
    text.replaceWith(frame);
    actions.prepend(button("Save", "primary", () => save(strip, "jpg")));
  } catch (error) {
    text.textContent = wordsOf(error);
  }
}

/** @returns {string} an error for people. */
export function wordsOf(error) {
  return error instanceof TypeError || error.name === "TimeoutError" ? "The server does not answer." : sentence(error.message);
}

async function post(path, query, photo, token) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { "Content-Type": "image/jpeg", ...authorization(token) },
    body: photo,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(await reasonOf(response));
  return response;
}

function button(text, kind, onClick) {
  const element = make("button", { type: "button", className: `button ${kind}`, textContent: text });
  element.addEventListener("click", onClick);
  return element;
}
