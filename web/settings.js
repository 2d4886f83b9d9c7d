// The panel: editors, presets, the editor's controls, and the settings of the stream.

import { drawControls } from "./controls.js";
import { byId, checkRadio, make, onRadio } from "./dom.js";
import { drawEditors } from "./editors.js";
import { changedValues, fieldsOf, moved } from "./fields.js";
import { History } from "./history.js";
import { controlsOfPhoto } from "./photos.js";
import { BARE } from "./page.js";
import { drawLayers, drawPresets, keepPreset, ownPresets, removePreset, sameLook } from "./presets.js";
import { tabValue } from "./storage.js";
import { errorWords, sentence } from "./words.js";

/**
 * @import { Drawn } from "./controls.js"
 * @import { Field, Look, Value } from "./fields.js"
 * @import { EditorInfo, Page, Preset, Settings } from "./page.js"
 *
 * @typedef {Pick<Settings, "editor"|"controls"|"amount"|"layers">} Shown what undo and redo bring back.
 *
 * @typedef {object} Handlers
 * @property {(patch: Partial<Settings>) => void} onChange the user wants other settings.
 * @property {() => void} onShow what is shown has changed.
 * @property {(editor: string) => void} onFetch the user asks for an editor that needs weights.
 * @property {(text: string) => void} toast
 */

// Settings with widgets of their own; what else the server's schema names is drawn below them.
const FACES = "faces";
const LOST = "lost";
const STRENGTH = "amount";
const OWN_WIDGETS = ["bypass", STRENGTH, FACES, LOST];

/** @type {Drawn} */
const NOTHING_DRAWN = { show: () => {}, complain: () => false, hinder: () => {} };

export class SettingsPanel {
  /** @type {Page} */
  #page;
  /** @type {Handlers} */
  #handlers;
  #controls = NOTHING_DRAWN;
  #others = NOTHING_DRAWN;
  /** @type {(wanted: Settings) => void} */
  #markPreset = () => {};
  #strength = NOTHING_DRAWN;
  /** @type {History<Shown>|null} null until the server has told what there is. */
  #history = null;
  /** Whether the server shows something for the moment that is not wanted yet. */
  #previewing = false;

  /**
   * @param {Page} page
   * @param {Handlers} handlers
   */
  constructor(page, handlers) {
    this.#page = page;
    this.#handlers = handlers;
    const editing = byId("editing", HTMLInputElement);
    editing.addEventListener("change", () => this.change({ bypass: !editing.checked }));
    byId("reset").addEventListener("click", () => this.change(BARE));
    byId("undo").addEventListener("click", () => this.undo());
    byId("redo").addEventListener("click", () => this.redo());
    onRadio(byId("who"), (faces) => this.change({ faces, lock: null }));
    onRadio(byId("lost"), (lost) => this.change({ lost }));
    this.#listenToPresetForm();
  }

  /** Draw what the server has just told. */
  draw() {
    const others = this.#page.settings.filter(({ name }) => !OWN_WIDGETS.includes(name));
    this.#others = drawControls(byId("steady"), others, (name, value) => this.change({ [name]: value }));
    const strength = this.#page.settings.filter(({ name }) => name === STRENGTH).map((field) => ({ ...field, id: "strength" }));
    this.#strength = drawControls(byId("strength"), strength, (name, value) => this.change({ [name]: value }));
    drawChoices(byId("who"), byId("who-label"), this.#field(FACES));
    drawChoices(byId("lost"), byId("lost-label"), this.#field(LOST));
    this.#use(this.#page.firstEditor);
    this.#history ??= new History(this.#shown);
    this.#showHistory();
  }

  undo() {
    this.#restore(this.#history?.undo() ?? null);
  }

  redo() {
    this.#restore(this.#history?.redo() ?? null);
  }

  /**
   * Want other settings: shown at once, sent to the server, taken back if it refuses.
   *
   * @param {Partial<Settings>} patch
   */
  change(patch) {
    if (!this.#page.capabilities) return; // a key was pressed before the server has told what there is
    this.preview(null);
    this.#page.want(patch);
    this.#history?.record(this.#shown);
    this.complain("", "");
    this.show();
    this.#handlers.onChange(patch);
  }

  /**
   * Show something for the moment, without wanting it.
   *
   * @param {Partial<Settings>|null} patch null goes back to what is wanted.
   */
  preview(patch) {
    if (patch === null && !this.#previewing) return;
    this.#previewing = patch !== null;
    this.#handlers.onChange({ ...this.#shown, ...patch });
  }

  /**
   * Show a look for the moment, together with what is on; the face as it is, where the look has no editor.
   *
   * @param {{editor: string, controls: Look}|null} look null goes back to what is wanted.
   */
  previewLook(look) {
    if (look === null) return this.preview(null);
    if (look.editor === "") return this.preview(BARE);
    const { [look.editor]: own, ...layers } = this.#page.stack;
    return this.preview({ editor: look.editor, controls: look.controls, amount: 1, layers });
  }

  get #shown() {
    const { editor, controls, amount, layers } = this.#page.wanted;
    return { editor, controls, amount, layers };
  }

  /** @param {Shown|null} shown a look of before, or after. */
  #restore(shown) {
    if (!shown) return;
    if (shown.editor !== this.#page.editor?.name) this.#use(this.#page.editorNamed(shown.editor));
    this.change(shown);
  }

  #showHistory() {
    byId("undo", HTMLButtonElement).disabled = !this.#history?.canUndo;
    byId("redo", HTMLButtonElement).disabled = !this.#history?.canRedo;
  }

  /** Show what the server uses, which is not what was wanted when it refused something. */
  follow() {
    const { confirmed } = this.#page;
    if (!confirmed || this.#previewing) return;
    if (confirmed.editor !== this.#page.editor?.name) this.#use(this.#page.editorNamed(confirmed.editor));
    this.#page.follow();
    this.#history?.rebase(this.#shown);
    this.show();
  }

  show() {
    const { controls, bypass, faces, lost, layers } = this.#page.wanted;
    this.#controls.show(controls);
    this.#strength.show(this.#page.wanted);
    const hasOwn = this.#page.controls.some(({ name }) => [STRENGTH, "strength"].includes(name));
    byId("strength").hidden = hasOwn || Object.keys(controls).length === 0;
    this.#markPreset(this.#page.wanted);
    this.#showLayers();
    this.#showHistory();
    this.#handlers.onShow();
    this.#others.show(this.#page.wanted);
    byId("editing", HTMLInputElement).checked = !bypass;
    byId("panel").classList.toggle("bypassed", bypass);
    byId("reset", HTMLButtonElement).disabled = Object.keys({ ...controls, ...layers }).length === 0;
    this.showObstacles();
    checkRadio(byId("who"), faces);
    checkRadio(byId("lost"), lost);
    const [whom, then] = [chosen(this.#field(FACES), faces), chosen(this.#field(LOST), lost)];
    byId("who-help").textContent = whom?.help ?? "";
    byId("faces-summary").textContent = whom?.title ?? "";
    byId("lost-help").textContent = then?.help ?? "";
    byId("picture").classList.toggle("picking", faces === "locked");
  }

  /** Say what keeps controls from changing any face: at the control, and for editors that are not in use in one line. */
  showObstacles() {
    const { editor, idle, obstacles, wanted } = this.#page;
    this.#controls.hinder(obstacles[editor?.name ?? ""] ?? {});
    const others = Object.entries(wanted.layers).flatMap(([name, { controls }]) =>
      Object.entries(obstacles[name] ?? {})
        .filter(([control]) => control in controls)
        .map(([, why]) => `${this.#page.editorNamed(name)?.title ?? name}: ${why}.`),
    );
    const words = idle ? sentence(`nothing is edited: ${idle}`) : others.join(" ");
    if (byId("idle").textContent !== words) byId("idle").textContent = words;
  }

  /**
   * Say what was refused, at the control it belongs to. Empty text clears every complaint.
   *
   * @param {string} field dotted name, such as "controls.age"; "" for none.
   * @param {string} text
   */
  complain(field, text) {
    for (const { name } of this.#page.controls) this.#controls.complain(name, "");
    for (const { name } of this.#page.settings) this.#others.complain(name, "");
    byId("setting-error").textContent = "";
    if (!text) return;
    const name = field.replace(/^controls\./, "");
    if (field.startsWith("layers.")) return this.#handlers.toast(text);
    if (this.#controls.complain(name, text) || this.#others.complain(name, text)) return;
    this.#handlers.toast(field ? `${field}: ${text}` : text);
  }

  showEditors() {
    const { editor, capabilities } = this.#page;
    byId("preset-add", HTMLButtonElement).disabled = !editor;
    byId("editor-title").textContent = editor?.title ?? "No editor is ready";
    byId("editor-summary").textContent = editor?.description ?? "";
    drawEditors(byId("editors"), capabilities?.editors ?? [], editor?.name, (name) => this.#pickFromList(name), this.#handlers.onFetch);
  }

  /** @param {string} name of the editor that is chosen in the list, which may be the one in use. */
  #pickFromList(name) {
    if (name === this.#page.editor?.name) this.#closePicker();
    else this.pick(name);
  }

  #closePicker() {
    const picker = byId("picker", HTMLDetailsElement);
    picker.open = false;
    picker.querySelector("summary")?.focus();
  }

  /**
   * Whether a look is what its editor shows now; the face as it is, when nothing is on.
   *
   * @param {{editor: string, controls: Look}} look
   */
  shows({ editor, controls }) {
    const { stack } = this.#page;
    if (editor === "") return Object.keys(stack).length === 0;
    const fields = fieldsOf(this.#page.editorNamed(editor)?.controls);
    return editor in stack && sameLook(stack[editor].controls, changedValues(fields, controls));
  }

  /**
   * Put a look on its editor, or take it off.
   *
   * @param {{editor: string, controls: Look}} look
   */
  toggle(look) {
    const { editor, controls } = look;
    if (editor === "") return this.change(BARE);
    const off = this.shows(look);
    if (editor !== this.#page.wanted.editor) this.pick(editor);
    this.change({ controls: off ? {} : changedValues(this.#page.controls, controls), amount: 1 });
  }

  /** @param {string} name of the editor to choose; what was set of the last one stays on. */
  pick(name) {
    this.#closePicker();
    this.#page.wanted.layers = this.#page.stack;
    this.#use(this.#page.editorNamed(name));
    const { controls, amount, layers } = this.#page.wanted;
    this.change({ editor: name, controls, amount, layers });
  }

  /** The other editors that are on, each to be chosen or taken off. */
  #showLayers() {
    const { layers } = this.#page.wanted;
    byId("layers").hidden = Object.keys(layers).length === 0;
    drawLayers(
      byId("layers-chips"),
      Object.keys(layers).map((name) => ({ name, title: this.#page.editorNamed(name)?.title ?? name })),
      {
        onPick: (name) => this.pick(name),
        onRemove: (name) => {
          const { [name]: gone, ...rest } = this.#page.wanted.layers;
          this.change({ layers: rest });
          if (Object.keys(rest).length === 0) byId("picker").querySelector("summary")?.focus();
        },
      },
    );
  }

  /** @param {string} name of a setting. */
  #field(name) {
    return this.#page.settings.find((field) => field.name === name);
  }

  /**
   * Make an editor's controls the page's.
   *
   * @param {EditorInfo|null} editor
   */
  #use(editor) {
    this.#page.use(editor);
    const container = byId("controls");
    const { controls } = this.#page;
    this.#controls = drawControls(
      container,
      controls,
      (name, value) => this.#setControl(name, value),
      (name, file) => this.#takePhoto(name, file),
    );
    byId("strip").hidden = !this.#page.lifespanField;
    if (controls.length === 0) container.append(make("p", { className: "help", textContent: "This editor has nothing to set." }));
    this.showEditors();
    this.#drawPresets();
    this.show();
  }

  /**
   * @param {string} name
   * @param {Value} value
   */
  #setControl(name, value) {
    this.change({ controls: moved(this.#page.controls, this.#page.wanted.controls, name, value) });
  }

  /**
   * Let the editor take from a photo what it takes.
   *
   * @param {string} name of the control that asked.
   * @param {File} file
   */
  async #takePhoto(name, file) {
    const { editor } = this.#page;
    if (!editor) return;
    this.complain("", "");
    this.#controls.complain(name, "Reading the photo…");
    try {
      const taken = await controlsOfPhoto(editor.name, file, tabValue("token"));
      this.#controls.complain(name, "");
      if (this.#page.editor?.name !== editor.name) return;
      this.change({ controls: changedValues(this.#page.controls, { ...this.#page.wanted.controls, ...taken }) });
    } catch (error) {
      this.complain(name, errorWords(error));
    }
  }

  #drawPresets() {
    const { editor } = this.#page;
    const name = editor?.name ?? "";
    // A value that is the standard one is left out of the look that is on: it shall not keep a preset from being marked.
    const looks = (/** @type {Preset[]} */ presets) =>
      presets.map((preset) => ({ ...preset, controls: changedValues(this.#page.controls, preset.controls) }));
    this.#markPreset = drawPresets(byId("presets"), looks(editor?.presets ?? []), looks(ownPresets(name)), {
      onPick: (preset) => this.change(this.#patchOf(preset)),
      onPreview: (preset) => this.preview(preset && this.#patchOf(preset)),
      onRemove: (title) => {
        removePreset(name, title);
        this.#drawPresets();
        byId("preset-add").focus();
      },
    });
    this.#markPreset(this.#page.wanted);
  }

  /**
   * @param {Preset} preset
   * @returns {Partial<Settings>} what it changes: a photo that is on stays, and so do layers where it has none.
   */
  #patchOf({ controls: look, amount = 1, layers = this.#page.wanted.layers }) {
    const { photo = "" } = this.#page.wanted.controls;
    return { controls: changedValues(this.#page.controls, { photo, ...look }), amount, layers };
  }

  #listenToPresetForm() {
    const form = byId("preset-form", HTMLFormElement);
    const title = byId("preset-name", HTMLInputElement);
    const close = () => {
      form.hidden = true;
      byId("preset-add").focus();
    };
    byId("preset-add").addEventListener("click", () => {
      form.hidden = false;
      title.value = "";
      title.focus();
    });
    byId("preset-cancel").addEventListener("click", close);
    form.addEventListener("keydown", ({ key }) => key === "Escape" && close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { editor, wanted } = this.#page;
      if (!title.value.trim() || !editor) return;
      const { controls, amount, layers } = wanted;
      keepPreset(editor.name, { title: title.value.trim(), controls, amount, layers });
      this.#drawPresets();
      close();
    });
  }
}

/**
 * Draw a setting's choices as a row of radio buttons.
 *
 * @param {HTMLElement} group emptied and filled.
 * @param {HTMLElement} label
 * @param {Field|undefined} field
 */
function drawChoices(group, label, field) {
  label.textContent = field?.title ?? "";
  const choices = (field?.choices ?? []).map(({ value, title }) => {
    const choice = make("label");
    choice.append(make("input", { type: "radio", name: group.id, value }), make("span", { textContent: title }));
    return choice;
  });
  group.replaceChildren(...choices);
}

/**
 * @param {Field|undefined} field
 * @param {string} value
 */
function chosen(field, value) {
  return field?.choices.find((choice) => choice.value === value);
}
