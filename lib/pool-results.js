// Outcomes of one call, from their arrival to their being taken: entries of batches, decoded in groups.

import { ENTRY_WORDS, ERROR, indexOf, LOST, SKIPPED, statusOf, VALUE } from './batch-reader.js'
import { crashError } from './worker-failure.js'

/** @typedef {import('./batch-reader.js').Entries} Entries */

export class PoolResults {
  /** What `take()` took: VALUE, ERROR, SKIPPED or LOST. */
  kind = VALUE
  /** The value or error of the same. @type {any} */
  value = undefined
  /** Its position in the source; noted only where it is not a value, or all are asked for. */
  index = -1
  /** Bytes of outcomes that were taken and not told to anyone; the owner sets it back. */
  takenBytes = 0
  /** Errors of items that never left: an unclonable item, a rejected promise. @type {Map<number, unknown>} */
  rejectedBefore = new Map()

  #core
  #indexed
  /** Entries that have arrived and are not decoded. @type {Entries[]} */
  #arrived = []
  /** Outcomes that are decoded and not taken, from `#next` on. @type {any[]} */
  #values = []
  #next = 0
  /** Not all of them are values, or all indexes are asked for: these say more. */
  #mixed = false
  /** @type {number[]} */
  #indexes = []
  /** @type {number[]} */
  #kinds = []
  #decodedBytes = 0

  /**
   * @param {import('./pool-core.js').PoolCore} core
   * @param {boolean} indexed the index of every outcome is asked for
   */
  constructor(core, indexed) {
    this.#core = core
    this.#indexed = indexed
  }

  /** @param {Entries} entries */
  push(entries) {
    entries.batch.hold()
    this.#arrived.push(entries)
  }

  /** Take the next outcome; false: there is none. */
  take() {
    if (this.#next === this.#values.length && !this.#decode()) return false
    const at = this.#next++
    this.value = this.#values[at]
    this.#values[at] = undefined
    if (this.#mixed) {
      this.kind = this.#kinds[at]
      this.index = this.#indexes[at]
    } else {
      this.kind = VALUE
    }
    return true
  }

  /**
   * The error of the one entry.
   * @param {Entries} entries
   * @returns {unknown}
   */
  errorOf({ words, at, bytes, row, text }) {
    return this.#errorAt(words, at, bytes, row, text)
  }

  /** Let go of everything. */
  clear() {
    for (const { batch } of this.#arrived.splice(0)) batch.release()
    this.#values.length = 0
    this.#next = 0
    this.rejectedBefore.clear()
  }

  /** Decode the next entries, as many as are worth holding as values; false: there are none. */
  #decode() {
    this.takenBytes += this.#decodedBytes
    this.#decodedBytes = 0
    this.#next = 0
    this.#values.length = 0
    this.#mixed = this.#indexed
    const entries = this.#arrived[0]
    if (entries === undefined) return false
    const { words, bytes } = entries
    let { at, row, text } = entries
    const count = Math.min(entries.count, DECODED_AT_ONCE)
    let bytesLeft = DECODED_BYTES_AT_ONCE
    let done = 0
    while (done < count && bytesLeft > 0) {
      // A run of outcomes from one worker shares a decoder, and the text that is opened for it.
      const worker = words[at + 2]
      let last = at
      let runText = 0
      let run = 0
      while (done + run < count && words[last + 2] === worker && bytesLeft > 0) {
        bytesLeft -= words[last + 3] + words[last + 4]
        runText += words[last + 4]
        last += ENTRY_WORDS
        run++
      }
      const decoder = this.#core.decoder(worker)
      decoder.open(bytes, text, text + runText)
      let textAt = 0
      for (; at < last; at += ENTRY_WORDS) {
        const end = row + words[at + 3]
        const status = statusOf(words, at)
        let kind = status
        let value
        if (status === VALUE) {
          try {
            value = decoder.decode(row, end, textAt)
          } catch (error) {
            kind = ERROR
            value = error
          }
        } else if (status !== SKIPPED) {
          value = this.#errorAt(words, at, bytes, row, text + textAt)
          decoder.open(bytes, text, text + runText)
        }
        if (kind !== VALUE) this.#mix()
        if (this.#mixed) {
          this.#kinds[this.#values.length] = kind
          this.#indexes[this.#values.length] = indexOf(words, at)
        }
        this.#values.push(value)
        row = end
        textAt += words[at + 4]
      }
      text += runText
      done += run
    }
    this.#decodedBytes = row - entries.row + (text - entries.text)
    if (done === entries.count) {
      this.#arrived.shift()
      entries.batch.release()
    } else {
      entries.at = at
      entries.row = row
      entries.text = text
      entries.count -= done
    }
    return true
  }

  /** From here on kinds and indexes are noted; so far there were only values. */
  #mix() {
    if (this.#mixed) return
    this.#mixed = true
    for (let at = 0; at < this.#values.length; at++) this.#kinds[at] = VALUE
  }

  /**
   * The error of an entry.
   * @param {Uint32Array} words
   * @param {number} at
   * @param {Uint8Array} bytes
   * @param {number} row
   * @param {number} text
   * @returns {unknown}
   */
  #errorAt(words, at, bytes, row, text) {
    const index = indexOf(words, at)
    if (this.rejectedBefore.has(index)) return this.rejectedBefore.get(index)
    const decoder = this.#core.decoder(words[at + 2])
    const decode = (
      /** @type {Uint8Array} */ from,
      /** @type {number} */ start,
      /** @type {number} */ end,
    ) => {
      try {
        decoder.open(from, text, text + words[at + 4], bytes)
        return decoder.decode(start, end, 0)
      } catch (error) {
        return error
      }
    }
    if (statusOf(words, at) === LOST) {
      const said = bytes.subarray(row, row + words[at + 3])
      return crashError(said, index, this.#core.label, (value) => decode(value, 0, value.length))
    }
    return this.#core.toError(decode(bytes, row, row + words[at + 3]))
  }
}

/** Outcomes are decoded in groups: large enough for a tight loop, small enough not to hold everything twice. */
const DECODED_AT_ONCE = 256
const DECODED_BYTES_AT_ONCE = 1 << 20
