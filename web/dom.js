// Elements: finding those of the page and making new ones.

/**
 * An element of index.html.
 *
 * @overload
 * @param {string} id
 * @returns {HTMLElement}
 */
/**
 * @template {HTMLElement} T
 * @overload
 * @param {string} id
 * @param {new () => T} type its class.
 * @returns {T}
 */
/**
 * @param {string} id
 * @param {new () => HTMLElement} type
 * @returns {HTMLElement}
 * @throws {TypeError} there is no such element, or it is of another class.
 */
export function byId(id, type = HTMLElement) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`#${id} is no ${type.name}`);
  return element;
}

/**
 * A new element with properties set.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Partial<HTMLElementTagNameMap[K]>} properties
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

/**
 * A new button that calls `onClick`.
 *
 * @param {string} text
 * @param {""|"quiet"|"primary"|"get"|"pick"|"mode"} kind how it looks.
 * @param {(event: MouseEvent) => void} onClick
 */
export function button(text, kind, onClick) {
  const element = make("button", { type: "button", className: `button ${kind}`.trim(), textContent: text });
  element.addEventListener("click", onClick);
  return element;
}

/**
 * A link to another site, which is not told where it was followed.
 *
 * @param {string} text
 * @param {string} url
 */
export function externalLink(text, url) {
  return make("a", { href: url, target: "_blank", rel: "noopener noreferrer", textContent: text });
}

/**
 * An SVG icon from the page's sprite.
 *
 * @param {string} id
 */
export function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${id}`);
  svg.append(use);
  return svg;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} settings
 * @returns {CanvasRenderingContext2D}
 */
export function contextOf(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("This browser has no room for a picture.");
  return context;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} type of the file.
 * @param {number} [quality] 0 to 1.
 * @returns {Promise<Blob>}
 */
export function blobOf(canvas, type, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("This browser cannot write the picture."))), type, quality);
  });
}

/**
 * Mark the radio button of one value in a group, and no other.
 *
 * @param {HTMLElement} group
 * @param {unknown} value
 */
export function checkRadio(group, value) {
  for (const input of group.querySelectorAll("input")) input.checked = input.value === value;
}

/**
 * Call `onPick` with the value of the radio button that the user chooses in a group.
 *
 * @param {HTMLElement} group its buttons may come and go.
 * @param {(value: string) => void} onPick
 */
export function onRadio(group, onPick) {
  group.addEventListener("change", ({ target }) => target instanceof HTMLInputElement && onPick(target.value));
}
