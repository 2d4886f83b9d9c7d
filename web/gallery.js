// The gallery: every editor with what it does, its licence, what it needs and how fast it was measured to be.

import { button, externalLink, make } from "./dom.js";

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
        for (const { search } of sections) search(wanted);
        none.textContent = sections.every(({ element }) => element.hidden) ? "No editor has all of these words." : "";
      });
      const head = make("div", { className: "gallery-head" });
      head.append(make("h2", { textContent: "Gallery of editors" }), button("Close", "quiet", () => dialog.close()), search);
      dialog.replaceChildren(head, none, ...sections.map(({ element }) => element));
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
  const element = make("section", { className: "gallery-group" });
  const head = make("h3");
  const list = make("div", { className: "gallery-cards" });
  list.append(...cards.map(({ card }) => card));
  element.append(head, make("p", { className: "help", textContent: help }), list);
  /** Show the cards that have all of these words. @param {string[]} wanted */
  const search = (wanted) => {
    for (const { card, words } of cards) card.hidden = !wanted.every((word) => words.includes(word));
    const shown = cards.filter(({ card }) => !card.hidden).length;
    element.hidden = shown === 0;
    head.textContent = `${title} (${shown})`;
  };
  search([]);
  return { element, search };
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
    const picture = make("figure");
    picture.append(make("img", { src: editor.picture, alt: `Before and after: ${editor.title}`, loading: "lazy", width: 384, height: 192 }));
    if (editor.illustration) picture.append(make("figcaption", { textContent: "Illustration, drawn by the editors that ship with Latentcam" }));
    card.append(picture);
  }
  const facts = make("ul", { className: "gallery-facts" });
  const fact = (/** @type {(string|Node)[]} */ ...parts) => {
    const item = make("li");
    item.append(...parts);
    facts.append(item);
  };
  fact(editor.download);
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
