// One peer connection to the server, set up the WHIP way (RFC 9725), and set up again when it is lost.

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
const GATHERING_TIMEOUT_MS = 2_000;
const CONNECT_TIMEOUT_MS = 15_000;
// ICE often recovers from "disconnected" by itself; a stale picture is worse than a quick reconnection.
const DISCONNECTED_GRACE_MS = 2_500;
// A camera at 30 fps stays sharp at about this many bits per pixel and frame.
const BITS_PER_PIXEL = 0.15;
const LOWEST_UPLINK_BPS = 2_000_000;

class Refused extends Error {
  constructor(problem, reason, retryMs) {
    super(reason);
    this.problem = problem;
    this.retryMs = retryMs;
  }
}

/** @returns {number} milliseconds before try number `attempt` (0, 1, ...); `random` in [0, 1) spreads the clients out. */
export function backOff(attempt, random) {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt) * (0.75 + 0.5 * random);
}

/**
 * Events:
 *   "state"   detail {state: "connecting"|"connected"|"waiting"|"stopped", problem, reason, retryAt}
 *             problem: "unreachable"|"lost"|"full"|"token"|"refused"|null; retryAt: performance.now() time of the next try.
 *   "channel" detail {channel}: the open data channel "control" of a fresh session.
 *   "stream"  detail {stream}: what the server sends back.
 */
export class Connection extends EventTarget {
  #peer = null;
  #attempt = 0;
  #retryTimer = 0;
  #round = 0;
  #options = null;

  /** The RTCPeerConnection in use, for statistics; null while there is none. */
  get peer() {
    return this.#peer?.pc ?? null;
  }

  /**
   * @param {{url: URL, stream: MediaStream, iceServers: RTCIceServer[], token: string|null,
   *   settings: () => object}} options
   *   url: the WHIP endpoint. stream: one video track to edit, and an audio track if sound is to come back in step with it.
   *   settings: gives those of the stream from its first frame on.
   */
  start(options) {
    this.stop();
    this.#options = options;
    this.#attempt = 0;
    this.#connect();
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
    this.#connect();
  }

  /** The session is no good any more (silence, a goodbye): set up a new one. */
  renew() {
    if (this.#options && this.#peer) this.#lose(new Refused("lost", ""));
  }

  /** Send another camera (and microphone) over the same connection. */
  async replaceStream(stream) {
    if (this.#options) this.#options.stream = stream;
    const [video, audio] = this.#peer?.pc.getSenders() ?? [];
    if (!video) return;
    await audio?.replaceTrack(stream.getAudioTracks()[0] ?? null);
    await video.replaceTrack(stream.getVideoTracks()[0]);
    await tune(video, stream);
  }

  async #connect() {
    const round = ++this.#round;
    this.#retryTimer = 0;
    this.#drop();
    this.#say("connecting", null);
    try {
      const peer = await negotiate(this.#options, (stream) => {
        if (round === this.#round) this.dispatchEvent(new CustomEvent("stream", { detail: { stream } }));
      });
      if (round !== this.#round) return close(peer, this.#options?.token);
      this.#peer = peer;
      this.#watch(peer, round);
    } catch (error) {
      if (round === this.#round) this.#lose(error);
    }
  }

  #watch(peer, round) {
    const { pc, channel } = peer;
    const current = () => round === this.#round;
    const lose = () => current() && this.#lose(new Refused("lost", ""));
    let grace = setTimeout(lose, CONNECT_TIMEOUT_MS);
    const opened = () => {
      if (!current()) return;
      clearTimeout(grace);
      this.#attempt = 0;
      this.#say("connected", null);
      this.dispatchEvent(new CustomEvent("channel", { detail: { channel } }));
    };
    pc.addEventListener("connectionstatechange", () => {
      if (pc.connectionState === "failed") lose();
      if (pc.connectionState === "disconnected") grace = setTimeout(lose, DISCONNECTED_GRACE_MS);
      if (pc.connectionState === "connected" && channel.readyState === "open") clearTimeout(grace);
    });
    channel.addEventListener("close", lose);
    if (channel.readyState === "open") opened();
    else channel.addEventListener("open", opened);
  }

  #lose(error) {
    const problem = error instanceof Refused ? error.problem : "unreachable";
    this.#drop();
    if (problem === "token" || problem === "refused") {
      this.#round += 1;
      this.#say("stopped", problem, error.message);
      return;
    }
    const wait = error.retryMs ?? backOff(this.#attempt, Math.random());
    this.#attempt += 1;
    this.#round += 1;
    this.#retryTimer = setTimeout(() => this.#connect(), wait);
    this.#say("waiting", problem, error.message, performance.now() + wait);
  }

  #drop() {
    if (!this.#peer) return;
    close(this.#peer, this.#options?.token);
    this.#peer = null;
  }

  #say(state, problem, reason = "", retryAt = null) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, problem, reason, retryAt } }));
  }
}

async function negotiate({ url, stream, iceServers, token, settings }, onStream) {
  const pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  try {
    const channel = pc.createDataChannel("control");
    const transceiver = pc.addTransceiver(stream.getVideoTracks()[0], { direction: "sendrecv", streams: [stream] });
    prefer(transceiver);
    for (const track of stream.getAudioTracks()) pc.addTransceiver(track, { direction: "sendrecv", streams: [stream] });
    const returned = new MediaStream();
    pc.addEventListener("track", ({ track, receiver }) => {
      returned.addTrack(track);
      if (track.kind !== "video") return;
      // Show frames as soon as they are decoded: the page is a mirror, not a film.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      onStream(returned);
    });
    await pc.setLocalDescription();
    await tune(transceiver.sender, stream);
    await gathered(pc);
    const response = await offer(url, pc.localDescription.sdp, token, settings?.());
    const location = response.headers.get("Location");
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    return { pc, channel, resource: location ? new URL(location, url) : null };
  } catch (error) {
    pc.close();
    throw error;
  }
}

/** H.264 first: it costs both ends less than VP8 at 720p, and phones encode it in hardware. */
function prefer(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  const rank = ({ mimeType }) => (/h264/i.test(mimeType) ? 0 : /vp8/i.test(mimeType) ? 1 : 2);
  if (codecs.length) transceiver.setCodecPreferences?.([...codecs].sort((a, b) => rank(a) - rank(b)));
}

/** Keep the camera's resolution (a browser otherwise quietly halves it) and give it the bits that needs. */
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

/** Wait for the candidates, which travel inside the offer. */
export function gathered(pc) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHERING_TIMEOUT_MS);
    const check = () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    };
    pc.addEventListener("icegatheringstatechange", check);
    check();
  });
}

/** Send the settings with the offer: they hold from the first frame on, so that "blur" never shows a raw one. */
async function offer(url, sdp, token, settings) {
  if (!settings) return post(url, sdp, token);
  const withSettings = new URL(url);
  withSettings.searchParams.set("settings", JSON.stringify(settings));
  try {
    return await post(withSettings, sdp, token);
  } catch (error) {
    // Kept settings that this server does not know must not keep anybody out, unless they are there to hide a face.
    if (error.problem !== "refused" || settings.lost === "blur") throw error;
    return post(url, sdp, token);
  }
}

/** Post an offer. @returns {Promise<Response>} 201 with the answer; anything else is thrown. */
export async function post(url, sdp, token) {
  const headers = { "Content-Type": "application/sdp", ...authorization(token) };
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await fetch(url, { method: "POST", headers, body: sdp, signal });
  if (response.status === 201) return response;
  const reason = await reasonOf(response);
  const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || null;
  if (response.status === 401) throw new Refused("token", reason);
  if (response.status === 503) throw new Refused("full", reason, retryAfter);
  // The name of the stream is still held by the session that was lost.
  if (response.status === 409) throw new Refused("lost", reason, 1_000);
  if (response.status === 429 || response.status >= 500) throw new Refused("unreachable", reason, retryAfter);
  throw new Refused("refused", reason);
}

/** The server's own words for a refusal, from JSON {"detail": ...} or plain text. */
export async function reasonOf(response) {
  const text = (await response.text()).slice(0, 500);
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : `HTTP ${response.status}`;
  } catch {
    return text.startsWith("<") || !text ? `HTTP ${response.status}` : text;
  }
}

export function authorization(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Close a connection and its session on the server. */
export function close({ pc, resource }, token) {
  pc.close();
  // keepalive: the request outlives a page that is closing, so that the place is free at once.
  if (resource) fetch(resource, { method: "DELETE", headers: authorization(token), keepalive: true }).catch(() => {});
}
