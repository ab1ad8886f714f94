// Items of one call on their way out: encoded one behind the other, until they leave as a chunk.

/**
 * What turns an item into bytes: the codec's Encoder, or that of native operations.
 * @typedef {object} ItemEncoder
 * @property {Uint8Array} rows
 * @property {number} rowPos
 * @property {number} rowEnd
 * @property {Uint8Array} text
 * @property {number} textPos
 * @property {number} textEnd
 * @property {number} wanted where the row of an item that did not fit would end; 0: that is not known
 * @property {(value: unknown) => boolean} encode
 */

export class ItemWriter {
  #encoder
  #rows = new Uint8Array(FIRST_ROW_BYTES)
  #text = new Uint8Array(FIRST_TEXT_BYTES)
  #rowPos = 0
  #textPos = 0
  #sizes = new Uint32Array(FIRST_ITEMS * 2)
  /** Items so far. */
  count = 0

  /** @param {ItemEncoder} encoder shared with the other calls of the pool */
  constructor(encoder) {
    this.#encoder = encoder
  }

  /**
   * What goes along with the rows; only native operations have such things.
   * @returns {Uint32Array | undefined}
   */
  get large() {
    return undefined
  }

  /** Bytes so far. */
  get bytes() {
    return this.#rowPos + this.#textPos
  }

  /** Whether a chunk of so many bytes is to leave, however few its items. */
  get isFull() {
    return this.#rowPos + this.#textPos >= CHUNK_BYTES
  }

  get sizes() {
    return this.#sizes.subarray(0, this.count * 2)
  }

  get rows() {
    return this.#rows.subarray(0, this.#rowPos)
  }

  get text() {
    return this.#text.subarray(0, this.#textPos)
  }

  /**
   * @param {unknown} item
   * @throws {import('./errors.js').SerializationError} it cannot be cloned; nothing was written
   */
  write(item) {
    const encoder = this.#encoder
    const rowPos = this.#rowPos
    const textPos = this.#textPos
    for (;;) {
      encoder.rows = this.#rows
      encoder.rowPos = rowPos
      encoder.rowEnd = this.#rows.length
      encoder.text = this.#text
      encoder.textPos = textPos
      encoder.textEnd = this.#text.length
      encoder.wanted = 0
      if (encoder.encode(item)) break
      this.#rows = grown(this.#rows, rowPos, encoder.wanted)
      this.#text = grown(this.#text, textPos)
    }
    this.#rowPos = encoder.rowPos
    this.#textPos = encoder.textPos
    this.#push(encoder.rowPos - rowPos, encoder.textPos - textPos)
  }

  /** An item that has failed already: its row only keeps its place in the order. */
  writeRejected() {
    if (this.#rowPos === this.#rows.length) this.#rows = grown(this.#rows, this.#rowPos)
    this.#rows[this.#rowPos++] = REJECTED_BEFORE
    this.#push(1, 0)
  }

  /** What was written does not leave. */
  discard() {
    this.clear()
  }

  /** The chunk has left. */
  clear() {
    this.count = 0
    this.#rowPos = 0
    this.#textPos = 0
    // What one large item needed is not kept for ever.
    if (this.#rows.length > MAX_KEPT_BYTES) this.#rows = new Uint8Array(FIRST_ROW_BYTES)
    if (this.#text.length > MAX_KEPT_BYTES) this.#text = new Uint8Array(FIRST_TEXT_BYTES)
  }

  /**
   * @param {number} rowBytes
   * @param {number} textBytes
   */
  #push(rowBytes, textBytes) {
    const at = this.count * 2
    if (at === this.#sizes.length) {
      const sizes = new Uint32Array(at * 2)
      sizes.set(this.#sizes)
      this.#sizes = sizes
    }
    this.#sizes[at] = rowBytes
    this.#sizes[at + 1] = textBytes
    this.count++
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} used
 * @param {number} [wanted] bytes at least
 */
function grown(bytes, used, wanted = 0) {
  const larger = new Uint8Array(Math.max(bytes.length * 2, wanted))
  larger.set(bytes.subarray(0, used))
  return larger
}

/** See worker-main.js. */
const REJECTED_BEFORE = 255
/** A chunk leaves at this size, however few its items. */
const CHUNK_BYTES = 256 << 10
const FIRST_ITEMS = 64
const FIRST_ROW_BYTES = 8 << 10
const FIRST_TEXT_BYTES = 2 << 10
const MAX_KEPT_BYTES = 1 << 20
