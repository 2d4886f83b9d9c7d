// One visit: what the server can do, the camera, the connection, steering it, and going on when something is lost.

import { everyFrame } from "./before.js";
import { CameraError, mayUseCamera, openCamera, stopStream } from "./camera.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { Emitter } from "./emitter.js";
import { Refusal, request } from "./http.js";
import { openSample } from "./sample.js";
import { tabValue } from "./storage.js";
import { endpoint } from "./whip.js";
import { allowedWords } from "./words.js";

const STATS_EVERY_S = 1;
const FACES_EVERY_S = 0.2;
const OVERLAY_EVERY_S = 0.2;
const RETRY_CAPABILITIES_MS = 3_000;
// The page says so when neither message nor frame comes for this long; the connection is given more time.
const QUIET_MS = 2_500;
const CHECK_QUIET_MS = 250;
// When nothing comes for this long, and again after as long, the server is asked whether it still has the session.
const ASK_MS = 1_500;
// A picture that stands still for this long is no busy machine's any more; and for this long, its session is no good.
const FROZEN_MS = 5_000;
const DEAD_PICTURE_MS = 10_000;
const RENEW_EVERY_MS = 30_000;
const SLEPT_MS = 3_000; // between two checks: nothing was looked at meanwhile
/** States in which a camera that is plugged in, or chosen, is what was missing. */
const WITHOUT_CAMERA = ["no-camera", "no-match", "ended"];
/** The field of a refusal: a photo of the editor, or of a layer. */
const PHOTO = /(^|\.)photo$/;

/**
 * @import { StateDetail } from "./connection.js"
 * @import { OverlayMessage } from "./overlay.js"
 * @import { Capabilities, Page, Settings } from "./page.js"
 * @import { ServerStats } from "./stats.js"
 *
 * @typedef {{reason?: string, retryAt?: number|null, host?: string, camera?: boolean}} StateFacts retryAt: performance.now()
 *   time; camera: whether it is on.
 *
 * @typedef {object} Events
 * @property {{name: string, facts: StateFacts}} state the page is in another state, "" for live.
 * @property {undefined} known the server has told what it can do.
 * @property {undefined} live the first edited frame is on screen.
 * @property {undefined} ended there is no session any more.
 * @property {undefined} leaving the stream is about to end, and that of another session takes its place.
 * @property {undefined} settled the server has answered every change.
 * @property {{field: string, text: string}} refused a setting; "" where it belongs to none.
 * @property {ServerStats} stats
 * @property {OverlayMessage} overlay
 * @property {MediaStreamTrack} camera the one in use.
 * @property {undefined} silent there is no sound although it was wanted.
 */

/** @extends {Emitter<Events>} */
export class Session extends Emitter {
  #connection = new Connection();
  /** @type {Page} */
  #page;
  /** @type {HTMLVideoElement} */
  #camera;
  /** @type {HTMLVideoElement} */
  #edited;
  /** @type {MediaStream|null} */
  #stream = null;
  /** @type {Control|null} */
  #control = null;
  #retryTimer = 0;
  #frameAt = 0;
  #askedAt = -Infinity;
  /** When a picture was last seen, or none was to be expected. */
  #pictureAt = 0;
  #pictures = 0; // shown so far, by the browser's count
  #checkedAt = 0;
  #renewedAt = -Infinity;
  /** Counts what was asked of the camera: what comes for an earlier request is not wanted any more. */
  #turn = 0;
  #opening = false; // the old camera is off already
  #overlay = false;

  /**
   * @param {Page} page
   * @param {{camera: HTMLVideoElement, edited: HTMLVideoElement}} videos
   */
  constructor(page, { camera, edited }) {
    super();
    this.#page = page;
    this.#camera = camera;
    this.#edited = edited;
    this.#connection.on("channel", ({ channel, early }) => this.#open(channel, early));
    this.#connection.on("stream", ({ stream }) => this.#show(stream));
    this.#connection.on("state", (detail) => this.#follow(detail));
    this.#connection.on("leaving", () => this.emit("leaving", undefined));
    edited.addEventListener("pause", () => !document.hidden && this.#control && this.#play(edited)); // full screen on a phone ends so
    setInterval(() => this.#checkQuiet(), CHECK_QUIET_MS);
  }

  /** The RTCPeerConnection in use, for statistics; null while there is none. */
  get peer() {
    return this.#connection.peer;
  }

  /**
   * Put the page into a state.
   *
   * @param {string} name
   * @param {StateFacts} facts
   */
  say(name, facts = {}) {
    this.#page.state = name;
    this.#page.reason = facts.reason ?? "";
    this.emit("state", { name, facts: { ...facts, camera: this.#track?.readyState === "live" } });
  }

  // What the server can do

  /** Ask the server what it can do: "known" follows; until it answers, the page says why not and asks again by itself. */
  async begin() {
    if (!this.#page.state) this.say("loading");
    const token = tabValue("token");
    try {
      await this.refresh();
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) return this.say(token ? "wrong-token" : "token");
      const reason = error instanceof Refusal ? error.message : "";
      this.say("unreachable", { reason, retryAt: performance.now() + RETRY_CAPABILITIES_MS });
      clearTimeout(this.#retryTimer);
      this.#retryTimer = setTimeout(() => this.#page.state === "unreachable" && this.begin(), RETRY_CAPABILITIES_MS);
      return;
    }
    this.emit("known", undefined);
  }

  /** Ask the server again what it can do. */
  async refresh() {
    const response = await request("capabilities", tabValue("token"));
    /** @type {Capabilities} */
    const capabilities = await response.json();
    this.#page.learn(capabilities);
  }

  /** Wait for the user to start, where the camera can be had at all. */
  wait() {
    this.say(mayUseCamera() ? "start" : "insecure", { host: location.host });
  }

  // Starting and stopping

  /**
   * Use a picture or a clip in place of the camera.
   *
   * @param {File} file
   */
  async startWith(file) {
    this.#leave();
    stopStream(this.#stream);
    this.#stream = null;
    this.#page.sample = file;
    await this.start();
  }

  async start() {
    if (this.#page.steers) return this.#steer();
    if (!this.#page.sample) tabValue("live", "1");
    try {
      if (this.#track?.readyState !== "live") {
        this.say("asking");
        if (!(await this.#useCamera())) return;
      }
    } catch (error) {
      return this.#sayWhyNoCamera(error);
    }
    if (!this.#stream) return;
    this.#end();
    this.say("connecting");
    this.#connection.start({
      url: endpoint("whip", this.#page.preferences.output),
      stream: this.#stream,
      iceServers: this.#page.capabilities?.iceServers ?? [],
      token: tabValue("token"),
      settings: () => this.#page.lasting,
    });
  }

  /** Show the server's own camera, and steer that. */
  #steer() {
    this.#end();
    this.say("connecting");
    this.#connection.start({
      url: endpoint("steer", ""),
      stream: null,
      iceServers: this.#page.capabilities?.iceServers ?? [],
      token: tabValue("token"),
      settings: () => null,
    });
  }

  stop() {
    tabValue("live", null);
    this.#leave();
    this.#turn += 1;
    this.#opening = false;
    stopStream(this.#stream);
    this.#stream = null;
    this.#page.sample = null;
    this.#camera.srcObject = null;
    this.wait();
  }

  /** The page is going: free the place on the server. */
  close() {
    this.#leave();
  }

  /** The page is back from where browsers keep pages. */
  async reopen() {
    if (this.#stream || this.#page.steers) await this.start();
  }

  /** Do what the button of the page's state says. */
  async goOn() {
    const { state } = this.#page;
    if (["lost", "full", "unreachable"].includes(state) && (this.#stream || this.#page.steers)) return this.#connection.retryNow();
    if (state === "unreachable") return this.begin();
    if (state === "no-match") this.#page.preferences.device = "";
    return this.start();
  }

  retryNow() {
    this.#connection.retryNow();
  }

  /** A tab that slept may have lost its camera, its connection or its playing video. */
  wake() {
    if (document.hidden || (!this.#stream && !this.#page.steers)) return;
    this.#frameAt = this.#pictureAt = performance.now();
    for (const video of [this.#camera, this.#edited]) this.#play(video);
    if (this.#track?.readyState === "ended" && !this.#opening) this.start();
    else this.#connection.retryNow();
  }

  /** Sound and the name of a stream are agreed on when a connection is made: a change needs a new one. */
  async restart({ newCamera = false } = {}) {
    if (!this.#stream && this.#page.state !== "asking") return;
    this.#end();
    if (newCamera) stopStream(this.#stream);
    await this.start();
  }

  // The camera

  /** @returns {MediaStreamTrack|undefined} of the camera that was opened last. */
  get #track() {
    return this.#stream?.getVideoTracks()[0];
  }

  /** Use the camera and resolution that are chosen now. */
  async changeCamera() {
    // in place of the opening that is under way, or of the one that failed
    if (["asking", "denied", "busy", ...WITHOUT_CAMERA].includes(this.#page.state)) return this.start();
    if (!this.#stream) return;
    try {
      if (await this.#useCamera()) await this.#connection.replaceStream(this.#stream);
    } catch (error) {
      if (error instanceof CameraError) this.#leave();
      this.#sayWhyNoCamera(error);
    }
  }

  /** The user has given the permission that was missing. */
  async allowCamera() {
    if (this.#page.state === "denied") await this.start();
  }

  /** Cameras were plugged in or out. */
  async changeDevices() {
    if (WITHOUT_CAMERA.includes(this.#page.state)) await this.start();
    else if (this.#stream) this.emit("camera", this.#stream.getVideoTracks()[0]);
  }

  /**
   * Open the camera that is chosen; some cameras cannot be opened twice, so the old one goes first.
   *
   * @returns {Promise<boolean>} false: meanwhile it was stopped, or another one was asked for, and nothing stays open.
   */
  async #useCamera() {
    const turn = ++this.#turn;
    this.#opening = true;
    stopStream(this.#stream);
    const { device: deviceId, sound } = this.#page.preferences;
    const [width, height] = this.#page.captureSize;
    const { sample } = this.#page;
    let stream;
    try {
      stream = sample ? await this.#openSample(sample) : await openCamera({ deviceId, width, height, sound });
    } catch (error) {
      if (turn !== this.#turn) return false;
      this.#opening = false;
      throw error;
    }
    if (turn !== this.#turn) {
      stopStream(stream);
      return false;
    }
    this.#opening = false;
    this.#stream = stream;
    if (sound && !sample && stream.getAudioTracks().length === 0) this.emit("silent", undefined);
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (track !== this.#track) return;
      this.#leave();
      stopStream(stream); // its microphone
      this.say("ended");
    });
    this.#camera.srcObject = stream;
    this.emit("camera", track);
    return true;
  }

  /** @param {File} file */
  async #openSample(file) {
    try {
      return await openSample(file);
    } catch (error) {
      this.#page.sample = null;
      throw new CameraError("bad-file", error);
    }
  }

  /** @param {unknown} error */
  #sayWhyNoCamera(error) {
    if (!(error instanceof CameraError)) throw error;
    this.say(error.problem, { host: location.host });
  }

  // The session

  /**
   * Ask the server for a change of settings.
   *
   * @param {Partial<Settings>} patch
   */
  steer(patch) {
    this.#control?.change(patch);
    if ("faces" in patch) this.#wantStats();
  }

  /**
   * Ask for what lies behind the edit, in this connection and those that follow.
   *
   * @param {boolean} wanted
   */
  showOverlay(wanted) {
    this.#overlay = wanted;
    this.#control?.wantOverlay(wanted ? OVERLAY_EVERY_S : 0);
  }

  /**
   * @param {RTCDataChannel} channel
   * @param {string[]} early
   */
  #open(channel, early) {
    this.#control?.stop();
    const control = new Control(channel, early);
    this.#control = control;
    control.on("hello", ({ session, settings, idle = "" }) => {
      this.#page.session = session;
      this.#page.confirmed = settings;
      this.#page.idle = idle;
      if (this.#page.steers) this.emit("settled", undefined); // what is set there holds, not what this page remembers
      else {
        this.#page.wanted = this.#page.lasting;
        control.change(this.#page.wanted); // whatever was moved while the connection was made
      }
      this.#wantStats();
      if (this.#overlay) this.showOverlay(true);
    });
    control.on("settings", ({ settings, idle = "" }) => {
      this.#page.confirmed = settings;
      this.#page.idle = idle;
      if (control.settled) this.emit("settled", undefined);
    });
    control.on("error", ({ field = "", reason, allowed }) => {
      // all of them were refused for it: after a restart the server has no photos
      if (PHOTO.test(field) && this.#page.forgetPhotos()) control.change(this.#page.wanted);
      if (control.settled) this.emit("settled", undefined);
      const words = allowedWords(allowed);
      this.emit("refused", { field, text: words ? `${reason} (allowed: ${words})` : reason });
    });
    control.on("stats", (stats) => this.emit("stats", stats));
    control.on("overlay", (overlay) => this.emit("overlay", overlay));
    control.on("silent", () => this.#connection.renew());
    control.on("bye", ({ reason, detail = reason }) => {
      if (reason === "moving") return void this.#connection.move();
      if (reason === "shutdown") return this.#connection.renew();
      this.#leave();
      this.say(reason === "idle" ? "idle" : "closed", { reason: detail });
    });
  }

  #wantStats() {
    this.#control?.wantStats(this.#page.wanted.faces === "locked" ? FACES_EVERY_S : STATS_EVERY_S);
  }

  /** @param {MediaStream} stream what the server sends back. */
  #show(stream) {
    this.#edited.srcObject = stream;
    const stopWaiting = everyFrame(this.#edited, () => {
      if (this.#edited.srcObject !== stream) return stopWaiting();
      this.#frameAt = performance.now();
      if (this.#edited.videoWidth && this.#control) this.#goLive();
      return undefined;
    });
  }

  /** Say that the server is silent, and that it is back. A page that sleeps hears nothing. */
  #checkQuiet() {
    const now = performance.now();
    const asleep = document.hidden || now - this.#checkedAt > SLEPT_MS;
    this.#checkedAt = now;
    if (asleep || !this.#control) this.#frameAt = now;
    const silence = this.#control === null ? 0 : now - Math.max(this.#frameAt, this.#control.heardAt);
    const frozen = this.#checkPicture(now, asleep);
    const quiet = silence > QUIET_MS || frozen;
    if (silence > ASK_MS && now - this.#askedAt > ASK_MS) {
      this.#askedAt = now;
      this.#connection.check();
    }
    if (quiet && this.#page.state === "") this.say("silent");
    else if (!quiet && this.#page.state === "silent") this.say("");
  }

  /**
   * Messages may come while the picture stands still: play it, and if that does not help, set up a new session.
   *
   * @param {number} now
   * @param {boolean} asleep whether this page could not have seen any.
   * @returns {boolean} whether it stands still although the camera gives pictures.
   */
  #checkPicture(now, asleep) {
    const { totalVideoFrames = 0 } = this.#edited.getVideoPlaybackQuality?.() ?? {};
    const sends = this.#track?.readyState === "live" && !this.#track.muted;
    if (asleep || !sends || !this.#page.live || (totalVideoFrames !== this.#pictures && !this.#edited.paused)) this.#pictureAt = now;
    this.#pictures = totalVideoFrames;
    const still = now - Math.max(this.#pictureAt, this.#frameAt);
    if (still > FROZEN_MS) this.#play(this.#edited);
    if (still > DEAD_PICTURE_MS && now - this.#renewedAt > RENEW_EVERY_MS) {
      this.#renewedAt = now;
      this.#connection.renew();
    }
    return still > FROZEN_MS;
  }

  /** @param {HTMLVideoElement} video */
  #play(video) {
    video.play().catch(() => {});
  }

  #goLive() {
    if (this.#page.live || !this.#control) return;
    this.#page.live = true;
    this.say("");
    this.emit("live", undefined);
  }

  /** @param {StateDetail} detail of the connection. */
  #follow({ state, problem, reason, retryAt }) {
    const page = this.#page;
    if (state === "connecting") {
      if (this.#control) this.#end(); // it was left for another one, which could not be had
      const again = ["lost", "full", "unreachable"].includes(page.state);
      if (again) this.say(page.state, { reason: page.reason });
      else this.say("connecting");
    } else if (state === "waiting") {
      this.#end();
      // Once connected, whatever fails next is still the same loss to the user.
      this.say(problem === "unreachable" && page.state === "lost" ? "lost" : (problem ?? "lost"), { reason, retryAt });
    } else if (state === "stopped") {
      this.#end();
      this.say(problem === "token" && tabValue("token") ? "wrong-token" : (problem ?? "refused"), { reason });
    }
  }

  #leave() {
    this.#end();
    this.#connection.stop();
  }

  #end() {
    this.#control?.stop();
    this.#control = null;
    this.#page.confirmed = null;
    this.#page.idle = "";
    this.#page.obstacles = {};
    this.#page.live = false;
    this.emit("ended", undefined);
  }
}
