// Getting an editor's weights: what they are, their licence, the click, how far it is.

import { authorization, reasonOf } from "./connection.js";
import { make } from "./controls.js";
import { sentence } from "./states.js";

const POLL_MS = 700;
const HOSTS = ["github.com/", "huggingface.co/"];

/**
 * @param {HTMLDialogElement} dialog emptied and filled.
 * @param {{token: () => string|null, onReady: (name: string) => void}} options onReady: an editor can run now.
 * @returns {{open: (name: string) => Promise<void>}}
 */
export function setUpWeights(dialog, { token, onReady }) {
  let open = ""; // name of the editor that is shown
  let timer = 0;

  const ask = async (method, body) => {
    const headers = { ...authorization(token()), ...(body ? { "Content-Type": "application/json" } : {}) };
    const response = await fetch(`weights/${open}`, { method, headers, body: body ? JSON.stringify(body) : undefined });
    if (!response.ok) throw new Error(await reasonOf(response));
    return response.json();
  };
  const act = (method, body) =>
    ask(method, body).then(show, (error) => {
      const line = dialog.querySelector("[role=alert]");
      if (line) line.textContent = error instanceof TypeError ? "The server does not answer." : sentence(error.message);
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
  const show = (told) => {
    const accepted = dialog.querySelector("input")?.checked ?? false;
    dialog.replaceChildren(...contents(told, accepted, { start: (licence) => act("POST", { licence }), cancel: () => act("DELETE"), close: () => dialog.close() }));
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
  const intro = make("p", { textContent: `This editor runs on weights of its authors${told.size ? `, ${size(told.size)} in all` : ""}. They are fetched from their home to the machine that runs Latentcam, and kept there.` });
  const missing = told.files.filter((file) => !file.here && !file.downloadable);
  if (!told.allowed || missing.length) {
    const why = missing.length
      ? `${missing.map(({ name, origin }) => `${name} cannot be downloaded: ${origin}.`).join(" ")} Whoever runs the server has to put it there.`
      : `This server fetches nothing for its visitors. Whoever runs it can: python -m models.fetch ${told.name}`;
    return [head, intro, list, make("p", { className: "why", textContent: why }), error, row(leave)];
  }
  const box = make("input", { type: "checkbox", checked: accepted });
  const accept = make("label", { className: "accept" });
  accept.append(box, make("span", { textContent: `I have read the licence and accept it: ${told.licence}` }));
  const words = progress.phase === "cancelled" ? "Go on" : progress.phase === "failed" ? "Try again" : `Get it${told.size ? ` (${size(told.size)})` : ""}`;
  const go = button(words, "primary", () => {
    go.disabled = true;
    start(told.licence).finally(() => (go.disabled = !box.checked));
  });
  go.disabled = !accepted;
  box.addEventListener("change", () => (go.disabled = !box.checked));
  return [head, intro, list, accept, error, row(go, leave)];
}

function fileLine({ name, size: bytes, licence, origin, here }) {
  const line = make("li");
  const facts = [here ? "here" : bytes ? size(bytes) : "", licence].filter(Boolean).join(" · ");
  const home = HOSTS.some((host) => origin.startsWith(host))
    ? make("a", { href: `https://${origin}`, target: "_blank", rel: "noreferrer", textContent: origin })
    : make("span", { textContent: origin });
  line.append(make("strong", { textContent: name }), make("small", { textContent: facts }), home);
  return line;
}

function bar({ phase, file, number, files, done, total }) {
  const meter = make("progress", { max: 1 });
  meter.setAttribute("aria-label", "Progress");
  const words = {
    waiting: "Waiting for another download to end.",
    converting: "Making networks of the weights. This takes minutes.",
    fetching: `${file || "Connecting"}${files > 1 && number ? `, file ${number} of ${files}` : ""}${file ? `: ${size(done)}${total ? ` of ${size(total)}` : ""}` : ""}`,
  };
  if (phase === "fetching" && total) meter.value = Math.min(1, done / total);
  return [meter, make("p", { className: "help", textContent: words[phase], role: "status" })];
}

function button(text, kind, onClick) {
  const element = make("button", { type: "button", className: `button ${kind}`, textContent: text });
  element.addEventListener("click", onClick);
  return element;
}

function row(...buttons) {
  const element = make("div", { className: "actions" });
  element.append(...buttons);
  return element;
}

/** @returns {string} bytes for people. */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e5) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}
