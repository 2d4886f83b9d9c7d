// The list of editors: what each does, and what one that cannot run here needs.

import { button, checkRadio, icon, make } from "./dom.js";
import { capital, size } from "./words.js";

/** @import { EditorInfo } from "./page.js" */

const MOST_UNFOLDED = 4;

/**
 * Those that run come first; many others are folded away, with a field to search them. As in a list to choose from, arrow
 * keys go from one to the next, and Enter, Space or a press chooses.
 *
 * @param {HTMLElement} container emptied and filled.
 * @param {EditorInfo[]} editors
 * @param {string|undefined} current name of the editor in use
 * @param {(name: string) => void} onPick may be the one in use.
 * @param {(name: string) => void} onFetch asked for one that needs weights
 */
export function drawEditors(container, editors, current, onPick, onFetch) {
  let stepping = false; // a browser clicks the radio button to which an arrow key goes
  const draw = (/** @type {EditorInfo} */ editor) => {
    const { element, input } = choice(editor, editor.name === current, () => onFetch(editor.name));
    input.addEventListener("keydown", (event) => {
      stepping = event.key.startsWith("Arrow");
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // Enter would press what has the focus next; Space leaves a button alone to which an arrow key went
      onPick(editor.name);
    });
    element.addEventListener("pointerdown", () => (stepping = false));
    input.addEventListener("click", () => stepping || onPick(editor.name));
    input.addEventListener("blur", ({ relatedTarget }) => {
      const goesOn = relatedTarget instanceof HTMLInputElement && relatedTarget.type === "radio";
      if (!goesOn) checkRadio(container, current); // none was chosen
    });
    return element;
  };
  const others = editors.filter(({ state }) => state !== "ready");
  if (others.length <= MOST_UNFOLDED) return container.replaceChildren(...[...editors].sort(readyFirst).map(draw));
  const wasOpen = container.querySelector("details")?.open ?? false;
  const ready = editors.filter(({ state }) => state === "ready").map(draw);
  container.replaceChildren(...ready, fold(others, draw, wasOpen || others.some(({ name }) => name === current)));
}

/**
 * @param {EditorInfo} a
 * @param {EditorInfo} b
 */
function readyFirst(a, b) {
  return Number(b.state === "ready") - Number(a.state === "ready");
}

/**
 * @param {EditorInfo[]} editors
 * @param {(editor: EditorInfo) => HTMLElement} draw
 * @param {boolean} open
 */
function fold(editors, draw, open) {
  const details = make("details", { className: "others", open });
  const summary = make("summary", { textContent: `${editors.length} published editors` });
  summary.append(icon("i-down"));
  const search = make("input", { type: "text", placeholder: "Search them", autocomplete: "off" });
  search.setAttribute("aria-label", "Search the published editors");
  const rows = editors.map((editor) => ({ element: draw(editor), words: `${editor.title} ${editor.description} ${editor.name}`.toLowerCase() }));
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase().split(/\s+/);
    for (const { element, words } of rows) element.hidden = !wanted.every((word) => words.includes(word));
  });
  details.append(summary, search, ...rows.map(({ element }) => element));
  return details;
}

/**
 * @param {EditorInfo} editor
 * @param {boolean} checked
 * @param {() => void} onFetch
 */
function choice(editor, checked, onFetch) {
  const runs = editor.state !== "needs weights"; // without a GPU some run slowly: the badge says so
  const element = make("label", { className: "editor" });
  const input = make("input", { type: "radio", name: "editor", value: editor.name, disabled: !runs, checked });
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
  return { element, input };
}
