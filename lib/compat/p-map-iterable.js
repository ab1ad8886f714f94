// `pMapIterable`: an iterable whose iterators each read the input anew, when their first result is asked for.
//
// Per element: it is read (pulled, and awaited if it is a promise), waits for a mapper slot, is mapped, and its result
// waits for the consumer. Reading does not hold a mapper slot, so the next element is read while mappers run; elements
// that are read or wait for a slot are `concurrency` at most, and all that is not yet consumed is `backpressure` at most.

import { checkArguments, isLimit, mapperOf, Pulls, pMapSkip, pMapStop } from './p-map-source.js'

/**
 * @param {any} input
 * @param {any} mapper
 * @param {any} [options]
 * @returns {AsyncIterable<any>}
 */
export function pMapIterable(input, mapper, options = {}) {
  const { concurrency = Infinity, backpressure = concurrency, preserveOrder = true } = options
  checkArguments(input, mapper, concurrency)
  if (!isLimit(backpressure, concurrency)) {
    throw new TypeError(
      `Expected \`backpressure\` to be an integer from \`concurrency\` (${concurrency}) and up or \`Infinity\`, got \`${String(backpressure)}\` (${typeof backpressure})`,
    )
  }
  return {
    [Symbol.asyncIterator]() {
      const run = new IterableRun(input, mapper, concurrency, backpressure, preserveOrder)
      const iterator = run.results()
      const { return: leave, throw: raise } = iterator
      // The generator hears of it only when its pending `next()` has settled: nothing more is to be started until then.
      return Object.assign(iterator, {
        /** @param {any} value */
        return(value) {
          run.stop()
          return leave.call(iterator, value)
        },
        /** @param {unknown} error */
        throw(error) {
          run.stop()
          return raise.call(iterator, error)
        },
      })
    },
  }
}

class IterableRun {
  #input
  #mapper
  #concurrency
  #backpressure
  #preserveOrder
  /** @type {Pulls | undefined} */
  #pulls

  #next = 0
  #reading = 0
  #running = 0
  /** Elements that were pulled, and whose result the consumer has not taken. */
  #held = 0
  /** Nobody wants results any more. */
  #stopped = false
  /** Nothing past it is pulled or mapped: the lowest element that stopped, or (in order) failed. */
  #stopIndex = Infinity
  /** The lowest pull that reported the end. */
  #doneIndex = Infinity
  /** Elements that wait for a mapper slot. */
  #waiting = new Queue()
  /** In order: every element. Otherwise: those that have ended. */
  #entries = new Queue()
  /** Without order: elements that have not ended. @type {Set<Entry>} */
  #unended = new Set()
  /** The consumer waits for an entry. @type {(() => void) | undefined} */
  #wake

  /**
   * @param {any} input
   * @param {any} mapper
   * @param {number} concurrency
   * @param {number} backpressure
   * @param {boolean} preserveOrder
   */
  constructor(input, mapper, concurrency, backpressure, preserveOrder) {
    this.#input = input
    this.#mapper = mapperOf(mapper, concurrency)
    this.#concurrency = this.#mapper.concurrency
    // An operation has no use for elements that are read far ahead.
    const most = this.#concurrency === concurrency ? Infinity : this.#concurrency * 2
    this.#backpressure = Math.min(backpressure, most)
    this.#preserveOrder = preserveOrder
  }

  stop() {
    this.#stopped = true
  }

  async *results() {
    const pulls = new Pulls(this.#input)
    this.#pulls = pulls
    let reason
    try {
      this.#read()
      while (this.#held > 0) {
        const entry = this.#entries.head
        // Also where a result is there already: what has ended meanwhile (the source, or a stop) is to be known before
        // the next pull, which would take an item from a queue for nobody.
        await (entry?.state === PENDING || entry === undefined ? this.#change() : undefined)
        const ended = this.#entries.head
        this.#entries.shift()
        this.#held--
        const { state, value } = ended
        if (state === FAILED) {
          reason = value
          throw value
        }
        if (state === DONE) {
          if (this.#preserveOrder) return
          continue
        }
        if (value === pMapStop) return
        this.#read()
        if (value !== pMapSkip) yield value
      }
    } finally {
      this.#stopped = true
      pulls.close()
      this.#mapper.end(reason)
    }
  }

  /** @returns {Promise<void>} the head of the entries has ended */
  #change() {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Read one more element, if there may be one. */
  #read() {
    const pulls = this.#pulls
    if (pulls === undefined || this.#stopped || pulls.seen || this.#next > this.#stopIndex) return
    if (this.#reading >= this.#concurrency || this.#held >= this.#backpressure) return
    /** @type {Entry} */
    const entry = { index: this.#next++, state: PENDING, value: undefined }
    this.#reading++
    this.#held++
    if (this.#preserveOrder) this.#entries.push(entry)
    else this.#unended.add(entry)
    this.#work(entry, pulls)
  }

  /**
   * One element from its pull to its end. Never rejects.
   * @param {Entry} entry
   * @param {Pulls} pulls
   */
  async #work(entry, pulls) {
    const { index } = entry
    const { map } = this.#mapper
    try {
      let element
      try {
        const { done, value } = await pulls.pull()
        if (done) {
          pulls.seen = true
          this.#doneIndex = Math.min(this.#doneIndex, index)
          this.#end(entry, DONE, undefined)
          return
        }
        this.#read()
        element = await value
        if (this.#running < this.#concurrency) this.#running++
        // Who hands the slot over leaves it counted.
        else await this.#waiting.turn()
      } finally {
        this.#reading--
      }
      this.#read()
      let result
      try {
        result = this.#stopped || index > this.#stopIndex ? pMapSkip : await map(element, index)
      } finally {
        if (!this.#waiting.pass()) this.#running--
      }
      if (result === pMapStop) this.#stopIndex = Math.min(this.#stopIndex, index)
      this.#end(entry, VALUE, result)
    } catch (error) {
      // In order, what was before it is still to come. `done` is final: what a pull after it throws has no effect.
      if (this.#preserveOrder) this.#stopIndex = Math.min(this.#stopIndex, index)
      else if (index < this.#doneIndex) this.#stopped = true
      this.#end(entry, FAILED, error)
    }
  }

  /**
   * @param {Entry} entry
   * @param {number} state
   * @param {unknown} value
   */
  #end(entry, state, value) {
    entry.state = state
    entry.value = value
    // Without order it is given a microtask later, so that the consumer, and with it the next pull, is no earlier than
    // with order: what has ended by then is known.
    if (!this.#preserveOrder) NOW.then(() => this.#give(entry))
    else if (entry === this.#entries.head) this.#tell()
  }

  /** @param {Entry} entry that has ended, without order */
  #give(entry) {
    if (!this.#unended.delete(entry)) return
    if (entry.state === DONE) this.#giveUp(entry.index)
    this.#entries.push(entry)
    this.#tell()
  }

  #tell() {
    this.#wake?.()
    this.#wake = undefined
  }

  /**
   * A queue may never answer the pulls that came after its end: they end with it.
   * @param {number} index of the end
   */
  #giveUp(index) {
    for (const entry of this.#unended) {
      if (entry.index <= index) continue
      this.#unended.delete(entry)
      this.#entries.push(GIVEN_UP)
    }
  }
}

/** First in, first out. What has left costs at most as much memory as what is there. */
class Queue {
  /** @type {any[]} */
  #items = []
  #start = 0

  get head() {
    return this.#items[this.#start]
  }

  /** @param {unknown} item */
  push(item) {
    this.#items.push(item)
  }

  shift() {
    const item = this.#items[this.#start]
    this.#items[this.#start++] = undefined
    if (this.#start * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#start)
      this.#start = 0
    }
    return item
  }

  /** @returns {Promise<void>} settles when `pass()` comes to it */
  turn() {
    return new Promise((resolve) => this.push(resolve))
  }

  /** Let the oldest that waits for its turn go on. False: nobody waits. */
  pass() {
    if (this.head === undefined) return false
    this.shift()()
    return true
  }
}

/** @typedef {{ index: number, state: number, value: any }} Entry */

const NOW = Promise.resolve()
const PENDING = 0
const VALUE = 1
const DONE = 2
const FAILED = 3
/** @type {Entry} */
const GIVEN_UP = Object.freeze({ index: Infinity, state: DONE, value: undefined })
