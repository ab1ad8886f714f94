// `flatMap()`: the results of a run taken apart. Each is an array, or what the event loop still iterates: then its item
// counts as running until that is through, so that never more than `concurrency` of them are pulled at once.

import { fulfilled, rejected } from './outcome.js'
import { RunSource, stageOf } from './run-source.js'
import { DONE, FAILED, ITEM, isThenable } from './source.js'
import { MORE, SourceRun, TAKEN, WAIT } from './source-run.js'

/** What a mapper's iterable yields, pulled a little ahead of the consumer. */
export class InnerResults {
  /** Position of the item that it belongs to. */
  index
  /** Its last word, once all that it has yielded was taken. @type {{ error: unknown } | undefined} */
  failure
  /** There may be more to take, or nothing any more. */
  onChange = () => {}

  #source
  #ahead
  #failureOf
  #onClosed
  /** @type {unknown[]} */
  #results = []
  #ended = false
  #pumping = false
  #waiting = false

  /**
   * @param {import('./source.js').Source} source
   * @param {number} index
   * @param {number} ahead how many results it may hold
   * @param {(error: unknown) => { error: unknown } | undefined} failureOf the iterable has failed; returns what is to be thrown for it, if anything
   * @param {() => void} onClosed nothing of the iterable runs any more; called once
   */
  constructor(source, index, ahead, failureOf, onClosed) {
    this.index = index
    this.#source = source
    this.#ahead = ahead
    this.#failureOf = failureOf
    this.#onClosed = onClosed
  }

  get ended() {
    return this.#ended
  }

  get count() {
    return this.#results.length
  }

  take() {
    const result = this.#results.shift()
    this.pump()
    return result
  }

  /** Pull as far as there is room. */
  pump() {
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#ended && !this.#waiting && this.#results.length < this.#ahead) {
      const pulled = this.#source.pull()
      if (pulled === ITEM) {
        if (isThenable(this.#source.value)) this.#await(this.#source.value)
        else if (!this.#ended) this.#results.push(this.#source.value)
      } else if (pulled === DONE || pulled === FAILED) {
        // Its own code may have ended the call, and so this.
        if (this.#ended) break
        this.#ended = true
        if (pulled === FAILED) this.failure = this.#failureOf(this.#source.error)
        this.#onClosed()
      } else {
        this.#waiting = true
        this.#source.whenReady(this.#proceed)
      }
    }
    this.#pumping = false
  }

  /** Nothing more of it is wanted. */
  close() {
    if (this.#ended) return
    this.#ended = true
    this.#results = []
    this.#close()
    this.onChange()
  }

  #proceed = () => {
    this.#waiting = false
    this.pump()
    this.onChange()
  }

  /** @param {PromiseLike<unknown>} promise */
  #await(promise) {
    this.#waiting = true
    Promise.resolve(promise).then(
      (result) => {
        if (!this.#ended) this.#results.push(result)
        this.#proceed()
      },
      (error) => {
        if (this.#ended) return
        this.#ended = true
        this.failure = this.#failureOf(error)
        // It has not ended by itself.
        this.#close()
        this.#proceed()
      },
    )
  }

  /** How that goes is no news to anyone: what there was to say about the item is known. */
  #close() {
    this.#source.close().then(this.#onClosed, this.#onClosed)
  }
}

export class FlatRun extends SourceRun {
  #ordered
  #settled
  /** The array that is taken apart. @type {readonly unknown[] | undefined} */
  #array
  #next = 0
  #index = 0
  /** Those that are not through, in the order in which they came. @type {InnerResults[]} */
  #inner = []
  /** Without order: the run was asked for news since the last result. One that is never out of results must not keep
   * the others from their turn. */
  #asked = false

  /**
   * @param {import('./outcome.js').Run<any>} run its results are arrays and InnerResults, settled or not
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  constructor(run, settings) {
    super(new RunSource(stageOf(run)))
    this.#ordered = settings.preserveOrder
    this.#settled = settings.settled
  }

  /**
   * @override
   * @param {boolean} ended
   */
  offer(ended) {
    if (this.#array !== undefined) {
      if (this.#next < this.#array.length) {
        this.#give(this.#array[this.#next++], this.#index)
        return TAKEN
      }
      this.#array = undefined
    }
    if (!this.#ordered && !ended && !this.#asked) {
      this.#asked = true
      return MORE
    }
    const offered = this.#offerInner()
    return offered === MORE && ended && this.#inner.length > 0 ? WAIT : offered
  }

  /** @override */
  stalled() {
    return !this.#ordered && this.#offerInner() === TAKEN
  }

  /** A result of those that are not through. */
  #offerInner() {
    let at = 0
    while (at < this.#inner.length) {
      const inner = this.#inner[at]
      if (inner.count > 0) {
        this.#give(inner.take(), inner.index)
        // In turn, where the order does not matter.
        if (!this.#ordered) this.#inner.push(...this.#inner.splice(at, 1))
        return TAKEN
      }
      if (inner.ended) {
        this.#inner.splice(at, 1)
        if (inner.failure === undefined) continue
        if (!this.#settled) {
          this.fail(inner.failure.error)
          return WAIT
        }
        this.value = rejected(inner.failure.error, inner.index)
        return TAKEN
      }
      if (this.#ordered) return WAIT
      at++
    }
    return MORE
  }

  /**
   * @override
   * @param {any} result
   */
  accept(result) {
    let results = result
    if (this.#settled) {
      if (result.status === 'rejected') {
        this.value = result
        return TAKEN
      }
      this.#index = result.index
      results = result.value
    }
    if (results instanceof InnerResults) {
      results.onChange = () => this.wake()
      this.#inner.push(results)
    } else {
      this.#array = results
      this.#next = 0
    }
    return this.offer(false)
  }

  /** @override */
  clear() {
    this.#array = undefined
    this.#inner = []
  }

  /**
   * @param {unknown} result
   * @param {number} index
   */
  #give(result, index) {
    this.#asked = false
    this.value = this.#settled ? fulfilled(result, index) : result
  }
}
