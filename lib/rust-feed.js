// Bytes that a Rust thread reads ahead of us: of a file, or records of what it finds. It starts with the first `take()`.

import { getSystemErrorMap } from 'node:util'

/** What `take()` says when it has not taken any: nothing yet, `whenReady()` tells when. */
export const WAIT = 0
/** No more bytes come. */
export const ENDED = -1
/** Reading failed: `error`. */
export const BROKEN = -2

/**
 * Where a source has its bytes from.
 * @typedef {object} Feed
 * @property {(into: Uint8Array) => number} take how many bytes it has written there; or WAIT, ENDED or BROKEN
 * @property {unknown} error
 * @property {(fn: () => void) => void} whenReady after WAIT: `fn` is called, in a later turn, when there is more to say
 * @property {boolean} mayHang it waits for what may never come, even if it is closed
 * @property {() => Promise<void>} close everything it had open is closed
 */

/** @implements {Feed} */
export class RustFeed {
  /** @type {unknown} */
  error = undefined
  #start
  #path
  /** @type {import('./binding.js').NativeFeed | undefined} */
  #native
  /** @type {Promise<void> | undefined} */
  #closed
  /** @type {(() => void) | undefined} */
  #tellClosed
  /** @type {(() => void) | undefined} */
  #tellReady
  /** Bytes that were taken in this turn of the event loop, and what begins the next. */
  #taken = 0
  /** @type {NodeJS.Immediate | undefined} */
  #turn

  /**
   * @param {(onWake: () => void) => import('./binding.js').NativeFeed} start
   * @param {string} [path] for errors
   */
  constructor(start, path) {
    this.#start = start
    this.#path = path
  }

  /** A thread that waits is woken when it is closed. */
  get mayHang() {
    return false
  }

  /** @param {Uint8Array} into */
  take(into) {
    if (this.#closed !== undefined) return ENDED
    // A file that is in memory already comes as fast as it is taken: others get their turn now and then.
    if (this.#taken >= TURN_BYTES) return WAIT
    try {
      this.#native ??= this.#started()
      const taken = this.#native.take(into)
      if (taken > 0) this.#taken += taken
      if (taken >= 0) return taken
      if (taken === BROKEN) this.error = this.#failure(this.#native.failure())
      this.#dispose()
      return taken
    } catch (error) {
      this.error = error
      this.#dispose()
      return BROKEN
    }
  }

  /** @param {() => void} fn */
  whenReady(fn) {
    this.#tellReady = fn
    if (this.#taken < TURN_BYTES) waiting.add(this)
    else this.#turn ??= setImmediate(() => this.#nextTurn())
  }

  close() {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** @returns {Promise<void>} */
  #close() {
    if (this.#native === undefined || this.#native.leave()) {
      this.#dispose()
      return Promise.resolve()
    }
    waiting.add(this)
    return new Promise((resolve) => {
      this.#tellClosed = resolve
    })
  }

  #started() {
    // Who leaves a source without closing it forgets this object, and the thread ends with it: so what Rust holds
    // must not hold this.
    const itself = new WeakRef(this)
    return this.#start(() => itself.deref()?.wake())
  }

  /** Rust has something new to say. */
  wake() {
    // Nobody may want to hear it now: it must not be said again and again.
    this.#native?.answer()
    if (this.#tellClosed !== undefined && this.#native?.leave()) {
      this.#dispose()
      this.#tellClosed()
      this.#tellClosed = undefined
    }
    if (this.#tellClosed === undefined) waiting.delete(this)
    this.#tell()
  }

  #nextTurn() {
    this.#turn = undefined
    this.#taken = 0
    this.#tell()
  }

  #tell() {
    const tell = this.#tellReady
    this.#tellReady = undefined
    tell?.()
  }

  #dispose() {
    this.#closed ??= Promise.resolve()
    this.#native?.dispose()
    this.#native = undefined
  }

  /** @param {import('./binding.js').FeedFailure | null | undefined} failure */
  #failure(failure) {
    const { errno, syscall } = failure ?? { errno: 0, syscall: 'the reading failed' }
    return errno === 0 ? new Error(syscall) : systemError(errno, syscall, this.#path)
  }
}

/**
 * An error as Node's own functions for files throw it.
 * @param {number} errno positive
 * @param {string} syscall
 * @param {string} [path]
 * @returns {NodeJS.ErrnoException}
 */
export function systemError(errno, syscall, path) {
  const [code, description] = getSystemErrorMap().get(-errno) ?? [`ERRNO_${errno}`, 'unknown error']
  const where = path === undefined ? '' : ` '${path}'`
  const error = new Error(`${code}: ${description}, ${syscall}${where}`)
  return Object.assign(error, { errno: -errno, code, syscall, ...(path !== undefined && { path }) })
}

/** Those that Rust will wake: nobody else may hold them, and they are not garbage. @type {Set<RustFeed>} */
const waiting = new Set()

const TURN_BYTES = 256 << 10
