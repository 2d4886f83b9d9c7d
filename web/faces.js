// The boxes around the faces on the picture: press one to edit only that person.

import { make } from "./controls.js";

// A face that is lost for a moment keeps its box, so that it can be pressed, unless another one is there.
const KEEP_MS = 600;

/**
 * @param {HTMLElement} container lies over the picture, same size.
 * @param {(id: number) => void} onPick
 */
export function setUpFaces(container, onPick) {
  const buttons = new Map();
  const lastSeen = new Map(); // id -> {at, box}

  return {
    /**
     * @param {{id: number, box: number[]}[]} faces box: x0, y0, x1, y1 as parts of the picture, 0 to 1.
     * @param {{mirror: boolean, locked: number|null}} view
     */
    show(faces, { mirror, locked }) {
      const now = performance.now();
      for (const { id, box } of faces) lastSeen.set(id, { at: now, box });
      for (const [id, button] of buttons) {
        const { at, box } = lastSeen.get(id);
        const current = at === now;
        if (current || (faces.length > 0 && now - at < KEEP_MS && !faces.some((face) => covers(face.box, box)))) continue;
        button.remove();
        buttons.delete(id);
        lastSeen.delete(id);
      }
      for (const { id, box } of faces) {
        const button = buttons.get(id) ?? create(id);
        const [x0, y0, x1, y1] = box.map((part) => 100 * Math.min(1, Math.max(0, part)));
        button.style.left = `${mirror ? 100 - x1 : x0}%`;
        button.style.top = `${y0}%`;
        button.style.width = `${x1 - x0}%`;
        button.style.height = `${y1 - y0}%`;
        button.setAttribute("aria-pressed", String(id === locked));
        button.querySelector("span").textContent = id === locked ? "Editing this person" : "Edit this person";
      }
    },
  };

  function create(id) {
    const button = make("button", { type: "button", className: "face" });
    button.append(make("span"));
    button.addEventListener("click", () => onPick(id));
    buttons.set(id, button);
    container.append(button);
    return button;
  }
}

/** Whether the middle of `other` lies in `box`. */
function covers([x0, y0, x1, y1], other) {
  const x = (other[0] + other[2]) / 2;
  const y = (other[1] + other[3]) / 2;
  return x0 < x && x < x1 && y0 < y && y < y1;
}
