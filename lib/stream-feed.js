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
  /** The first half of a surrogate pair with which a text ended: the next one may begin with the other. */
  #half = ''
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
      if (pulled === DONE) {
        if (this.#half === '') return ENDED
        this.#chunk = this.#withHalf(NOTHING)
        this.#at = 0
        continue
      }
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
    if (typeof value === 'string') this.#chunk = this.#encoded(this.#half + value)
    else if (ArrayBuffer.isView(value)) {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      this.#chunk = this.#half === '' || bytes.length === 0 ? bytes : this.#withHalf(bytes)
    } else this.#break(invalidArgType('source', 'chunks that are binary data or strings', value))
  }

  /**
   * A text may have been cut anywhere, also inside of a character.
   * @param {string} text
   */
  #encoded(text) {
    const last = text.charCodeAt(text.length - 1)
    const isCut = last >= 0xd800 && last <= 0xdbff
    this.#half = isCut ? text.slice(-1) : ''
    return Buffer.from(isCut ? text.slice(0, -1) : text)
  }

  /**
   * The other half does not come any more.
   * @param {Uint8Array} bytes
   */
  #withHalf(bytes) {
    const half = Buffer.from(this.#half)
    this.#half = ''
    return Buffer.concat([half, bytes])
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
