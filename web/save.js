// Files that the page makes, for the user to keep on this device.

const FORGET_MS = 60_000;

/**
 * Let the user keep a file.
 *
 * @param {Blob} blob
 * @param {string} extension without its dot.
 * @returns {string} its name.
 */
export function save(blob, extension) {
  const name = `Latentcam ${localTime(new Date())}.${extension}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), FORGET_MS);
  return name;
}

/**
 * @param {Date} time
 * @returns {string} as the clock on the wall shows it, fit for a file's name: "2026-11-28 08-15-02".
 */
export function localTime(time) {
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join("-")}`;
}
