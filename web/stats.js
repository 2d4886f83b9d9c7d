// Figures of the running connection: the browser's own statistics, and those the server sends.

import { make } from "./dom.js";

/**
 * @import { Box, Face } from "./faces.js"
 *
 * @typedef {{p50: number, p95: number}} Percentiles in milliseconds.
 * @typedef {Record<string, Record<string, string>>} Obstacles what keeps controls from changing any face, in words: by the
 *   editor, then by the control.
 *
 * @typedef {object} ServerStats
 * @property {number} fps_in
 * @property {number} fps_out
 * @property {Percentiles|null} [server_ms]
 * @property {Record<string, Percentiles>} [stages]
 * @property {Record<string, Percentiles>} [layers] what each layer costs within a frame, by the name of its editor.
 * @property {Record<string, number>} [beside] what it costs for each frame beside the stream, in the mean.
 * @property {number} [dropped]
 * @property {number} [edits_dropped]
 * @property {string} [reduced] what is left out to keep up, "" for nothing.
 * @property {Face[]} [faces]
 * @property {Box|null} [badge] where the visible mark stands.
 * @property {Obstacles} [obstacles]
 *
 * @typedef {ReturnType<typeof readStats>} BrowserStats
 *
 * @typedef {object} Parts of the page.
 * @property {HTMLElement} body
 * @property {HTMLElement} empty
 * @property {HTMLElement} total
 * @property {HTMLElement} caption
 * @property {HTMLElement} bar
 * @property {HTMLElement} stages body of the table.
 * @property {HTMLTableElement} layers
 * @property {HTMLElement} figures
 */

const KEPT_SHARE = 0.75; // of the frames that were sent, from which nothing is said to be missing

/** @type {Record<string, string>} */
const STAGES = {
  upload: "Encode here",
  network: "Network",
  wait: "Server: decode, wait",
  convert: "Colour conversion",
  track: "Track",
  align: "Align",
  segment: "Segment",
  steady: "Average the light",
  encode: "Read the face",
  inpaint: "Draw what is removed",
  render: "Render",
  blend: "Blend",
  mark: "Invisible mark",
  buffer: "Jitter buffer",
  decode: "Decode here",
  rest: "Waiting for frames, screen",
};

/**
 * The part of getStats() that matters here, as rates since the last call.
 *
 * @param {RTCStatsReport} report
 * @param {{inbound: Record<string, any>, outbound: Record<string, any>}|null} last what the last call returned.
 */
export function readStats(report, last) {
  /** @type {Record<string, any>[]} */
  const all = [...report.values()];
  const inbound = all.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video") ?? {};
  const outbound = all.find((entry) => entry.type === "outbound-rtp" && entry.kind === "video") ?? {};
  const transport = all.find((entry) => entry.type === "transport") ?? {};
  const pair = report.get(transport.selectedCandidatePairId) ?? all.find((entry) => entry.type === "candidate-pair" && entry.nominated) ?? {};
  const codec = report.get(inbound.codecId);
  const seconds = last ? (inbound.timestamp - last.inbound.timestamp) / 1000 : 0;
  const rate = (/** @type {number|undefined} */ now, /** @type {number|undefined} */ before) =>
    seconds > 0 ? Math.max(0, (now ?? 0) - (before ?? 0)) / seconds : null;
  /**
   * @param {"inbound"|"outbound"} way
   * @param {string} total a counter of seconds.
   * @param {string} count a counter of frames.
   * @returns {number} milliseconds a frame.
   */
  const mean = (way, total, count) => {
    const now = way === "inbound" ? inbound : outbound;
    const frames = (now[count] ?? 0) - (last?.[way][count] ?? 0);
    const spent = (now[total] ?? 0) - (last?.[way][total] ?? 0);
    return frames > 0 ? (1000 * spent) / frames : 0;
  };
  return {
    inbound,
    outbound,
    fps: rate(inbound.framesDecoded, last?.inbound.framesDecoded),
    sentFps: rate(outbound.framesSent, last?.outbound.framesSent),
    downBps: rate(8 * inbound.bytesReceived, 8 * last?.inbound.bytesReceived),
    upBps: rate(8 * outbound.bytesSent, 8 * last?.outbound.bytesSent),
    roundTripMs: pair.currentRoundTripTime === undefined ? null : 1000 * pair.currentRoundTripTime,
    encodeMs: mean("outbound", "totalEncodeTime", "framesEncoded"),
    decodeMs: mean("inbound", "totalDecodeTime", "framesDecoded"),
    bufferMs: mean("inbound", "jitterBufferDelay", "jitterBufferEmittedCount"),
    dropped: inbound.framesDropped ?? 0,
    lost: inbound.packetsLost ?? 0,
    sent: outbound.frameWidth ? [outbound.frameWidth, outbound.frameHeight] : null,
    size: inbound.frameWidth ? [inbound.frameWidth, inbound.frameHeight] : null,
    codec: codec?.mimeType?.replace("video/", "") ?? "",
  };
}

/**
 * The delay from camera to screen, stage by stage.
 *
 * @param {Pick<BrowserStats, "encodeMs"|"roundTripMs"|"bufferMs"|"decodeMs">} browser
 * @param {ServerStats|null} server
 * @param {number|null} delay measured as a whole, in ms; what no stage accounts for becomes the stage "rest".
 * @returns {{name: string, title: string, ms: number}[]}
 */
export function delayStages(browser, server, delay) {
  const stages = Object.fromEntries(Object.entries(server?.stages ?? {}).map(([name, { p50 }]) => [name, p50]));
  const worked = Object.values(stages).reduce((sum, ms) => sum + ms, 0);
  /** @type {Record<string, number>} */
  const parts = {
    upload: browser.encodeMs,
    network: browser.roundTripMs ?? 0,
    wait: Math.max(0, (server?.server_ms?.p50 ?? 0) - worked),
    ...stages,
    buffer: browser.bufferMs,
    decode: browser.decodeMs,
  };
  const known = Object.values(parts).reduce((sum, ms) => sum + ms, 0);
  parts.rest = Math.max(0, (delay ?? 0) - known);
  return Object.entries(STAGES)
    .filter(([name]) => parts[name] > 0.05)
    .map(([name, title]) => ({ name, title, ms: parts[name] }));
}

/**
 * @param {Parts} parts
 * @param {{browser: BrowserStats, server: ServerStats|null, delay: number|null, titleOf: (editor: string) => string}} now
 *   delay: measured from camera to screen in ms, when known.
 */
export function drawStats(parts, { browser, server, delay, titleOf }) {
  parts.body.hidden = false;
  parts.empty.hidden = true;
  const stages = delayStages(browser, server, delay);
  const sum = stages.reduce((total, { ms }) => total + ms, 0);
  parts.total.textContent = `${Math.round(delay ?? sum)} ms`;
  parts.caption.textContent = delay === null ? "of work and travel for each frame" : "from camera to screen";
  const pieces = fit(parts.bar, stages.length, () => make("i"));
  const rows = fit(parts.stages, stages.length, stageRow);
  stages.forEach(({ name, title, ms }, index) => {
    pieces[index].dataset.stage = name;
    pieces[index].style.flexGrow = String(Math.max(ms, sum / 200));
    const [dot, label, value] = rows[index].children;
    const [mark] = dot.children;
    if (mark instanceof HTMLElement) mark.dataset.stage = name;
    label.textContent = title;
    value.textContent = `${ms.toFixed(1)} ms`;
  });
  drawLayerCosts(parts.layers, server, titleOf);
  const figures = figuresOf(browser, server);
  const pairs = fit(parts.figures, figures.length, () => {
    const pair = make("div");
    pair.append(make("dt"), make("dd"));
    return pair;
  });
  figures.forEach(([title, text], index) => {
    const [term, value] = pairs[index].children;
    term.textContent = title;
    value.textContent = text;
  });
}

/**
 * What each layer of the look costs.
 *
 * @param {HTMLTableElement} table
 * @param {ServerStats|null} server
 * @param {(editor: string) => string} titleOf
 */
function drawLayerCosts(table, server, titleOf) {
  const layers = Object.entries(server?.layers ?? {});
  table.hidden = layers.length === 0;
  const rows = fit(table.tBodies[0], layers.length, () => {
    const row = make("tr");
    row.append(make("th", { scope: "row" }), make("td"), make("td"));
    return row;
  });
  layers.forEach(([name, { p50 }], index) => {
    const [title, within, beside] = rows[index].children;
    title.textContent = titleOf(name);
    within.textContent = `${p50.toFixed(1)} ms`;
    beside.textContent = `${(server?.beside?.[name] ?? 0).toFixed(1)} ms`;
  });
}

/**
 * @param {Pick<BrowserStats, "fps"|"sentFps">} browser
 * @param {number|null} delay from camera to screen in ms.
 * @param {ServerStats|null} server
 * @returns {string} how it goes, in one line for people.
 */
export function statsLine({ fps, sentFps }, delay, server) {
  const later = delay === null ? "" : `, ${Math.round(delay)} ms later than your camera`;
  const missing = sentFps !== null && (fps ?? 0) < KEPT_SHARE * sentFps ? `your camera sent ${sentFps.toFixed(0)}` : "everything kept up";
  const kept = server?.reduced ? `to keep up: ${server.reduced}` : missing;
  return `${number(fps, 0)} fps${later}; ${kept}.`;
}

/**
 * @param {BrowserStats} browser
 * @param {ServerStats|null} server
 * @returns {[title: string, text: string][]}
 */
function figuresOf(browser, server) {
  return [
    ["Returned", `${number(browser.fps, 0)} fps`],
    ["Sent", `${number(browser.sentFps, 0)} fps`],
    ["Round trip", `${number(browser.roundTripMs, 0)} ms`],
    ["Server p50 / p95", `${number(server?.server_ms?.p50, 0)} / ${number(server?.server_ms?.p95, 0)} ms`],
    ["Up", `${number(browser.upBps && browser.upBps / 1e6, 2)} Mb/s`],
    ["Down", `${number(browser.downBps && browser.downBps / 1e6, 2)} Mb/s`],
    ["Dropped by the server", number(server?.dropped, 0)],
    ["Edits others left no time for", number(server?.edits_dropped, 0)],
    ["Dropped here", `${browser.dropped}`],
    ["Packets lost", `${browser.lost}`],
    ["Left out to keep up", server?.reduced || "nothing"],
    ["Picture", browser.size ? `${browser.size.join("×")} ${browser.codec}` : "–"],
  ];
}

/**
 * @param {number|null|undefined} value
 * @param {number} decimals
 */
function number(value, decimals) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(decimals);
}

function stageRow() {
  const row = make("tr");
  const dot = make("td");
  dot.append(make("i"));
  row.append(dot, make("th", { scope: "row" }), make("td"));
  return row;
}

/**
 * Give `parent` exactly `count` children, keeping those it has.
 *
 * @param {HTMLElement} parent
 * @param {number} count
 * @param {() => HTMLElement} create
 * @returns {HTMLElement[]} the children.
 */
function fit(parent, count, create) {
  while (parent.children.length > count) parent.lastElementChild?.remove();
  while (parent.children.length < count) parent.append(create());
  return /** @type {HTMLElement[]} */ ([...parent.children]);
}
