// The list of editors: what each does, and what one that cannot run here needs.

import { make } from "./controls.js";

/**
 * @param {HTMLElement} container emptied and filled.
 * @param {{name: string, title: string, description: string, state: string, why: string, licence: string, size_mb: number}[]} editors
 * @param {string} current name of the editor in use
 * @param {(name: string) => void} onPick
 * @param {(name: string) => void} onFetch asked for one that needs weights
 */
export function drawEditors(container, editors, current, onPick, onFetch) {
  container.replaceChildren(
    ...editors.map((editor) => choice(editor, editor.name === current, () => onPick(editor.name), () => onFetch(editor.name))),
  );
}

function choice(editor, checked, onPick, onFetch) {
  const runs = editor.state !== "needs weights"; // without a GPU some run slowly: the badge says so
  const element = make("label", { className: "editor" });
  const input = make("input", { type: "radio", name: "editor", value: editor.name, disabled: !runs, checked });
  input.addEventListener("change", onPick);
  const badge = make("span", { className: "badge", textContent: sentenceCase(editor.state) });
  badge.dataset.state = editor.state;
  const head = make("span", { className: "editor-head" });
  head.append(make("strong", { textContent: editor.title }), badge);
  const text = make("span", { className: "editor-text" });
  text.append(head, make("span", { className: "what", textContent: editor.description }));
  const facts = [editor.size_mb ? size(editor.size_mb) : "", editor.licence].filter(Boolean).join(" · ");
  if (facts) text.append(make("small", { textContent: facts }));
  if (editor.state === "needs a GPU" && editor.why) text.append(make("small", { className: "why", textContent: editor.why }));
  if (!runs) {
    const get = make("button", { type: "button", className: "button get", textContent: "Get it…" });
    get.setAttribute("aria-label", `Get ${editor.title}`);
    get.addEventListener("click", (event) => {
      event.preventDefault();
      onFetch();
    });
    text.append(get);
  }
  element.append(input, text);
  return element;
}

function size(megabytes) {
  if (megabytes >= 1000) return `${(megabytes / 1000).toFixed(1)} GB`;
  return `${megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB`;
}

function sentenceCase(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
