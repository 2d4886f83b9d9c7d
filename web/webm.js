// WebM recordings that players can seek in. A browser records as if for live streaming: without a duration and without an
// index (Cues). Both are known once the recording has ended (RFC 9559, Matroska).

const ID = {
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  seek: 0x4dbb,
  seekId: 0x53ab,
  seekPosition: 0x53ac,
  info: 0x1549a966,
  scale: 0x2ad7b1,
  duration: 0x4489,
  tracks: 0x1654ae6b,
  entry: 0xae,
  number: 0xd7,
  type: 0x83,
  cues: 0x1c53bb6b,
  cuePoint: 0xbb,
  cueTime: 0xb3,
  cuePositions: 0xb7,
  cueTrack: 0xf7,
  cuePosition: 0xf1,
  cluster: 0x1f43b675,
  time: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
};
const VIDEO = 1;
const KEY = 0x80;
const WINDOW = 1 << 22;
const NS_PER_MS = 1e6;
const LAST_FRAME_MS = 33;

/**
 * @typedef {{id: number, from: number, body: number, end: number}} Element places of its id, its content and what follows,
 *   in bytes; an end that the file does not tell is Infinity.
 * @typedef {{time: number, body: number, end: number, key: boolean}} Cluster key: whether a decoder can begin with it.
 */

/**
 * @param {Blob} recording WebM, complete.
 * @returns {Promise<Blob>} the same with a duration and an index; as it is where it is something else.
 */
export async function seekable(recording) {
  try {
    return await rewrite(recording);
  } catch {
    return recording; // better one without an index than none
  }
}

/** @param {Blob} recording */
async function rewrite(recording) {
  const reader = new Reader(recording);
  const head = await reader.element(0);
  const segment = await reader.element(head.end);
  if (segment.id !== ID.segment) throw new Error("no WebM");
  let [info, tracks] = [new Uint8Array(), new Uint8Array()];
  let [scale, video, last] = [NS_PER_MS, VIDEO, 0];
  /** @type {Cluster[]} */
  const clusters = [];
  for (let at = segment.body; at < recording.size; ) {
    const element = await reader.element(at);
    if (element.id === ID.cluster) {
      const cluster = await readCluster(reader, element, video);
      clusters.push(cluster.found);
      last = Math.max(last, cluster.last);
      at = cluster.found.end;
      continue;
    }
    if (element.id === ID.info || element.id === ID.tracks) {
      const content = await reader.bytes(element.body, element.end - element.body);
      if (element.id === ID.info) {
        const parts = childrenOf(content).filter(({ id }) => id !== ID.duration);
        scale = parts.find(({ id }) => id === ID.scale)?.value ?? scale;
        info = join(parts.map(({ whole }) => whole));
      } else {
        const entries = childrenOf(content).map(({ body }) => childrenOf(body));
        const is = (/** @type {number} */ type) => entries.find((entry) => entry.some(({ id, value }) => id === ID.type && value === type));
        video = is(VIDEO)?.find(({ id }) => id === ID.number)?.value ?? video;
        tracks = content.slice();
      }
    }
    at = element.end;
  }
  if (clusters.length === 0) throw new Error("empty");
  const duration = last + (LAST_FRAME_MS * NS_PER_MS) / scale;
  const infoElement = ebml(ID.info, join([info, ebml(ID.duration, float(duration))]));
  const tracksElement = ebml(ID.tracks, tracks);
  const keys = clusters.filter(({ key }) => key);
  const cuesOf = (/** @type {number[]} */ places) => ebml(ID.cues, join(keys.map(({ time }, i) => cue(time, video, places[i]))));
  const seekOf = (/** @type {number} */ cues, /** @type {number} */ where) =>
    ebml(ID.seekHead, join([seek(ID.info, where), seek(ID.tracks, where + infoElement.length), seek(ID.cues, cues)]));
  const seekSize = seekOf(0, 0).length;
  const cuesAt = seekSize + infoElement.length + tracksElement.length;
  let place = cuesAt + cuesOf(keys.map(() => 0)).length;
  /** @type {number[]} */
  const places = [];
  /** @type {BlobPart[]} */
  const media = [];
  for (const { body, end, key } of clusters) {
    if (key) places.push(place);
    const header = ebml(ID.cluster, null, end - body);
    media.push(header, recording.slice(body, end));
    place += header.length + end - body;
  }
  const front = [ebml(ID.segment, null, place), seekOf(cuesAt, seekSize), infoElement, tracksElement, cuesOf(places)];
  return new Blob([recording.slice(0, head.end), ...front, ...media], { type: recording.type });
}

/**
 * @param {Reader} reader
 * @param {Element} cluster
 * @param {number} video number of its track.
 * @returns {Promise<{found: Cluster, last: number}>} last: time of its last block.
 */
async function readCluster(reader, cluster, video) {
  let [time, last, key, seen] = [0, 0, false, false];
  let at = cluster.body;
  while (at < Math.min(cluster.end, reader.size)) {
    const element = await reader.element(at);
    const ends = element.id === ID.cluster || element.id === ID.cues || element.id === ID.info || element.id === ID.tracks;
    if (ends) break;
    if (element.id === ID.time) time = toNumber(await reader.bytes(element.body, element.end - element.body));
    if (element.id === ID.simpleBlock || element.id === ID.blockGroup) {
      const from = element.id === ID.simpleBlock ? element.body : (await reader.element(element.body)).body;
      const [track, high, low, flags] = await reader.bytes(from, 4);
      last = Math.max(last, time + ((((high << 8) | low) << 16) >> 16));
      if ((track & 0x7f) === video && !seen) [seen, key] = [true, element.id === ID.simpleBlock && (flags & KEY) !== 0];
    }
    at = element.end;
  }
  return { found: { time, body: cluster.body, end: Math.min(at, reader.size), key }, last };
}

/** Reads parts of a large blob without having it in memory as a whole. */
class Reader {
  #blob;
  #start = 0;
  #window = new Uint8Array();

  /** @param {Blob} blob */
  constructor(blob) {
    this.#blob = blob;
    this.size = blob.size;
  }

  /**
   * @param {number} from
   * @param {number} length
   * @returns {Promise<Uint8Array>} shorter at the end.
   */
  async bytes(from, length) {
    if (from < this.#start || from + length > this.#start + this.#window.length) {
      this.#start = from;
      this.#window = new Uint8Array(await this.#blob.slice(from, from + Math.max(WINDOW, length)).arrayBuffer());
    }
    return this.#window.subarray(from - this.#start, from - this.#start + length);
  }

  /**
   * @param {number} from
   * @returns {Promise<Element>}
   */
  async element(from) {
    const head = await this.bytes(from, 12);
    const { id, size, length } = headOf(head, 0);
    return { id, from, body: from + length, end: from + length + size };
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {{id: number, size: number, length: number}} length: of the head.
 */
function headOf(bytes, at) {
  const idLength = Math.clz32(bytes[at]) - 23;
  const sizeLength = Math.clz32(bytes[at + idLength]) - 23;
  if (!(idLength >= 1 && idLength <= 4 && sizeLength >= 1 && sizeLength <= 8)) throw new Error("not EBML");
  const sizeBytes = bytes.slice(at + idLength, at + idLength + sizeLength);
  sizeBytes[0] &= 0xff >> sizeLength;
  const unknown = sizeBytes[0] === 0xff >> sizeLength && sizeBytes.subarray(1).every((byte) => byte === 0xff);
  return {
    id: toNumber(bytes.subarray(at, at + idLength)),
    size: unknown ? Infinity : toNumber(sizeBytes),
    length: idLength + sizeLength,
  };
}

/**
 * @param {Uint8Array} content
 * @returns {{id: number, value: number, body: Uint8Array, whole: Uint8Array}[]}
 */
function childrenOf(content) {
  const found = [];
  for (let at = 0; at < content.length; ) {
    const { id, size, length } = headOf(content, at);
    const end = Math.min(at + length + size, content.length);
    const body = content.slice(at + length, end);
    found.push({ id, value: body.length <= 8 ? toNumber(body) : 0, body, whole: content.slice(at, end) });
    at = end;
  }
  return found;
}

/** @param {Uint8Array} bytes */
function toNumber(bytes) {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/**
 * @param {number} value
 * @param {number} length
 */
function toBytes(value, length) {
  return Uint8Array.from({ length }, (_, i) => Math.floor(value / 256 ** (length - 1 - i)) % 256);
}

/** @param {number} value */
function float(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/**
 * @param {number} id
 * @param {Uint8Array|null} content null makes the head alone.
 * @param {number} [size] of the content.
 */
function ebml(id, content, size = content?.length ?? 0) {
  const head = [toBytes(id, id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1), Uint8Array.of(1), toBytes(size, 7)];
  return join(content ? [...head, content] : head);
}

/** @param {Uint8Array[]} parts */
function join(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * @param {number} id
 * @param {number} position
 */
function seek(id, position) {
  return ebml(ID.seek, join([ebml(ID.seekId, toBytes(id, 4)), ebml(ID.seekPosition, toBytes(position, 8))]));
}

/**
 * @param {number} time
 * @param {number} track
 * @param {number} position
 */
function cue(time, track, position) {
  const where = join([ebml(ID.cueTrack, toBytes(track, 1)), ebml(ID.cuePosition, toBytes(position, 8))]);
  return ebml(ID.cuePoint, join([ebml(ID.cueTime, toBytes(time, 8)), ebml(ID.cuePositions, where)]));
}
