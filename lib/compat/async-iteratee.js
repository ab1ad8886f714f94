// What may stand where async expects a function: one with a callback, an async function, a pool or a native operation.

import { skip } from '../outcome.js'
import { isOperation, MOST_AT_ONCE, OperationRuns } from './operation-runs.js'

/** Which arguments an iteratee gets before its callback. */
export const VALUE = 0
export const KEYED = 1
/** The value so far, and the next one. */
export const REDUCE = 2
/** The accumulator, the value and its key. */
export const ACCUMULATE = 3

export const CALLED_TWICE = 'Callback was already called.'

/**
 * @typedef {((answer: Answer, value: any, key: any, state: any) => void) & { most: number }} Call
 * @typedef {(error: any, ...results: any[]) => void} Answer
 */

/**
 * @param {any} iteratee
 * @param {number} shape
 * @returns {{ call: Call, end: () => void }} `end` is told when no answer matters any more
 * @throws {Error} it is none, in the words of async
 */
export function asIteratee(iteratee, shape) {
  if (isOperation(iteratee) && shape < REDUCE) {
    const runs = new OperationRuns(iteratee)
    return {
      call: withLimit((answer, value) => settle(runs.run(value), answer), MOST_AT_ONCE),
      end: () => runs.cancel(undefined),
    }
  }
  if (typeof iteratee !== 'function') throw new Error('expected a function')
  const [withCallback, withPromise] = CALLS[shape](iteratee)
  return {
    call: withLimit(isAsync(iteratee) ? withPromise : withCallback, Infinity),
    end: nothing,
  }
}

/**
 * The worker of a queue.
 * @param {any} worker
 * @returns {{ work: (data: any, answer: Answer) => void, rest: () => void }} `rest` is told when nothing is to do
 */
export function asWorker(worker) {
  if (isOperation(worker)) {
    const runs = new OperationRuns(worker)
    return { work: (data, answer) => settle(runs.run(data), answer), rest: () => runs.end() }
  }
  if (typeof worker !== 'function') throw new Error('expected a function')
  if (isAsync(worker)) return { work: (data, answer) => settle(worker(data), answer), rest: nothing }
  return { work: worker, rest: nothing }
}

/** @type {((fn: Function) => [(answer: Answer, value: any, key: any, state: any) => void, (answer: Answer, value: any, key: any, state: any) => void])[]} */
const CALLS = [
  (fn) => [(answer, value) => fn(value, answer), (answer, value) => settle(fn(value), answer)],
  (fn) => [
    (answer, value, key) => fn(value, key, answer),
    (answer, value, key) => settle(fn(value, key), answer),
  ],
  (fn) => [
    (answer, value, _, state) => fn(state.memo, value, answer),
    (answer, value, _, state) => settle(fn(state.memo, value), answer),
  ],
  (fn) => [
    (answer, value, key, state) => fn(state.memo, value, key, answer),
    (answer, value, key, state) => settle(fn(state.memo, value, key), answer),
  ],
]

/**
 * Hand a promise's outcome to a callback. An error without a message becomes one that has it.
 * @param {PromiseLike<any>} promise
 * @param {Answer} answer
 */
function settle(promise, answer) {
  promise.then(
    (value) => tell(answer, null, value === skip ? undefined : value),
    (error) =>
      tell(answer, error && (error instanceof Error || error.message) ? error : new Error(error), undefined),
  )
}

/**
 * What a callback throws is not the promise's failure: nobody is there to catch it.
 * @param {Answer} answer
 * @param {any} error
 * @param {any} value
 */
function tell(answer, error, value) {
  try {
    if (error === null) answer(null, value)
    else answer(error)
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
}

/** @param {any} fn */
function isAsync(fn) {
  return fn[Symbol.toStringTag] === 'AsyncFunction'
}

/**
 * @param {(answer: Answer, value: any, key: any, state: any) => void} call
 * @param {number} most
 * @returns {Call}
 */
function withLimit(call, most) {
  return Object.assign(call, { most })
}

function nothing() {}
