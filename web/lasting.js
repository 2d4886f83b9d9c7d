// Settings without what refers to a photo: a server keeps what it read of a photo only while it runs.

/**
 * @import { Look } from "./fields.js"
 */

/**
 * @param {Look} [look]
 * @returns {Look}
 */
export function withoutPhoto(look) {
  const { photo, ...rest } = look ?? {};
  return rest;
}

/**
 * @template {Record<string, any>} S
 * @param {S} settings
 * @returns {S|null} null where none refers to one.
 */
export function withoutPhotos(settings) {
  const { controls, layers = {} } = settings;
  if (!controls?.photo && !Object.values(layers).some((layer) => layer.controls?.photo)) return null;
  const kept = Object.entries(layers).map(([name, layer]) => [name, { ...layer, controls: withoutPhoto(layer.controls) }]);
  return { ...settings, controls: withoutPhoto(controls), layers: Object.fromEntries(kept) };
}
