// Requests to the server, and its words when it refuses one.

const LONGEST_REASON = 500;

/** The server answered, but not with what was asked for; the message is its own. */
export class Refusal extends Error {
  /**
   * @param {number} status of HTTP.
   * @param {string} reason
   */
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/**
 * @param {string|null} token
 * @returns {Record<string, string>} the header that carries the access token, if there is one.
 */
export function authorization(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * The server's own words for a refusal, from JSON {"detail": ...} or plain text.
 *
 * @param {Response} response
 * @returns {Promise<string>}
 */
export async function reasonOf(response) {
  const text = (await response.text()).slice(0, LONGEST_REASON);
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : `HTTP ${response.status}`;
  } catch {
    return text.startsWith("<") || !text ? `HTTP ${response.status}` : text;
  }
}

/**
 * @param {string|URL} path
 * @param {string|null} token
 * @param {Omit<RequestInit, "headers"> & {headers?: Record<string, string>}} init
 * @returns {Promise<Response>} with a status of success.
 * @throws {Refusal}
 * @throws {TypeError} the server does not answer.
 */
export async function request(path, token, init = {}) {
  const response = await fetch(path, { ...init, headers: { ...init.headers, ...authorization(token) } });
  if (!response.ok) throw new Refusal(response.status, await reasonOf(response));
  return response;
}
