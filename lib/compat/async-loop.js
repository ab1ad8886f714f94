// The loop under every collection function of `millrace/async`: it takes the values of a collection, calls the iteratee
// for them, up to a limit at a time, and hears of each through a callback. Callbacks that are called at once do not grow
// the stack. What is made of the answers is the business of a row of the table (`async-table.js`).

import { asIteratee, CALLED_TWICE, fulfilled, rejected, throwSoon } from './async-iteratee.js'

/**
 * @param {Job} job
 * @throws {Error} the iteratee is no function
 * @throws {RangeError} the limit is none
 */
export function loop({ row, collection, limit, initial, iteratee, callback, everything }) {
  const asked = asIteratee(iteratee, row.shape)
  if (!(limit > 0)) throw new RangeError('concurrency limit cannot be less than 1')
  const most = Math.min(limit, asked.most)
  const run = new Loop(row, collection, row.start(collection, initial), asked, callback)
  if (collection === null || collection === undefined || !collection) run.finish(null)
  else if (everything && most === Infinity && isArrayLike(collection)) run.all(collection)
  else if (typeof collection[Symbol.asyncIterator] === 'function') {
    new AsyncLoop(run, collection[Symbol.asyncIterator](), most).pull()
  } else limited(run, valuesOf(collection), most)
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
  #iteratee
  #callback
  #ended = false

  /**
   * @param {import('./async-table.js').Row} row
   * @param {any} collection
   * @param {any} state
   * @param {import('./async-iteratee.js').Iteratee} iteratee
   * @param {(error: any, ...results: any[]) => void} callback
   */
  constructor(row, collection, state, iteratee, callback) {
    this.#row = row
    this.#collection = collection
    this.#state = state
    this.#iteratee = iteratee
    this.#callback = callback
  }

  /** The iteratee itself, if a value and a callback is all that it takes, and it answers with nothing but its end. */
  get direct() {
    return this.#row.note === undefined ? this.#iteratee.direct : undefined
  }

  /**
   * How a value is given to the iteratee. Closures, one for each way, as they are all that async's own loop costs per
   * value.
   * @param {(error: any, found: boolean) => void} answered told once, of each iteratee's answer
   * @returns {(value: any, key: any) => void}
   */
  caller(answered) {
    const { note, many } = this.#row
    const { promised, direct, call } = this.#iteratee
    const state = this.#state
    if (promised !== undefined) return awaiter(promised, answered, this.#row, state)
    let next = 0
    if (many) {
      return (value, key) => {
        const order = next++
        let open = true
        call(
          (error, ...results) => {
            if (!open) throw new Error(CALLED_TWICE)
            open = false
            answered(error, note?.(state, order, key, value, results, error) === true)
          },
          value,
          key,
          state,
        )
      }
    }
    if (direct !== undefined && note !== undefined) return notingCaller(direct, answered, note, state)
    return (value, key) => {
      const order = next++
      let open = true
      call(
        (error, result) => {
          if (!open) throw new Error(CALLED_TWICE)
          open = false
          answered(error, note?.(state, order, key, value, result, error) === true)
        },
        value,
        key,
        state,
      )
    }
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
    const { direct } = this
    if (direct === undefined) {
      const give = this.caller(answered)
      for (let index = 0; index < length; index++) give(values[index], index)
      return
    }
    for (let index = 0; index < length; index++) {
      let open = true
      direct(values[index], (error) => {
        if (!open) throw new Error(CALLED_TWICE)
        open = false
        answered(error, false)
      })
    }
  }

  /** The end is never called: what has not started is not, either. */
  cancel() {
    if (this.#ended) return
    this.#ended = true
    this.#iteratee.end()
  }

  /** @param {any} error falsy: there was none */
  finish(error) {
    if (this.#ended) return
    this.#ended = true
    this.#iteratee.end()
    const { partial, result } = this.#row
    if (error && !partial) this.#callback(error)
    else if (result === undefined) this.#callback(error)
    else this.#callback(error, result(this.#state, this.#collection))
  }
}

/**
 * A value and a callback is all that the iteratee gets, and the row makes something of its answer.
 * @param {import('./async-iteratee.js').Direct} iteratee
 * @param {(error: any, found: boolean) => void} answered
 * @param {NonNullable<import('./async-table.js').Row['note']>} note
 * @param {any} state
 */
function notingCaller(iteratee, answered, note, state) {
  let next = 0
  return (/** @type {any} */ value, /** @type {any} */ key) => {
    let order = next++
    iteratee(value, (error, result) => {
      if (order < 0) throw new Error(CALLED_TWICE)
      const at = order
      order = -1
      answered(error, note(state, at, key, value, result, error) === true)
    })
  }
}

/**
 * The iteratee returns a promise, which has one outcome: nothing has to hold that it answers once.
 * @param {import('./async-iteratee.js').Promised} iteratee
 * @param {(error: any, found: boolean) => void} answered
 * @param {import('./async-table.js').Row} row
 * @param {any} state
 */
function awaiter(iteratee, answered, { note, many }, state) {
  const tell = (/** @type {any} */ error, /** @type {boolean} */ found) => {
    try {
      answered(error, found)
    } catch (thrown) {
      throwSoon(thrown)
    }
  }
  if (note === undefined) {
    const onValue = () => tell(null, false)
    const onReason = (/** @type {any} */ reason) => tell(rejected(reason), false)
    return (/** @type {any} */ value, /** @type {any} */ key) => {
      iteratee(value, key, state).then(onValue, onReason)
    }
  }
  let next = 0
  return (/** @type {any} */ value, /** @type {any} */ key) => {
    const order = next++
    iteratee(value, key, state).then(
      (settled) => {
        const result = fulfilled(settled)
        tell(null, note(state, order, key, value, many ? [result] : result, null) === true)
      },
      (reason) => {
        const error = rejected(reason)
        tell(error, note(state, order, key, value, undefined, error) === true)
      },
    )
  }
}

/**
 * Up to a limit at a time, of a collection that answers at once.
 * @param {Loop} run
 * @param {ReturnType<typeof valuesOf>} values
 * @param {number} limit
 */
function limited(run, values, limit) {
  let running = 0
  let done = false
  let canceled = false
  let looping = false

  const answered = (/** @type {any} */ error, /** @type {boolean} */ found) => {
    if (canceled) return
    running--
    if (error === false) {
      done = canceled = true
      run.cancel()
    } else if (error) {
      done = true
      run.finish(error)
    } else if (found || (running <= 0 && done)) {
      done = true
      run.finish(null)
    } else if (!looping) go()
  }

  // What happens at the end alone is kept out of the loop, and its conditions are tried each time: V8 throws compiled
  // code away where it comes to something that it has never seen.
  const give = run.caller(answered)
  const goAnyWay = () => {
    looping = true
    while (running < limit && !done) {
      if (!values.pull()) {
        done = true
        break
      }
      running++
      give(values.value, values.key)
    }
    looping = false
    if (running <= 0 && done && !canceled) run.finish(null)
  }
  // The same where nothing stands between the loop and the iteratee: a call that does nothing else is a tenth of the
  // cost of a value.
  const goDirectly = () => {
    looping = true
    while (running < limit && !done) {
      if (!values.pull()) {
        done = true
        break
      }
      running++
      let open = true
      direct?.(values.value, (error) => {
        if (!open) throw new Error(CALLED_TWICE)
        open = false
        answered(error, false)
      })
    }
    looping = false
    if (running <= 0 && done && !canceled) run.finish(null)
  }
  const direct = run.direct
  const go = direct === undefined ? goAnyWay : goDirectly
  go()
}

/** The same for an async iterable, which is asked for one value after the other. */
class AsyncLoop {
  #run
  #give
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
    this.#give = run.caller((error, found) => this.#answered(error, found))
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
      this.#give(value, this.#key++)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.pull()
  }

  /**
   * @param {any} error
   * @param {boolean} found
   */
  #answered(error, found) {
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
