// Getting an editor's weights: what they are, their licence, the click, how far it is.

import { button, externalLink, make } from "./dom.js";
import { request } from "./http.js";
import { errorWords, sentence, size } from "./words.js";

const POLL_MS = 700;
const HOSTS = ["github.com/", "huggingface.co/"];

/**
 * @typedef {{name: string, brief: string, url: string, text: string}} Terms text: all of it, "" where only the address is known.
 *
 * @typedef {object} WeightsFile
 * @property {string} name
 * @property {number} size in bytes, 0 when unknown.
 * @property {string} licence
 * @property {string} origin
 * @property {boolean} here
 * @property {boolean} downloadable
 *
 * @typedef {object} Progress
 * @property {boolean} running
 * @property {string} phase
 * @property {string} error
 * @property {string} file
 * @property {number} number of the file, from 1.
 * @property {number} files
 * @property {number} done bytes.
 * @property {number} total bytes, 0 when unknown.
 *
 * @typedef {object} WeightsInfo what the server tells of an editor's weights.
 * @property {string} name
 * @property {string} title
 * @property {string} state of the editor.
 * @property {string} why
 * @property {string} licence
 * @property {{name: string, url: string}[]} licences one by one; url: of the text, "" where there is none.
 * @property {Terms[]} terms of the licences that are known.
 * @property {number} size in bytes.
 * @property {number} to_fetch bytes of the files that are missing and whose size is known.
 * @property {number} unknown_sizes how many files are missing whose size is not known.
 * @property {boolean} converts whether networks are made of them, and kept as well.
 * @property {number} free bytes of the disk they go to.
 * @property {boolean} allowed whether this server fetches for its visitors.
 * @property {WeightsFile[]} files
 * @property {Progress} progress
 *
 * @typedef {{start: (licence: string) => Promise<void>, cancel: () => void, close: () => void}} Actions
 */

/**
 * @param {HTMLDialogElement} dialog emptied and filled.
 * @param {{token: () => string|null, onReady: (name: string) => void}} options onReady: an editor can run now.
 * @returns {{open: (name: string) => Promise<void>}}
 */
export function setUpWeights(dialog, { token, onReady }) {
  let open = ""; // name of the editor that is shown
  let timer = 0;

  /**
   * @param {string} method
   * @param {{licence: string}} [body]
   * @returns {Promise<WeightsInfo>}
   */
  const ask = async (method, body) => {
    const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await request(`weights/${open}`, token(), { method, ...json });
    return response.json();
  };
  /**
   * @param {string} method
   * @param {{licence: string}} [body]
   */
  const act = (method, body) =>
    ask(method, body).then(show, (error) => {
      const line = dialog.querySelector("[role=alert]");
      if (line) line.textContent = errorWords(error);
    });
  const poll = () => {
    clearTimeout(timer);
    const name = open;
    timer = setTimeout(async () => {
      if (open !== name || !name) return;
      try {
        show(await ask("GET"));
      } catch {
        poll(); // the next answer counts
      }
    }, POLL_MS);
  };
  const draw = (/** @type {WeightsInfo} */ told) => {
    const accepted = dialog.querySelector("input")?.checked ?? false;
    dialog.replaceChildren(...contents(told, accepted, { start: (licence) => act("POST", { licence }), cancel: () => act("DELETE"), close: () => dialog.close() }));
    // The button that was pressed is gone: the keyboard goes on at the one in its place.
    if (!dialog.contains(document.activeElement)) dialog.querySelector(".actions")?.querySelector("button")?.focus();
  };
  const show = (/** @type {WeightsInfo} */ told) => {
    const [meter, line] = [dialog.querySelector("progress"), dialog.querySelector("[role=status]")];
    if (told.progress.running && meter && line) showProgress(meter, line, told.progress);
    else draw(told);
    if (told.progress.running) poll();
    else if (told.progress.phase === "done") onReady(told.name);
  };

  dialog.addEventListener("close", () => (open = ""));
  return {
    async open(name) {
      open = name;
      dialog.replaceChildren(make("p", { textContent: "…" }), make("p", { role: "alert" }));
      dialog.showModal();
      await act("GET");
    },
  };
}

/**
 * @param {WeightsInfo} told
 * @param {boolean} accepted whether the licence was.
 * @param {Actions} actions
 * @returns {HTMLElement[]}
 */
function contents(told, accepted, { start, cancel, close }) {
  const { progress } = told;
  const error = make("p", { className: "error", role: "alert", textContent: progress.phase === "failed" ? sentence(progress.error) : "" });
  const head = make("h2", { textContent: told.title });
  const list = make("ul", { className: "files" });
  list.append(...told.files.map(fileLine));
  const leave = button(told.state !== "needs weights" ? "Done" : "Close", "quiet", close);
  const slow = told.state === "needs a GPU" ? ` Without a GPU: ${told.why}.` : "";
  if (told.state !== "needs weights") return [head, make("p", { textContent: `It is ready: pick it in the list of editors.${slow}` }), row(leave)];
  if (progress.running) return [head, ...bar(progress), error, row(button("Cancel", "", cancel), leave)];
  const missing = told.files.filter((file) => !file.here && !file.downloadable);
  if (!told.allowed || missing.length) {
    const why = missing.length
      ? `${missing.map(({ name, origin }) => `${name} cannot be downloaded: ${origin}.`).join(" ")} Whoever runs the server has to put it there.`
      : `This server fetches nothing for its visitors. Whoever runs it can: python -m models.fetch ${told.name}`;
    return [head, make("p", { textContent: "This editor needs weights on the machine that runs Latentcam." }), list, make("p", { className: "why", textContent: why }), error, row(leave)];
  }
  const intro = make("p", { textContent: `This editor runs on weights of its authors. They are fetched from their home to the machine that runs Latentcam, and kept there. ${sizeWords(told)}` });
  const box = make("input", { type: "checkbox", checked: accepted });
  const accept = make("label", { className: "accept" });
  accept.append(box, make("span", { textContent: `I have read the licence and accept it: ${told.licence}` }));
  const words = progress.phase === "cancelled" ? "Go on" : progress.phase === "failed" ? "Try again" : `Get it${told.to_fetch ? ` (${told.unknown_sizes ? "at least " : ""}${size(told.to_fetch)})` : ""}`;
  const go = button(words, "primary", () => {
    go.disabled = true;
    start(told.licence).finally(() => (go.disabled = !box.checked));
  });
  go.disabled = !accepted;
  box.addEventListener("change", () => (go.disabled = !box.checked));
  return [head, intro, list, ...terms(told.terms), ...texts(told), accept, error, row(go, leave)];
}

/**
 * @param {WeightsInfo} told
 * @returns {string} what is fetched, what it takes on the disk, and what is free there.
 */
function sizeWords({ to_fetch: bytes, unknown_sizes: unknown, converts, free }) {
  const files = unknown === 1 ? `${bytes ? "one" : "One"} file` : `${unknown} files`;
  const known = bytes ? `About ${size(bytes)} are fetched` : "";
  const more = unknown ? `${known ? ", and " : ""}${files} whose size the authors do not state` : "";
  const fetched = known || more ? `${known}${more}${known ? "" : unknown === 1 ? " is fetched" : " are fetched"}. ` : "";
  const made = converts ? "The networks that are made of them take about as much again. " : "";
  return `${fetched}${made}${size(free)} are free there.`;
}

/**
 * @param {Terms[]} licences
 * @returns {HTMLElement[]} each in short, with its text folded, or where that stands.
 */
function terms(licences) {
  return licences.map(({ name, brief, url, text }) => {
    const fold = make("details", { className: "terms" });
    const summary = make("summary");
    summary.append(make("strong", { textContent: name }), make("span", { textContent: brief }));
    fold.append(summary);
    if (text) fold.append(make("pre", { textContent: text, tabIndex: 0 }));
    else {
      const where = make("p", { className: "help", textContent: "Its text is not here; it stands at " });
      where.append(externalLink(url, url), ".");
      fold.append(where);
    }
    return fold;
  });
}

/**
 * @param {WeightsInfo} told
 * @returns {HTMLElement[]} the licences of which no terms are known, or where no text is.
 */
function texts({ licences, terms: known }) {
  const others = licences.filter(({ name }) => !known.some((one) => name.includes(one.name)));
  if (others.length === 0) return [];
  return [make("p", { className: "help", textContent: `What ${others.map(({ name }) => `“${name}”`).join(" and ")} asks for, their authors say: see where the files come from.` })];
}

/** @param {WeightsFile} file */
function fileLine({ name, size: bytes, licence, origin, here }) {
  const line = make("li");
  const facts = [here ? "here" : bytes ? size(bytes) : "", licence].filter(Boolean).join(" · ");
  const home = HOSTS.some((host) => origin.startsWith(host))
    ? externalLink(origin, `https://${origin}`)
    : make("span", { textContent: origin });
  line.append(make("strong", { textContent: name }), make("small", { textContent: facts }), home);
  return line;
}

/** @param {Progress} progress */
function bar(progress) {
  const meter = make("progress", { max: 1 });
  meter.setAttribute("aria-label", "Progress");
  const line = make("p", { className: "help", role: "status" });
  showProgress(meter, line, progress);
  return [meter, line];
}

/**
 * @param {HTMLProgressElement} meter
 * @param {Element} line of text.
 * @param {Progress} progress
 */
function showProgress(meter, line, { phase, file, number, files, done, total }) {
  /** @type {Record<string, string>} */
  const words = {
    waiting: "Waiting for another download to end.",
    converting: "Making networks of the weights. This takes minutes.",
    fetching: `${file || "Connecting"}${files > 1 && number ? `, file ${number} of ${files}` : ""}${file ? `: ${size(done)}${total ? ` of ${size(total)}` : ""}` : ""}`,
  };
  if (phase === "fetching" && total) meter.value = Math.min(1, done / total);
  else meter.removeAttribute("value");
  if (line.textContent !== words[phase]) line.textContent = words[phase];
}

/** @param {HTMLElement[]} buttons */
function row(...buttons) {
  const element = make("div", { className: "actions" });
  element.append(...buttons);
  return element;
}
