// The face of p-map: `import pMap from 'millrace/p-map'`. Functions run on this event loop under p-map's own rules, which
// are not those of `parallelMap`: pulls of an async source overlap, the first elements start one per turn, a stop cuts
// the results. Who comes first, a stop, an error or the next pull, decides what the results are: so each step takes as
// many microtasks as it takes there. A pool or a native operation is a mapper whose promises its engine settles.
//
// A lane is an async function that pulls, maps and puts one element after the other; there are up to `concurrency` of
// them. An element's index is taken when its pull begins. `#doneIndex` is where the results end: at the lowest pull that
// reported the end, or at the lowest element whose mapper returned pMapStop. What lies before it must still finish.

import { isThenable } from '../source.js'
import { pMapIterable } from './p-map-iterable.js'
import { checkArguments, checkMapper, mapperOf, Pulls, pMapSkip, pMapStop } from './p-map-source.js'

export { pMapIterable, pMapSkip, pMapStop }

/**
 * @param {unknown} input
 * @param {unknown} mapper
 * @param {any} [options]
 * @returns {Promise<any[]>}
 */
export default function pMap(input, mapper, options) {
  return mapped(input, mapper, options, false)
}

/**
 * @param {unknown} input
 * @param {unknown} mapper
 * @param {any} [options]
 * @returns {Promise<any[]>}
 */
export function pMapSettled(input, mapper, options) {
  return mapped(input, mapper, options, true)
}

/**
 * @param {any} input
 * @param {any} mapper
 * @param {any} [options]
 * @returns {Promise<any>}
 */
export function pMapKeyed(input, mapper, options) {
  return mapKeyed(input, mapper, options, false)
}

/**
 * @param {any} input
 * @param {any} mapper
 * @param {any} [options]
 * @returns {Promise<any>}
 */
export function pMapSettledKeyed(input, mapper, options) {
  return mapKeyed(input, mapper, options, true)
}

/**
 * @param {any} input
 * @param {any} mapper
 * @param {any} options
 * @param {boolean} settled
 */
async function mapKeyed(input, mapper, options, settled) {
  const { keys, values } = entriesOf(input)
  checkMapper(mapper)
  const kept = await mapped(values, mapper, options, settled, keys)
  const entries = /** @type {[any, any][]} */ (kept)
  if (input instanceof Map) return new Map(entries)
  return Object.setPrototypeOf(Object.fromEntries(entries), null)
}

/**
 * All keys, and what becomes of their values, read at once: so a promise that rejects before its turn is no unhandled
 * rejection.
 * @param {any} input
 */
function entriesOf(input) {
  if (input === null || (typeof input !== 'object' && typeof input !== 'function')) {
    throw new TypeError(`Expected \`input\` to be an object, got (${input === null ? 'null' : typeof input})`)
  }
  /** @type {unknown[]} */
  const keys = []
  /** @type {Promise<Settled>[]} */
  const values = []
  const add = (/** @type {unknown} */ key, /** @type {unknown} */ value) => {
    keys.push(key)
    values.push(Promise.resolve(value).then(fulfilled, rejected))
  }
  if (input instanceof Map) for (const [key, value] of input) add(key, value)
  else {
    for (const key of Reflect.ownKeys(input)) {
      if (Object.getOwnPropertyDescriptor(input, key)?.enumerable) add(key, input[key])
    }
  }
  return { keys, values }
}

/**
 * @param {any} input
 * @param {any} mapper
 * @param {any} options
 * @param {boolean} settled
 * @param {unknown[]} [keys]
 * @returns {Promise<any[]>}
 */
async function mapped(input, mapper, options = {}, settled, keys) {
  const { concurrency = Infinity, stopOnError = true, signal } = options
  return new Promise((resolve, reject) => {
    checkArguments(input, mapper, concurrency)
    new MapCall(input, mapper, { concurrency, stopOnError, signal, settled, keys }, resolve, reject).start()
  })
}

class MapCall {
  #pulls
  #mapper
  #settings
  #resolve
  #reject

  /** @type {any[]} */
  #results = []
  /** By index, as the results are. @type {unknown[]} */
  #errors = []
  #skipped = 0
  #next = 0
  #doneIndex = Infinity
  #over = false
  /** @type {Lane[]} */
  #lanes = []
  /** Elements before `#doneIndex` that have not ended. */
  #pending = 0
  /** The lane that starts, and what it has pulled. @type {Lane} */
  #starting = { index: NONE }
  /** @type {any} */
  #first

  /**
   * @param {any} input
   * @param {any} mapper
   * @param {{ concurrency: number, stopOnError: boolean, signal?: AbortSignal, settled: boolean, keys?: unknown[] }} settings
   * @param {(results: any[]) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(input, mapper, settings, resolve, reject) {
    this.#pulls = new Pulls(input)
    this.#settings = settings
    this.#resolve = resolve
    this.#reject = reject
    this.#mapper = mapperOf(mapper, settings.concurrency)
    if (settings.keys !== undefined) this.#mapper.map = ofValues(this.#mapper.map)
  }

  start() {
    const { signal } = this.#settings
    if (signal) {
      if (signal.aborted) {
        this.#fail(signal.reason)
        return
      }
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
    this.#spawn()
  }

  /** Start one more lane, and the next one in a later turn: elements of an endless source are mapped meanwhile. */
  #spawn = () => {
    if (this.#over || this.#next >= this.#doneIndex || this.#lanes.length >= this.#mapper.concurrency) return
    const index = this.#take()
    const lane = { index }
    this.#lanes.push(lane)
    let pulled
    try {
      pulled = this.#pulls.pull()
    } catch (error) {
      this.#pullFailed(lane, error)
      return
    }
    if (isThenable(pulled)) {
      pulled.then(
        (/** @type {any} */ result) => this.#begin(lane, result),
        (/** @type {unknown} */ error) => this.#pullFailed(lane, error),
      )
    } else {
      this.#starting = lane
      this.#first = pulled
      NOW.then(this.#beginSpawned)
    }
  }

  #beginSpawned = () => this.#begin(this.#starting, this.#first)

  /**
   * @param {Lane} lane
   * @param {IteratorResult<any>} first
   */
  #begin(lane, first) {
    // The promise that was returned hangs on each lane, so that the stack of a mapper's error tells who called. The
    // link never settles.
    this.#run(lane, first).then(forever).then(this.#resolve)
    NOW.then(this.#spawn)
  }

  /** @returns {number} the index of a pull that begins */
  #take() {
    this.#pending++
    return this.#next++
  }

  /**
   * @param {Lane} lane
   * @param {IteratorResult<any>} pulled its first
   */
  async #run(lane, pulled) {
    const { map } = this.#mapper
    const { settled, stopOnError, keys } = this.#settings
    for (;;) {
      const { index } = lane
      try {
        if (pulled.done) {
          this.#pulls.seen = true
          this.#cut(index, lane)
          return
        }
      } catch (error) {
        // What `next()` gave is no result.
        this.#pullFailed(lane, error)
        return
      }
      try {
        const element = await pulled.value
        if (!this.#over && index < this.#doneIndex) {
          const value = await map(element, keys === undefined ? index : keys[index])
          if (index < this.#doneIndex) {
            if (value === pMapStop) this.#cut(index, lane)
            else this.#put(index, settled && value !== pMapSkip ? { status: 'fulfilled', value } : value)
          }
        }
      } catch (error) {
        if (index < this.#doneIndex) {
          if (settled) this.#put(index, { status: 'rejected', reason: error })
          else if (stopOnError) {
            this.#fail(error)
            return
          } else this.#errors[index] = error
        }
      }
      this.#ended(lane)
      if (this.#over || this.#next >= this.#doneIndex) return
      lane.index = this.#take()
      try {
        // Also where it is no promise: what others do in this turn comes before it.
        pulled = await this.#pulls.pull()
      } catch (error) {
        this.#pullFailed(lane, error)
        return
      }
    }
  }

  /**
   * @param {number} index
   * @param {any} value
   */
  #put(index, value) {
    const { keys } = this.#settings
    if (value === pMapSkip) {
      this.#skipped++
      this.#results[index] = value
    } else this.#results[index] = keys === undefined ? value : [keys[index], value]
  }

  /**
   * The results end before this index.
   * @param {number} index
   * @param {Lane} lane that found out
   */
  #cut(index, lane) {
    if (index < this.#doneIndex) {
      const last = this.#doneIndex
      this.#doneIndex = index
      for (const { index: other } of this.#lanes) if (other >= index && other < last) this.#pending--
    }
    lane.index = NONE
    this.#settle()
  }

  /**
   * The element of a lane has ended.
   * @param {Lane} lane
   */
  #ended(lane) {
    if (lane.index === NONE) return
    if (lane.index < this.#doneIndex) this.#pending--
    lane.index = NONE
    this.#settle()
  }

  /**
   * A pull that throws ends the call whatever the options say, unless the end had been seen before it.
   * @param {Lane} lane
   * @param {unknown} error
   */
  #pullFailed(lane, error) {
    if (lane.index >= this.#doneIndex) {
      this.#ended(lane)
      return
    }
    lane.index = NONE
    this.#pending--
    NOW.then(() => this.#fail(error))
  }

  /** The results are known once everything before their end has ended. */
  #settle() {
    if (this.#over || this.#doneIndex === Infinity || this.#pending > 0) return
    const end = this.#doneIndex
    const errors = this.#errors.slice(0, end).filter(() => true)
    if (errors.length > 0) {
      this.#fail(new AggregateError(errors))
      return
    }
    this.#finish()
    const results = this.#results
    const length = Math.min(end, results.length)
    if (length === results.length && this.#skipped === 0) this.#resolve(results)
    else this.#resolve(results.slice(0, length).filter((value) => value !== pMapSkip))
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#over) return
    this.#reject(error)
    this.#finish(error)
  }

  /** @param {unknown} [reason] */
  #finish(reason) {
    this.#over = true
    this.#settings.signal?.removeEventListener('abort', this.#onAbort)
    this.#pulls.close()
    this.#mapper.end(reason)
  }

  #onAbort = () => this.#fail(this.#settings.signal?.reason)
}

/** @typedef {{ index: number }} Lane what runs in it, or NONE */

/** @typedef {{ error: boolean, value: unknown }} Settled what became of a value with a key */

const NONE = -1
const NOW = Promise.resolve()

/** @param {unknown} value */
function fulfilled(value) {
  return { error: false, value }
}

/** @param {unknown} value */
function rejected(value) {
  return { error: true, value }
}

/**
 * A mapper for values with keys.
 * @param {(value: any, key: any) => any} map
 */
function ofValues(map) {
  return async (/** @type {Settled} */ { error, value }, /** @type {unknown} */ key) => {
    if (error) throw value
    return await map(value, key)
  }
}

function nothing() {}

function forever() {
  return new Promise(nothing)
}
