// The picture and its toolbar: before and after, mirror, faces to press, snapshots, recordings, full screen.

import { BeforeView, DelayMeter } from "./before.js";
import { setUpCompare } from "./compare.js";
import { byId } from "./dom.js";
import { setUpFaces } from "./faces.js";
import { Overlay } from "./overlay.js";
import { takeSnapshot } from "./recorder.js";
import { Recording } from "./recording.js";
import { errorWords, size } from "./words.js";

/**
 * @import { OverlayMessage } from "./overlay.js"
 * @import { Page } from "./page.js"
 * @import { ServerStats } from "./stats.js"
 */

export class Picture {
  camera = byId("camera", HTMLVideoElement);
  edited = byId("edited", HTMLVideoElement);
  #canvas = byId("before", HTMLCanvasElement);
  #mark = byId("mark", HTMLVideoElement);
  #picture = byId("picture");
  #overlay = new Overlay(byId("overlay", HTMLCanvasElement));
  #capture = ["snapshot", "strip", "record", "float"].map((id) => byId(id, HTMLButtonElement));
  #meter = new DelayMeter(this.camera, this.edited);
  #before = new BeforeView(this.camera, this.edited, this.#canvas, this.#meter);
  #recording = new Recording(
    { camera: this.camera, edited: this.edited, before: this.#canvas, split: () => this.compare.split },
    {
      onFile: (name) => {
        const goesOn = this.#recording.running ? " The recording goes on in another file." : "";
        this.#toast(name ? `Saved ${name}.${goesOn}` : "Nothing was recorded.");
      },
      onChange: () => {
        this.showRecording();
        this.#runBefore();
      },
    },
  );
  /** @type {Page} */
  #page;
  /** @type {(text: string) => void} */
  #toast;

  /**
   * @param {Page} page
   * @param {{toast: (text: string) => void, onFace: (id: number) => void}} handlers onFace: the user pressed a face.
   */
  constructor(page, { toast, onFace }) {
    this.#page = page;
    this.#toast = toast;
    this.compare = setUpCompare({ picture: this.#picture, divider: byId("divider"), views: byId("views") }, () => this.#runBefore());
    this.faces = setUpFaces(byId("faces"), onFace);
    this.edited.addEventListener("resize", () => {
      const { videoWidth, videoHeight } = this.edited;
      if (videoHeight) document.documentElement.style.setProperty("--ratio", String(videoWidth / videoHeight));
    });
    const float = byId("float");
    float.hidden = !document.pictureInPictureEnabled;
    for (const [event, on] of Object.entries({ enterpictureinpicture: "true", leavepictureinpicture: "false" })) {
      this.edited.addEventListener(event, () => float.setAttribute("aria-pressed", on));
    }
    byId("fullscreen").hidden = !("requestFullscreen" in this.#picture || "webkitEnterFullscreen" in this.edited);
  }

  /** Delay from camera to screen in ms, null until it is measured. */
  get delay() {
    return this.#meter.delay;
  }

  goLive() {
    this.#enable();
    this.#meter.start();
    this.#runBefore();
    this.#recording.goOn();
  }

  /** The user has stopped, or the server has: the recording ends as well. */
  stop() {
    this.#recording.stop();
  }

  /** Another stream takes the place of this one: the recording goes on in another file. */
  changeOver() {
    this.#recording.interrupt();
  }

  /** The session is gone, for now. */
  end() {
    this.#recording.interrupt();
    this.#meter.stop();
    this.#before.run(false);
    this.faces.show([], { mirror: false, locked: null });
    this.showMark({});
    this.#overlay.clear();
    this.#enable();
    if (document.pictureInPictureElement) document.exitPictureInPicture().catch(() => {});
  }

  /**
   * The visible mark is to be read in one's own mirrored view as well: a copy of its part of the picture, turned back,
   * lies over it.
   *
   * @param {Pick<ServerStats, "badge">} stats
   */
  showMark({ badge = null }) {
    const shown = badge !== null && this.#page.mirrored;
    this.#mark.hidden = !shown;
    if (!shown) {
      this.#mark.srcObject = null;
      return;
    }
    const [x0, y0, x1, y1] = badge.map((part) => 100 * part);
    this.#mark.style.clipPath = `inset(${y0}% ${100 - x1}% ${100 - y1}% ${x0}%)`;
    this.#mark.style.transform = `translateX(${x0 + x1 - 100}%) scaleX(-1)`;
    if (this.#mark.srcObject !== this.edited.srcObject) this.#mark.srcObject = this.edited.srcObject;
  }

  /**
   * Boxes around the faces, while one is to be picked.
   *
   * @param {ServerStats} stats
   */
  showFaces({ faces = [] }) {
    const { wanted, mirrored: mirror } = this.#page;
    this.faces.show(wanted.faces === "locked" ? faces : [], { mirror, locked: wanted.lock });
  }

  /** @param {boolean} on whether what lies behind the edit is drawn over it. */
  useOverlay(on) {
    this.#overlay.use(on);
  }

  /** @param {OverlayMessage} message */
  showOverlay(message) {
    this.#overlay.draw(message, { mirror: this.#page.mirrored });
  }

  showMirror() {
    const mirror = String(this.#page.mirrored);
    this.#picture.dataset.mirror = mirror;
    byId("mirror").setAttribute("aria-pressed", mirror);
    this.#mark.hidden = true; // until the next figures say where it is
  }

  toggleMirror() {
    this.#page.prefer({ mirror: !this.#page.preferences.mirror });
    this.showMirror();
  }

  /** @param {"before"|"split"} view shown, or left when it is shown already. */
  toggleView(view) {
    this.compare.show(this.compare.view === view ? "edited" : view);
  }

  async snapshot() {
    if (!this.#page.live) return;
    const name = await takeSnapshot(this.edited, this.compare.view === "edited" ? null : this.#canvas);
    this.#toast(`Saved ${name}`);
  }

  toggleRecording() {
    if (this.#recording.running) return this.#recording.stop();
    if (!this.#page.live) return;
    const what = /** @type {import("./recording.js").What} */ (this.#page.preferences.record);
    try {
      this.#recording.start(what);
    } catch (error) {
      this.#toast(errorWords(error));
    }
  }

  togglePause() {
    if (this.#recording.running) this.#recording.togglePause();
  }

  /** There is something to capture while it is live; a recording that waits for the next session can be stopped. */
  #enable() {
    for (const tool of this.#capture) tool.disabled = !this.#page.live && !(tool.id === "record" && this.#recording.running);
  }

  showRecording() {
    const { running, paused } = this.#recording;
    this.#enable();
    const seconds = Math.floor(this.#recording.seconds);
    byId("record").setAttribute("aria-pressed", String(running));
    byId("record-label").textContent = running ? "Stop" : "Record";
    byId("recording").hidden = !running;
    byId("recording").classList.toggle("paused", paused);
    byId("recording-time").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    byId("recording-size").textContent = this.#recording.bytes > 10_000 ? size(this.#recording.bytes) : "";
    byId("recording-pause").textContent = paused ? "Go on" : "Pause";
  }

  /** Let the time of a recording run on. */
  tick() {
    if (this.#recording.running) this.showRecording();
  }

  /** Keep the edited video in a small window on top of all others, or take it back. */
  toggleFloat() {
    if (!this.#page.live || !document.pictureInPictureEnabled) return;
    const done = document.pictureInPictureElement ? document.exitPictureInPicture() : this.edited.requestPictureInPicture();
    done.catch(() => this.#toast("This browser does not allow that here."));
  }

  toggleFullscreen() {
    const stage = byId("stage");
    // Phones of one maker give full screen to videos alone.
    const { webkitEnterFullscreen } = /** @type {{webkitEnterFullscreen?: () => void}} */ (/** @type {unknown} */ (this.edited));
    if (document.fullscreenElement) document.exitFullscreen();
    else if ("requestFullscreen" in stage) {
      stage.requestFullscreen().catch(() => this.#toast("This browser does not allow full screen here."));
    } else webkitEnterFullscreen?.call(this.edited);
  }

  #runBefore() {
    this.#before.run(this.#page.live && (this.compare.view !== "edited" || this.#recording.needsBefore));
  }
}
