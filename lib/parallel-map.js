// The one verb, and the object that it returns: lazy, consumed once, by a loop or by a further stage. Where the work runs
// is the mapper's business.

import { BatchRun } from './batch-run.js'
import { FILTER, FLATTEN } from './chunk-flags.js'
import { watchConsumption } from './consumed-warning.js'
import { ConsumedError, invalidArgType } from './errors.js'
import { asSource, openSource } from './open-source.js'
import { batchSettings, resultCount } from './options.js'
import { plannedCall } from './planned-call.js'
import { readableOf } from './readable.js'
import { RunSource } from './run-source.js'
import { DropRun, TakeRun } from './slice-run.js'
import { isThenable } from './source.js'

/**
 * @param {unknown} source
 * @param {unknown} mapper
 * @param {unknown} [options]
 * @returns {ParallelMap}
 */
export function parallelMap(source, mapper, options) {
  const { start } = plannedCall(mapper, options)
  return new ParallelMap(openSource(source), start, parallelMap)
}

/**
 * @param {unknown} source
 * @param {unknown} size
 * @returns {ParallelMap}
 */
export function batch(source, size) {
  const settings = batchSettings(size)
  return new ParallelMap(openSource(source), (opened) => new BatchRun(opened, settings), batch)
}

/**
 * What passes a source on as it is: for those that we make ourselves.
 * @param {Source} source
 * @param {Function} maker the public function that made it
 * @returns {ParallelMap}
 */
export function sourceCall(source, maker) {
  return new ParallelMap(source, undefined, maker)
}

/** One call: nothing has started yet, and its results can be asked for once. */
class ParallelMap {
  #source
  #start
  /** @type {Run | undefined} */
  #run
  /** Left before it started. @type {Promise<void> | undefined} */
  #closing
  #consumption

  /**
   * @param {Source} source
   * @param {((source: Source) => Run) | undefined} start undefined: its items are the results
   * @param {Function} maker the public function that made it
   */
  constructor(source, start, maker) {
    this.#source = source
    this.#start = start
    this.#consumption = watchConsumption(this, maker)
  }

  /**
   * @param {unknown} mapper
   * @param {unknown} [options]
   */
  map(mapper, options) {
    return this.#stage(plannedCall(mapper, options).start, this.map)
  }

  /**
   * @param {unknown} mapper
   * @param {unknown} [options]
   */
  filter(mapper, options) {
    return this.#stage(plannedCall(mapper, options, FILTER).start, this.filter)
  }

  /**
   * @param {unknown} mapper
   * @param {unknown} [options]
   */
  flatMap(mapper, options) {
    return this.#stage(plannedCall(mapper, options, FLATTEN).start, this.flatMap)
  }

  /** @param {unknown} size */
  batch(size) {
    const settings = batchSettings(size)
    return this.#stage((source) => new BatchRun(source, settings), this.batch)
  }

  /** @param {unknown} count */
  take(count) {
    const most = resultCount(count)
    return this.#stage((source) => new TakeRun(source, most), this.take)
  }

  /** @param {unknown} count */
  drop(count) {
    const least = resultCount(count)
    return this.#stage((source) => new DropRun(source, least), this.drop)
  }

  toReadable() {
    this.#consume()
    return readableOf(
      () => this.#started(),
      () => this.#leave(),
    )
  }

  [Symbol.asyncIterator]() {
    this.#consume()
    return new ResultIterator(
      () => this.#started(),
      () => this.#leave(),
    )
  }

  /** @returns {Promise<any[]>} */
  async toArray() {
    /** @type {any[]} */
    const results = []
    await this.#drain((result) => {
      results.push(result)
    })
    return results
  }

  /** @param {(result: any, index: number) => unknown} fn */
  async forEach(fn) {
    if (typeof fn !== 'function') throw invalidArgType('fn', 'a function', fn)
    await this.#drain(fn)
  }

  /**
   * @param {(accumulator: any, result: any, index: number) => any} fn
   * @param {any} initial
   */
  async reduce(fn, ...initial) {
    if (typeof fn !== 'function') throw invalidArgType('fn', 'a function', fn)
    if (initial.length === 0) throw invalidArgType('initial', 'a value to begin with', undefined)
    let [accumulator] = initial
    await this.#drain((result, index) => {
      const reduced = fn(accumulator, result, index)
      if (!isThenable(reduced)) {
        accumulator = reduced
        return undefined
      }
      return reduced.then((value) => {
        accumulator = value
      })
    })
    return accumulator
  }

  /** @returns {Promise<void>} */
  get finished() {
    // What is before this stage ends after it: it is asked when this one has.
    if (this.#run !== undefined) return this.#run.finished.then(() => this.#source.finished)
    return this.#closing === undefined ? Promise.resolve() : this.#closing.catch(ignore)
  }

  async [Symbol.asyncDispose]() {
    this.#consumption.settle()
    await this.#leave()
  }

  /** The results as a source, for the stage that consumes them. */
  [asSource]() {
    this.#consume()
    // Nothing stands between the source and the stage that consumes it.
    if (this.#start === undefined) return this.#source
    const call = this
    return new RunSource({
      started: () => call.#started(),
      leave: () => call.#leave(),
      get finished() {
        return call.finished
      },
    })
  }

  /**
   * @param {(source: Source) => Run} start
   * @param {Function} maker
   */
  #stage(start, maker) {
    return new ParallelMap(this[asSource](), start, maker)
  }

  #consume() {
    if (this.#consumption.consumed) {
      throw new ConsumedError(
        'The results of this call were already consumed: call parallelMap() again for new ones',
      )
    }
    this.#consumption.settle()
  }

  /** @returns {Run | undefined} undefined: it was left before it started */
  #started() {
    if (this.#run === undefined && this.#closing === undefined) {
      this.#run = this.#start === undefined ? new DropRun(this.#source, 0) : this.#start(this.#source)
    }
    return this.#run
  }

  /** @returns {Promise<unknown>} */
  #leave() {
    if (this.#run !== undefined) return this.#run.return()
    this.#closing ??= this.#source.close()
    return this.#closing
  }

  /**
   * Hand every result to `each`, one after the other. Rejects at once when the call stops: what is still under way
   * cannot save it.
   * @param {(result: any, index: number) => unknown} each awaited if it returns a promise
   * @returns {Promise<void>}
   */
  #drain(each) {
    this.#consume()
    const run = /** @type {Run} */ (this.#started())
    let stopped = false
    let index = 0
    const hand = (/** @type {any} */ result) => {
      const handled = each(result, index++)
      return isThenable(handled) ? handled : undefined
    }
    const drain = async () => {
      while (!stopped) {
        // Without a promise per result as long as there are any.
        while (!stopped && run.poll()) {
          const handled = hand(run.value)
          if (handled !== undefined) await handled
        }
        if (stopped) return
        const { done, value } = await run.next()
        if (done || stopped) return
        const handled = hand(value)
        if (handled !== undefined) await handled
      }
    }
    return new Promise((resolve, reject) => {
      run.onStop((error) => {
        stopped = true
        reject(error)
        run.return().catch(ignore)
      })
      drain().then(resolve, async (error) => {
        // As `for await` does it: the source is closed first, and what was thrown wins over a failure of that.
        if (!stopped) await run.return().catch(ignore)
        reject(error)
      })
    })
  }
}

/** What `for await` holds. Not the call itself, so that a second iteration can be told from the first. */
class ResultIterator {
  #started
  #leave

  /**
   * @param {() => Run | undefined} started
   * @param {() => Promise<unknown>} leave
   */
  constructor(started, leave) {
    this.#started = started
    this.#leave = leave
  }

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  next() {
    try {
      return this.#started()?.next() ?? Promise.resolve({ done: true, value: undefined })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  async return() {
    await this.#leave()
    return { done: true, value: undefined }
  }

  async [Symbol.asyncDispose]() {
    await this.#leave()
  }
}

// `[Symbol.asyncIterator]() { return this }`, and the iterator helpers where the platform has them.
Object.setPrototypeOf(
  ResultIterator.prototype,
  Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})()))),
)

/** @typedef {import('./outcome.js').Run<any>} Run */
/** @typedef {import('./source.js').Source} Source */

function ignore() {}
