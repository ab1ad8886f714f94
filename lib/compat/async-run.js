// One call of a collection function: how its iteratee is given a value, what becomes of the answer, and the one callback
// at the end. Which value comes when is the business of its subclasses (`async-loop.js`), and what is made of the answers
// that of a row of the table (`async-table.js`).

import { CALLED_TWICE, fulfilled, rejected, throwSoon } from './async-iteratee.js'

/** @abstract */
export class Run {
  #row
  #note
  #many
  #collection
  #state
  #iteratee
  #callback
  #given = 0
  #ended = false
  /** @type {{ well: () => void, badly: (reason: any) => void } | undefined} of each promise, if answers are not kept */
  #settled

  /**
   * @param {Job} job
   * @param {import('./async-iteratee.js').Iteratee} iteratee
   */
  constructor({ row, collection, initial, callback }, iteratee) {
    this.#row = row
    this.#note = row.note
    this.#many = row.many
    this.#collection = collection
    this.#state = row.start(collection, initial)
    this.#iteratee = iteratee
    this.#callback = callback
  }

  /**
   * Hear of an answer of the iteratee: once of each.
   * @abstract
   * @param {any} _error
   * @param {boolean} _found nothing more is looked for
   */
  answered(_error, _found) {}

  /** The iteratee itself, if a value and a callback is all that it takes, and its answers are not kept. */
  get direct() {
    return this.#note === undefined ? this.#iteratee.direct : undefined
  }

  /**
   * Call the iteratee.
   * @param {any} value
   * @param {any} key
   */
  give(value, key) {
    const { promised, direct, call } = this.#iteratee
    const order = this.#given++
    if (promised !== undefined) {
      this.#await(promised(value, key, this.#state), order, key, value)
      return
    }
    const one = new Call(this, order, key, value)
    const answer = this.#many ? one.answerMany.bind(one) : one.answer.bind(one)
    if (direct !== undefined) direct(value, answer)
    else call(answer, value, key, this.#state)
  }

  /**
   * A promise has one outcome: nothing has to hold that it answers once.
   * @param {PromiseLike<any>} promise
   * @param {number} order
   * @param {any} key
   * @param {any} value
   */
  #await(promise, order, key, value) {
    if (this.#note !== undefined) {
      const one = new Call(this, order, key, value)
      promise.then(one.fulfill.bind(one), one.reject.bind(one))
      return
    }
    this.#settled ??= {
      well: () => this.tell(null, false),
      badly: (reason) => this.tell(rejected(reason), false),
    }
    promise.then(this.#settled.well, this.#settled.badly)
  }

  /**
   * @param {Call} call
   * @param {any} result
   * @param {any} error
   * @returns {boolean} nothing more is looked for
   */
  note({ order, key, value }, result, error) {
    const note = this.#note
    return note !== undefined && note(this.#state, order, key, value, result, error) === true
  }

  /**
   * The same as `answered`, from a promise.
   * @param {any} error
   * @param {boolean} found
   */
  tell(error, found) {
    try {
      this.answered(error, found)
    } catch (thrown) {
      throwSoon(thrown)
    }
  }

  /** Whether the answers are arrays of all that is called back with. */
  get many() {
    return this.#many
  }

  /** The end is never called: what has not started is not, either. */
  cancel() {
    if (this.#ended) return
    this.#ended = true
    this.#iteratee.runs?.cancel(undefined)
  }

  /** @param {any} error falsy: there was none */
  finish(error) {
    if (this.#ended) return
    this.#ended = true
    this.#iteratee.runs?.cancel(undefined)
    const { partial, result } = this.#row
    const callback = this.#callback
    if (error && !partial) callback(error)
    else if (result === undefined) callback(error)
    else callback(error, result(this.#state, this.#collection))
  }
}

/**
 * One call of the iteratee. What it calls back is a method that is bound to this: that is less to allocate than a closure,
 * and compiled code that knows the method serves the next run, too.
 */
class Call {
  /**
   * @param {Run} run
   * @param {number} order
   * @param {any} key
   * @param {any} value
   */
  constructor(run, order, key, value) {
    /** @type {Run | undefined} none: it has answered */
    this.run = run
    this.order = order
    this.key = key
    this.value = value
  }

  /**
   * @param {any} error
   * @param {any} result
   */
  answer(error, result) {
    const { run } = this
    if (run === undefined) throw new Error(CALLED_TWICE)
    this.run = undefined
    run.answered(error, run.note(this, result, error))
  }

  /**
   * @param {any} error
   * @param {any[]} results
   */
  answerMany(error, ...results) {
    this.answer(error, results)
  }

  /** @param {any} value */
  fulfill(value) {
    const run = /** @type {Run} */ (this.run)
    const result = fulfilled(value)
    run.tell(null, run.note(this, run.many ? [result] : result, null))
  }

  /** @param {any} reason */
  reject(reason) {
    const run = /** @type {Run} */ (this.run)
    const error = rejected(reason)
    run.tell(error, run.note(this, undefined, error))
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
