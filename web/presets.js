// Looks to come back to: the editor's own, and those the user names, which stay on this device.

import { icon, make } from "./dom.js";
import { previewOn } from "./preview.js";
import { remember, remembered } from "./storage.js";

/**
 * @import { Layers, Look } from "./fields.js"
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
 * @param {Preset} preset
 */
export function keepPreset(editor, preset) {
  const others = ownPresets(editor).filter(({ title }) => title !== preset.title);
  store(editor, [...others, preset].slice(-MOST_OWN));
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
 * @param {Preset} preset
 * @param {{controls: Look, amount: number, layers: Layers}} wanted
 * @returns {boolean} whether the preset is what is wanted; one without layers leaves those open.
 */
export function isOn({ controls, amount = 1, layers }, wanted) {
  if (!sameLook(controls, wanted.controls) || amount !== wanted.amount) return false;
  if (layers === undefined) return true;
  const names = new Set([...Object.keys(layers), ...Object.keys(wanted.layers)]);
  return [...names].every((name) => {
    const [a, b] = [layers[name], wanted.layers[name]];
    return a && b && sameLook(a.controls, b.controls) && a.amount === b.amount;
  });
}

/**
 * @param {HTMLElement} container
 * @param {Preset[]} given the editor's presets
 * @param {Preset[]} own the user's
 * @param {{onPick: (preset: Preset) => void, onPreview: (preset: Preset|null) => void, onRemove: (title: string) => void}} handlers
 *   onPreview: a preset is to be shown for the moment; null when that moment is over.
 * @returns {(wanted: {controls: Look, amount: number, layers: Layers}) => void} marks the presets that are on.
 */
export function drawPresets(container, given, own, { onPick, onPreview, onRemove }) {
  /** @type {{button: HTMLButtonElement, preset: Preset}[]} */
  const chips = [];
  const chip = (/** @type {Preset} */ preset) => {
    const button = make("button", { type: "button", className: "chip", textContent: preset.title });
    previewOn(button, { begin: () => onPreview(preset), end: () => onPreview(null) });
    button.addEventListener("click", () => onPick(preset));
    chips.push({ button, preset });
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
  return (wanted) => {
    for (const { button, preset } of chips) button.setAttribute("aria-pressed", String(isOn(preset, wanted)));
  };
}

/**
 * The editors that are on besides the chosen one. The keyboard stays where it is: at its chip, or at the next one where
 * that was taken off.
 *
 * @param {HTMLElement} container emptied and filled, where others are on than it shows.
 * @param {{name: string, title: string}[]} layers
 * @param {{onPick: (name: string) => void, onRemove: (name: string) => void}} handlers
 */
export function drawLayers(container, layers, { onPick, onRemove }) {
  const shown = /** @type {HTMLElement[]} */ ([...container.children]);
  const same = layers.every(({ name, title }, at) => name === shown[at]?.dataset.name && title === shown[at].textContent);
  if (same && layers.length === shown.length) return;
  const held = shown.findIndex((pair) => pair.contains(document.activeElement));
  const pairs = layers.map(({ name, title }) => {
    const pair = make("span", { className: "own" });
    pair.dataset.name = name;
    const chip = make("button", { type: "button", className: "chip", textContent: title, title: "Change it" });
    chip.addEventListener("click", () => onPick(name));
    const remove = make("button", { type: "button", className: "remove", title: "Take it off" });
    remove.setAttribute("aria-label", `Take off ${title}`);
    remove.append(icon("i-close"));
    remove.addEventListener("click", () => onRemove(name));
    pair.append(chip, remove);
    return pair;
  });
  container.replaceChildren(...pairs);
  if (held >= 0) pairs[Math.min(held, pairs.length - 1)]?.querySelector("button")?.focus();
}
