// Pictures and recordings, made in the browser and saved on this device only.

import { blobOf, contextOf } from "./dom.js";
import { save } from "./save.js";
import { seekable } from "./webm.js";

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

/** Records one file: a stream whose pictures keep their size. */
export class Recorder {
  /** @type {MediaRecorder} */
  #recorder;
  /** @type {Blob[]} */
  #chunks = [];
  #bytes = 0;
  #recordedMs = 0;
  #since = performance.now();

  /**
   * @param {MediaStream} stream
   * @param {number} width
   * @param {number} height
   * @param {(name: string|null) => void} onEnd called with the file's name, or null when nothing was recorded.
   * @throws {Error} this browser cannot record.
   */
  constructor(stream, width, height, onEnd) {
    const mimeType = recordable(stream.getAudioTracks().length > 0);
    if (!mimeType) throw new Error("This browser cannot record video.");
    const videoBitsPerSecond = Math.round(width * height * 30 * BITS_PER_PIXEL);
    this.#recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond });
    this.#recorder.addEventListener("dataavailable", ({ data }) => {
      this.#bytes += data.size;
      if (data.size) this.#chunks.push(data);
    });
    this.#recorder.addEventListener("stop", async () => {
      if (this.#chunks.length === 0) return onEnd(null);
      const type = mimeType.split(";")[0];
      const file = new Blob(this.#chunks, { type });
      this.#chunks = [];
      onEnd(type === "video/mp4" ? save(file, "mp4") : save(await seekable(file), "webm"));
    });
    this.#recorder.start(CHUNK_MS);
  }

  get paused() {
    return this.#recorder.state === "paused";
  }

  /** Recorded so far, without pauses. */
  get seconds() {
    return (this.#recordedMs + (this.#recorder.state === "recording" ? performance.now() - this.#since : 0)) / 1000;
  }

  get bytes() {
    return this.#bytes;
  }

  togglePause() {
    if (this.#recorder.state === "recording") {
      this.#count();
      this.#recorder.pause();
    } else if (this.paused) {
      this.#since = performance.now();
      this.#recorder.resume();
    }
  }

  /** End the file; it is saved. */
  stop() {
    if (this.#recorder.state === "recording") this.#count();
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
  }

  #count() {
    this.#recordedMs += performance.now() - this.#since;
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
