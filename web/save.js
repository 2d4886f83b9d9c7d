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
  const stamp = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", "-");
  const name = `Latentcam ${stamp}.${extension}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), FORGET_MS);
  return name;
}
