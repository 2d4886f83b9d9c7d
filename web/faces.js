// The boxes around the faces on the picture: press one to edit only that person.

import { make } from "./dom.js";

// A face that is lost for a moment keeps its box, so that it can be pressed, unless another one is there.
const KEEP_MS = 600;

/**
 * @typedef {[number, number, number, number]} Box x0, y0, x1, y1 as parts of the picture, 0 to 1.
 * @typedef {{id: number, box: Box, edited?: boolean}} Face
 */

/**
 * @param {HTMLElement} container lies over the picture, same size.
 * @param {(id: number) => void} onPick
 */
export function setUpFaces(container, onPick) {
  /** @type {Map<number, {button: HTMLButtonElement, label: HTMLElement, at: number, box: Box}>} */
  const shown = new Map();

  const create = (/** @type {number} */ id) => {
    const button = make("button", { type: "button", className: "face" });
    const label = make("span");
    button.append(label);
    button.addEventListener("click", () => onPick(id));
    container.append(button);
    return { button, label };
  };

  return {
    /**
     * @param {Face[]} faces
     * @param {{mirror: boolean, locked: number|null}} view
     */
    show(faces, { mirror, locked }) {
      const now = performance.now();
      for (const { id, box } of faces) shown.set(id, { ...(shown.get(id) ?? create(id)), at: now, box });
      for (const [id, { button, at, box }] of shown) {
        if (at === now || (faces.length > 0 && now - at < KEEP_MS && !faces.some((face) => covers(face.box, box)))) continue;
        button.remove();
        shown.delete(id);
      }
      const edited = faces.filter((face) => face.edited).map(({ id }) => id);
      for (const [id, { button, label, at, box }] of shown) {
        if (at !== now) continue;
        const on = id === locked || edited.includes(id);
        const [x0, y0, x1, y1] = box.map((part) => 100 * Math.min(1, Math.max(0, part)));
        button.style.left = `${mirror ? 100 - x1 : x0}%`;
        button.style.top = `${y0}%`;
        button.style.width = `${x1 - x0}%`;
        button.style.height = `${y1 - y0}%`;
        button.setAttribute("aria-pressed", String(on));
        label.textContent = on ? "Editing this person" : "Edit this person";
      }
    },
  };
}

/**
 * Whether the middle of `other` lies in a box.
 *
 * @param {Box} box
 * @param {Box} other
 */
function covers([x0, y0, x1, y1], other) {
  const x = (other[0] + other[2]) / 2;
  const y = (other[1] + other[3]) / 2;
  return x0 < x && x < x1 && y0 < y && y < y1;
}
