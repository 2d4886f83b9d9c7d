// Pictures and recordings, made in the browser and saved on this device only.

import { blobOf, contextOf } from "./dom.js";
import { save } from "./save.js";

// Container, video and audio, best first: MP4 opens everywhere; WebM where the browser cannot write MP4.
const FORMATS = [
  ["video/mp4", "avc1.42E01F", "mp4a.40.2"],
  ["video/mp4", "avc1.42E01F", "opus"],
  ["video/webm", "vp9", "opus"],
  ["video/webm", "vp8", "opus"],
];
const CHUNK_MS = 1_000;
const BITS_PER_PIXEL = 0.15;
const GUTTER = 0.006;

/**
 * Save what a video shows as a PNG; with `before` given, both side by side, before on the left.
 *
 * @param {HTMLVideoElement} edited
 * @param {HTMLCanvasElement|null} before
 * @returns {Promise<string>} name of the file.
 */
export async function takeSnapshot(edited, before) {
  const width = edited.videoWidth;
  const height = edited.videoHeight;
  const gutter = before ? Math.round(width * GUTTER) : 0;
  const canvas = document.createElement("canvas");
  canvas.width = before ? 2 * width + gutter : width;
  canvas.height = height;
  const context = contextOf(canvas, { alpha: false });
  if (before) context.drawImage(before, 0, 0, width, height);
  context.drawImage(edited, before ? width + gutter : 0, 0, width, height);
  return save(await blobOf(canvas, "image/png"), "png");
}

/** Records a stream; it ends when it is stopped or when the stream does, and is saved either way. */
export class Recorder {
  /** @type {MediaRecorder|null} */
  #recorder = null;
  #startedAt = 0;

  /** @param {(name: string|null) => void} onEnd called with the file's name, or null when nothing was recorded. */
  constructor(onEnd) {
    this.onEnd = onEnd;
  }

  get running() {
    return this.#recorder !== null;
  }

  get seconds() {
    return this.running ? (performance.now() - this.#startedAt) / 1000 : 0;
  }

  /**
   * @param {MediaStream} stream
   * @param {number} width
   * @param {number} height
   * @returns {boolean} false when this browser cannot record.
   */
  start(stream, width, height) {
    const mimeType = recordable(stream.getAudioTracks().length > 0);
    if (!mimeType) return false;
    const videoBitsPerSecond = Math.round(width * height * 30 * BITS_PER_PIXEL);
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond });
    /** @type {Blob[]} */
    const chunks = [];
    recorder.addEventListener("dataavailable", ({ data }) => {
      if (data.size) chunks.push(data);
    });
    recorder.addEventListener("stop", () => {
      this.#recorder = null;
      const extension = mimeType.startsWith("video/mp4") ? "mp4" : "webm";
      this.onEnd(chunks.length ? save(new Blob(chunks, { type: mimeType.split(";")[0] }), extension) : null);
    });
    recorder.start(CHUNK_MS);
    this.#recorder = recorder;
    this.#startedAt = performance.now();
    return true;
  }

  stop() {
    if (this.#recorder?.state === "recording") this.#recorder.stop();
  }
}

/**
 * @param {boolean} withSound
 * @returns {string|undefined} the best type of file that this browser can write.
 */
function recordable(withSound) {
  if (typeof MediaRecorder === "undefined") return undefined;
  return FORMATS.map(([container, video, audio]) => `${container};codecs=${withSound ? `${video},${audio}` : video}`).find((type) =>
    MediaRecorder.isTypeSupported(type),
  );
}
