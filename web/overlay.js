// What lies behind the edit, drawn over the picture: face mesh, crop, outlines of the masks, ids and stage times.

/**
 * @typedef {object} FaceDrawn points are packed, see `unpackPoints`; "" for none.
 * @property {number} id
 * @property {boolean} edited
 * @property {string} mesh
 * @property {string} quad
 * @property {{mask: string, points: string}[]} outlines
 *
 * @typedef {{faces: FaceDrawn[], stages: Record<string, number>, detected: boolean}} OverlayMessage
 *
 * @typedef {[x: number, y: number]} Point in parts of the picture.
 */

const WIDTH = 960; // pixels of the canvas
const STALE_MS = 1_000; // lines over a picture that has moved on mislead

/** @type {Record<string, string>} */
const COLOURS = { edit: "#ffb454", hair: "#b48cff", face: "#6fd08c", occluder: "#ff6b6b", mesh: "rgb(160 220 255 / 75%)", quad: "#ffffff" };

// Lines of the MediaPipe face mesh: outline, brows, eyes, nose, lips. Those that end where they begin are closed.
const LINES = [
  [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10],
  [70, 63, 105, 66, 107],
  [336, 296, 334, 293, 300],
  [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7, 33],
  [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249, 263],
  [168, 6, 197, 195, 5, 4, 1],
  [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146, 61],
  [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78],
];

/**
 * @param {string} packed base64 of uint16, x and y in turn, little endian: 0 is -1, 65535 is 2 pictures.
 * @returns {Point[]}
 */
export function unpackPoints(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const part = (/** @type {number} */ at) => (view.getUint16(at, true) / 65535) * 3 - 1;
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => [part(4 * index), part(4 * index + 2)]);
}

export class Overlay {
  /** @type {HTMLCanvasElement} */
  #canvas;
  /** @type {CanvasRenderingContext2D|null} */
  #context;
  #on = false;
  #timer = 0;
  #due = 0;

  /** @param {HTMLCanvasElement} canvas lies over the picture, same size. */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true }); // thin lines a few times a second: no work for a GPU
  }

  /** @param {boolean} on */
  use(on) {
    this.#on = on;
    this.#canvas.hidden = !on;
    this.clear();
  }

  clear() {
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#due);
    this.#context?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    delete this.#canvas.dataset.faces;
  }

  /**
   * Draw with the next picture; of messages that come faster than pictures, the newest counts.
   *
   * @param {OverlayMessage} message
   * @param {{mirror: boolean}} view
   */
  draw(message, view) {
    cancelAnimationFrame(this.#due);
    if (this.#on) this.#due = requestAnimationFrame(() => this.#draw(message, view));
  }

  /**
   * @param {OverlayMessage} message
   * @param {{mirror: boolean}} view
   */
  #draw({ faces, stages, detected }, { mirror }) {
    const { clientWidth, clientHeight } = this.#canvas;
    const context = this.#context;
    if (!context || clientWidth === 0) return;
    this.clear();
    this.#canvas.width = WIDTH;
    this.#canvas.height = Math.round((WIDTH * clientHeight) / clientWidth);
    const { width, height } = this.#canvas;
    const place = (/** @type {Point} */ [x, y]) => /** @type {Point} */ ([(mirror ? 1 - x : x) * width, y * height]);
    for (const face of faces) drawFace(context, face, place);
    drawTimes(context, stages, detected);
    this.#canvas.dataset.faces = faces.map(({ id }) => id).join(" ");
    this.#timer = setTimeout(() => this.clear(), STALE_MS);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {FaceDrawn} face
 * @param {(point: Point) => Point} place from parts of the picture to pixels of the canvas.
 */
function drawFace(context, { id, edited, mesh, quad, outlines }, place) {
  const points = unpackPoints(mesh).map(place);
  const corners = unpackPoints(quad).map(place);
  for (const { mask, points: packed } of outlines) drawLine(context, unpackPoints(packed).map(place), COLOURS[mask] ?? COLOURS.quad, true);
  if (points.length > 0) {
    for (const line of LINES) drawLine(context, line.map((vertex) => points[vertex]), COLOURS.mesh, false);
    context.fillStyle = COLOURS.mesh;
    for (const [x, y] of points) context.fillRect(x - 1, y - 1, 2, 2);
  }
  drawLine(context, corners, COLOURS.quad, true);
  const all = corners.length > 0 ? corners : points;
  if (all.length === 0) return;
  const [left, top] = [0, 1].map((axis) => Math.max(4, Math.min(...all.map((point) => point[axis]))));
  const names = [...new Set(outlines.map(({ mask }) => mask))];
  let x = drawText(context, `face ${id}${edited ? "" : ", not edited"}`, [left, Math.max(18, top - 8)], COLOURS.quad);
  for (const name of names) x = drawText(context, name, [x + 10, Math.max(18, top - 8)], COLOURS[name] ?? COLOURS.quad);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Record<string, number>} stages milliseconds.
 * @param {boolean} detected
 */
function drawTimes(context, stages, detected) {
  const rows = Object.entries(stages).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms${name === "track" && detected ? " (detected)" : ""}`);
  const sum = Object.values(stages).reduce((total, ms) => total + ms, 0);
  const lines = [...rows, `frame ${sum.toFixed(1)} ms`].reverse();
  lines.forEach((line, index) => drawText(context, line, [10, context.canvas.height - 12 - 22 * index], COLOURS.quad));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Point[]} points
 * @param {string} colour
 * @param {boolean} closed
 */
function drawLine(context, points, colour, closed) {
  if (points.length < 2) return;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  if (closed) context.closePath();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {Point} at its lower left.
 * @param {string} colour
 * @returns {number} where it ends.
 */
function drawText(context, text, [x, y], colour) {
  context.font = "600 15px system-ui, sans-serif";
  const { width } = context.measureText(text);
  context.fillStyle = "rgb(10 11 12 / 65%)";
  context.fillRect(x - 4, y - 16, width + 8, 21);
  context.fillStyle = colour;
  context.fillText(text, x, y);
  return x + width;
}
