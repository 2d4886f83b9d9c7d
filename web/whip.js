// Offers, answers and goodbyes over HTTP: WHIP (RFC 9725) to be edited, WHEP to watch, and as WHEP to steer.

import { authorization, reasonOf, request } from "./http.js";
import { withoutPhotos } from "./lasting.js";

const REQUEST_TIMEOUT_MS = 15_000;
const GATHERING_TIMEOUT_MS = 2_000;
const RESTART_GATHERING_MS = 500; // the server finds what is missing by the checks that come
const KNOWN_TIMEOUT_MS = 2_000;
const HIGHEST_LEVEL = 0x34;
const FRAGMENT = "application/trickle-ice-sdpfrag";
const HELD_RETRY_MS = 1_000;

/**
 * @typedef {"unreachable"|"lost"|"full"|"token"|"refused"} Problem
 * @typedef {{pc: RTCPeerConnection, resource: URL|null}} Peer resource: the session on the server.
 */

/** An offer that led to no session. */
export class Refused extends Error {
  /**
   * @param {Problem} problem
   * @param {string} reason in the server's words.
   * @param {number|null} retryMs when the server wants to be asked again.
   * @param {number} status of HTTP; 0 where there was no answer.
   */
  constructor(problem, reason, retryMs = null, status = 0) {
    super(reason);
    this.problem = problem;
    this.status = status;
    this.retryMs = retryMs;
  }
}

/**
 * @param {"whip"|"whep"|"steer"} path
 * @param {string} stream name of the stream, "" for none.
 * @returns {URL}
 */
export function endpoint(path, stream) {
  const url = new URL(path, document.baseURI);
  if (stream) url.searchParams.set("stream", stream);
  return url;
}

/**
 * Offer what the connection has and take the answer.
 *
 * @param {RTCPeerConnection} pc its local description is set.
 * @param {URL} url
 * @param {string|null} token
 * @param {Record<string, unknown>} [settings] of the stream.
 * @returns {Promise<URL|null>} the session on the server.
 * @throws {Refused}
 */
export async function negotiate(pc, url, token, settings) {
  await gathered(pc, GATHERING_TIMEOUT_MS);
  const response = await offer(url, decodable(pc.localDescription?.sdp ?? ""), token, settings);
  const location = response.headers.get("Location");
  const resource = location ? new URL(location, url) : null;
  try {
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
  } catch (error) {
    close({ pc, resource }, token);
    throw error;
  }
  return resource;
}

/**
 * Look for a new way to the server, after a change of network. The session goes on: its settings, faces and recording.
 *
 * @param {Peer} peer
 * @param {string|null} token
 * @throws {Refusal|TypeError|DOMException} the session is lost.
 */
export async function restartIce({ pc, resource }, token) {
  if (!resource) return;
  await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
  await gathered(pc, RESTART_GATHERING_MS);
  const response = await request(resource, token, {
    method: "PATCH",
    headers: { "Content-Type": FRAGMENT, "If-Match": "*" },
    body: fragmentOf(pc.localDescription?.sdp ?? ""),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  });
  const sdp = restarted(pc.remoteDescription?.sdp ?? "", await response.text());
  await pc.setRemoteDescription({ type: "answer", sdp });
}

/**
 * @param {Peer} peer
 * @param {string|null} token
 * @returns {Promise<boolean>} whether the server still has the session; true as well where it does not answer.
 */
export async function isKnown({ resource }, token) {
  if (!resource) return true;
  try {
    const options = { method: "OPTIONS", headers: authorization(token), signal: AbortSignal.timeout(KNOWN_TIMEOUT_MS) };
    const { status } = await fetch(resource, options);
    return status !== 404 && status !== 503;
  } catch {
    return true;
  }
}

/**
 * @param {string} sdp an offer.
 * @returns {string} what it says about ICE, for a PATCH (RFC 8840). All media are bundled: the first one says it.
 */
export function fragmentOf(sdp) {
  const [, first = ""] = sdp.split(/^(?=m=)/m);
  const kept = /^(m=|a=(mid|ice-ufrag|ice-pwd|candidate):)/;
  return [...first.split(/\r?\n/).filter((line) => kept.test(line)), ""].join("\r\n");
}

/**
 * @param {string} sdp the answer to the offer before.
 * @param {string} fragment what the server says to a restart.
 * @returns {string} the answer to the restart.
 */
export function restarted(sdp, fragment) {
  const said = fragment.split(/\r?\n/);
  const credentials = said.filter((line) => /^a=ice-(ufrag|pwd):/.test(line));
  const candidates = said.filter((line) => line.startsWith("a=candidate:"));
  const [head, ...media] = sdp.split(/^(?=m=)/m);
  const bare = (/** @type {string} */ part) => part.split(/\r?\n/).filter((line) => line && !/^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)\b/.test(line));
  return [...bare(head), ...media.flatMap((part) => [...bare(part), ...credentials, ...candidates]), ""].join("\r\n");
}

/**
 * Browsers name level 3.1 of H.264 (720p at 30 fps) whatever they decode, and the server sends no more than is named.
 *
 * @param {string} sdp an offer.
 * @returns {string} the offer with level 5.2.
 */
export function decodable(sdp) {
  return sdp.replace(/(profile-level-id=[0-9a-f]{4})([0-9a-f]{2})/gi, (whole, profile, level) =>
    parseInt(level, 16) < HIGHEST_LEVEL ? profile + HIGHEST_LEVEL.toString(16) : whole,
  );
}

/**
 * Wait for the candidates, which travel inside the offer.
 *
 * @param {RTCPeerConnection} pc
 * @param {number} timeoutMs
 * @returns {Promise<void>}
 */
function gathered(pc, timeoutMs) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    const check = () => {
      if (pc.iceGatheringState !== "complete" || !pc.localDescription?.sdp.includes("a=candidate:")) return;
      clearTimeout(timer);
      resolve();
    };
    pc.addEventListener("icegatheringstatechange", check);
    check();
  });
}

/**
 * Send the settings with the offer: they hold from the first frame on, so that "blur" never shows a raw one.
 *
 * @param {URL} url
 * @param {string} sdp
 * @param {string|null} token
 * @param {Record<string, unknown>} [settings]
 */
async function offer(url, sdp, token, settings) {
  if (!settings) return post(url, sdp, token);
  const withSettings = new URL(url);
  withSettings.searchParams.set("settings", JSON.stringify(settings));
  try {
    return await post(withSettings, sdp, token);
  } catch (error) {
    // Kept settings that this server does not know must not keep anybody out, unless they are there to hide a face.
    if (!(error instanceof Refused) || error.problem !== "refused") throw error;
    const known = withoutPhotos(settings);
    if (known) return offer(url, sdp, token, known);
    if (settings.lost === "blur") throw error;
    return post(url, sdp, token);
  }
}

/**
 * @param {URL} url
 * @param {string} sdp
 * @param {string|null} token
 * @returns {Promise<Response>} 201 with the answer.
 * @throws {Refused}
 */
async function post(url, sdp, token) {
  const headers = { "Content-Type": "application/sdp", ...authorization(token) };
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await fetch(url, { method: "POST", headers, body: sdp, signal });
  if (response.status === 201) return response;
  const reason = await reasonOf(response);
  const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || null;
  if (response.status === 401) throw new Refused("token", reason, null, 401);
  if (response.status === 503) throw new Refused("full", reason, retryAfter, 503);
  // The name of the stream is still held by the session that was lost.
  if (response.status === 409) throw new Refused("lost", reason, HELD_RETRY_MS, 409);
  if (response.status === 429 || response.status >= 500) throw new Refused("unreachable", reason, retryAfter, response.status);
  throw new Refused("refused", reason, null, response.status);
}

/**
 * Close a connection and its session on the server.
 *
 * @param {Peer} peer
 * @param {string|null} token
 */
export function close({ pc, resource }, token) {
  pc.close();
  // keepalive: the request outlives a page that is closing, so that the place is free at once.
  if (resource) fetch(resource, { method: "DELETE", headers: authorization(token), keepalive: true }).catch(() => {});
}
