// Looks to come back to: the editor's own, and those the user names, which stay on this device.

import { icon, make } from "./dom.js";
import { remember, remembered } from "./storage.js";

/**
 * @import { Look } from "./fields.js"
 * @import { Preset } from "./page.js"
 */

const MOST_OWN = 50;

/**
 * @param {string} editor its name.
 * @returns {Preset[]} the user's presets of an editor.
 */
export function ownPresets(editor) {
  const own = remembered().presets?.[editor];
  return Array.isArray(own) ? own.filter((/** @type {any} */ preset) => typeof preset?.title === "string" && preset.controls) : [];
}

/**
 * Keep a preset; one of the same title is replaced.
 *
 * @param {string} editor its name.
 * @param {string} title
 * @param {Look} controls
 */
export function keepPreset(editor, title, controls) {
  const others = ownPresets(editor).filter((preset) => preset.title !== title);
  store(editor, [...others, { title, controls }].slice(-MOST_OWN));
}

/**
 * @param {string} editor its name.
 * @param {string} title
 */
export function removePreset(editor, title) {
  store(editor, ownPresets(editor).filter((preset) => preset.title !== title));
}

/**
 * @param {string} editor
 * @param {Preset[]} presets
 */
function store(editor, presets) {
  remember({ presets: { ...remembered().presets, [editor]: presets } });
}

/**
 * @param {Look} a
 * @param {Look} b
 * @returns {boolean} whether two sets of controls are the same look.
 */
export function sameLook(a, b) {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => (a[name] ?? null) === (b[name] ?? null));
}

/**
 * @param {HTMLElement} container
 * @param {Preset[]} given the editor's presets
 * @param {Preset[]} own the user's
 * @param {{onPick: (look: Look) => void, onRemove: (title: string) => void}} handlers
 * @returns {(look: Look) => void} marks the preset that is on.
 */
export function drawPresets(container, given, own, { onPick, onRemove }) {
  /** @type {{button: HTMLButtonElement, controls: Look}[]} */
  const chips = [];
  const chip = (/** @type {Preset} */ { title, controls }) => {
    const button = make("button", { type: "button", className: "chip", textContent: title });
    button.addEventListener("click", () => onPick(controls));
    chips.push({ button, controls });
    return button;
  };
  /** @type {HTMLElement[]} */
  const elements = given.map(chip);
  for (const preset of own) {
    const remove = make("button", { type: "button", className: "remove", title: "Remove" });
    remove.setAttribute("aria-label", `Remove the preset ${preset.title}`);
    remove.append(icon("i-close"));
    remove.addEventListener("click", () => onRemove(preset.title));
    const pair = make("span", { className: "own" });
    pair.append(chip(preset), remove);
    elements.push(pair);
  }
  if (elements.length === 0) elements.push(make("p", { className: "help", textContent: "None yet. Move a slider and save the look." }));
  container.replaceChildren(...elements);
  return (controls) => {
    for (const { button, controls: look } of chips) button.setAttribute("aria-pressed", String(sameLook(look, controls)));
  };
}
