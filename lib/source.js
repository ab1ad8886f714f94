// The source of a call: any iterable, pulled one item at a time and only on credit, closed exactly once (invariant 4).
// Synchronous sources cost no promise. Items that are promises are handed out as they are: each place awaits them in
// its own lanes, and a rejected one is an error of its item, not of the source. `open-source.js` makes them.

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

/**
 * A generator or a stream is open from birth, so it is closed even if it was never pulled. An iterable that makes its
 * iterators on demand has none yet.
 * @param {any} iterable
 * @returns {{ return?(): unknown } | undefined}
 */
export function liveIterator(iterable) {
  if (iterable === undefined || typeof iterable.next !== 'function') return undefined
  return typeof iterable[Symbol.asyncIterator] === 'function'
    ? iterable[Symbol.asyncIterator]()
    : iterable[Symbol.iterator]()
}

function ignore() {}

const SETTLED = Promise.resolve()
