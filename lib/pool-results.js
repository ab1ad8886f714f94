// Outcomes of one call, from their arrival to their being taken: entries of batches, decoded in groups.

import { ENTRY_WORDS, ERROR, indexOf, LOST, SKIPPED, statusOf, TIMED_OUT, VALUE } from './batch-reader.js'
import { noteFailure, place, withError } from './failure.js'
import { crashError, timeoutError } from './worker-failure.js'

/** @typedef {import('./batch-reader.js').Entries} Entries */

export class PoolResults {
  /** What `take()` took: VALUE, SKIPPED, or one of the errors. */
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
  #timeout
  /** What is known of the errors among `#values`, at the same places; and of the one that was read last. @type {Failure[]} */
  #failures = []
  /** @type {Failure | undefined} */
  #lastFailure
  /** What is known of the error that `take()` took. @type {Failure | undefined} */
  failure = undefined
  /** Items that were tried more than once, by index. @type {Map<number, Tried>} */
  #tried = new Map()
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
   * @param {import('./pool-call.js').CallCore} core
   * @param {boolean} indexed the index of every outcome is asked for
   * @param {number} timeout of an item
   */
  constructor(core, indexed, timeout) {
    this.#core = core
    this.#timeout = timeout
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
      this.failure = this.#failures[at]
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

  /**
   * A try has failed, and may be followed by another.
   * @param {Entries} entries
   * @param {number} attempt
   * @returns {{ index: number, error: unknown }}
   */
  failedTry(entries, attempt) {
    const index = indexOf(entries.words, entries.at)
    const tried = this.#triedOf(index)
    tried.attempt = attempt
    tried.worker = entries.words[entries.at + 2]
    const error = this.errorOf(entries)
    tried.errors = withError(tried.errors, error)
    return { index, error }
  }

  /**
   * @param {number} index
   * @param {number} attempt of the error that comes for the item
   */
  attemptOf(index, attempt) {
    this.#triedOf(index).attempt = attempt
  }

  /**
   * There is no other try of the item.
   * @param {number} index
   * @param {unknown} error that it has failed of
   */
  refuse(index, error) {
    const tried = this.#triedOf(index)
    // That of the last try is no earlier one, unless it made way for what the question threw.
    if (tried.errors.at(-1) === error) tried.errors = tried.errors.slice(0, -1)
    this.rejectedBefore.set(index, error)
  }

  /** @param {number} index */
  #triedOf(index) {
    let tried = this.#tried.get(index)
    if (tried === undefined) {
      tried = { attempt: 1, worker: undefined, errors: NO_ERRORS }
      this.#tried.set(index, tried)
    }
    return tried
  }

  /** Let go of everything. */
  clear() {
    for (const { batch } of this.#arrived.splice(0)) batch.release()
    this.#values.length = 0
    this.#next = 0
    this.rejectedBefore.clear()
    this.#tried.clear()
  }

  /** Decode the next entries, as many as are worth holding as values; false: there are none. */
  #decode() {
    this.takenBytes += this.#decodedBytes
    this.#decodedBytes = 0
    this.#next = 0
    this.#values.length = 0
    if (this.#failures.length > 0) this.#failures = []
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
            const index = indexOf(words, at)
            const { attempt, errors } = this.#tried.get(index) ?? FIRST_TRY
            this.#failures[this.#values.length] = this.#noted(error, { index, attempt, worker, errors })
          }
        } else if (status !== SKIPPED) {
          value = this.#errorAt(words, at, bytes, row, text + textAt)
          this.#failures[this.#values.length] = /** @type {Failure} */ (this.#lastFailure)
          decoder.open(bytes, text, text + runText)
        }
        if (kind !== VALUE) this.#mix()
        if (this.#mixed) {
          this.#kinds[this.#values.length] = kind
          this.#indexes[this.#values.length] = indexOf(words, at)
        }
        if (this.#tried.size > 0) this.#tried.delete(indexOf(words, at))
        this.#values.push(value)
        row = end
        textAt += words[at + 4]
      }
      text += runText
      done += run
    }
    this.#decodedBytes = row - entries.row + (text - entries.text) + this.#core.takeBesideBytes()
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
   * The error of an entry, with what is known about it noted.
   * @param {Uint32Array} words
   * @param {number} at
   * @param {Uint8Array} bytes
   * @param {number} row
   * @param {number} text
   * @returns {unknown}
   */
  #errorAt(words, at, bytes, row, text) {
    const index = indexOf(words, at)
    const tried = this.#tried.get(index)
    const before = this.rejectedBefore.has(index)
    const error = before ? this.rejectedBefore.get(index) : this.#readError(words, at, bytes, row, text)
    const attempt = statusOf(words, at) === LOST ? /** @type {any} */ (error).attempt : (tried?.attempt ?? 1)
    // What never left has run nowhere; what was refused was, where its try failed.
    const worker = before ? tried?.worker : words[at + 2]
    const errors = tried?.errors ?? NO_ERRORS
    const failure = worker === undefined ? { index, attempt, errors } : { index, attempt, worker, errors }
    this.#lastFailure = this.#noted(error, failure)
    return error
  }

  /**
   * @param {unknown} error
   * @param {Failure} failure
   */
  #noted(error, failure) {
    place(error, failure)
    noteFailure(error, failure)
    return failure
  }

  /**
   * @param {Uint32Array} words
   * @param {number} at
   * @param {Uint8Array} bytes
   * @param {number} row
   * @param {number} text
   * @returns {unknown}
   */
  #readError(words, at, bytes, row, text) {
    const index = indexOf(words, at)
    const worker = words[at + 2]
    const attempt = this.#tried.get(index)?.attempt ?? 1
    if (statusOf(words, at) === TIMED_OUT) {
      const written = bytes.subarray(row, row + words[at + 3])
      return timeoutError(written, this.#core.label, this.#timeout, { index, attempt, worker })
    }
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
    return this.#core.toError(decode(bytes, row, row + words[at + 3]), { index, attempt, worker })
  }
}

/** Outcomes are decoded in groups: large enough for a tight loop, small enough not to hold everything twice. */
const DECODED_AT_ONCE = 256
const DECODED_BYTES_AT_ONCE = 1 << 20
/** @type {readonly unknown[]} */
const NO_ERRORS = Object.freeze([])
const FIRST_TRY = Object.freeze({ attempt: 1, errors: NO_ERRORS })

/** @typedef {import('./failure.js').Failure} Failure */
/** @typedef {{ attempt: number, worker: number | undefined, errors: readonly unknown[] }} Tried */
