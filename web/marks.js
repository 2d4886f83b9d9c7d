// Whether a file is marked as edited: it goes to the server, whose detector answers in words.

import { byId, make } from "./dom.js";
import { Refusal, request } from "./http.js";

const MAX_BYTES = 64 * 1024 * 1024;

/**
 * @typedef {{found: boolean, words: string[]}} Marks
 */

/**
 * Let a file be dropped or chosen, and show what the server finds in it.
 *
 * @param {() => string|null} token
 */
export function setUpMarks(token) {
  const place = byId("marks"), input = byId("marks-file", HTMLInputElement), answer = byId("marks-answer");
  let newest = 0;
  const look = async (/** @type {File|undefined} */ file) => {
    if (!file) return;
    const own = ++newest;
    say(answer, [`Looking at ${file.name}…`]);
    const words = await examined(file, token());
    if (own === newest) say(answer, words);
  };
  input.addEventListener("change", () => look(input.files?.[0]));
  const over = (/** @type {boolean} */ is) => place.classList.toggle("over", is);
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  place.addEventListener("dragleave", (event) => {
    if (!(event.relatedTarget instanceof Node && place.contains(event.relatedTarget))) over(false);
  });
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    input.value = ""; // its name would be that of another file
    look(event.dataTransfer?.files[0]);
  });
}

/**
 * @param {File} file
 * @param {string|null} token
 * @returns {Promise<string[]>} sentences.
 */
async function examined(file, token) {
  if (file.size > MAX_BYTES) return ["This file has more than 64 MB. The command python -m stream.mark detect has no such limit."];
  try {
    const response = await request("marks", token, { method: "POST", body: file });
    /** @type {Marks} */
    const { words } = await response.json();
    return words;
  } catch (error) {
    return [error instanceof Refusal ? `The server says: ${error.message}.` : "The server does not answer."];
  }
}

/**
 * @param {HTMLElement} answer
 * @param {string[]} words
 */
function say(answer, words) {
  answer.replaceChildren(...words.map((textContent) => make("p", { textContent })));
}
