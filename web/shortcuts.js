// The keys that the page knows, in a dialog.

import { button, make } from "./dom.js";

/** @type {[key: string, does: string][]} */
const KEYS = [
  ["E", "Editing off and back on"],
  ["B", "Before"],
  ["C", "Compare: split view"],
  ["M", "Mirror your own view"],
  ["S", "Snapshot"],
  ["R", "Record, and stop"],
  ["P", "Small window on top"],
  ["F", "Full screen"],
  ["D", "Draw mesh, crop and masks"],
  ["Ctrl + Z", "Undo"],
  ["Ctrl + Shift + Z", "Redo"],
  ["?", "This list"],
];

/** @param {HTMLDialogElement} dialog emptied, filled and shown. */
export function showShortcuts(dialog) {
  const list = make("dl", { className: "keys" });
  for (const [key, does] of KEYS) {
    const term = make("dt");
    term.append(make("kbd", { textContent: key }));
    list.append(term, make("dd", { textContent: does }));
  }
  dialog.replaceChildren(make("h2", { textContent: "Keyboard" }), list, button("Close", "quiet", () => dialog.close()));
  dialog.showModal();
}
