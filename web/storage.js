// What the page remembers on this device. Private windows and blocked storage only cost the memory, not the page.

const KEY = "latentcam";

/** @returns {Record<string, any>} everything remembered; empty when there is nothing or it cannot be read. */
export function remembered() {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

/**
 * Merge `part` into what is remembered.
 *
 * @param {Record<string, unknown>} part
 */
export function remember(part) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...remembered(), ...part }));
  } catch {
    // Storage is full or blocked.
  }
}

/**
 * Read or write one value for this tab only.
 *
 * @param {string} name
 * @param {string|null} [value] none reads, null removes.
 * @returns {string|null} what was read; null otherwise.
 */
export function tabValue(name, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(`${KEY}.${name}`);
    if (value === null) sessionStorage.removeItem(`${KEY}.${name}`);
    else sessionStorage.setItem(`${KEY}.${name}`, value);
  } catch {
    // Storage is blocked.
  }
  return null;
}
