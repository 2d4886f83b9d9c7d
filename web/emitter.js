// Events with details of known types.

/**
 * An EventTarget whose events are CustomEvents.
 *
 * @template {Record<string, any>} Details event name -> detail.
 */
export class Emitter extends EventTarget {
  /**
   * @template {keyof Details & string} K
   * @param {K} name
   * @param {(detail: Details[K]) => void} listener
   */
  on(name, listener) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent<Details[K]>} */ (event).detail));
  }

  /**
   * @template {keyof Details & string} K
   * @param {K} name
   * @param {Details[K]} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
