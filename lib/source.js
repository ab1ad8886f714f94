// The source of a call: any iterable, pulled one item at a time and only on credit, closed exactly once (invariant 4).
// Synchronous sources cost no promise. Items that are promises are handed out as they are: each place awaits them in
// its own lanes, and a rejected one is an error of its item, not of the source.

import { isAnyArrayBuffer } from 'node:util/types'
import { invalidArgType } from './errors.js'

/** The method of what knows a better way than being iterated: `[asSource]() → Source`. */
export const asSource = Symbol('millrace.asSource')

/** What `pull()` found: the next item, in `value` and `index`. */
export const ITEM = 0
/** Not yet: `ready` settles (it never rejects) when it is worth pulling again. */
export const PENDING = 1
/** The source has ended. */
export const DONE = 2
/** The source threw: `error`. That ends it, nothing has to be closed. */
export const FAILED = 3
/** Only of `fill()`: it has filled the array. */
export const FULL = 4

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

/**
 * Whether a value has to be awaited. Yes as well where looking at its `then` throws: that is for the promise to report.
 * @param {unknown} value
 * @returns {value is PromiseLike<unknown>}
 */
export function isThenable(value) {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
  try {
    return typeof (/** @type {{ then?: unknown }} */ (value).then) === 'function'
  } catch {
    return true
  }
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null
}

/**
 * A value that is awaited later, if at all.
 * @param {unknown} value
 * @returns {unknown} the same, or a promise of it whose rejection is no unhandled one
 */
export function watched(value) {
  if (!isThenable(value)) return value
  const promise = Promise.resolve(value)
  promise.catch(ignore)
  return promise
}

/** What every kind of source has. `pull()` writes the fields; the place that pulls reads them. */
export class Source {
  /** The item of the last ITEM. @type {any} */
  value = undefined
  /** Its position, from 0. @type {number} */
  index = -1
  /** What the source threw, after FAILED. @type {unknown} */
  error = undefined
  /** After PENDING: settles when `pull()` has something new to say. Never rejects. @type {Promise<void>} */
  ready = SETTLED
  /** Whether a `next()` of the iterator has not settled yet. */
  pending = false

  /** @returns {number} ITEM, PENDING, DONE or FAILED */
  pull() {
    return DONE
  }

  /**
   * Pull many: the same as a loop over `pull()` that pushes values into an array, except those that are promises.
   * @param {unknown[]} into after PENDING, too, as they come
   * @param {number} size
   * @returns {number} FULL; ITEM for a promise, in `value` and `index`; or as `pull()`. After PENDING call it again.
   */
  fill(into, size) {
    while (into.length < size) {
      const pulled = this.pull()
      if (pulled !== ITEM || isThenable(this.value)) return pulled
      into.push(this.value)
    }
    return FULL
  }

  /**
   * After PENDING: `fn` is called when `pull()` has something new to say, in a later turn. One at a time.
   * @param {() => void} fn
   */
  whenReady(fn) {
    this.ready.then(fn)
  }

  /**
   * `fn` is called the moment that an error is known with which this source will fail, before it does.
   * @param {(error: unknown) => void} _fn
   */
  onStop(_fn) {}

  /** Settles when nothing runs any more for what it has yielded. Never rejects. Look when it has ended or is closed. */
  get finished() {
    return SETTLED
  }

  /**
   * Ask for nothing more, and `return()` the iterator unless it has ended. Idempotent.
   * @returns {Promise<void>} settles with a pending pull and the `return()`; rejects with what `return()` threw
   */
  close() {
    return SETTLED
  }
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

/** Async generators, Node Readable, web streams and every other asynchronous iterable. One `next()` at a time. */
class AsyncSource extends Source {
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
class WebStream {
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

/**
 * A generator or a stream is open from birth, so it is closed even if it was never pulled. An iterable that makes its
 * iterators on demand has none yet.
 * @param {any} iterable
 * @returns {{ return?(): unknown } | undefined}
 */
function liveIterator(iterable) {
  if (iterable === undefined || typeof iterable.next !== 'function') return undefined
  return typeof iterable[Symbol.asyncIterator] === 'function'
    ? iterable[Symbol.asyncIterator]()
    : iterable[Symbol.iterator]()
}

/**
 * @param {any} source
 * @returns {source is { destroy(): void }}
 */
function isNodeStream(source) {
  return typeof source?.destroy === 'function' && typeof source.pipe === 'function'
}

function ignore() {}

const EXPECTED =
  'an iterable, an async iterable or a readable stream (wrap a string or binary data in an array)'
const ARRAY_ITERATOR = Array.prototype[Symbol.iterator]
const SETTLED = Promise.resolve()
