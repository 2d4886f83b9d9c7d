// Draws an editor's controls from the JSON schema of its `Controls` model.

/**
 * @typedef {{name: string, kind: "number"|"switch"|"choice"|"colour"|"photo", title: string, help: string, unit: string,
 *   minimum: number, maximum: number, step: number, choices: string[], nullable: boolean, standard: any,
 *   photo: string}} Field photo: label of the button that takes a photo, "" for none.
 */

/** @returns {Field[]} the controls that a schema describes; what this page cannot draw is left out. */
export function fieldsOf(schema) {
  return Object.entries(schema?.properties ?? {})
    .map(([name, property]) => fieldOf(name, property, schema.$defs ?? {}))
    .filter((field) => field !== null);
}

function fieldOf(name, property, definitions) {
  const options = property.anyOf ?? [property];
  const nullable = options.some((option) => option.type === "null");
  const shape = { ...resolve(options.find((option) => option.type !== "null") ?? {}, definitions), ...withoutShape(property) };
  const field = {
    name,
    title: property.title ?? name,
    help: property.description ?? "",
    unit: property.unit ?? "",
    nullable,
    standard: property.default ?? null,
    choices: [],
    minimum: 0,
    maximum: 1,
    step: 1,
    photo: property.photo ?? "",
  };
  if (shape.format === "photo") return { ...field, kind: "photo" };
  if (shape.type === "boolean") return { ...field, kind: "switch" };
  if (shape.format === "color") return { ...field, kind: "colour" };
  if (shape.enum ?? shape.const) return { ...field, kind: "choice", choices: shape.enum ?? [shape.const] };
  if (shape.type === "number" || shape.type === "integer") {
    const { minimum, maximum } = shape;
    if (minimum === undefined || maximum === undefined) return null;
    const step = shape.type === "integer" ? 1 : (property.step ?? shape.step ?? niceStep(maximum - minimum));
    return { ...field, kind: "number", minimum, maximum, step };
  }
  return null;
}

function resolve(shape, definitions) {
  const reference = shape.$ref ?? shape.allOf?.[0]?.$ref;
  return reference ? (definitions[reference.split("/").at(-1)] ?? {}) : shape;
}

function withoutShape({ anyOf, allOf, $ref, title, description, default: standard, ...rest }) {
  return rest;
}

function niceStep(range) {
  return 10 ** Math.floor(Math.log10(range / 99));
}

/** @returns {string} a number with as many decimals as its step has. */
export function format(value, step) {
  const decimals = Math.min(4, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return value.toFixed(decimals).replace("-", "−");
}

function parse(text) {
  const value = Number(text.trim().replace("−", "-").replace(",", "."));
  return text.trim() === "" || !Number.isFinite(value) ? null : value;
}

/** @returns {any} `value` if the field can hold it, its standard value otherwise. */
export function fitting(field, value) {
  if (value === null && field.nullable) return null;
  const fits = {
    number: typeof value === "number" && value >= field.minimum && value <= field.maximum,
    switch: typeof value === "boolean",
    choice: field.choices.includes(value),
    colour: typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value),
    photo: typeof value === "string" && /^[0-9a-f]+$/.test(value),
  };
  return fits[field.kind] ? value : field.standard;
}

/** @returns {Record<string, any>} the values that differ from standard and fit: what is worth sending and remembering. */
export function changedValues(fields, values) {
  const entries = fields.map((field) => [field, fitting(field, values[field.name] ?? field.standard)]);
  return Object.fromEntries(entries.filter(([field, value]) => value !== field.standard).map(([field, value]) => [field.name, value]));
}

/**
 * @param {HTMLElement} container emptied and filled.
 * @param {Field[]} fields
 * @param {(name: string, value: any) => void} onChange the user moved a control.
 * @param {(name: string, file: File) => void} [onPhoto] the user chose a photo for a control.
 * @returns {{show: (values: Record<string, any>) => void, complain: (name: string, text: string) => boolean}}
 *   show: set every control, missing values are standard; complain: put an error under a control ("" clears it), false
 *   when there is no such control.
 */
export function drawControls(container, fields, onChange, onPhoto) {
  const draw = (field) =>
    drawers[field.kind](field, (value) => onChange(field.name, value), (file) => onPhoto(field.name, file));
  const rows = new Map(fields.map((field) => [field.name, draw(field)]));
  container.replaceChildren(...[...rows.values()].map((row) => row.element));
  return {
    show(values) {
      for (const field of fields) {
        const row = rows.get(field.name);
        const value = values[field.name] === undefined ? field.standard : values[field.name];
        row.show(value);
        row.element.classList.toggle("moved", value !== field.standard);
      }
    },
    complain(name, text) {
      const row = rows.get(name);
      if (row) row.error.textContent = text;
      return row !== undefined;
    },
  };
}

const drawers = { number: drawNumber, switch: drawSwitch, choice: drawChoice, colour: drawColour, photo: drawPhoto };

function drawNumber(field, onChange) {
  const id = `control-${field.name}`;
  const middle = field.standard ?? (field.minimum + field.maximum) / 2;
  const slider = make("input", { type: "range", id, min: field.minimum, max: field.maximum, step: field.step });
  const value = make("input", { type: "text", inputMode: "decimal", className: "value", autocomplete: "off" });
  value.setAttribute("aria-label", `${field.title}, value`);
  value.maxLength = 8;
  const unit = make("span", { className: "unit", textContent: field.unit });
  const power = field.nullable ? switchFor(`${field.title} on`) : null;
  const row = frame(field, onChange, { labelFor: id, before: power?.element, after: [value, unit] });
  row.element.append(slider);
  finish(row, slider);

  let last = middle;
  const show = (now) => {
    const off = now === null;
    if (!off && now >= field.minimum && now <= field.maximum) last = now;
    if (power) power.input.checked = !off;
    row.element.classList.toggle("off", off);
    slider.value = last;
    slider.setAttribute("aria-valuetext", off ? "off" : `${format(now, field.step)} ${field.unit}`.trim());
    if (document.activeElement !== value || off) value.value = off ? "off" : format(now, field.step);
    const at = (number) => `${(100 * (number - field.minimum)) / (field.maximum - field.minimum)}%`;
    const origin = Math.min(field.maximum, Math.max(field.minimum, field.standard ?? field.minimum));
    slider.style.setProperty("--from", at(off ? origin : Math.min(origin, slider.valueAsNumber)));
    slider.style.setProperty("--to", at(off ? origin : Math.max(origin, slider.valueAsNumber)));
    unit.hidden = off;
  };
  slider.addEventListener("input", () => onChange(slider.valueAsNumber));
  slider.addEventListener("dblclick", () => onChange(field.standard));
  power?.input.addEventListener("change", () => onChange(power.input.checked ? last : null));
  const typed = () => {
    const number = parse(value.value);
    if (number !== null) onChange(number);
    else show(field.nullable && row.element.classList.contains("off") ? null : last);
  };
  value.addEventListener("focus", () => value.select());
  value.addEventListener("change", typed);
  value.addEventListener("keydown", (event) => {
    if (event.key === "Enter") value.blur();
  });
  return { ...row, show };
}

function drawSwitch(field, onChange) {
  const { element, input } = switchFor(field.title);
  input.id = `control-${field.name}`;
  const row = frame(field, onChange, { labelFor: input.id, after: [element] });
  finish(row, input);
  input.addEventListener("change", () => onChange(input.checked));
  return { ...row, show: (value) => (input.checked = value === true) };
}

function drawChoice(field, onChange) {
  const select = make("select", { id: `control-${field.name}` });
  if (field.nullable) select.append(make("option", { value: "", textContent: "As it is" }));
  for (const choice of field.choices) select.append(make("option", { value: choice, textContent: spelled(choice) }));
  const row = frame(field, onChange, { labelFor: select.id, after: [select] });
  finish(row, select);
  select.addEventListener("change", () => onChange(select.value === "" ? null : select.value));
  return { ...row, show: (value) => (select.value = value ?? "") };
}

function drawColour(field, onChange, onPhoto) {
  const colour = make("input", { type: "color", id: `control-${field.name}`, value: field.standard ?? "#8a4b2a" });
  const power = field.nullable ? switchFor(`${field.title} on`) : null;
  const pick = field.photo ? photoButton(field, onPhoto) : null;
  const row = frame(field, onChange, { labelFor: colour.id, before: power?.element, after: [pick, colour] });
  finish(row, colour);
  const show = (value) => {
    if (power) power.input.checked = value !== null;
    row.element.classList.toggle("off", value === null);
    if (value !== null) colour.value = value;
  };
  colour.addEventListener("input", () => onChange(colour.value));
  power?.input.addEventListener("change", () => onChange(power.input.checked ? colour.value : null));
  return { ...row, show };
}

function drawPhoto(field, onChange, onPhoto) {
  const pick = photoButton(field, onPhoto);
  pick.id = `control-${field.name}`;
  const row = frame(field, onChange, { labelFor: pick.id, after: [pick] });
  finish(row, pick);
  const show = (value) => {
    pick.textContent = value ? "Another photo…" : field.photo;
    pick.setAttribute("aria-label", `${field.title}: ${pick.textContent}`);
  };
  return { ...row, show };
}

function photoButton(field, onPhoto) {
  const file = make("input", { type: "file", accept: "image/*", hidden: true });
  const pick = make("button", { type: "button", className: "button pick", textContent: field.photo });
  pick.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length) onPhoto(file.files[0]);
    file.value = ""; // the same photo may be chosen again
  });
  return pick;
}

/** The parts every control has: a label line with a reset button, a help line and a place for errors. */
function frame(field, onChange, { labelFor, before, after }) {
  const element = make("div", { className: "control" });
  element.dataset.name = field.name;
  const label = make("label", { className: "label", htmlFor: labelFor, textContent: field.title });
  const reset = make("button", { type: "button", className: "reset", title: "Back to where it was" });
  reset.setAttribute("aria-label", `Reset ${field.title}`);
  reset.append(icon("i-reset"));
  reset.addEventListener("click", () => onChange(field.standard));
  const line = make("div", { className: "line" });
  line.append(...[before, label, reset, ...after].filter(Boolean));
  const error = make("p", { className: "error", role: "alert" });
  error.id = `error-${field.name}`;
  element.append(line);
  return { element, error, help: field.help };
}

function finish({ element, error, help }, input) {
  input.setAttribute("aria-describedby", error.id);
  if (help) {
    const line = make("p", { className: "help", textContent: help, id: `help-${error.id}` });
    input.setAttribute("aria-describedby", `${line.id} ${error.id}`);
    element.append(line);
  }
  element.append(error);
}

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

function spelled(choice) {
  const words = choice.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** An SVG icon from the page's sprite. */
export function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${id}`);
  svg.append(use);
  return svg;
}

/** A new element with properties set. */
export function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
