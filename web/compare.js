// Before and after: one picture with two layers and a divider between them.

import { checkRadio, onRadio } from "./dom.js";

const KEY_STEP = 2;
const BIG_KEY_STEP = 10;

/**
 * @param {{picture: HTMLElement, divider: HTMLElement, views: HTMLElement}} parts
 *   picture gets data-view ("edited"|"split"|"before") and the custom property --split; views holds the radio buttons.
 * @param {() => void} onView called when the view changes.
 */
export function setUpCompare({ picture, divider, views }, onView) {
  let split = 50;

  const place = (/** @type {number} */ percent) => {
    split = Math.min(100, Math.max(0, percent));
    picture.style.setProperty("--split", `${split}%`);
    divider.setAttribute("aria-valuenow", String(Math.round(split)));
    divider.setAttribute("aria-valuetext", `${Math.round(split)} % before`);
  };
  const show = (/** @type {string} */ view) => {
    picture.dataset.view = view;
    divider.hidden = view !== "split";
    checkRadio(views, view);
    onView();
  };

  onRadio(views, show);
  divider.addEventListener("pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    event.preventDefault();
    divider.focus({ preventScroll: true });
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const { left, width } = picture.getBoundingClientRect();
    place((100 * (event.clientX - left)) / width);
  });
  divider.addEventListener("dblclick", () => place(50));
  divider.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? BIG_KEY_STEP : KEY_STEP;
    /** @type {Record<string, number>} */
    const moves = {
      ArrowLeft: split - step,
      ArrowDown: split - step,
      ArrowRight: split + step,
      ArrowUp: split + step,
      PageDown: split - BIG_KEY_STEP,
      PageUp: split + BIG_KEY_STEP,
      Home: 0,
      End: 100,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    place(moves[event.key]);
  });

  place(split);
  show("edited");
  return {
    show,
    get view() {
      return picture.dataset.view;
    },
    get split() {
      return split / 100;
    },
  };
}
