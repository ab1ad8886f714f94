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
}

/** How an item ended. */
export const VALUE = 0
export const ERROR = 1
export const SKIPPED = 2
export const LOST = 3

/** Words of an entry. */
export const ENTRY_WORDS = 5

/** A cursor over a batch. Rows and texts of entries lie in the order of the entries, so it only moves forward. */
export class BatchReader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes
    const lengths = new DataView(bytes.buffer, bytes.byteOffset)
    const count = lengths.getUint32(0, true)
    /** @type {Uint32Array} */
    this.words =
      bytes.byteOffset % 4 === 0
        ? new Uint32Array(bytes.buffer, bytes.byteOffset, count)
        : new Uint32Array(bytes.slice(0, count * 4).buffer)
    this.at = 3
    this.row = count * 4
    this.text = this.row + this.words[1]
  }

  get ended() {
    return this.at >= this.words.length
  }

  /** The next word. */
  word() {
    return this.words[this.at++]
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
    return { bytes, words, at, count, row, text }
  }
}

/**
 * Entries that are still to be read: where the next one stands.
 * @typedef {{ bytes: Uint8Array, words: Uint32Array, at: number, count: number, row: number, text: number }} Entries
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
