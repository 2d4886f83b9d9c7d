// Whether the machine keeps up with the camera, from the server's figures. No element, no connection.

const PATIENCE_MS = 6_000;
const LEAST_SHARE = 0.75; // of the frames that come in
const LEAST_FPS = 5; // of a camera that runs at all

export class Pace {
  /** @type {number|null} since when frames are left out, in ms. */
  #behindSince = null;

  /**
   * @param {{fps_in: number, fps_out: number}} stats
   * @param {number} [now] in ms.
   * @returns {boolean} whether too few frames have come back for a while.
   */
  isBehind({ fps_in: came, fps_out: left }, now = performance.now()) {
    const behind = came >= LEAST_FPS && left < LEAST_SHARE * came;
    this.#behindSince = behind ? (this.#behindSince ?? now) : null;
    return this.#behindSince !== null && now - this.#behindSince >= PATIENCE_MS;
  }

  /** Something else begins: what was counted does not hold for it. */
  restart() {
    this.#behindSince = null;
  }
}
