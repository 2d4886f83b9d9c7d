// Camera and sound: which camera, how large, with a microphone or not.

import { listCameras } from "./camera.js";
import { byId, checkRadio, make, onRadio } from "./dom.js";
import { LARGE, SMALL } from "./page.js";

/**
 * @import { Page } from "./page.js"
 *
 * @typedef {object} Handlers
 * @property {() => void} onCamera another camera or resolution is chosen.
 * @property {() => void} onSound sound is switched on or off.
 */

export class Devices {
  #device = byId("device", HTMLSelectElement);
  #resolution = byId("resolution", HTMLSelectElement);
  #sound = byId("sound", HTMLInputElement);
  /** @type {Page} */
  #page;

  /**
   * @param {Page} page
   * @param {Handlers} handlers
   */
  constructor(page, { onCamera, onSound }) {
    this.#page = page;
    this.#device.addEventListener("change", () => {
      page.prefer({ device: this.#device.value });
      onCamera();
    });
    this.#resolution.addEventListener("change", () => {
      page.prefer({ resolution: this.#resolution.value, slow: false });
      onCamera();
    });
    this.#sound.addEventListener("change", () => {
      this.setSound(this.#sound.checked);
      onSound();
    });
    onRadio(byId("record-what"), (record) => page.prefer({ record }));
  }

  /** Show what is chosen. */
  show() {
    this.#resolution.value = this.#page.preferences.resolution;
    this.#showResolution();
    this.#sound.checked = this.#page.preferences.sound;
    checkRadio(byId("record-what"), this.#page.preferences.record);
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
    const { captureSize: wanted, preferences } = this.#page;
    const automatic = preferences.resolution === "auto";
    const now = width && height && width * height < wanted[0] * wanted[1] ? ` This camera gives ${width} × ${height}.` : "";
    if (automatic) {
      byId("resolution-help").textContent = preferences.slow
        ? `${wanted.join(" × ")}: this machine did not keep up at ${LARGE.join(" × ")}. Choose that to have it all the same.`
        : `${LARGE.join(" × ")} where camera and machine keep up, else ${SMALL.join(" × ")}.${now}`;
      byId("resolution-help").classList.remove("error");
      return;
    }
    const turned = (width ?? 0) < (height ?? 0) ? [height, width] : [width, height]; // a phone held upright
    const less = width && (Number(turned[0]) < wanted[0] || Number(turned[1]) < wanted[1]);
    byId("resolution-help").textContent = less
      ? `This camera gives ${width} × ${height}, not ${wanted.join(" × ")}.`
      : "Higher is sharper, and costs delay on slow machines.";
    byId("resolution-help").classList.toggle("error", Boolean(less));
  }
}
