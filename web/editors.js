// The list of editors: what each does, and what one that cannot run here needs.

import { button, make } from "./dom.js";
import { capital, size } from "./words.js";

/** @import { EditorInfo } from "./page.js" */

/**
 * @param {HTMLElement} container emptied and filled.
 * @param {EditorInfo[]} editors
 * @param {string|undefined} current name of the editor in use
 * @param {(name: string) => void} onPick
 * @param {(name: string) => void} onFetch asked for one that needs weights
 */
export function drawEditors(container, editors, current, onPick, onFetch) {
  container.replaceChildren(
    ...editors.map((editor) => choice(editor, editor.name === current, () => onPick(editor.name), () => onFetch(editor.name))),
  );
}

/**
 * @param {EditorInfo} editor
 * @param {boolean} checked
 * @param {() => void} onPick
 * @param {() => void} onFetch
 */
function choice(editor, checked, onPick, onFetch) {
  const runs = editor.state !== "needs weights"; // without a GPU some run slowly: the badge says so
  const element = make("label", { className: "editor" });
  const input = make("input", { type: "radio", name: "editor", value: editor.name, disabled: !runs, checked });
  input.addEventListener("change", onPick);
  const badge = make("span", { className: "badge", textContent: capital(editor.state) });
  badge.dataset.state = editor.state;
  const head = make("span", { className: "editor-head" });
  head.append(make("strong", { textContent: editor.title }), badge);
  const text = make("span", { className: "editor-text" });
  text.append(head, make("span", { className: "what", textContent: editor.description }));
  const facts = [editor.size_mb ? size(1e6 * editor.size_mb) : "", editor.licence].filter(Boolean).join(" · ");
  if (facts) text.append(make("small", { textContent: facts }));
  if (editor.state === "needs a GPU" && editor.why) text.append(make("small", { className: "why", textContent: editor.why }));
  if (!runs) {
    const get = button("Get it…", "get", (event) => {
      event.preventDefault();
      onFetch();
    });
    get.setAttribute("aria-label", `Get ${editor.title}`);
    text.append(get);
  }
  element.append(input, text);
  return element;
}
