// What is known about a failed item beside its error, which stays as it was thrown: kept as long as the error itself.

import { SerializationError } from './errors.js'

/**
 * @typedef {object} Failure
 * @property {number} index position of the item in its source, from 0
 * @property {number} attempt which try at the item it was, from 1
 * @property {number} [worker] number of the worker in its pool, from 0
 * @property {readonly unknown[]} errors those of earlier tries, oldest first
 */

/**
 * @param {unknown} error of an item, or its settled outcome
 * @returns {Failure | undefined}
 */
export function failureOf(error) {
  return failures.get(/** @type {WeakKey} */ (error))
}

/**
 * @param {unknown} error what is no object is passed over
 * @param {Failure} failure
 */
export function noteFailure(error, failure) {
  if ((typeof error === 'object' && error !== null) || typeof error === 'function')
    failures.set(error, failure)
}

/**
 * Say where it was that something could not be copied: who found out did not know. What has such words already keeps them.
 * @param {any} error
 * @param {{ index?: number, attempt: number, worker?: number }} where
 */
export function place(error, { index, attempt, worker }) {
  if (!(error instanceof SerializationError) || 'attempt' in error || !Object.isExtensible(error)) return
  if (index !== undefined) Object.assign(error, { index })
  Object.assign(error, worker === undefined ? { attempt } : { attempt, worker })
}

/**
 * The errors of an item's tries with one more. Without end there may be many tries, so only the last ones are kept.
 * @param {readonly unknown[]} errors
 * @param {unknown} error
 */
export function withError(errors, error) {
  return Object.freeze([...errors.slice(1 - MOST_KEPT), error])
}

/** @type {WeakMap<WeakKey, Failure>} */
const failures = new WeakMap()
const MOST_KEPT = 100
