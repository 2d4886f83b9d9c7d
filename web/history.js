// Undo and redo of looks. No element, no connection.

const MOST = 100;
// A slider that is dragged makes many changes: those that follow each other closely are one step.
const STEP_MS = 700;

/**
 * @template T
 */
export class History {
  /** @type {T[]} */
  #past = [];
  /** @type {T[]} */
  #future = [];
  /** @type {T} */
  #now;
  #changedAt = -Infinity;

  /** @param {T} state to begin with. */
  constructor(state) {
    this.#now = state;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /**
   * Something was changed.
   *
   * @param {T} state after the change.
   * @param {number} [now] in ms.
   */
  record(state, now = performance.now()) {
    if (JSON.stringify(state) === JSON.stringify(this.#now)) return;
    const sameStep = this.canUndo && now - this.#changedAt < STEP_MS;
    if (!sameStep) this.#past = [...this.#past, this.#now].slice(-MOST);
    this.#now = state;
    this.#future = [];
    this.#changedAt = now;
  }

  /**
   * Something else is in force than was recorded last: the server refused that, or somebody else changed it. No step is
   * added.
   *
   * @param {T} state
   */
  rebase(state) {
    this.#now = state;
  }

  /** @returns {T|null} the state before the last step; null where there is none. */
  undo() {
    const before = this.#past.pop();
    if (before === undefined) return null;
    this.#future.push(this.#now);
    this.#now = before;
    this.#changedAt = -Infinity;
    return before;
  }

  /** @returns {T|null} the state that was undone last; null where there is none. */
  redo() {
    const after = this.#future.pop();
    if (after === undefined) return null;
    this.#past.push(this.#now);
    this.#now = after;
    this.#changedAt = -Infinity;
    return after;
  }
}
