// One peer connection to the server, set up again when it is lost.

import { Emitter } from "./emitter.js";
import { close, isKnown, negotiate, Refused, restartIce } from "./whip.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
const CONNECT_TIMEOUT_MS = 15_000;
// A server that is about to stop gives this time, and more, for a new session to begin elsewhere.
const MOVE_TIMEOUT_MS = 5_000;
const MOVE_SPREAD_MS = 300; // all its clients are asked at once
// After a change of network ICE is restarted; a stale picture is worse than a new session.
const DISCONNECTED_GRACE_MS = 5_000;
const RESTART_AFTER_MS = 700; // ICE often recovers from "disconnected" by itself
// A camera at 30 fps stays sharp at about this many bits per pixel and frame.
const BITS_PER_PIXEL = 0.15;
const LOWEST_UPLINK_BPS = 2_000_000;

/**
 * @import { Peer, Problem } from "./whip.js"
 *
 * @typedef {Peer & {channel: RTCDataChannel, early: () => string[]}} SteeredPeer early: the messages that came before
 *   anybody listened, from when it is called on by whoever calls it.
 *
 * @typedef {object} Options
 * @property {URL} url the WHIP endpoint.
 * @property {MediaStream|null} stream one video track to edit, and an audio track if sound is to come back in step with it;
 *   null only receives.
 * @property {RTCIceServer[]} iceServers
 * @property {string|null} token
 * @property {() => Record<string, unknown>|null} settings gives those of the stream from its first frame on; null leaves
 *   those of the server.
 *
 * @typedef {object} StateDetail
 * @property {"connecting"|"connected"|"waiting"|"stopped"} state
 * @property {Problem|null} problem
 * @property {string} reason in the server's words, "" where it said nothing.
 * @property {number|null} retryAt performance.now() time of the next try.
 *
 * @typedef {object} Events
 * @property {StateDetail} state
 * @property {{channel: RTCDataChannel, early: string[]}} channel the open data channel "control" of a fresh session, and
 *   the messages that came before this event.
 * @property {{stream: MediaStream}} stream what the server sends back.
 * @property {undefined} leaving the stream of the session is about to end, and that of the next one takes its place.
 */

/**
 * @param {number} attempt 0, 1, ...
 * @param {number} random in [0, 1); spreads the clients out.
 * @returns {number} milliseconds to wait before that try.
 */
export function backOff(attempt, random) {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt) * (0.75 + 0.5 * random);
}

/** @extends {Emitter<Events>} */
export class Connection extends Emitter {
  /** @type {SteeredPeer|null} */
  #peer = null;
  /** @type {Options|null} null when there is to be no connection. */
  #options = null;
  #attempt = 0;
  #retryTimer = 0;
  #round = 0;
  #over = new AbortController(); // of the peer in use

  /** The RTCPeerConnection in use, for statistics; null while there is none. */
  get peer() {
    return this.#peer?.pc ?? null;
  }

  /** @param {Options} options */
  start(options) {
    this.stop();
    this.#options = options;
    this.#attempt = 0;
    this.#connect(options);
  }

  stop() {
    this.#round += 1;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#drop();
    this.#options = null;
  }

  /** Try again at once. */
  retryNow() {
    if (!this.#options || !this.#retryTimer) return;
    clearTimeout(this.#retryTimer);
    this.#connect(this.#options);
  }

  /** The session is no good any more (silence, a goodbye): set up a new one. */
  renew() {
    if (this.#options && this.#peer) this.#lose(new Refused("lost", ""));
  }

  /** Nothing was heard for a while: if the server does not know the session any more, set up a new one. */
  async check() {
    const round = this.#round;
    if (!this.#options || !this.#peer || (await isKnown(this.#peer, this.#options.token))) return;
    if (round === this.#round) this.renew();
  }

  /** The server asks to be left: change over to a new session once that is there; the old one goes on meanwhile. */
  async move() {
    const options = this.#options;
    if (!options || !this.#peer) return;
    const round = ++this.#round; // from here on, the end of the old session is no loss
    try {
      await sleep(Math.random() * MOVE_SPREAD_MS);
      if (round !== this.#round) return;
      /** @type {MediaStream|null} */
      let returned = null;
      const { stream } = options;
      const peer = await connect(options, (edited) => (returned = edited));
      const open = await opens(peer.channel, MOVE_TIMEOUT_MS);
      if (round !== this.#round) return close(peer, options.token);
      if (!open) {
        close(peer, options.token);
        throw new Refused("lost", "");
      }
      this.emit("leaving", undefined);
      this.#drop();
      if (returned) this.emit("stream", { stream: returned });
      await this.#take(peer, round, stream);
    } catch {
      if (round === this.#round) this.#connect(options);
    }
  }

  /**
   * Send another camera (and microphone) over the same connection.
   *
   * @param {MediaStream} stream
   */
  async replaceStream(stream) {
    if (this.#options) this.#options.stream = stream;
    const [video, audio] = this.#peer?.pc.getSenders() ?? [];
    if (!video) return;
    await audio?.replaceTrack(stream.getAudioTracks()[0] ?? null);
    await video.replaceTrack(stream.getVideoTracks()[0]);
    await tune(video, stream);
  }

  /** @param {Options} options */
  async #connect(options) {
    const round = ++this.#round;
    this.#retryTimer = 0;
    this.#drop();
    this.#say("connecting", null);
    try {
      const { stream } = options;
      const peer = await connect(options, (returned) => {
        if (round === this.#round) this.emit("stream", { stream: returned });
      });
      if (round !== this.#round) return close(peer, options.token);
      await this.#take(peer, round, stream);
    } catch (error) {
      if (round === this.#round) this.#lose(error);
    }
  }

  /**
   * Use a session that was set up.
   *
   * @param {SteeredPeer} peer
   * @param {number} round
   * @param {MediaStream|null} offered what was sent when it was offered; another one may have taken its place.
   */
  async #take(peer, round, offered) {
    this.#peer = peer;
    this.#watch(peer, round);
    const stream = this.#options?.stream;
    if (stream && stream !== offered) await this.replaceStream(stream);
  }

  /**
   * @param {SteeredPeer} peer
   * @param {number} round
   */
  #watch(peer, round) {
    const { pc, channel, early } = peer;
    const current = () => round === this.#round;
    const lose = () => {
      if (current()) this.#lose(new Refused("lost", ""));
    };
    let grace = setTimeout(lose, CONNECT_TIMEOUT_MS);
    const opened = () => {
      if (!current()) return;
      clearTimeout(grace);
      this.#attempt = 0;
      this.#say("connected", null);
      this.emit("channel", { channel, early: early() });
    };
    let restarting = false;
    const restart = async () => {
      if (!current() || restarting || channel.readyState !== "open") return;
      restarting = true;
      try {
        await restartIce(peer, this.#options?.token ?? null);
      } catch {
        lose();
      } finally {
        restarting = false;
      }
    };
    let pause = 0;
    pc.addEventListener("connectionstatechange", () => {
      clearTimeout(pause);
      if (pc.connectionState === "failed") lose();
      if (pc.connectionState === "disconnected") {
        pause = setTimeout(restart, RESTART_AFTER_MS);
        clearTimeout(grace);
        grace = setTimeout(lose, DISCONNECTED_GRACE_MS);
      }
      if (pc.connectionState === "connected" && channel.readyState === "open") clearTimeout(grace);
    });
    addEventListener("online", restart, { signal: this.#over.signal }); // another network, often before the old way is known to be dead
    channel.addEventListener("close", lose);
    if (channel.readyState === "open") opened();
    else channel.addEventListener("open", opened);
  }

  /** @param {unknown} error */
  #lose(error) {
    const { problem, message, retryMs } = error instanceof Refused ? error : new Refused("unreachable", "");
    const options = this.#options;
    this.#drop();
    this.#round += 1;
    if (problem === "token" || problem === "refused" || !options) {
      this.#say("stopped", problem, message);
      return;
    }
    const wait = retryMs ?? backOff(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#connect(options), wait);
    this.#say("waiting", problem, message, performance.now() + wait);
  }

  #drop() {
    if (!this.#peer) return;
    this.#over.abort();
    this.#over = new AbortController();
    close(this.#peer, this.#options?.token ?? null);
    this.#peer = null;
  }

  /**
   * @param {StateDetail["state"]} state
   * @param {Problem|null} problem
   * @param {string} reason
   * @param {number|null} retryAt
   */
  #say(state, problem, reason = "", retryAt = null) {
    this.emit("state", { state, problem, reason, retryAt });
  }
}

/**
 * @param {Options} options
 * @param {(stream: MediaStream) => void} onStream
 * @returns {Promise<SteeredPeer>}
 */
async function connect({ url, stream, iceServers, token, settings }, onStream) {
  const pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  try {
    const channel = pc.createDataChannel("control");
    const early = gather(channel); // on a busy machine, the server's hello is here before its answer is applied
    const transceiver = stream
      ? pc.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv", streams: [stream] })
      : pc.addTransceiver("video", { direction: "recvonly" });
    prefer(transceiver);
    for (const track of stream?.getAudioTracks() ?? []) pc.addTransceiver(track, { direction: "sendrecv", streams: stream ? [stream] : [] });
    const returned = new MediaStream();
    pc.addEventListener("track", ({ track, receiver }) => {
      returned.addTrack(track);
      if (track.kind !== "video") return;
      // Show frames as soon as they are decoded: the page is a mirror, not a film.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      onStream(returned);
    });
    await pc.setLocalDescription();
    if (stream) await tune(transceiver.sender, stream);
    return { pc, channel, early, resource: await negotiate(pc, url, token, settings() ?? undefined) };
  } catch (error) {
    pc.close();
    throw error;
  }
}

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * @param {RTCDataChannel} channel
 * @param {number} timeoutMs
 * @returns {Promise<boolean>} whether it opens in time.
 */
function opens(channel, timeoutMs) {
  return new Promise((resolve) => {
    if (channel.readyState === "open") return resolve(true);
    setTimeout(() => resolve(false), timeoutMs);
    channel.addEventListener("open", () => resolve(true));
    channel.addEventListener("close", () => resolve(false));
  });
}

/**
 * Keep what comes over a channel until it is called for.
 *
 * @param {RTCDataChannel} channel
 * @returns {() => string[]} gives the messages so far, and stops to keep them.
 */
function gather(channel) {
  /** @type {string[]} */
  const messages = [];
  const keep = (/** @type {MessageEvent} */ { data }) => messages.push(data);
  channel.addEventListener("message", keep);
  return () => {
    channel.removeEventListener("message", keep);
    return messages;
  };
}

/**
 * H.264 first: it costs both ends less than VP8 at 720p, and phones encode it in hardware.
 *
 * @param {RTCRtpTransceiver} transceiver
 */
function prefer(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ { mimeType }) => (/h264/i.test(mimeType) ? 0 : /vp8/i.test(mimeType) ? 1 : 2);
  if (codecs.length) transceiver.setCodecPreferences?.([...codecs].sort((a, b) => rank(a) - rank(b)));
}

/**
 * Keep the camera's resolution (a browser otherwise quietly halves it) and give it the bits that needs.
 *
 * @param {RTCRtpSender} sender
 * @param {MediaStream} stream
 */
async function tune(sender, stream) {
  const { width = 640, height = 480, frameRate = 30 } = stream.getVideoTracks()[0].getSettings();
  const parameters = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  for (const encoding of parameters.encodings ?? []) {
    encoding.maxBitrate = Math.round(Math.max(LOWEST_UPLINK_BPS, width * height * Math.min(frameRate, 30) * BITS_PER_PIXEL));
    encoding.scaleResolutionDownBy = 1;
  }
  try {
    await sender.setParameters(parameters);
  } catch {
    // Some browsers refuse a field they do not know; the stream works without.
  }
}
