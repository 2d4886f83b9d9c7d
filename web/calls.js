// Use in a call: the output that others can watch, its address, and the steps that bring it into OBS Studio or a call.

import { button, byId, checkRadio, make, onRadio } from "./dom.js";
import { LARGE } from "./page.js";
import { tabValue } from "./storage.js";

/**
 * @import { Page } from "./page.js"
 *
 * @typedef {"whole"|"fill"|"bars"} Fit
 *
 * @typedef {{text: string, code?: string}} Step code: what is copied to a terminal or a field.
 *
 * @typedef {object} Handlers
 * @property {() => void} onOutput the output has another name, or none.
 * @property {(text: string) => void} toast
 */

const [WIDTH, HEIGHT] = LARGE;

/** @type {Record<Fit, string>} */
const FITS = {
  whole: "All of the picture. Beside that of a 4:3 camera, OBS shows what lies behind; a virtual camera shows black.",
  fill: "Cropped above and below to fill the width. A camera that gives 16:9 loses nothing.",
  bars: "All of the picture, with black beside that of a 4:3 camera.",
};

export class Calls {
  #output = byId("output", HTMLInputElement);
  #address = byId("output-address", HTMLTextAreaElement);
  #way = "obs";
  /** @type {Page} */
  #page;
  /** @type {(text: string) => void} */
  #toast;

  /**
   * @param {Page} page
   * @param {Handlers} handlers
   */
  constructor(page, { onOutput, toast }) {
    this.#page = page;
    this.#toast = toast;
    this.#output.addEventListener("change", () => {
      page.prefer({ output: this.#output.checked ? randomId() : "" });
      this.show();
      onOutput();
    });
    onRadio(byId("call-way"), (way) => {
      this.#way = way;
      this.show();
    });
    onRadio(byId("fit"), (fit) => {
      page.prefer({ fit: /** @type {Fit} */ (fit) });
      this.show();
    });
    this.#address.addEventListener("focus", () => this.#address.select());
    byId("output-copy").addEventListener("click", () => this.#copy(this.#address.value));
  }

  /** Show whether there is an output, its address, and the steps. */
  show() {
    const { output, fit } = this.#page.preferences;
    const token = tabValue("token");
    this.#output.checked = output !== "";
    byId("output-row").hidden = output === "";
    byId("call-summary").textContent = output === "" ? "off" : "on";
    byId("fit-field").hidden = output === "";
    checkRadio(byId("fit"), fit);
    byId("fit-help").textContent = FITS[fit];
    const address = `${new URL(".", location.href)}?view=output&stream=${output}${fit === "whole" ? "" : `&fit=${fit}`}`;
    this.#address.value = token ? `${address}#token=${encodeURIComponent(token)}` : address;
    const warning = token ? " and use this server: your token is in it" : "";
    byId("output-help").textContent =
      output === "" ? "Gives the edited video an address of its own, for OBS Studio and virtual cameras." : `Whoever knows this address can watch${warning}.`;
    byId("call-steps").replaceChildren(...callSteps(this.#way, this.#address.value, fit).map((step) => this.#line(step)));
    byId("call-steps").hidden = output === "";
  }

  /** @param {Step} step */
  #line({ text, code }) {
    const line = make("li", { textContent: text });
    if (!code) return line;
    const row = make("div", { className: "code" });
    const copy = button("Copy", "pick", () => this.#copy(code));
    copy.setAttribute("aria-label", `Copy: ${code.slice(0, 60)}`);
    row.append(make("code", { textContent: code }), copy);
    line.append(row);
    return line;
  }

  /** @param {string} text */
  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.#toast("Copied.");
    } catch {
      this.#address.focus(); // which selects it
    }
  }
}

/** @returns {string} that nobody guesses; pages of plain HTTP have no crypto.randomUUID. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} way "obs", or the system on which a virtual camera is fed without OBS.
 * @param {string} address of the output.
 * @param {Fit} fit how a picture that is not 16:9 is shown.
 * @returns {Step[]}
 */
export function callSteps(way, address, fit = "whole") {
  const python = way === "windows" ? ".venv\\Scripts\\python" : ".venv/bin/python";
  const feed = [
    { text: "Once, in the folder of Latentcam:", code: `${python} -m pip install pyvirtualcam` },
    { text: "Start the virtual camera, and leave it running:", code: `${python} -m stream.camera --from-session "${address}"${fit === "fill" ? " --fit fill" : ""}` },
  ];
  /** @type {Record<string, Step[]>} */
  const ways = {
    obs: [
      { text: "In OBS Studio: Sources, +, Browser. Paste the address above as URL." },
      { text: `Set the width to ${WIDTH} and the height to ${HEIGHT} (16:9), and press OK. For sound, tick “Control audio via OBS”.` },
      { text: "Press Start Virtual Camera, at the lower right." },
      { text: "In Meet, Teams, Zoom or Discord, choose the camera “OBS Virtual Camera”." },
    ],
    linux: [
      { text: "Once after each start of the machine (package v4l2loopback-dkms):", code: "sudo modprobe v4l2loopback card_label=Latentcam exclusive_caps=1" },
      ...feed,
      { text: "In the call, choose the camera “Latentcam”." },
    ],
    windows: [
      { text: "Install OBS Studio: its virtual camera is used, and OBS itself need not run." },
      ...feed,
      { text: "In the call, choose the camera “OBS Virtual Camera”." },
    ],
    macos: [
      { text: "Install OBS Studio 30 or newer, press Start Virtual Camera in it once, and allow its extension in System Settings. Then close OBS." },
      ...feed,
      { text: "In the call, choose the camera “OBS Virtual Camera”." },
    ],
  };
  return ways[way] ?? ways.obs;
}
