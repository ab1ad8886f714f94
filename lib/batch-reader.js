// Reads what Rust hands over in one crossing; `src/place/batch.rs` describes the format.

/** Sections. */
export const SECTION = {
  OUTCOMES: 1,
  STOPPING: 2,
  FAILED: 3,
  FINISHED: 4,
  DEFINE: 5,
  FORGET: 6,
  READY: 7,
  CLOSED: 8,
  START_FAILED: 9,
  WRITTEN: 10,
  EXITED: 11,
  AGAIN: 12,
  TRIED: 13,
  MESSAGE: 14,
  PROGRESS: 15,
  NOTICE: 16,
  RECYCLED: 17,
}

/** How an item ended. */
export const VALUE = 0
export const ERROR = 1
export const SKIPPED = 2
export const LOST = 3
export const TIMED_OUT = 4

/** Words of an entry. */
export const ENTRY_WORDS = 5

/**
 * A cursor over a batch. Rows and texts of entries lie in the order of the entries, so it only moves forward. Whoever
 * keeps entries holds the batch, and lets it go: then its buffer is used again. (New buffers for every batch would
 * outlive young collections, and memory would grow until a full one.)
 */
export class BatchReader {
  #holders = 1
  #recycle

  /**
   * @param {Uint8Array} bytes
   * @param {(batch: BatchReader) => void} recycle
   */
  constructor(bytes, recycle) {
    this.bytes = bytes
    this.#recycle = recycle
    const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2)
    const count = words[0]
    this.words = words
    this.end = count
    this.at = 4
    /** How many of its values have no row in it. */
    this.large = words[3]
    this.row = count * 4
    this.text = this.row + words[1]
  }

  hold() {
    this.#holders++
  }

  release() {
    if (--this.#holders === 0) this.#recycle(this)
  }

  get ended() {
    return this.at >= this.end
  }

  /** The next word. */
  word() {
    return this.words[this.at++]
  }

  /**
   * So many bytes of rows that belong to no entry, and past them.
   * @param {number} length
   */
  part(length) {
    const { bytes, row } = this
    this.row += length
    return Buffer.from(bytes.buffer, bytes.byteOffset + row, length)
  }

  /** A whole number of two words. */
  wide() {
    return this.word() + this.word() * 2 ** 32
  }

  /** A double of two words. */
  double() {
    HALVES[0] = this.word()
    HALVES[1] = this.word()
    return DOUBLE[0]
  }

  /** Where a value that belongs to no entry lies; moves past it. */
  value() {
    const { row, text } = this
    this.row += this.word()
    this.text += this.word()
    return { row, rowEnd: this.row, text, textEnd: this.text }
  }

  /** The row of the next entry, and past it; `entry` says which. */
  failure() {
    const { words, at, row } = this
    const entry = { index: indexOf(words, at), worker: words[at + 2] }
    this.row += words[at + 3]
    this.text += words[at + 4]
    this.at += ENTRY_WORDS
    return { ...entry, row: this.bytes.subarray(row, this.row) }
  }

  /**
   * The entries of a section, to be read later; moves past them.
   * @param {number} count
   * @returns {Entries}
   */
  entries(count) {
    const { bytes, words, at, row, text } = this
    for (let left = count; left > 0; left--) {
      this.row += words[this.at + 3]
      this.text += words[this.at + 4]
      this.at += ENTRY_WORDS
    }
    return { batch: this, bytes, words, at, count, row, text }
  }
}

/** Little-endian halves of one double: every machine that this runs on is so. */
const DOUBLE = new Float64Array(1)
const HALVES = new Uint32Array(DOUBLE.buffer)

/**
 * Entries that are still to be read: where the next one stands.
 * @typedef {{ batch: BatchReader, bytes: Uint8Array, words: Uint32Array, at: number, count: number, row: number, text: number }} Entries
 */

/**
 * @param {Uint32Array} words
 * @param {number} at
 */
export function indexOf(words, at) {
  return words[at] + (words[at + 1] >>> 8) * 2 ** 32
}

/**
 * @param {Uint32Array} words
 * @param {number} at
 */
export function statusOf(words, at) {
  return words[at + 1] & 0xff
}
