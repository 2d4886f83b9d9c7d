// What the page knows and what the user wants. No element, no connection.

import { changedValues, fieldsOf, fitting } from "./fields.js";
import { withoutPhoto, withoutPhotos } from "./lasting.js";
import { remember, remembered } from "./storage.js";

/**
 * @import { Field, Layers, Look, Schema, Value } from "./fields.js"
 * @import { Obstacles } from "./stats.js"
 *
 * @typedef {{title: string, controls: Look, amount?: number, layers?: Layers}} Preset without layers, those that are on stay.
 *
 * @typedef {object} EditorInfo an editor, as the server describes it.
 * @property {string} name
 * @property {string} title
 * @property {string} description
 * @property {string} state
 * @property {string} why what keeps it from running, "" for nothing.
 * @property {string} licence
 * @property {number} size_mb 0 when unknown.
 * @property {boolean} lockable whether it can be locked to a snapshot.
 * @property {"ready"|"own"|"published"} group
 * @property {{name: string, url: string}[]} licences each with its text, "" where there is none to link to.
 * @property {string} hardware what it needs.
 * @property {{where: string, ms: number}[]} speeds milliseconds of a frame, and where they were measured.
 * @property {string} download what has to be downloaded or brought before it runs, in words.
 * @property {string} picture address of what it does, "" for none.
 * @property {boolean} illustration whether other editors have drawn that picture.
 * @property {Schema} controls
 * @property {Preset[]} presets
 *
 * @typedef {object} Capabilities what the server can do.
 * @property {string} [version]
 * @property {EditorInfo[]} editors
 * @property {Schema} settings of a stream.
 * @property {RTCIceServer[]} [iceServers]
 * @property {string} [steers] the server's own camera, in words, which pages steer; "" where they bring theirs.
 *
 * @typedef {object} KnownSettings settings of a stream that have widgets of their own.
 * @property {string} editor
 * @property {Look} controls
 * @property {number} amount how much of the editor's edit shows.
 * @property {Layers} layers what is shown together with it.
 * @property {boolean} bypass
 * @property {string} faces
 * @property {number|null} lock id of the one face that is edited; belongs to a session.
 * @property {string} latent_lock id of the snapshot that latent editors move, "" for none; belongs to a session.
 * @property {string} lost
 *
 * @typedef {KnownSettings & Record<string, Value|Look|Layers>} Settings those the page knows by name, and all others of the schema.
 *
 * @typedef {object} Preferences what is chosen for this device, and remembered on it.
 * @property {boolean} mirror
 * @property {string} device id of the camera, "" for the default one.
 * @property {string} resolution such as "640x480"; "auto" for the largest at which the machine keeps up.
 * @property {boolean} slow whether the machine did not keep up at `LARGE`.
 * @property {boolean} sound
 * @property {string} record what a recording shows: "edited", "split" or "both".
 * @property {"whole"|"fill"|"bars"} fit how the output shows a picture that is not 16:9.
 * @property {string} output name under which this session can be watched, "" for none; only who knows it can.
 */

export const LARGE = [1280, 720];
export const SMALL = [640, 480];
/** The patch that takes every edit off. */
export const BARE = { controls: {}, amount: 1, layers: {} };
/** The ids among the settings, of a face and of a snapshot, mean something in one session: those with which another begins. */
const OF_SESSION = { lock: null, latent_lock: "" };

export class Page {
  /** @type {Capabilities|null} null until the server has told them. */
  capabilities = null;
  /** @type {EditorInfo|null} the one in use. */
  editor = null;
  /** @type {Field[]} of the editor in use. */
  controls = [];
  /** @type {Field[]} of the stream's settings. */
  settings = [];
  /** @type {Settings} complete once the capabilities are known. */
  wanted = /** @type {Settings} */ ({ ...BARE });
  /** @type {Settings|null} what the server last said it uses. */
  confirmed = null;
  /** @type {File|null} a picture or clip that is shown in place of the camera. */
  sample = null;
  /** Id of the session, "" before there is one. */
  session = "";
  /** Whether edited video is on screen. */
  live = false;
  /** Why nothing is edited, in the server's words; "" where something is. */
  idle = "";
  /** @type {Obstacles} what keeps controls from changing any face now. */
  obstacles = {};
  /** Name of the state that is shown over the video, "" for none. */
  state = "";
  /** Why it is in that state, in the server's words. */
  reason = "";

  /** @type {Preferences} */
  preferences;
  /** @type {Record<string, Look>} editor name -> controls, so that switching editors keeps each one's look. */
  #looks;

  constructor() {
    const { mirror = true, device = "", resolution = "auto", slow = false, sound = false, output = "", fit = "whole", record = "edited", controls } = remembered();
    this.preferences = { mirror, device, resolution, slow, sound, record, output, fit };
    this.#looks = Object.fromEntries(Object.entries(controls ?? {}).map(([editor, look]) => [editor, withoutPhoto(look)]));
  }

  /** Width and height that the camera is asked for. */
  get captureSize() {
    const { resolution, slow } = this.preferences;
    if (resolution === "auto") return slow ? SMALL : LARGE;
    return resolution.split("x").map(Number);
  }

  /**
   * @param {number} width of the camera's picture, in pixels.
   * @returns {boolean} whether a smaller picture may be asked for: of a camera whose size the user leaves to the page.
   */
  maySlowDown(width) {
    const { resolution, slow } = this.preferences;
    return resolution === "auto" && !slow && this.sample === null && width > SMALL[0];
  }

  /** The server's own camera, in words, where this page steers that; "" where it sends one of its own. */
  get steers() {
    return this.capabilities?.steers ?? "";
  }

  /**
   * The server does not know a photo any more: go on without any.
   *
   * @returns {boolean} whether one was wanted.
   */
  forgetPhotos() {
    const wanted = withoutPhotos(this.wanted);
    if (wanted) this.wanted = wanted;
    return wanted !== null;
  }

  /** Whether one's own picture is shown as in a mirror. A sample is no mirror. */
  get mirrored() {
    return this.preferences.mirror && this.sample === null;
  }

  /** Settings that hold for the next session as well. */
  get lasting() {
    return { ...this.wanted, ...OF_SESSION };
  }

  /** The control over whose range a face is shown, if the editor marks one. */
  get lifespanField() {
    return this.controls.find(({ lifespan }) => lifespan);
  }

  /**
   * Take in what the server can do. The first time, what was set last time is wanted again.
   *
   * @param {Capabilities} capabilities
   */
  learn(capabilities) {
    if (this.capabilities === null) this.wanted = startingSettings(capabilities.settings, remembered().settings);
    this.capabilities = capabilities;
    this.settings = fieldsOf(capabilities.settings);
    this.wanted = { ...this.wanted, layers: this.#fitting(this.wanted.layers) };
  }

  /** @param {string} name */
  editorNamed(name) {
    return this.capabilities?.editors.find((editor) => editor.name === name) ?? null;
  }

  /** The editor to begin with: the wanted one, or the first that is ready. */
  get firstEditor() {
    const ready = this.capabilities?.editors.filter(({ state }) => state === "ready") ?? [];
    return ready.find(({ name }) => name === this.wanted.editor) ?? ready[0] ?? null;
  }

  /**
   * Make an editor the one in use, and its last look the one that is wanted.
   *
   * @param {EditorInfo|null} editor
   */
  use(editor) {
    this.editor = editor;
    this.controls = fieldsOf(editor?.controls);
    const name = editor?.name ?? "";
    const { [name]: own, ...layers } = this.wanted.layers;
    const controls = changedValues(this.controls, own?.controls ?? this.#looks[name] ?? {});
    const amount = own?.amount ?? (name === this.wanted.editor ? this.wanted.amount : 1);
    this.wanted = { ...this.wanted, editor: name, controls, amount, layers };
  }

  /**
   * The layers with the look of the editor in use among them: what stays on when another editor is chosen.
   *
   * @returns {Layers}
   */
  get stack() {
    const { editor, controls, amount, layers } = this.wanted;
    return Object.keys(controls).length === 0 ? layers : { ...layers, [editor]: { controls, amount } };
  }

  /**
   * Those layers that this server can draw.
   *
   * @param {Layers} layers
   * @returns {Layers}
   */
  #fitting(layers) {
    const fitting = Object.entries(layers).flatMap(([name, { controls, amount }]) => {
      const editor = this.editorNamed(name);
      const look = changedValues(fieldsOf(editor?.controls), controls ?? {});
      const runs = editor !== null && editor.state !== "needs weights" && Object.keys(look).length > 0;
      return runs ? [[name, { controls: look, amount: typeof amount === "number" ? amount : 1 }]] : [];
    });
    return Object.fromEntries(fitting);
  }

  /**
   * Want other settings, and remember them.
   *
   * @param {Partial<Settings>} patch
   */
  want(patch) {
    this.wanted = /** @type {Settings} */ ({ ...this.wanted, ...patch });
    if (patch.controls) this.#looks[this.wanted.editor] = patch.controls;
    this.#rememberSettings();
  }

  /** Want what the server uses, which is something else when it refused what was wanted. */
  follow() {
    if (!this.confirmed) return;
    const { controls, layers } = this.confirmed;
    this.wanted = { ...this.confirmed, controls: changedValues(this.controls, controls), layers: this.#fitting(layers ?? {}) };
    if (this.editor) this.#looks[this.confirmed.editor] = this.wanted.controls;
    this.#rememberSettings();
  }

  /**
   * Choose something for this device, and remember it.
   *
   * @param {Partial<Preferences>} choice
   */
  prefer(choice) {
    Object.assign(this.preferences, choice);
    remember(choice);
  }

  #rememberSettings() {
    remember({ settings: this.lasting, controls: this.#looks });
  }
}

/**
 * What was set last time, where the server still has that setting and takes that value; the standard value otherwise. It
 * would refuse all settings for one that it does not know.
 *
 * @param {Schema} schema of the settings.
 * @param {Record<string, any>} [last] from this device's memory.
 * @returns {Settings}
 */
export function startingSettings(schema, last) {
  const fields = new Map(fieldsOf(schema).map((field) => [field.name, field]));
  const pairs = Object.entries(schema.properties ?? {}).map(([name, { default: standard = null }]) => {
    const field = fields.get(name);
    const value = last?.[name] ?? standard;
    return [name, field ? fitting(field, value) : value];
  });
  return { ...Object.fromEntries(pairs), controls: withoutPhoto(last?.controls), layers: startingLayers(last?.layers), ...OF_SESSION };
}

/**
 * @param {Record<string, any>} [last] layers from this device's memory.
 * @returns {Layers}
 */
function startingLayers(last) {
  const layers = Object.entries(last ?? {}).filter(([, layer]) => typeof layer?.controls === "object" && layer.controls);
  return Object.fromEntries(layers.map(([name, layer]) => [name, { controls: withoutPhoto(layer.controls), amount: layer.amount }]));
}
