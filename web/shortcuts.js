// The keys that the page knows: their names, and the list of them in a dialog.

import { button, make } from "./dom.js";

/**
 * @typedef {[key: string, does: string, act: () => void]} Shortcut key: such as "E" or "Ctrl + Z"; does: in the user's words.
 */

/**
 * @param {Pick<KeyboardEvent, "key"|"ctrlKey"|"metaKey"|"altKey"|"shiftKey">} event
 * @returns {string} the key as the list names it: the Command key counts as Ctrl; "" with Alt, which makes letters.
 */
export function keyOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  if (altKey) return "";
  const name = key.toUpperCase();
  if (!ctrlKey && !metaKey) return name;
  if (name === "Y") return "Ctrl + Shift + Z"; // what it is on Windows
  return shiftKey ? `Ctrl + Shift + ${name}` : `Ctrl + ${name}`;
}

/**
 * @param {HTMLDialogElement} dialog emptied, filled and shown.
 * @param {Shortcut[]} shortcuts
 */
export function showShortcuts(dialog, shortcuts) {
  const list = make("dl", { className: "keys" });
  for (const [key, does] of shortcuts) {
    const term = make("dt");
    term.append(make("kbd", { textContent: key }));
    list.append(term, make("dd", { textContent: does }));
  }
  dialog.replaceChildren(make("h2", { textContent: "Keyboard" }), list, button("Close", "quiet", () => dialog.close()));
  dialog.showModal();
  dialog.scrollTop = 0; // the focus is on the button below the list
}
