// A chunk in a worker: what its frame says, and how far it is.

/**
 * @typedef {object} Chunk
 * @property {number} call
 * @property {number} cell
 * @property {number} flags
 * @property {number} most how many items of its call run here at once, at most
 * @property {number} firstIndex
 * @property {number} attempt
 * @property {Uint32Array} sizes bytes of row and text of each item
 * @property {Uint8Array} bytes the frame
 * @property {number} rowAt
 * @property {number} textAt
 * @property {number} textEnd
 * @property {number} item the next item that was not passed over, and where its row and text begin
 * @property {number} row
 * @property {number} text
 * @property {number} lanes that run items of it, while something is awaited
 * @property {number} started when the first item began; 0: not yet
 */

/**
 * @param {Uint8Array} bytes
 * @returns {Chunk}
 */
export function chunkOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const word = (/** @type {number} */ at) => view.getUint32(at * 4, true)
  const count = word(7)
  const sizes = new Uint32Array(count * 2)
  for (let at = 0; at < sizes.length; at++) sizes[at] = view.getUint32(HEADER_BYTES + at * 4, true)
  const rowAt = HEADER_BYTES + count * 8
  const textAt = rowAt + word(8)
  return {
    call: word(2),
    cell: word(3) & 0xff,
    flags: (word(3) >>> 8) & 0xff,
    most: word(3) >>> 16,
    firstIndex: word(4) + word(5) * 2 ** 32,
    attempt: word(6),
    sizes,
    bytes,
    rowAt,
    textAt,
    textEnd: textAt + word(9),
    item: 0,
    row: rowAt,
    text: 0,
    lanes: 0,
    started: 0,
  }
}

/** Words of a chunk's frame before the table of sizes. */
const HEADER_BYTES = 40
