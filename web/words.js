// Words for people: capitals, sentences, sizes, what is allowed, what went wrong.

/**
 * @param {string} text
 * @returns {string} with a capital first letter.
 */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {string} text
 * @returns {string} from a capital letter to a full stop; empty stays empty.
 */
export function sentence(text) {
  if (!text) return "";
  const begun = capital(text);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/**
 * @param {number} bytes
 * @returns {string} such as "13.9 MB".
 */
export function size(bytes) {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e5) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/**
 * @param {unknown} error of a request.
 * @returns {string} what went wrong.
 */
export function errorWords(error) {
  if (error instanceof TypeError || !(error instanceof Error) || error.name === "TimeoutError") return "The server does not answer.";
  return sentence(error.message);
}

/**
 * @param {{hostname: string, host: string}} address of the page.
 * @returns {string} where the frames go, in one line.
 */
export function privacyWords({ hostname, host }) {
  const here = ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  return here ? "Your video stays on this computer. Nothing is stored." : `Your video goes to ${host} and back, encrypted. Nothing is stored.`;
}

/**
 * @typedef {object} Allowed the part of a JSON schema that tells what a refused setting may be.
 * @property {Allowed[]} [anyOf]
 * @property {unknown[]} [enum]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {string} [type]
 * @property {string} [format]
 */

/**
 * @param {Allowed|string[]|null|undefined} allowed a list names what there is.
 * @returns {string} in words; empty when there is nothing to list.
 */
export function allowedWords(allowed) {
  if (!allowed) return "";
  if (Array.isArray(allowed)) return allowed.join(", ");
  return (allowed.anyOf ?? [allowed])
    .map((shape) => {
      if (shape.enum) return shape.enum.join(", ");
      if (shape.minimum !== undefined && shape.maximum !== undefined) return `${shape.minimum} to ${shape.maximum}`;
      if (shape.type === "null") return "off";
      return shape.format ?? shape.type ?? "";
    })
    .filter(Boolean)
    .join(", or ");
}
