// Takes hold of what a caller gives as a source, and reads the synchronous kinds: arrays and iterables.

import { isAnyArrayBuffer } from 'node:util/types'
import { AsyncSource, WebStream } from './async-source.js'
import { invalidArgType } from './errors.js'
import { DONE, FAILED, FULL, ITEM, isThenable, liveIterator, Source } from './source.js'

/** The method of what knows a better way than being iterated: `[asSource]() → Source`. */
export const asSource = Symbol('millrace.asSource')

/**
 * Take hold of a source without touching it: its iterator is made by the first `pull()`.
 * @param {unknown} source
 * @returns {Source}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE for what is not iterable, and for strings and binary data: iterating those
 *   by character or byte is never what was meant
 */
export function openSource(source) {
  if (typeof source !== 'object' && typeof source !== 'function')
    throw invalidArgType('source', EXPECTED, source)
  if (source === null || source instanceof String) throw invalidArgType('source', EXPECTED, source)
  if (ArrayBuffer.isView(source) || isAnyArrayBuffer(source)) throw invalidArgType('source', EXPECTED, source)
  if (Array.isArray(source) && source[Symbol.iterator] === ARRAY_ITERATOR) return new ArraySource(source)
  const iterable =
    /** @type {Iterable<unknown> & AsyncIterable<unknown> & ReadableStream & { [asSource]?(): Source }} */ (
      source
    )
  if (typeof iterable[asSource] === 'function') return iterable[asSource]()
  if (typeof iterable.getReader === 'function') return new AsyncSource(new WebStream(iterable))
  if (typeof iterable[Symbol.asyncIterator] === 'function') return new AsyncSource(iterable)
  if (typeof iterable[Symbol.iterator] === 'function') return new SyncSource(iterable)
  throw invalidArgType(
    'source',
    isThenable(source) ? `${EXPECTED} (await the promise first)` : EXPECTED,
    source,
  )
}

/** A plain array: read in place, with the same live length that its iterator would see. */
class ArraySource extends Source {
  /** @type {readonly unknown[] | undefined} */
  #items
  #next = 0

  /** @param {readonly unknown[]} items */
  constructor(items) {
    super()
    this.#items = items
  }

  /** @override */
  pull() {
    const items = this.#items
    if (items === undefined) return DONE
    const index = this.#next
    if (index >= items.length) return this.#end()
    this.#next = index + 1
    this.index = index
    this.value = items[index]
    return ITEM
  }

  #end() {
    this.#items = this.value = undefined
    return DONE
  }

  /** @override */
  close() {
    this.#end()
    return SETTLED
  }
}

/** Sets, Maps, generators and every other synchronous iterable. */
class SyncSource extends Source {
  /** @type {Iterable<unknown> | undefined} */
  #iterable
  /** @type {Iterator<unknown> | undefined} */
  #iterator
  /** DONE or FAILED once nothing more comes. */
  #end = ITEM
  #pulling = false
  /** @type {Promise<void> | undefined} */
  #closed
  /** @type {(() => void) | undefined} */
  #closeAfterPull

  /** @param {Iterable<unknown>} iterable */
  constructor(iterable) {
    super()
    this.#iterable = iterable
  }

  /** @override */
  pull() {
    if (this.#end !== ITEM) return this.#end
    this.#pulling = true
    try {
      this.#iterator ??= /** @type {Iterable<unknown>} */ (this.#iterable)[Symbol.iterator]()
      const result = this.#iterator.next()
      if (result.done) {
        this.#finish(DONE)
      } else {
        this.value = result.value
        this.index++
      }
    } catch (error) {
      this.error = error
      this.#finish(FAILED)
    }
    this.#pulling = false
    this.#closeAfterPull?.()
    return this.#end
  }

  /**
   * @override
   * @param {unknown[]} into
   * @param {number} size
   */
  fill(into, size) {
    if (this.#end !== ITEM) return this.#end
    let state = FULL
    this.#pulling = true
    try {
      this.#iterator ??= /** @type {Iterable<unknown>} */ (this.#iterable)[Symbol.iterator]()
      const iterator = this.#iterator
      while (into.length < size && this.#closed === undefined) {
        const result = iterator.next()
        if (result.done) {
          this.#finish(DONE)
          state = DONE
          break
        }
        const { value } = result
        this.index++
        if (isThenable(value)) {
          this.value = value
          state = ITEM
          break
        }
        into.push(value)
      }
    } catch (error) {
      this.error = error
      this.#finish(FAILED)
      state = FAILED
    }
    this.#pulling = false
    this.#closeAfterPull?.()
    return state
  }

  /** @override */
  close() {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close() {
    // An open generator refuses return() while it runs, so one that aborts its own call is closed when it has yielded.
    if (this.#pulling) await new Promise((resolve) => (this.#closeAfterPull = () => resolve(undefined)))
    if (this.#end !== ITEM) return
    const iterator = this.#iterator ?? liveIterator(this.#iterable)
    this.#finish(DONE)
    iterator?.return?.()
  }

  /** @param {number} end */
  #finish(end) {
    this.#end = end
    this.#iterable = this.#iterator = this.value = undefined
  }
}

const EXPECTED =
  'an iterable, an async iterable or a readable stream (wrap a string or binary data in an array)'
const ARRAY_ITERATOR = Array.prototype[Symbol.iterator]
const SETTLED = Promise.resolve()
