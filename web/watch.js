// Watching a running session (WHEP): what OBS shows when the page itself holds the camera.

import { everyFrame } from "./before.js";
import { Refused, close, negotiate } from "./whip.js";

const RETRY_MS = 2_000;
const CONNECT_MS = 15_000;
// A frozen face is worse than none.
const SILENCE_MS = 2_500;
const LOST_MS = 10_000;
const CHECK_MS = 250;
/** @type {Record<number, string>} HTTP status of an attempt, 0 for no answer -> state of the page. */
const STATES = { 0: "output-away", 401: "output-token", 404: "output-unknown", 503: "output-full" };

/**
 * @import { Peer } from "./whip.js"
 * @typedef {object} Options
 * @property {URL} url the WHEP endpoint with the stream's name.
 * @property {RTCIceServer[]} iceServers
 * @property {string|null} token
 * @property {(state: string, reason: string) => void} onTrouble nothing can be watched now: state of the page that says so,
 *   and the server's words.
 * @property {() => void} onPicture there is a picture.
 */

/**
 * Show a named stream in a video element, from when it is there, again and again.
 *
 * @param {HTMLVideoElement} video
 * @param {Options} options
 */
export async function watchStream(video, options) {
  for (;;) {
    try {
      await watchOnce(video, options);
    } catch (error) {
      const { state, reason } = troubleOf(error); // nobody sends it yet, or the server is away: both pass
      options.onTrouble(state, reason);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * @param {unknown} error of an attempt to watch.
 * @returns {{state: string, reason: string}} state of the page; reason: in the server's words, "" where it does not answer.
 */
export function troubleOf(error) {
  const { status, message } = error instanceof Refused ? error : { status: 0, message: "" };
  return { state: STATES[status] ?? "output-refused", reason: message };
}

/**
 * One viewing; resolves when it has ended.
 *
 * @param {HTMLVideoElement} video
 * @param {Options} options
 */
async function watchOnce(video, { url, iceServers, token, onPicture }) {
  const pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  const channel = pc.createDataChannel("control"); // over which the server says that the video has ended
  /** @type {Peer} */
  const peer = { pc, resource: null };
  let stopWaiting = () => {};
  try {
    const { receiver } = pc.addTransceiver("video", { direction: "recvonly" });
    const sound = pc.addTransceiver("audio", { direction: "recvonly" });
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    await pc.setLocalDescription();
    peer.resource = await negotiate(pc, url, token);
    // a track on which nothing ever comes would keep a recording of this stream empty
    const tracks = sound.currentDirection === "recvonly" ? [receiver.track, sound.receiver.track] : [receiver.track];
    video.srcObject = new MediaStream(tracks);
    play(video);
    stopWaiting = everyFrame(video, () => {
      if (!video.videoWidth) return;
      stopWaiting();
      onPicture();
    });
    await ended(pc, channel, receiver, (silent) => video.classList.toggle("silent", silent));
  } finally {
    stopWaiting();
    video.classList.remove("silent");
    close(peer, token);
    video.srcObject = null;
  }
}

/**
 * With sound, where the browser lets a page start with it: OBS does, others want a click first.
 *
 * @param {HTMLVideoElement} video
 */
async function play(video) {
  video.muted = false;
  try {
    await video.play();
  } catch {
    video.muted = true;
    await video.play().catch(() => {});
  }
}

/**
 * Wait for the end of a viewing: the server says so, the connection ends, or nothing comes for long.
 *
 * @param {RTCPeerConnection} pc
 * @param {RTCDataChannel} channel
 * @param {RTCRtpReceiver} receiver of the video.
 * @param {(silent: boolean) => void} onSilence called when no video comes for a moment, and when it comes again.
 * @returns {Promise<void>}
 */
function ended(pc, channel, receiver, onSilence) {
  return new Promise((resolve) => {
    let [packets, heardAt] = [0, performance.now()];
    const check = async () => {
      const now = performance.now();
      const received = await packetsOf(receiver);
      if (received !== packets) [packets, heardAt] = [received, now];
      onSilence(packets > 0 && now - heardAt > SILENCE_MS);
      if (now - heardAt > (packets > 0 ? LOST_MS : CONNECT_MS)) end();
    };
    const timer = setInterval(check, CHECK_MS);
    const end = () => {
      clearInterval(timer);
      resolve();
    };
    channel.addEventListener("message", ({ data }) => typeof data === "string" && data.includes('"bye"') && end());
    channel.addEventListener("close", end);
    receiver.transport?.addEventListener("statechange", () => receiver.transport?.state === "closed" && end());
    pc.addEventListener("connectionstatechange", () => ["failed", "closed"].includes(pc.connectionState) && end());
  });
}

/**
 * @param {RTCRtpReceiver} receiver
 * @returns {Promise<number>} how many packets it has received.
 */
async function packetsOf(receiver) {
  for (const report of (await receiver.getStats()).values()) if (report.type === "inbound-rtp") return report.packetsReceived;
  return 0;
}
