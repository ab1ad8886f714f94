// Items that are promises here: one call of the engine, without order or window. All `run()` calls of a pool are one, and
// so is each call of a face (`compat/operation-runs.js`).

import { ENTRY_WORDS, indexOf, LOST, SKIPPED, statusOf, VALUE } from './batch-reader.js'
import { FIXED_INDEX } from './chunk-flags.js'
import { noteFailure, place } from './failure.js'
import { NO_KEYS } from './item-key.js'
import { crashError } from './worker-failure.js'

/** @typedef {{ resolve(value: unknown): void, reject(error: unknown): void }} Waiter */

export class PoolRuns {
  /** @type {number} */
  id
  #core
  #writer
  /** @type {Map<number, Waiter>} by position */
  #waiters = new Map()
  /** Waiters of items that are written and not sent. @type {Waiter[]} */
  #written = []
  #sent = 0
  /** Which try an error is of that comes, by position, where it is not the first. @type {Map<number, number>} */
  #attempts = new Map()
  #gauge = new Float64Array(4)
  #flushing = false
  #untold = 0
  #untoldBytes = 0
  #over = false
  #skipped

  /**
   * @param {import('./pool-call.js').CallCore} core
   * @param {unknown} [skipped] the result of an item that yields nothing
   */
  constructor(core, skipped) {
    this.#core = core
    this.#skipped = skipped
    this.#writer = core.itemWriter()
    this.id = core.native.open(false, false, NO_LIMIT, NO_LIMIT, Number.MAX_SAFE_INTEGER, 0, 0, false)
    core.add(this)
  }

  /** Ended: the next run needs another one. */
  get over() {
    return this.#over
  }

  /** No run waits for its result. */
  get idle() {
    return this.#waiters.size === 0 && this.#written.length === 0
  }

  /**
   * @param {unknown} item
   * @returns {Promise<any>}
   */
  run(item) {
    return new Promise((resolve, reject) => {
      // Throws into the promise if the item cannot be cloned.
      this.#writer.write(item)
      const first = this.idle
      this.#written.push({ resolve, reject })
      if (first) this.#core.keep()
      const idle = this.#waiters.size < this.#core.capacity
      if (idle || this.#writer.count >= this.#gauge[2] || this.#writer.isFull) this.#flush()
      else if (!this.#flushing) {
        this.#flushing = true
        setImmediate(this.#flushNow)
      }
    })
  }

  /** @param {import('./batch-reader.js').Entries} entries */
  receive({ bytes, words, at, count, row, text }) {
    let rowAt = row
    let textAt = text
    for (let left = count, entry = at; left > 0; left--, entry += ENTRY_WORDS) {
      const position = indexOf(words, entry)
      const waiter = this.#waiters.get(position)
      this.#waiters.delete(position)
      const rowEnd = rowAt + words[entry + 3]
      const textEnd = textAt + words[entry + 4]
      const status = statusOf(words, entry)
      const attempt = this.#attempts.size > 0 ? this.#attemptOf(position) : 1
      this.#settle(waiter, status, attempt, words[entry + 2], bytes, rowAt, rowEnd, textAt, textEnd)
      rowAt = rowEnd
      textAt = textEnd
    }
    this.#untold += count
    this.#untoldBytes += rowAt - row + (textAt - text)
  }

  stopping() {}

  /** No item of this call is tried again. */
  again() {}

  /**
   * @param {number} position
   * @param {number} attempt
   */
  tried(position, attempt) {
    this.#attempts.set(position, attempt)
  }

  /** @param {unknown} error why none of them can have a result */
  fail(error, hard = false) {
    this.#over = true
    const waiters = [...this.#waiters.values(), ...this.#written.splice(0)]
    this.#waiters.clear()
    this.#writer.discard()
    this.#core.native.cancel(this.id, hard)
    for (const { reject } of waiters) reject(error)
  }

  /** No more runs: those under way may end. */
  end() {
    this.#flush()
    this.#over = true
    this.#core.native.end(this.id)
  }

  allEnded() {
    this.#over = true
  }

  proceed() {}

  /**
   * @param {Waiter | undefined} waiter
   * @param {number} status
   * @param {number} attempt
   * @param {number} worker
   * @param {Uint8Array} bytes
   * @param {number} row
   * @param {number} rowEnd
   * @param {number} text
   * @param {number} textEnd
   */
  #settle(waiter, status, attempt, worker, bytes, row, rowEnd, text, textEnd) {
    const decoder = this.#core.decoder(worker)
    const decode = (
      /** @type {Uint8Array} */ from,
      /** @type {number} */ start,
      /** @type {number} */ end,
    ) => {
      decoder.open(from, text, textEnd, bytes)
      return decoder.decode(start, end, 0)
    }
    try {
      if (status === VALUE) waiter?.resolve(decode(bytes, row, rowEnd))
      else if (status === SKIPPED) waiter?.resolve(this.#skipped)
      else if (status === LOST) {
        const said = bytes.subarray(row, rowEnd)
        const crash = crashError(said, undefined, this.#core.label, (value) => decode(value, 0, value.length))
        noteFailure(crash, {
          index: 0,
          attempt: Number(/** @type {any} */ (crash).attempt),
          worker,
          errors: [],
        })
        waiter?.reject(crash)
      } else {
        const error = this.#core.toError(decode(bytes, row, rowEnd), { attempt, worker })
        place(error, { attempt, worker })
        noteFailure(error, { index: 0, attempt, worker, errors: [] })
        waiter?.reject(error)
      }
    } catch (error) {
      place(error, { attempt, worker })
      noteFailure(error, { index: 0, attempt, worker, errors: [] })
      waiter?.reject(error)
    }
  }

  /** @param {number} position */
  #attemptOf(position) {
    const attempt = this.#attempts.get(position) ?? 1
    this.#attempts.delete(position)
    return attempt
  }

  #flushNow = () => {
    this.#flushing = false
    this.#flush()
  }

  #flush() {
    const writer = this.#writer
    if (writer.count === 0) return
    for (const waiter of this.#written) this.#waiters.set(this.#sent++, waiter)
    this.#written.length = 0
    const { sizes, rows, text, large } = writer
    const { native } = this.#core
    native.submit(
      this.id,
      sizes,
      NO_KEYS,
      rows,
      text,
      FIXED_INDEX,
      this.#untold,
      this.#untoldBytes,
      this.#gauge,
      large,
    )
    this.#untold = 0
    this.#untoldBytes = 0
    writer.clear()
  }
}

const NO_LIMIT = 0xffffffff
