// A run that maps nothing: it passes items of a source on, fewer, gathered or taken apart. What it makes of them is up to
// the class that extends it; here is what all of them need to be a run: waiting, ending, leaving.

import { FAILED, FULL, ITEM, isThenable, PENDING, watched } from './source.js'

/** What `offer()` says: a result stands in `value`. */
export const TAKEN = 0
/** Nothing before `wake()` is called. */
export const WAIT = 1
/** Nothing before another item has come. */
export const MORE = 2

/** @typedef {{ settled: boolean, failed: boolean, value: unknown }} PromisedItem */
/** @typedef {{ resolve: (result: IteratorResult<any, undefined>) => void, reject: (error: unknown) => void }} Waiter */

export class SourceRun {
  /** The result that the last `poll()` took. @type {any} */
  value = undefined

  #source
  /** DONE or FAILED once the source has no more. */
  #sourceEnd = ITEM
  #waitingForSource = false
  /** An item that is a promise. @type {PromisedItem | undefined} */
  #promised
  #advancing = false
  #over = false
  /** What the next `next()` throws. @type {{ error: unknown } | undefined} */
  #failure
  /** Calls of `next()` that wait, oldest first. @type {Waiter[]} */
  #waiters = []
  /** @type {Promise<void> | undefined} */
  #closing
  /** Somebody was told how the closing went. */
  #closingTold = false
  /** @type {((error: unknown) => void) | undefined} */
  #tellStop
  #ended = gate()

  /** @param {import('./source.js').Source} source */
  constructor(source) {
    this.#source = source
  }

  /**
   * Look for a result in what was accepted so far.
   * @param {boolean} _ended no more items come; then MORE means that this is the end
   * @returns {number} TAKEN, WAIT or MORE
   */
  offer(_ended) {
    return MORE
  }

  /**
   * Pull the source: one item, or many with `fill()`.
   * @param {import('./source.js').Source} source
   * @returns {number} as `source.pull()`, or as `source.fill()`
   */
  pull(source) {
    return source.pull()
  }

  /**
   * Take an item. What this throws ends the run as an error of the source does.
   * @param {any} _item
   * @returns {number} as `offer()`
   */
  accept(_item) {
    return MORE
  }

  /**
   * The source has nothing for now.
   * @returns {boolean} a result stands in `value` all the same
   */
  stalled() {
    return false
  }

  /** The run is over: let go of everything. */
  clear() {}

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  next() {
    if (this.poll()) return Promise.resolve({ done: false, value: this.value })
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#answer()
    })
  }

  poll() {
    return this.#waiters.length === 0 && this.#advance()
  }

  /** @returns {Promise<{ done: true, value: undefined }>} */
  async return() {
    this.#failure = undefined
    this.#end()
    this.#close()
    this.#answer()
    await this.#afterClosing()
    return { done: true, value: undefined }
  }

  /** @param {(error: unknown) => void} fn */
  onStop(fn) {
    this.#tellStop = fn
    this.#source.onStop(fn)
    if (this.#failure !== undefined) fn(this.#failure.error)
  }

  get finished() {
    return this.#ended.opened.then(() => this.#source.finished)
  }

  /** There may be a result now, without another item. */
  wake() {
    this.#answer()
  }

  /** What was taken last is the last result: the source is not wanted any more. */
  enough() {
    this.#end()
    this.#close()
  }

  /**
   * Throw this instead of a further result.
   * @param {unknown} error
   */
  fail(error) {
    if (this.#over) return
    this.#end()
    this.#failure = { error }
    this.#close()
    this.#tellStop?.(error)
  }

  /** @returns {boolean} a result stands in `value` */
  #advance() {
    // The source's own code may ask for results of this run.
    if (this.#advancing) return false
    this.#advancing = true
    try {
      if (this.#over) return false
      let offered = this.offer(this.#sourceEnd !== ITEM)
      for (;;) {
        if (offered === TAKEN) return true
        if (offered === WAIT || this.#over) return false
        if (this.#sourceEnd !== ITEM) {
          this.#finish()
          return false
        }
        if (this.#promised !== undefined) {
          const { settled, failed, value } = this.#promised
          if (!settled) return this.stalled()
          this.#promised = undefined
          offered = failed ? this.#breakOff(value) : this.#accept(value)
          continue
        }
        const pulled = this.pull(this.#source)
        // What was pulled may have left this run. Nobody will look at this item: its rejection must not end the program.
        if (this.#over) {
          if (pulled === ITEM) watched(this.#source.value)
          return false
        }
        if (pulled === ITEM) {
          const { value } = this.#source
          if (isThenable(value)) this.#awaitItem(value)
          else offered = this.#accept(value)
        } else if (pulled === FULL) {
          offered = this.offer(false)
        } else if (pulled === PENDING) {
          this.#awaitSource()
          return this.stalled()
        } else {
          this.#sourceEnd = pulled
          offered = this.offer(true)
        }
      }
    } finally {
      this.#advancing = false
    }
  }

  /** @param {unknown} item */
  #accept(item) {
    try {
      return this.accept(item)
    } catch (error) {
      return this.#breakOff(error)
    }
  }

  /** @param {PromiseLike<unknown>} promise */
  #awaitItem(promise) {
    /** @type {PromisedItem} */
    const item = { settled: false, failed: false, value: undefined }
    this.#promised = item
    const settle = (/** @type {boolean} */ failed) => (/** @type {unknown} */ value) => {
      item.settled = true
      item.failed = failed
      item.value = value
      this.#answer()
    }
    Promise.resolve(promise).then(settle(false), settle(true))
  }

  #awaitSource() {
    if (this.#waitingForSource) return
    this.#waitingForSource = true
    this.#source.whenReady(this.#onSource)
  }

  #onSource = () => {
    this.#waitingForSource = false
    this.#answer()
  }

  /**
   * The source is of no use any more, and what it has yielded before is still delivered.
   * @param {unknown} error
   * @returns {number} as `offer()`
   */
  #breakOff(error) {
    this.#sourceEnd = FAILED
    this.#source.error = error
    this.#close()
    return this.offer(true)
  }

  #finish() {
    if (this.#sourceEnd === FAILED) this.#failure = { error: this.#source.error }
    this.#end()
    this.#close()
  }

  /** Answer the waiting `next()` calls as far as there is something to say. */
  #answer() {
    while (this.#waiters.length !== 0) {
      if (this.#advance()) {
        this.#waiters.shift()?.resolve({ done: false, value: this.value })
        continue
      }
      if (!this.#over) return
      const waiter = this.#waiters.shift()
      const failure = this.#failure
      this.#failure = undefined
      if (failure !== undefined) waiter?.reject(failure.error)
      else this.#afterClosing().then(() => waiter?.resolve({ done: true, value: undefined }), waiter?.reject)
    }
  }

  #end() {
    if (this.#over) return
    this.#over = true
    this.clear()
  }

  #close() {
    if (this.#closing !== undefined) return
    this.#closing = this.#source.close()
    this.#closing.then(this.#ended.open, this.#ended.open)
  }

  async #afterClosing() {
    // A source that never answers must not hold up the one who leaves; `finished` waits for it.
    if (this.#source.pending) return
    const told = this.#closingTold
    this.#closingTold = true
    // All wait for it, so that calls that overlap are answered in order, but how it failed is said once.
    if (told) await this.#closing?.catch(ignore)
    else await this.#closing
  }
}

function ignore() {}

/** @returns {{ opened: Promise<void>, open: () => void }} */
function gate() {
  let open = () => {}
  const opened = /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      open = () => resolve(undefined)
    })
  )
  return { opened, open }
}
