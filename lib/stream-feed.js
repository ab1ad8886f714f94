// Bytes of a stream, or of whatever yields binary data or text.

import { invalidArgType } from './errors.js'
import { openSource } from './open-source.js'
import { BROKEN, ENDED, WAIT } from './rust-feed.js'
import { DONE, FAILED, isThenable, PENDING } from './source.js'

/** @implements {Feed} */
export class StreamFeed {
  /** @type {unknown} */
  error = undefined
  #source
  /** What came last, from `#at` on. @type {Uint8Array} */
  #chunk = NOTHING
  #at = 0
  /** A chunk that has to be awaited. @type {Promise<void> | undefined} */
  #awaited
  /** Waiting for it has failed. */
  #broken = false

  /**
   * @param {unknown} stream
   * @throws {TypeError} ERR_INVALID_ARG_TYPE
   */
  constructor(stream) {
    this.#source = openSource(stream)
  }

  get mayHang() {
    return this.#source.pending
  }

  /** @param {Uint8Array} into */
  take(into) {
    while (this.#at === this.#chunk.length) {
      if (this.#broken) return BROKEN
      if (this.#awaited !== undefined) return WAIT
      const pulled = this.#source.pull()
      if (pulled === PENDING) return WAIT
      if (pulled === DONE) return ENDED
      if (pulled === FAILED) {
        this.error = this.#source.error
        return BROKEN
      }
      this.#accept(this.#source.value)
    }
    const end = Math.min(this.#chunk.length, this.#at + into.length)
    into.set(this.#chunk.subarray(this.#at, end))
    const taken = end - this.#at
    this.#at = end
    return taken
  }

  /** @param {() => void} fn */
  whenReady(fn) {
    if (this.#awaited === undefined) this.#source.whenReady(fn)
    else this.#awaited.then(fn)
  }

  async close() {
    this.#chunk = NOTHING
    this.#at = 0
    await this.#source.close()
  }

  /** @param {unknown} value */
  #accept(value) {
    this.#chunk = NOTHING
    this.#at = 0
    if (isThenable(value)) {
      this.#awaited = Promise.resolve(value).then(
        (chunk) => this.#arrived(chunk),
        (error) => this.#break(error),
      )
      return
    }
    if (typeof value === 'string') this.#chunk = Buffer.from(value)
    else if (ArrayBuffer.isView(value))
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    else this.#break(invalidArgType('source', 'chunks that are binary data or strings', value))
  }

  /** @param {unknown} chunk */
  #arrived(chunk) {
    this.#awaited = undefined
    this.#accept(chunk)
  }

  /** @param {unknown} error */
  #break(error) {
    this.#awaited = undefined
    this.error = error
    this.#broken = true
    this.#chunk = NOTHING
  }
}

/** @typedef {import('./rust-feed.js').Feed} Feed */

const NOTHING = Buffer.alloc(0)
