// A picture or a clip in place of the camera, for those who have none or do not want to show it. It stays in this page
// until the user has pressed the button, and takes the camera's way from then on.

import { contextOf } from "./dom.js";

const FRAME_MS = 40;
const LONGEST = 1280;

/**
 * @param {File} file a picture, or a clip that this browser can play.
 * @returns {Promise<MediaStream>} one video track; it ends when it is stopped.
 * @throws {Error} the browser cannot show it.
 */
export async function openSample(file) {
  const source = file.type.startsWith("video/") ? await openClip(file) : await createImageBitmap(file);
  const [width, height] = source instanceof HTMLVideoElement ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  // Even sides: video is coded in pairs of pixels.
  Object.assign(canvas, { width: 2 * Math.round((width * scale) / 2), height: 2 * Math.round((height * scale) / 2) });
  const context = contextOf(canvas, { alpha: false });
  const draw = () => context.drawImage(source, 0, 0, canvas.width, canvas.height);
  draw();
  const stream = canvas.captureStream();
  const [track] = stream.getVideoTracks();
  const timer = setInterval(() => {
    if (track.readyState === "live") return draw();
    clearInterval(timer);
    if (source instanceof HTMLVideoElement) closeClip(source);
    else source.close();
  }, FRAME_MS);
  return stream;
}

/**
 * @param {File} file
 * @returns {Promise<HTMLVideoElement>} playing, again and again.
 */
async function openClip(file) {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, src: URL.createObjectURL(file) });
  try {
    await video.play();
    if (!video.videoWidth) throw new Error("no picture");
  } catch (error) {
    closeClip(video);
    throw error;
  }
  return video;
}

/**
 * An element that nobody holds plays on, and keeps its file.
 *
 * @param {HTMLVideoElement} video
 */
function closeClip(video) {
  video.pause();
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}
