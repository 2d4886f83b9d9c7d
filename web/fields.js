// What can be set, from the JSON schemas that the server publishes: its settings' and its editors' controls'.

import { capital } from "./words.js";

/**
 * @typedef {boolean|number|string|null} Value
 * @typedef {Record<string, Value>} Look controls that are not at their standard.
 * @typedef {Record<string, {controls: Look, amount: number}>} Layers looks of further editors, by the editor's name.
 *
 * @typedef {object} Shape one property of a JSON schema, or a part of it.
 * @property {string} [type]
 * @property {string} [format]
 * @property {string} [title]
 * @property {string} [description]
 * @property {Value} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [step]
 * @property {string} [unit]
 * @property {string} [photo]
 * @property {boolean} [lifespan]
 * @property {string} [needs]
 * @property {Record<string, Value>} [sets]
 * @property {Record<string, Value>} [wakes]
 * @property {string[]} [enum]
 * @property {string} [const]
 * @property {Shape[]} [oneOf] constants with a title and a description each.
 * @property {Shape[]} [anyOf]
 * @property {Shape[]} [allOf]
 * @property {string} [$ref]
 *
 * @typedef {{properties?: Record<string, Shape>, $defs?: Record<string, Shape>}} Schema
 *
 * @typedef {{value: string, title: string, help: string}} Choice
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} id of its widget in the page: its name, unless another field has the same.
 * @property {"number"|"switch"|"choice"|"colour"|"photo"} kind
 * @property {string} title
 * @property {string} help
 * @property {string} unit
 * @property {number} minimum
 * @property {number} maximum
 * @property {number} step
 * @property {Choice[]} choices
 * @property {boolean} nullable
 * @property {Value} standard
 * @property {string} photo label of the button that takes a photo, "" for none.
 * @property {boolean} lifespan whether a face can be shown over its range.
 * @property {boolean} difference whether a number may be a difference such as "+20" from each face's own.
 * @property {string} needs names of the fields of which one has to be set before this one acts, with spaces between them, "" for none.
 * @property {Look} sets what else is meant by whoever moves this one.
 * @property {Look} wakes likewise, where these are 0.
 */

const DIFFERENCE = /^[+-][1-9][0-9]?$/;

/**
 * @param {Schema} [schema]
 * @returns {Field[]} what it describes; what this page cannot draw is left out.
 */
export function fieldsOf(schema = {}) {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => fieldOf(name, property, schema.$defs ?? {}) ?? []);
}

/**
 * @param {string} name
 * @param {Shape} property
 * @param {Record<string, Shape>} definitions
 * @returns {Field|null}
 */
function fieldOf(name, property, definitions) {
  const options = property.anyOf ?? [property];
  const nullable = options.some((option) => option.type === "null");
  const shape = { ...resolve(options.find((option) => option.type !== "null") ?? {}, definitions), ...withoutShape(property) };
  const field = {
    name,
    id: name,
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
    lifespan: property.lifespan ?? false,
    difference: options.some((option) => option.format === "difference"),
    needs: property.needs ?? "",
    sets: property.sets ?? {},
    wakes: property.wakes ?? {},
  };
  if (shape.format === "photo") return { ...field, kind: "photo" };
  if (shape.type === "boolean") return { ...field, kind: "switch" };
  if (shape.format === "color") return { ...field, kind: "colour" };
  const choices = choicesOf(shape);
  if (choices.length > 0) return { ...field, kind: "choice", choices };
  if (shape.type === "number" || shape.type === "integer") {
    const { minimum, maximum } = shape;
    if (minimum === undefined || maximum === undefined) return null;
    const step = shape.type === "integer" ? 1 : (property.step ?? shape.step ?? niceStep(maximum - minimum));
    return { ...field, kind: "number", minimum, maximum, step };
  }
  return null;
}

/**
 * @param {Shape} shape
 * @param {Record<string, Shape>} definitions
 * @returns {Shape}
 */
function resolve(shape, definitions) {
  const name = (shape.$ref ?? shape.allOf?.[0]?.$ref)?.split("/").at(-1);
  return name ? (definitions[name] ?? {}) : shape;
}

/**
 * @param {Shape} property
 * @returns {Shape}
 */
function withoutShape({ anyOf, allOf, $ref, title, description, default: standard, ...rest }) {
  return rest;
}

/**
 * @param {Shape} shape
 * @returns {Choice[]} the server's words for each value, or the value itself in words.
 */
function choicesOf({ oneOf, enum: values, const: only }) {
  /** @type {Shape[]} */
  const named = oneOf ?? (values ?? (only === undefined ? [] : [only])).map((value) => ({ const: value }));
  return named.flatMap(({ const: value, title, description: help = "" }) =>
    value === undefined ? [] : { value, title: title ?? capital(value.replaceAll("_", " ")), help },
  );
}

/** @param {number} range */
function niceStep(range) {
  return 10 ** Math.floor(Math.log10(range / 99));
}

/**
 * @param {Field} field
 * @param {unknown} value
 * @returns {Value} `value` if the field can hold it, its standard value otherwise.
 */
export function fitting(field, value) {
  return fits(field, value) ? value : field.standard;
}

/**
 * @param {Field} field
 * @param {unknown} value
 * @returns {value is Value}
 */
function fits(field, value) {
  if (value === null) return field.nullable;
  switch (field.kind) {
    case "number":
      if (typeof value === "string") return field.difference && DIFFERENCE.test(value);
      return typeof value === "number" && value >= field.minimum && value <= field.maximum;
    case "switch":
      return typeof value === "boolean";
    case "choice":
      return field.choices.some((choice) => choice.value === value);
    case "colour":
      return typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value);
    case "photo":
      return typeof value === "string" && /^[0-9a-f]+$/.test(value);
  }
}

/**
 * Move one control, and with it those that it means as well: a move that changes nothing surprises.
 *
 * @param {Field[]} fields
 * @param {Look} look
 * @param {string} name
 * @param {Value} value
 * @returns {Look} without the values that are standard.
 */
export function moved(fields, look, name, value) {
  const field = fields.find((one) => one.name === name);
  const now = (/** @type {string} */ other) => look[other] ?? fields.find((one) => one.name === other)?.standard;
  const meant = { ...look, [name]: value };
  if (field && value !== field.standard) {
    Object.assign(meant, field.sets);
    for (const [other, awake] of Object.entries(field.wakes)) if (now(other) === 0) meant[other] = awake;
  }
  return changedValues(fields, meant);
}

/**
 * @param {Field[]} fields
 * @param {Field} field
 * @param {Record<string, unknown>} values
 * @returns {Field[]} the fields of which one has to be set before this one acts; none where it acts.
 */
export function missing(fields, field, values) {
  const names = field.needs.split(" ");
  const needed = fields.filter(({ name }) => names.includes(name));
  return needed.every(({ name, standard }) => (values[name] ?? standard) === standard) ? needed : [];
}

/**
 * @param {Field[]} fields
 * @param {Record<string, unknown>} values
 * @returns {Look} the values that differ from standard and fit: what is worth sending and remembering.
 */
export function changedValues(fields, values) {
  const pairs = fields.map((field) => ({ field, value: fitting(field, values[field.name] ?? field.standard) }));
  return Object.fromEntries(pairs.filter(({ field, value }) => value !== field.standard).map(({ field, value }) => [field.name, value]));
}
