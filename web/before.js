// The camera as it was when the edited frame on screen was taken: both sides of the divider show the same moment.
//
// The trip to the server takes a few frames. The page measures it by looking: it compares small grey copies of what the
// camera showed with what came back, and finds the shift in time at which they agree. That needs no help from the server
// and no clock in common, and is the true delay from camera to screen.

import { contextOf } from "./dom.js";

const THUMB_WIDTH = 32;
const THUMB_HEIGHT = 18;
const LONGEST_DELAY_MS = 3_000;
const LAG_STEP_MS = 5;
const FEWEST_FRAMES = 4;
const HISTORY_FRAMES = 24;
const BURST_MS = 1_000;
const LONGEST_BURST_MS = 6_000;
const REST_MS = 5_000;
const FIRST_GUESS_MS = 100;
// The best shift has to be this much better than the typical one, or nothing moved and the match means nothing.
const CLEAR_MATCH = 0.75;

/** @typedef {{time: number, grey: Uint8Array}} Thumb time in ms. */

/**
 * @param {Thumb[]} local what the camera showed, in order.
 * @param {Thumb[]} returned what came back, in order.
 * @returns {number|null} the delay in ms; null when the picture moved too little to tell.
 */
export function bestLag(local, returned) {
  const first = local[0]?.time ?? 0;
  const last = local.at(-1)?.time ?? 0;
  // Every shift is judged on the same frames, or a shift whose frames happen to move little would look good.
  const longest = Math.min(LONGEST_DELAY_MS, (last - first) / 2);
  const judged = returned.filter(({ time }) => time >= first + longest && time <= last);
  if (judged.length < FEWEST_FRAMES || longest < 2 * LAG_STEP_MS) return null;
  const costs = [];
  for (let lag = 0; lag <= longest; lag += LAG_STEP_MS) {
    const sum = judged.reduce((total, { time, grey }) => total + difference(grey, nearest(local, time - lag).grey), 0);
    costs.push(sum / judged.length);
  }
  const least = Math.min(...costs);
  const typical = [...costs].sort((a, b) => a - b)[costs.length >> 1];
  const best = costs.indexOf(least);
  // At the end of the range, the true delay may be longer than could be seen.
  if (least >= CLEAR_MATCH * typical || best === costs.length - 1) return null;
  // Frames are 33 ms apart, so a range of shifts is equally good: its middle is the delay.
  let end = best;
  while (end + 1 < costs.length && costs[end + 1] <= least * 1.02 + 0.01) end += 1;
  return (LAG_STEP_MS * (best + end)) / 2;
}

/**
 * @template {{time: number}} T
 * @param {T[]} thumbs at least one.
 * @param {number} time
 * @returns {T}
 */
function nearest(thumbs, time) {
  let best = thumbs[0];
  for (const thumb of thumbs) {
    if (Math.abs(thumb.time - time) < Math.abs(best.time - time)) best = thumb;
  }
  return best;
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function difference(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}

/**
 * Call `onFrame(now)` for every frame a video shows, until the returned function is called.
 *
 * @param {HTMLVideoElement} video
 * @param {(now: number) => void} onFrame
 * @returns {() => void}
 */
export function everyFrame(video, onFrame) {
  let running = true;
  const shows = "requestVideoFrameCallback" in video;
  const request = (/** @type {(now: number) => void} */ callback) =>
    shows ? video.requestVideoFrameCallback(callback) : requestAnimationFrame(callback);
  const step = (/** @type {number} */ now) => {
    if (!running) return;
    onFrame(now);
    request(step);
  };
  request(step);
  return () => {
    running = false;
  };
}

/** Measures the delay from camera to screen in short bursts. `delay` is in ms, null until known. */
export class DelayMeter {
  #camera;
  #edited;
  #context;
  #timer = 0;
  /** Ends of the burst's frame loops. @type {(() => void)[]} */
  #stops = [];
  /** @type {number|null} */
  delay = null;

  /**
   * @param {HTMLVideoElement} camera
   * @param {HTMLVideoElement} edited
   */
  constructor(camera, edited) {
    this.#camera = camera;
    this.#edited = edited;
    const canvas = document.createElement("canvas");
    canvas.width = THUMB_WIDTH;
    canvas.height = THUMB_HEIGHT;
    this.#context = contextOf(canvas, { willReadFrequently: true });
  }

  start() {
    this.stop();
    this.delay = null;
    this.#measure(0, BURST_MS);
  }

  stop() {
    clearTimeout(this.#timer);
    for (const stop of this.#stops.splice(0)) stop();
  }

  /**
   * Watch for `burst` ms after `rest` ms. A burst has to be longer than the delay: where it finds none, the next is longer.
   *
   * @param {number} rest
   * @param {number} burst
   */
  #measure(rest, burst) {
    this.#timer = setTimeout(() => {
      if (document.hidden) return this.#measure(REST_MS, burst);
      /** @type {Thumb[]} */
      const local = [];
      /** @type {Thumb[]} */
      const returned = [];
      this.#stops = [
        everyFrame(this.#camera, (time) => local.push({ time, grey: this.#grey(this.#camera) })),
        everyFrame(this.#edited, (time) => returned.push({ time, grey: this.#grey(this.#edited) })),
      ];
      this.#timer = setTimeout(() => {
        this.stop();
        const lag = bestLag(local, returned);
        if (lag !== null) this.delay = this.delay === null ? lag : (this.delay + lag) / 2;
        if (lag === null) this.#measure(this.delay === null ? 0 : REST_MS, Math.min(2 * burst, LONGEST_BURST_MS));
        else this.#measure(REST_MS, Math.max(BURST_MS, 3 * lag));
      }, burst);
    }, rest);
  }

  /** @param {HTMLVideoElement} video */
  #grey(video) {
    this.#context.drawImage(video, 0, 0, THUMB_WIDTH, THUMB_HEIGHT);
    const { data } = this.#context.getImageData(0, 0, THUMB_WIDTH, THUMB_HEIGHT);
    const grey = new Uint8Array(THUMB_WIDTH * THUMB_HEIGHT);
    for (let i = 0; i < grey.length; i += 1) grey[i] = (data[4 * i] + 2 * data[4 * i + 1] + data[4 * i + 2]) >> 2;
    return grey;
  }
}

/** Draws the camera, as late as the edited video is, onto a canvas. */
export class BeforeView {
  #camera;
  #edited;
  #canvas;
  #meter;
  /** @type {(() => void)[]} */
  #stops = [];

  /**
   * @param {HTMLVideoElement} camera
   * @param {HTMLVideoElement} edited
   * @param {HTMLCanvasElement} canvas
   * @param {DelayMeter} meter
   */
  constructor(camera, edited, canvas, meter) {
    this.#camera = camera;
    this.#edited = edited;
    this.#canvas = canvas;
    this.#meter = meter;
  }

  /**
   * Draw while `on`; a view that nobody sees costs nothing.
   *
   * @param {boolean} on
   */
  run(on) {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    if (!on) return;
    /** @type {{time: number, canvas: HTMLCanvasElement}[]} */
    const history = [];
    this.#stops = [
      everyFrame(this.#camera, (time) => {
        const oldest = history.length < HISTORY_FRAMES ? undefined : history.shift();
        const slot = oldest?.canvas ?? document.createElement("canvas");
        copy(this.#camera, slot);
        history.push({ time, canvas: slot });
      }),
      everyFrame(this.#edited, (time) => {
        if (history.length === 0) return;
        const then = time - (this.#meter.delay ?? FIRST_GUESS_MS);
        copy(nearest(history, then).canvas, this.#canvas);
      }),
    ];
  }
}

/**
 * @param {HTMLVideoElement|HTMLCanvasElement} source
 * @param {HTMLCanvasElement} canvas
 */
function copy(source, canvas) {
  const [width, height] = "videoWidth" in source ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  contextOf(canvas, { alpha: false }).drawImage(source, 0, 0);
}
