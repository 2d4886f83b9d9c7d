// The gallery: every editor with what it does, its licence, what it needs and how fast it was measured to be.

import { button, externalLink, make } from "./dom.js";
import { size } from "./words.js";

/**
 * @import { EditorInfo } from "./page.js"
 *
 * @typedef {{onPick: (name: string) => void, onFetch: (name: string) => void}} Actions
 */

/** @type {[EditorInfo["group"], string, string][]} */
const GROUPS = [
  ["ready", "Ready", "They run now."],
  ["own", "Your own", "Trained here, or with weights that you bring."],
  ["published", "Published, need weights", "Their authors' weights are fetched once you accept their licence."],
];

/**
 * @param {HTMLDialogElement} dialog emptied and filled.
 * @param {Actions} actions
 * @returns {{open: (editors: EditorInfo[], current: string) => void}}
 */
export function setUpGallery(dialog, actions) {
  return {
    open(editors, current) {
      const search = make("input", { type: "text", placeholder: "Search the editors", autocomplete: "off" });
      search.setAttribute("aria-label", "Search the editors");
      const none = make("p", { className: "help", role: "status" });
      const sections = GROUPS.map(([group, title, help]) => {
        const members = editors.filter((editor) => editor.group === group);
        return drawGroup(title, help, members.map((editor) => drawCard(editor, editor.name === current, dialog, actions)));
      });
      search.addEventListener("input", () => {
        const wanted = search.value.toLowerCase().split(/\s+/);
        for (const { element, cards } of sections) {
          for (const { card, words } of cards) card.hidden = !wanted.every((word) => words.includes(word));
          element.hidden = cards.every(({ card }) => card.hidden);
        }
        none.textContent = sections.every(({ element }) => element.hidden) ? "No editor has all of these words." : "";
      });
      const close = make("div", { className: "actions" });
      close.append(button("Close", "quiet", () => dialog.close()));
      dialog.replaceChildren(make("h2", { textContent: "Gallery of editors" }), search, none, ...sections.map(({ element }) => element), close);
      dialog.showModal();
    },
  };
}

/**
 * @param {string} title
 * @param {string} help
 * @param {{card: HTMLElement, words: string}[]} cards
 */
function drawGroup(title, help, cards) {
  const element = make("section", { className: "gallery-group", hidden: cards.length === 0 });
  const list = make("div", { className: "gallery-cards" });
  list.append(...cards.map(({ card }) => card));
  element.append(make("h3", { textContent: `${title} (${cards.length})` }), make("p", { className: "help", textContent: help }), list);
  return { element, cards };
}

/**
 * @param {EditorInfo} editor
 * @param {boolean} current
 * @param {HTMLDialogElement} dialog
 * @param {Actions} actions
 */
function drawCard(editor, current, dialog, { onPick, onFetch }) {
  const card = make("article", { className: "gallery-card" });
  if (editor.picture) {
    card.append(make("img", { src: editor.picture, alt: `Before and after: ${editor.title}`, loading: "lazy", width: 256, height: 128 }));
  }
  const facts = make("ul", { className: "gallery-facts" });
  const fact = (/** @type {(string|Node)[]} */ ...parts) => {
    const item = make("li");
    item.append(...parts);
    facts.append(item);
  };
  fact(editor.size_mb ? `Download: ${size(1e6 * editor.size_mb)}` : "Size unknown: its authors state none");
  const licences = editor.licences.flatMap(({ name, url }, place) => [place ? "; " : "", url ? externalLink(name, url) : name]);
  fact("Licence: ", ...(licences.length > 0 ? licences : ["none stated"]));
  fact(editor.hardware);
  for (const { where, ms } of editor.speeds) fact(`${ms.toLocaleString()} ms a frame (${where})`);
  const act = current
    ? make("p", { className: "help", textContent: "In use" })
    : editor.state === "needs weights"
      ? button("Get it…", "get", () => leave(dialog, () => onFetch(editor.name)))
      : button("Use it", "", () => leave(dialog, () => onPick(editor.name)));
  if (act instanceof HTMLButtonElement) act.setAttribute("aria-label", `${act.textContent} ${editor.title}`);
  card.append(make("h4", { textContent: editor.title }), make("p", { className: "what", textContent: editor.description }), facts, act);
  return { card, words: `${editor.title} ${editor.description} ${editor.name}`.toLowerCase() };
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {() => void} act
 */
function leave(dialog, act) {
  dialog.close();
  act();
}
