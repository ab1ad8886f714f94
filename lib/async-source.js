// Sources that have to be awaited: async iterables, Node streams, web streams.

import { invalidArgType } from './errors.js'
import { DONE, FAILED, FULL, ITEM, isThenable, liveIterator, PENDING, Source, watched } from './source.js'

/** Async generators, Node Readable, web streams and every other asynchronous iterable. One `next()` at a time. */
export class AsyncSource extends Source {
  /** @type {AsyncIterable<unknown> | undefined} */
  #iterable
  /** @type {AsyncIterator<unknown> | undefined} */
  #iterator
  /** DONE or FAILED once nothing more comes. */
  #end = ITEM
  /** Whether `#arrived` holds an item that was not handed out yet. */
  #full = false
  /** @type {unknown} */
  #arrived
  /** @type {Promise<void> | undefined} */
  #closed
  /** @type {(() => void) | undefined} */
  #wake
  /** @override */
  pending = false
  /** Where `fill()` wants what comes, and how many. @type {unknown[] | undefined} */
  #into
  #size = 0
  /** `#ask()` is at work, and would go on at once. */
  #telling = false
  #again = false

  /** @param {AsyncIterable<unknown>} iterable */
  constructor(iterable) {
    super()
    this.#iterable = iterable
  }

  /** @override */
  pull() {
    if (this.#full) {
      this.#full = false
      this.value = this.#arrived
      this.#arrived = undefined
      this.index++
      return ITEM
    }
    if (this.#end !== ITEM) return this.#end
    if (this.#closed !== undefined) return DONE
    if (this.pending) return PENDING
    this.pending = true
    this.value = undefined
    if (this.#telling) {
      this.#again = true
      return PENDING
    }
    this.ready = this.#ask()
    // It may have thrown at once.
    return this.#end === ITEM ? PENDING : this.#end
  }

  /**
   * @override
   * @param {unknown[]} into
   * @param {number} size
   */
  fill(into, size) {
    if (into.length >= size) return FULL
    this.#into = into
    this.#size = size
    const pulled = super.fill(into, size)
    if (pulled !== PENDING) this.#into = undefined
    return pulled
  }

  /** @override */
  whenReady(/** @type {() => void} */ fn) {
    // Called by `#ask()` itself: one promise and one turn less per item than `ready.then()`.
    this.#wake = fn
  }

  /** @override */
  close() {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Ask for an item, and for the next one as long as whoever hears of it wants that at once: awaiting costs no promise then. */
  async #ask() {
    do {
      this.#again = false
      try {
        this.#iterator ??= /** @type {AsyncIterable<unknown>} */ (this.#iterable)[Symbol.asyncIterator]()
        const iterator = this.#iterator
        let result = await iterator.next()
        while (this.#takes(result)) result = await iterator.next()
        this.pending = false
        if (this.#into === undefined || this.#into.length < this.#size) this.#arrive(result)
        this.#into = undefined
      } catch (error) {
        this.pending = false
        this.#fail(error)
      }
      this.#telling = true
      this.#tell()
      this.#telling = false
    } while (this.#again)
  }

  #tell() {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  /**
   * Push what has come, where that is wanted.
   * @param {IteratorResult<unknown>} result
   * @returns {boolean} another one is wanted
   */
  #takes(result) {
    const into = this.#into
    if (into === undefined || this.#closed !== undefined || !isObject(result) || result.done) return false
    const { value } = result
    if (isThenable(value)) return false
    this.index++
    return into.push(value) < this.#size
  }

  /** @param {IteratorResult<unknown>} result */
  #arrive(result) {
    if (!isObject(result)) throw invalidArgType('next()', 'an object from it', result)
    if (result.done) {
      this.#finish(DONE)
    } else if (this.#closed === undefined) {
      // It may be dropped unseen, or be asked for late.
      this.#arrived = watched(result.value)
      this.#full = true
    } else {
      // Nobody will look at this item: its rejection must not end the program.
      watched(result.value)
    }
  }

  async #close() {
    const pull = this.ready
    this.#full = false
    this.#arrived = undefined
    if (this.#end !== ITEM) return
    const iterable = this.#iterable
    const iterator = this.#iterator ?? liveIterator(iterable)
    this.#finish(DONE)
    // At once, not after the pending next(): return() is what ends the wait of an iterator over events.
    const returned = iterator?.return?.()
    // A Readable's iterator is a generator: its return() queues behind a next() that waits for data that may never
    // come, and does nothing at all before the first next(). The stream itself can be ended now.
    if (isNodeStream(iterable)) iterable.destroy()
    try {
      await returned
    } finally {
      await pull
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    // After close() the answer is known already, and an error of the last pull is nobody's business any more.
    if (this.#closed !== undefined) return
    this.error = error
    this.#finish(FAILED)
  }

  /** @param {number} end */
  #finish(end) {
    this.#end = end
    this.#iterable = this.#iterator = this.value = undefined
  }
}

/**
 * A web stream read through a reader of our own: unlike its async iterator, a reader can be cancelled while a read is
 * pending, so that `break` ends an idle connection at once.
 */
export class WebStream {
  /** @type {ReadableStream<unknown>} */
  #stream
  /** @type {ReadableStreamDefaultReader<unknown> | undefined} */
  #reader

  /** @param {ReadableStream<unknown>} stream */
  constructor(stream) {
    this.#stream = stream
  }

  [Symbol.asyncIterator]() {
    this.#reader ??= this.#stream.getReader()
    return this
  }

  /** @returns {Promise<IteratorResult<unknown>>} */
  async next() {
    const reader = /** @type {ReadableStreamDefaultReader<unknown>} */ (this.#reader)
    try {
      const { done, value } = await reader.read()
      if (!done) return { done: false, value }
    } catch (error) {
      reader.releaseLock()
      throw error
    }
    reader.releaseLock()
    return { done: true, value: undefined }
  }

  /** @returns {Promise<IteratorResult<unknown>>} */
  async return() {
    const reader = /** @type {ReadableStreamDefaultReader<unknown>} */ (this.#reader)
    await reader.cancel()
    reader.releaseLock()
    return { done: true, value: undefined }
  }
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null
}

/**
 * @param {any} source
 * @returns {source is { destroy(): void }}
 */
function isNodeStream(source) {
  return typeof source?.destroy === 'function' && typeof source.pipe === 'function'
}
