// Camera and sound: which camera, how large, with a microphone or not, and the output for OBS.

import { listCameras } from "./camera.js";
import { byId, checkRadio, make, onRadio } from "./dom.js";
import { tabValue } from "./storage.js";

/**
 * @import { Page } from "./page.js"
 *
 * @typedef {object} Handlers
 * @property {() => void} onCamera another camera or resolution is chosen.
 * @property {() => void} onSound sound is switched on or off.
 * @property {() => void} onOutput the output has another name, or none.
 * @property {(text: string) => void} toast
 */

export class Devices {
  #device = byId("device", HTMLSelectElement);
  #resolution = byId("resolution", HTMLSelectElement);
  #sound = byId("sound", HTMLInputElement);
  #output = byId("output", HTMLInputElement);
  #address = byId("output-address", HTMLInputElement);
  /** @type {Page} */
  #page;

  /**
   * @param {Page} page
   * @param {Handlers} handlers
   */
  constructor(page, { onCamera, onSound, onOutput, toast }) {
    this.#page = page;
    this.#device.addEventListener("change", () => {
      page.prefer({ device: this.#device.value });
      onCamera();
    });
    this.#resolution.addEventListener("change", () => {
      page.prefer({ resolution: this.#resolution.value });
      onCamera();
    });
    this.#sound.addEventListener("change", () => {
      this.setSound(this.#sound.checked);
      onSound();
    });
    this.#output.addEventListener("change", () => {
      page.prefer({ output: this.#output.checked ? crypto.randomUUID() : "" });
      this.#showOutput();
      onOutput();
    });
    onRadio(byId("record-what"), (record) => page.prefer({ record }));
    this.#address.addEventListener("focus", () => this.#address.select());
    byId("output-copy").addEventListener("click", () => {
      navigator.clipboard.writeText(this.#address.value).then(
        () => toast("Copied."),
        () => this.#address.focus(), // which selects it
      );
    });
  }

  /** Show what is chosen. */
  show() {
    this.#resolution.value = this.#page.preferences.resolution;
    this.#sound.checked = this.#page.preferences.sound;
    checkRadio(byId("record-what"), this.#page.preferences.record);
    this.#showOutput();
  }

  /** @param {boolean} on */
  setSound(on) {
    this.#page.prefer({ sound: on });
    this.#sound.checked = on;
  }

  /** @param {MediaStreamTrack} track of the camera in use. */
  async showCameras(track) {
    const cameras = await listCameras();
    const { deviceId = "", width, height } = track.getSettings();
    this.#device.replaceChildren(...cameras.map(({ id, label }) => make("option", { value: id, textContent: label })));
    this.#device.value = this.#page.preferences.device || deviceId;
    byId("camera-summary").textContent = width ? `${width} × ${height}` : "";
    this.#showResolution(width, height);
  }

  /**
   * Say when the camera gives less than what is chosen.
   *
   * @param {number} [width]
   * @param {number} [height]
   */
  #showResolution(width, height) {
    const wanted = this.#page.preferences.resolution.split("x").map(Number);
    const turned = (width ?? 0) < (height ?? 0) ? [height, width] : [width, height]; // a phone held upright
    const less = width && (Number(turned[0]) < wanted[0] || Number(turned[1]) < wanted[1]);
    byId("resolution-help").textContent = less
      ? `This camera gives ${width} × ${height}, not ${wanted.join(" × ")}.`
      : "Higher is sharper, and costs delay on slow machines.";
    byId("resolution-help").classList.toggle("error", Boolean(less));
  }

  #showOutput() {
    const { output } = this.#page.preferences;
    const token = tabValue("token");
    this.#output.checked = output !== "";
    byId("output-row").hidden = output === "";
    const address = `${new URL(".", location.href)}?view=output&stream=${output}`;
    this.#address.value = token ? `${address}#token=${encodeURIComponent(token)}` : address;
    const warning = token ? " and use this server: your token is in it" : "";
    byId("output-help").textContent = `A browser source with this address shows the edited video, and nothing else. Whoever knows it can watch${warning}.`;
  }
}
