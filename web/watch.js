// Watching a running session (WHEP): what OBS shows when the page itself holds the camera.

import { close, negotiate } from "./whip.js";

const RETRY_MS = 2_000;
const GRACE_MS = 3_000;

/**
 * @import { Peer } from "./whip.js"
 * @typedef {{url: URL, iceServers: RTCIceServer[], token: string|null}} Options url: the WHEP endpoint with the stream's name.
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
    } catch {
      // Nobody sends it yet, or the server is away: both pass.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * One viewing; resolves when it has ended.
 *
 * @param {HTMLVideoElement} video
 * @param {Options} options
 */
async function watchOnce(video, { url, iceServers, token }) {
  const pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  /** @type {Peer} */
  const peer = { pc, resource: null };
  try {
    const { receiver } = pc.addTransceiver("video", { direction: "recvonly" });
    const { receiver: sound } = pc.addTransceiver("audio", { direction: "recvonly" });
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    await pc.setLocalDescription();
    peer.resource = await negotiate(pc, url, token);
    video.srcObject = new MediaStream([receiver.track, sound.track]);
    play(video);
    await ended(pc);
  } finally {
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
 * @param {RTCPeerConnection} pc
 * @returns {Promise<void>}
 */
function ended(pc) {
  return new Promise((resolve) => {
    let grace = setTimeout(resolve, 5 * GRACE_MS); // to connect at all
    pc.addEventListener("connectionstatechange", () => {
      clearTimeout(grace);
      if (["failed", "closed"].includes(pc.connectionState)) resolve();
      if (pc.connectionState === "disconnected") grace = setTimeout(resolve, GRACE_MS);
    });
  });
}
