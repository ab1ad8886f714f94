// The loops under every collection function of `millrace/async`: they take the values of a collection and call the
// iteratee for them, up to a limit at a time. Callbacks that are called at once do not grow the stack.

import { asIteratee, CALLED_TWICE, throwSoon } from './async-iteratee.js'
import { Run } from './async-run.js'
import { isArrayLike, valuesOf } from './async-values.js'
import { MOST_AT_ONCE } from './operation-runs.js'

/**
 * @param {import('./async-run.js').Job} job
 * @throws {Error} the iteratee is no function
 * @throws {RangeError} the limit is none
 */
export function loop(job) {
  const { row, collection, limit, everything } = job
  const iteratee = asIteratee(job.iteratee, row.shape)
  if (!(limit > 0)) throw new RangeError('concurrency limit cannot be less than 1')
  const most = iteratee.runs === undefined ? limit : Math.min(limit, MOST_AT_ONCE)
  if (!collection) new Run(job, iteratee).finish(null)
  else if (everything && most === Infinity && isArrayLike(collection))
    new AllAtOnce(job, iteratee).go(collection)
  else if (typeof collection[Symbol.asyncIterator] === 'function') {
    new Pulled(job, iteratee, collection[Symbol.asyncIterator](), most).pull()
  } else new Limited(job, iteratee, valuesOf(collection), most).go()
}

/** Every value at once, whatever the first answers are. */
class AllAtOnce extends Run {
  #left = 0
  #canceled = false

  /** @param {ArrayLike<any>} values */
  go(values) {
    const { length } = values
    this.#left = length
    if (length === 0) this.finish(null)
    const { direct } = this
    if (direct !== undefined) this.#goDirectly(values, length, direct)
    else for (let index = 0; index < length; index++) this.give(values[index], index)
  }

  /**
   * All calls wait at the same time, so what is allocated for each is what a value costs. Here it is a bound function
   * whose `this` is the index, and a byte.
   * @param {ArrayLike<any>} values
   * @param {number} length
   * @param {import('./async-iteratee.js').Direct} iteratee
   */
  #goDirectly(values, length, iteratee) {
    const told = new Uint8Array(length)
    const run = this
    /**
     * @this {number}
     * @param {any} error
     */
    function answer(error) {
      if (told[this] === 1) throw new Error(CALLED_TWICE)
      told[this] = 1
      run.answered(error, false)
    }
    for (let index = 0; index < length; index++) iteratee(values[index], answer.bind(index))
  }

  /**
   * @override
   * @param {any} error
   * @param {boolean} found
   */
  answered(error, found) {
    if (error === false) this.#canceled = true
    if (this.#canceled) this.cancel()
    else if (error) this.finish(error)
    else if (--this.#left === 0 || found) this.finish(null)
  }
}

/** Up to a limit at a time, of a collection that answers at once. */
class Limited extends Run {
  #values
  #limit
  #running = 0
  #done = false
  #canceled = false
  #looping = false

  /**
   * @param {import('./async-run.js').Job} job
   * @param {import('./async-iteratee.js').Iteratee} iteratee
   * @param {ReturnType<typeof valuesOf>} values
   * @param {number} limit
   */
  constructor(job, iteratee, values, limit) {
    super(job, iteratee)
    this.#values = values
    this.#limit = limit
  }

  // What happens at the end alone is kept out of the loop, and its conditions are tried each time: V8 throws compiled
  // code away where it comes to something that it has never seen.
  go() {
    const values = this.#values
    this.#looping = true
    while (this.#running < this.#limit && !this.#done) {
      if (!values.pull()) {
        this.#done = true
        break
      }
      this.#running++
      this.give(values.value, values.key)
    }
    this.#looping = false
    if (this.#running <= 0 && this.#done && !this.#canceled) this.finish(null)
  }

  /**
   * @override
   * @param {any} error
   * @param {boolean} found
   */
  answered(error, found) {
    if (this.#canceled) return
    this.#running--
    if (error === false) {
      this.#done = this.#canceled = true
      this.cancel()
    } else if (error) {
      this.#done = true
      this.finish(error)
    } else if (found || (this.#running <= 0 && this.#done)) {
      this.#done = true
      this.finish(null)
    } else if (!this.#looping) this.go()
  }
}

/** The same for an async iterable, which is asked for one value after the other. */
class Pulled extends Run {
  #iterator
  #limit
  #running = 0
  #key = 0
  #done = false
  #canceled = false
  #waiting = false

  /**
   * @param {import('./async-run.js').Job} job
   * @param {import('./async-iteratee.js').Iteratee} iteratee
   * @param {AsyncIterator<any>} iterator
   * @param {number} limit
   */
  constructor(job, iteratee, iterator, limit) {
    super(job, iteratee)
    this.#iterator = iterator
    this.#limit = limit
  }

  pull() {
    if (this.#running >= this.#limit || this.#waiting || this.#done) return
    this.#waiting = true
    this.#iterator.next().then(this.#onResult, this.#failSoon)
  }

  #onResult = (/** @type {IteratorResult<any>} */ { done, value }) => {
    if (this.#canceled || this.#done) return
    this.#waiting = false
    if (done) {
      this.#done = true
      if (this.#running <= 0) this.finish(null)
      return
    }
    this.#running++
    try {
      this.give(value, this.#key++)
    } catch (error) {
      this.#failSoon(error)
      return
    }
    this.pull()
  }

  /**
   * @override
   * @param {any} error
   * @param {boolean} found
   */
  answered(error, found) {
    this.#running--
    if (this.#canceled) return
    if (error === false) {
      this.#done = this.#canceled = true
      this.cancel()
    } else if (error) this.#fail(error)
    else if (found || (this.#done && this.#running <= 0)) {
      this.#done = true
      this.finish(null)
    } else this.pull()
  }

  /** A microtask later, as where a promise is hung on that of `next()`. That would be one more for each value. */
  #failSoon = (/** @type {any} */ error) => {
    NOW.then(() => this.#fail(error))
  }

  #fail = (/** @type {any} */ error) => {
    if (this.#canceled) return
    this.#waiting = false
    this.#done = true
    this.finish(error)
  }

  /**
   * What the callback throws is not the iterator's failure: nobody is there to catch it.
   * @override
   * @param {any} error
   */
  finish(error) {
    try {
      super.finish(error)
    } catch (thrown) {
      throwSoon(thrown)
    }
  }
}

const NOW = Promise.resolve()
