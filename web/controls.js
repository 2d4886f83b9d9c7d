// Draws controls for fields: an editor's, or those of the stream's settings.

import { button, icon, make } from "./dom.js";
import { missing } from "./fields.js";
import { sentence } from "./words.js";

/**
 * @import { Field, Value } from "./fields.js"
 *
 * @typedef {(value: Value) => void} OnChange
 * @typedef {(file: File) => void} OnPhoto
 * @typedef {{element: HTMLElement, error: HTMLElement, lack: HTMLElement, obstacle: HTMLElement, help: string}} Frame lack: what
 *   has to be set first; obstacle: what the face lacks.
 * @typedef {Frame & {show: (value: Value) => void}} Row
 *
 * @typedef {object} Drawn
 * @property {(values: Record<string, unknown>) => void} show set every control; missing values are standard.
 * @property {(name: string, text: string) => boolean} complain put an error under a control ("" clears it); false when there
 *   is no such control.
 * @property {(obstacles: Record<string, string>) => void} hinder say at the controls what keeps them from changing the face.
 */

const MOST_DIFFERENCE = 50;
const FIRST_DIFFERENCE = 20;
const FIRST_COLOUR = "#8a4b2a"; // of a colour that is switched on for the first time

/**
 * @param {number} value
 * @param {number} step
 * @returns {string} a number with as many decimals as its step has.
 */
export function format(value, step) {
  const decimals = Math.min(4, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return value.toFixed(decimals).replace("-", "−");
}

/**
 * @param {string} text
 * @returns {number|null}
 */
function parse(text) {
  const value = Number(text.trim().replace("−", "-").replace(",", "."));
  return text.trim() === "" || !Number.isFinite(value) ? null : value;
}

/**
 * @param {number} years
 * @returns {string|null} such as "+20"; null for none.
 */
function signed(years) {
  const whole = Math.round(years);
  return whole === 0 ? null : `${whole > 0 ? "+" : "-"}${Math.abs(whole)}`;
}

/**
 * @param {HTMLElement} container emptied and filled.
 * @param {Field[]} fields
 * @param {(name: string, value: Value) => void} onChange the user moved a control.
 * @param {(name: string, file: File) => void} [onPhoto] the user chose a photo for a control.
 * @returns {Drawn}
 */
export function drawControls(container, fields, onChange, onPhoto) {
  const rows = new Map(
    fields.map((field) => {
      const draw = drawers[field.kind];
      return [field.name, draw(field, (value) => onChange(field.name, value), (file) => onPhoto?.(field.name, file))];
    }),
  );
  container.replaceChildren(...[...rows.values()].map((row) => row.element));
  /** @type {Record<string, unknown>} */
  let shown = {};
  /** @type {Record<string, string>} */
  let known = {};
  const showObstacles = () => {
    for (const { name, standard } of fields) {
      const moved = (shown[name] ?? standard) !== standard;
      const words = moved ? sentence(known[name] ?? "") : "";
      const row = rows.get(name);
      if (row && row.obstacle.textContent !== words) row.obstacle.textContent = words;
    }
  };
  return {
    hinder(obstacles) {
      known = obstacles;
      showObstacles();
    },
    show(values) {
      shown = values;
      showObstacles();
      for (const field of fields) {
        const value = /** @type {Value} */ (values[field.name] === undefined ? field.standard : values[field.name]);
        const row = rows.get(field.name);
        row?.show(value);
        row?.element.classList.toggle("moved", value !== field.standard);
        if (row) showMissing(row, missing(fields, field, values));
      }
    },
    complain(name, text) {
      const row = rows.get(name);
      if (row) row.error.textContent = text;
      return row !== undefined;
    },
  };
}

/**
 * A control that cannot act says what is missing.
 *
 * @param {Row} row
 * @param {Field[]} needed one of them is missing; none where nothing is.
 */
function showMissing({ element, lack }, needed) {
  const waits = needed.length > 0;
  const titles = needed.map(({ title }) => `“${title}”`).join(" or ");
  element.classList.toggle("waiting", waits);
  lack.textContent = !waits ? "" : needed[0].kind === "photo" ? "Choose a photo first." : `Set ${titles} first.`;
  for (const input of element.querySelectorAll("input, select")) {
    if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) input.disabled = waits;
  }
}

/** @type {Record<Field["kind"], (field: Field, onChange: OnChange, onPhoto: OnPhoto) => Row>} */
const drawers = { number: drawNumber, switch: drawSwitch, choice: drawChoice, colour: drawColour, photo: drawPhoto };

/**
 * @param {Field} field
 * @param {OnChange} onChange
 * @returns {Row}
 */
function drawNumber(field, onChange) {
  const id = `control-${field.id}`;
  const standard = typeof field.standard === "number" ? field.standard : null;
  const slider = make("input", { type: "range", id });
  const value = make("input", { type: "text", inputMode: "decimal", className: "value", autocomplete: "off" });
  value.setAttribute("aria-label", `${field.title}, value`);
  value.maxLength = 8;
  const unit = make("span", { className: "unit", textContent: field.unit });
  const power = field.nullable ? switchFor(`${field.title} on`) : null;
  const mode = field.difference ? button("±", "mode", () => turn(!apart)) : null;
  mode?.setAttribute("aria-label", `${field.title} as a difference from each person's own`);
  if (mode) mode.title = "Add to each person's own age, or take from it";
  const row = frame(field, onChange, { labelFor: id, before: power?.element, after: [mode, value, unit] });
  row.element.append(slider);
  finish(row, slider);

  let apart = false; // whether the slider tells a difference from each face's own
  let last = standard ?? (field.minimum + field.maximum) / 2;
  let lastApart = FIRST_DIFFERENCE;
  const bounds = () => (apart ? { low: -MOST_DIFFERENCE, high: MOST_DIFFERENCE } : { low: field.minimum, high: field.maximum });
  const at = (/** @type {number} */ number) => `${(100 * (number - bounds().low)) / (bounds().high - bounds().low)}%`;
  const meant = (/** @type {number} */ number) => (apart ? signed(number) : number);
  const words = (/** @type {Value} */ now) => (typeof now === "string" ? now.replace("-", "−") : format(Number(now), field.step));

  const show = (/** @type {Value} */ now) => {
    const off = typeof now !== "number" && typeof now !== "string";
    if (!off) apart = typeof now === "string";
    if (typeof now === "string") lastApart = Number(now);
    else if (typeof now === "number" && now >= field.minimum && now <= field.maximum) last = now;
    const { low, high } = bounds();
    const origin = Math.min(high, Math.max(low, apart ? 0 : (standard ?? low)));
    [slider.min, slider.max, slider.step] = [low, high, apart ? 1 : field.step].map(String);
    if (power) power.input.checked = !off;
    mode?.setAttribute("aria-pressed", String(apart));
    row.element.classList.toggle("off", off);
    slider.value = String(apart ? (off ? 0 : lastApart) : last);
    slider.setAttribute("aria-valuetext", off ? "off" : `${words(now)} ${field.unit}`.trim());
    if (document.activeElement !== value || off) value.value = off ? "off" : words(now);
    slider.style.setProperty("--from", at(off ? origin : Math.min(origin, slider.valueAsNumber)));
    slider.style.setProperty("--to", at(off ? origin : Math.max(origin, slider.valueAsNumber)));
    unit.hidden = off;
  };
  const turn = (/** @type {boolean} */ to) => {
    apart = to;
    onChange(to ? signed(lastApart) : last);
  };
  const typed = () => {
    if (field.nullable && value.value.trim().toLowerCase() === "off") return onChange(null);
    const number = parse(value.value);
    if (number !== null) apart = field.difference && (apart || /^\s*[+\-−]/.test(value.value));
    const { low, high } = bounds();
    const range = `${words(apart ? signed(low) : low)} to ${words(apart ? signed(high) : high)}`;
    if (number === null) {
      show(row.element.classList.contains("off") ? null : meant(apart ? lastApart : last));
      row.error.textContent = `A number: ${range}`;
      return undefined;
    }
    const within = Math.min(high, Math.max(low, number));
    const now = meant(within);
    onChange(now);
    value.value = now === null ? "off" : words(now);
    if (within !== number) row.error.textContent = range;
    return undefined;
  };
  slider.addEventListener("input", () => onChange(meant(slider.valueAsNumber)));
  slider.addEventListener("dblclick", () => onChange(field.standard));
  power?.input.addEventListener("change", () => onChange(power.input.checked ? meant(apart ? lastApart : last) : null));
  value.addEventListener("focus", () => value.select());
  value.addEventListener("change", typed);
  value.addEventListener("keydown", (event) => {
    if (event.key === "Enter") value.blur();
  });
  return { ...row, show };
}

/**
 * @param {Field} field
 * @param {OnChange} onChange
 * @returns {Row}
 */
function drawSwitch(field, onChange) {
  const { element, input } = switchFor(field.title);
  input.id = `control-${field.id}`;
  const row = frame(field, onChange, { labelFor: input.id, after: [element] });
  finish(row, input);
  input.addEventListener("change", () => onChange(input.checked));
  return { ...row, show: (value) => void (input.checked = value === true) };
}

/**
 * @param {Field} field
 * @param {OnChange} onChange
 * @returns {Row}
 */
function drawChoice(field, onChange) {
  const select = make("select", { id: `control-${field.id}` });
  if (field.nullable) select.append(make("option", { value: "", textContent: "As it is" }));
  for (const { value, title } of field.choices) select.append(make("option", { value, textContent: title }));
  const row = frame(field, onChange, { labelFor: select.id, after: [select] });
  finish(row, select);
  select.addEventListener("change", () => onChange(select.value === "" ? null : select.value));
  return { ...row, show: (value) => void (select.value = String(value ?? "")) };
}

/**
 * @param {Field} field
 * @param {OnChange} onChange
 * @param {OnPhoto} onPhoto
 * @returns {Row}
 */
function drawColour(field, onChange, onPhoto) {
  const value = typeof field.standard === "string" ? field.standard : FIRST_COLOUR;
  const colour = make("input", { type: "color", id: `control-${field.id}`, value });
  const power = field.nullable ? switchFor(`${field.title} on`) : null;
  const pick = field.photo ? photoButton(field, onPhoto) : null;
  const row = frame(field, onChange, { labelFor: colour.id, before: power?.element, after: [pick, colour] });
  finish(row, colour);
  const show = (/** @type {Value} */ now) => {
    if (power) power.input.checked = now !== null;
    row.element.classList.toggle("off", now === null);
    if (now !== null) colour.value = String(now);
  };
  colour.addEventListener("input", () => onChange(colour.value));
  power?.input.addEventListener("change", () => onChange(power.input.checked ? colour.value : null));
  return { ...row, show };
}

/**
 * @param {Field} field
 * @param {OnChange} onChange
 * @param {OnPhoto} onPhoto
 * @returns {Row}
 */
function drawPhoto(field, onChange, onPhoto) {
  const pick = photoButton(field, onPhoto);
  pick.id = `control-${field.id}`;
  const row = frame(field, onChange, { labelFor: pick.id, after: [pick] });
  finish(row, pick);
  const show = (/** @type {Value} */ value) => {
    pick.textContent = value ? "Another photo…" : field.photo;
    pick.setAttribute("aria-label", `${field.title}: ${pick.textContent}`);
  };
  return { ...row, show };
}

/**
 * @param {Field} field
 * @param {OnPhoto} onPhoto
 */
function photoButton(field, onPhoto) {
  const file = make("input", { type: "file", accept: "image/*", hidden: true });
  const pick = button(field.photo, "pick", () => file.click());
  file.addEventListener("change", () => {
    if (file.files?.length) onPhoto(file.files[0]);
    file.value = ""; // the same photo may be chosen again
  });
  return pick;
}

/**
 * The parts every control has: a label line with a reset button, a help line and a place for errors.
 *
 * @param {Field} field
 * @param {OnChange} onChange
 * @param {{labelFor: string, before?: HTMLElement, after: (HTMLElement|null)[]}} parts
 * @returns {Frame}
 */
function frame(field, onChange, { labelFor, before, after }) {
  const element = make("div", { className: "control" });
  element.dataset.name = field.id;
  const label = make("label", { className: "label", htmlFor: labelFor, textContent: field.title });
  const reset = make("button", { type: "button", className: "reset", title: "Back to where it was" });
  reset.setAttribute("aria-label", `Reset ${field.title}`);
  reset.append(icon("i-reset"));
  reset.addEventListener("click", () => onChange(field.standard));
  const line = make("div", { className: "line" });
  line.append(...[before, label, reset, ...after].filter((part) => part instanceof HTMLElement));
  const error = make("p", { className: "error", role: "alert" });
  error.id = `error-${field.id}`;
  const lack = make("p", { className: "help", id: `lack-${field.id}` });
  const obstacle = make("p", { className: "obstacle", id: `obstacle-${field.id}`, role: "status" });
  element.append(line);
  return { element, error, lack, obstacle, help: field.help };
}

/**
 * @param {Frame} frame
 * @param {HTMLElement} input
 */
function finish({ element, error, lack, obstacle, help }, input) {
  const described = `${lack.id} ${obstacle.id} ${error.id}`;
  input.setAttribute("aria-describedby", described);
  if (help) {
    const line = make("p", { className: "help", textContent: help, id: `help-${error.id}` });
    input.setAttribute("aria-describedby", `${line.id} ${described}`);
    element.append(line);
  }
  element.append(lack, obstacle, error);
}

/** @param {string} name */
function switchFor(name) {
  const element = make("label", { className: "switch" });
  const input = make("input", { type: "checkbox" });
  input.setAttribute("role", "switch");
  input.setAttribute("aria-label", name);
  const knob = make("i");
  knob.setAttribute("aria-hidden", "true");
  element.append(input, knob);
  return { element, input };
}
