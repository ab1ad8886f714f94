// The loop under every collection function of `millrace/async`: it takes the values of a collection, calls the iteratee
// for them, up to a limit at a time, and hears of each through a callback. Callbacks that are called at once do not grow
// the stack. What is made of the answers is the business of a row of the table (`async-table.js`).

import { asIteratee, CALLED_TWICE } from './async-iteratee.js'

/**
 * @param {Job} job
 * @throws {Error} the iteratee is no function
 * @throws {RangeError} the limit is none
 */
export function loop({ row, collection, limit, initial, iteratee, callback, everything }) {
  const { call, end } = asIteratee(iteratee, row.shape)
  if (!(limit > 0)) throw new RangeError('concurrency limit cannot be less than 1')
  const most = Math.min(limit, call.most)
  const run = new Loop(row, collection, row.start(collection, initial), call, callback, end)
  if (collection === null || collection === undefined || !collection) run.finish(null)
  else if (everything && most === Infinity && isArrayLike(collection)) run.all(collection)
  else if (typeof collection[Symbol.asyncIterator] === 'function') {
    new AsyncLoop(run, collection[Symbol.asyncIterator](), most).pull()
  } else new LimitedLoop(run, valuesOf(collection), most).go()
}

/**
 * @param {any} value
 * @returns {boolean} arrays, strings, `arguments` and the like
 */
export function isArrayLike(value) {
  return value && typeof value.length === 'number' && value.length >= 0 && value.length % 1 === 0
}

/** What the ways to take values share: the state of the row, and the one answer at the end. */
class Loop {
  #row
  #collection
  #state
  #call
  #callback
  #end
  #order = 0
  #ended = false

  /**
   * @param {import('./async-table.js').Row} row
   * @param {any} collection
   * @param {any} state
   * @param {import('./async-iteratee.js').Call} call
   * @param {(error: any, ...results: any[]) => void} callback
   * @param {() => void} end
   */
  constructor(row, collection, state, call, callback, end) {
    this.#row = row
    this.#collection = collection
    this.#state = state
    this.#call = call
    this.#callback = callback
    this.#end = end
  }

  /**
   * @param {any} value
   * @param {any} key
   * @param {(error: any, found: boolean) => void} answered told once, of the iteratee's answer
   */
  item(value, key, answered) {
    const row = this.#row
    const state = this.#state
    const order = this.#order++
    let open = true
    const answer = (/** @type {any} */ error, /** @type {any} */ result) => {
      if (!open) throw new Error(CALLED_TWICE)
      open = false
      answered(error, row.note(state, order, key, value, result, error) === true)
    }
    const all =
      row.many && ((/** @type {any} */ error, /** @type {any[]} */ ...results) => answer(error, results))
    this.#call(all || answer, value, key, state)
  }

  /**
   * Every value at once, whatever the first answers are.
   * @param {ArrayLike<any>} values
   */
  all(values) {
    const { length } = values
    let completed = 0
    let canceled = false
    if (length === 0) this.finish(null)
    const answered = (/** @type {any} */ error, /** @type {boolean} */ found) => {
      if (error === false) canceled = true
      if (canceled) this.cancel()
      else if (error) this.finish(error)
      else if (++completed === length || found) this.finish(null)
    }
    for (let index = 0; index < length; index++) this.item(values[index], index, answered)
  }

  /** The end is never called: what has not started is not, either. */
  cancel() {
    if (this.#ended) return
    this.#ended = true
    this.#end()
  }

  /** @param {any} error falsy: there was none */
  finish(error) {
    if (this.#ended) return
    this.#ended = true
    this.#end()
    const { partial, result } = this.#row
    if (error && !partial) this.#callback(error)
    else if (result === undefined) this.#callback(error)
    else this.#callback(error, result(this.#state, this.#collection))
  }
}

/** Up to a limit at a time, of a collection that answers at once. */
class LimitedLoop {
  #run
  #values
  #limit
  #running = 0
  #done = false
  #canceled = false
  #looping = false

  /**
   * @param {Loop} run
   * @param {ReturnType<typeof valuesOf>} values
   * @param {number} limit
   */
  constructor(run, values, limit) {
    this.#run = run
    this.#values = values
    this.#limit = limit
  }

  go() {
    const run = this.#run
    const values = this.#values
    this.#looping = true
    while (this.#running < this.#limit && !this.#done) {
      if (!values.pull()) {
        this.#done = true
        if (this.#running <= 0) run.finish(null)
        break
      }
      this.#running++
      run.item(values.value, values.key, this.#answered)
    }
    this.#looping = false
  }

  #answered = (/** @type {any} */ error, /** @type {boolean} */ found) => {
    if (this.#canceled) return
    this.#running--
    if (error === false) {
      this.#done = this.#canceled = true
      this.#run.cancel()
    } else if (error) {
      this.#done = true
      this.#run.finish(error)
    } else if (found || (this.#done && this.#running <= 0)) {
      this.#done = true
      this.#run.finish(null)
    } else if (!this.#looping) this.go()
  }
}

/** The same for an async iterable, which is asked for one value after the other. */
class AsyncLoop {
  #run
  #iterator
  #limit
  #running = 0
  #key = 0
  #done = false
  #canceled = false
  #waiting = false

  /**
   * @param {Loop} run
   * @param {AsyncIterator<any>} iterator
   * @param {number} limit
   */
  constructor(run, iterator, limit) {
    this.#run = run
    this.#iterator = iterator
    this.#limit = limit
  }

  pull() {
    if (this.#running >= this.#limit || this.#waiting || this.#done) return
    this.#waiting = true
    this.#iterator.next().then(this.#onResult, this.#fail)
  }

  #onResult = (/** @type {IteratorResult<any>} */ { done, value }) => {
    if (this.#canceled || this.#done) return
    this.#waiting = false
    if (done) {
      this.#done = true
      if (this.#running <= 0) this.#finish(null)
      return
    }
    this.#running++
    try {
      this.#run.item(value, this.#key++, this.#answered)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.pull()
  }

  #answered = (/** @type {any} */ error, /** @type {boolean} */ found) => {
    this.#running--
    if (this.#canceled) return
    if (error === false) {
      this.#done = this.#canceled = true
      this.#run.cancel()
    } else if (error) this.#fail(error)
    else if (found || (this.#done && this.#running <= 0)) {
      this.#done = true
      this.#finish(null)
    } else this.pull()
  }

  #fail = (/** @type {any} */ error) => {
    if (this.#canceled) return
    this.#waiting = false
    this.#done = true
    this.#finish(error)
  }

  /** What the callback throws is not the iterator's failure: nobody is there to catch it. */
  #finish(/** @type {any} */ error) {
    try {
      this.#run.finish(error)
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown
      })
    }
  }
}

/**
 * @param {any} collection an array or the like, an iterable, or an object
 * @returns {ArrayValues | IteratorValues | ObjectValues}
 */
function valuesOf(collection) {
  if (isArrayLike(collection)) return new ArrayValues(collection)
  const iterator = collection[Symbol.iterator]?.()
  return iterator ? new IteratorValues(iterator) : new ObjectValues(collection)
}

/** Of the length that it had at first. */
class ArrayValues {
  /** @type {any} */
  value
  key = -1
  #array
  #length

  /** @param {ArrayLike<any>} array */
  constructor(array) {
    this.#array = array
    this.#length = array.length
  }

  /** @returns {boolean} whether `value` and `key` are the next ones */
  pull() {
    if (++this.key >= this.#length) return false
    this.value = this.#array[this.key]
    return true
  }
}

class IteratorValues {
  /** @type {any} */
  value
  key = -1
  #iterator

  /** @param {Iterator<any>} iterator */
  constructor(iterator) {
    this.#iterator = iterator
  }

  pull() {
    const { done, value } = this.#iterator.next()
    this.value = value
    this.key++
    return !done
  }
}

/** The own enumerable properties, as they are when their turn comes. */
class ObjectValues {
  /** @type {any} */
  value
  key = ''
  #object
  #keys
  #next = 0

  /** @param {any} object */
  constructor(object) {
    this.#object = object
    // As JSON.parse makes it, it is no key to build a result with.
    this.#keys = Object.keys(object).filter((key) => key !== '__proto__')
  }

  pull() {
    if (this.#next >= this.#keys.length) return false
    this.key = this.#keys[this.#next++]
    this.value = this.#object[this.key]
    return true
  }
}

/**
 * @typedef {object} Job
 * @property {import('./async-table.js').Row} row
 * @property {any} collection
 * @property {any} limit
 * @property {any} initial
 * @property {any} iteratee
 * @property {(error: any, ...results: any[]) => void} callback
 * @property {boolean} everything without a limit, and without looking at answers
 */
