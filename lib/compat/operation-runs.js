// A pool or a native operation where the faces of other packages expect a function: each call of the face is one call of
// the engine, whose items are promises here.

import { openRuns, skip, startCall } from '../outcome.js'

/**
 * @param {unknown} value
 * @returns {value is RunsItems}
 */
export function isOperation(value) {
  return typeof value === 'object' && value !== null && startCall in value
}

/** The items of one call of a face, on the place that an operation stands for. */
export class OperationRuns {
  #operation
  /** @type {PoolRuns | undefined} */
  #runs

  /** @param {RunsItems} operation */
  constructor(operation) {
    this.#operation = operation
  }

  /**
   * @param {unknown} item
   * @returns {Promise<any>} `skip` where the worker's mapper returned that
   */
  run(item) {
    try {
      if (this.#runs === undefined || this.#runs.over) this.#runs = this.#operation[openRuns](skip)
      return this.#runs.run(item)
    } catch (error) {
      // The pool is closed, or cannot start.
      return Promise.reject(error)
    }
  }

  /** No more items come, for now: what runs may end. */
  end() {
    if (this.#runs !== undefined && !this.#runs.over) this.#runs.end()
    this.#runs = undefined
  }

  /**
   * Nobody wants the results any more: what has not started is withdrawn.
   * @param {unknown} reason
   */
  cancel(reason) {
    if (this.#runs !== undefined && !this.#runs.over) this.#runs.fail(reason)
    this.#runs = undefined
  }
}

/**
 * How many items are given to an operation at once, whatever the face allows: enough to keep its workers busy with small
 * ones, and few enough that a stop withdraws most, and that a long input is not copied at once.
 */
export const MOST_AT_ONCE = 512

/** @typedef {import('../pool-runs.js').PoolRuns} PoolRuns */
/** @typedef {{ [openRuns](skipped: unknown): PoolRuns }} RunsItems */
