// What may stand where async expects a function: one with a callback, an async function, a pool or a native operation.

import { skip } from '../outcome.js'
import { isOperation, OperationRuns } from './operation-runs.js'

/** Which arguments an iteratee gets before its callback. */
export const VALUE = 0
export const KEYED = 1
/** The value so far, and the next one. */
export const REDUCE = 2
/** The accumulator, the value and its key. */
export const ACCUMULATE = 3

export const CALLED_TWICE = 'Callback was already called.'

/**
 * How an iteratee is called: by the first of the three ways that there is.
 * @typedef {object} Iteratee
 * @property {Promised | undefined} promised what it returns is a promise
 * @property {Direct | undefined} direct the iteratee itself, if a value and a callback is all that it takes
 * @property {Call} call with a callback
 * @property {OperationRuns | undefined} runs of the operation that it is
 */
/** @typedef {(error: any, ...results: any[]) => void} Answer */
/** @typedef {(value: any, answer: Answer) => void} Direct */
/** @typedef {(answer: Answer, value: any, key: any, state: any) => void} Call */
/** @typedef {(value: any, key: any, state: any) => PromiseLike<any>} Promised */

/**
 * @param {any} iteratee
 * @param {number} shape
 * @returns {Iteratee}
 * @throws {Error} it is none, in the words of async
 */
export function asIteratee(iteratee, shape) {
  if (isOperation(iteratee) && shape < REDUCE) {
    const runs = new OperationRuns(iteratee)
    const promised = (/** @type {any} */ value) => runs.run(value)
    return { promised, direct: undefined, call: nothing, runs }
  }
  if (isOperation(iteratee))
    throw new Error(`expected a function, got a pool or a native operation: ${SO_FAR}`)
  if (typeof iteratee !== 'function') throw new Error('expected a function')
  const promised = isAsync(iteratee) ? PROMISED[shape](iteratee) : undefined
  const direct = shape === VALUE && promised === undefined ? iteratee : undefined
  return { promised, direct, call: CALLS[shape](iteratee), runs: undefined }
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

/** By shape. @type {((fn: Function) => Promised)[]} */
const PROMISED = [
  (fn) => (value) => fn(value),
  (fn) => (value, key) => fn(value, key),
  (fn) => (value, _, state) => fn(state.memo, value),
  (fn) => (value, key, state) => fn(state.memo, value, key),
]
/** @type {((fn: Function) => Call)[]} */
const CALLS = [
  (fn) => (answer, value) => fn(value, answer),
  (fn) => (answer, value, key) => fn(value, key, answer),
  (fn) => (answer, value, _, state) => fn(state.memo, value, answer),
  (fn) => (answer, value, key, state) => fn(state.memo, value, key, answer),
]

/**
 * Hand a promise's outcome to a callback.
 * @param {PromiseLike<any>} promise
 * @param {Answer} answer
 */
function settle(promise, answer) {
  promise.then(
    (value) => {
      try {
        answer(null, fulfilled(value))
      } catch (thrown) {
        throwSoon(thrown)
      }
    },
    (reason) => {
      try {
        answer(rejected(reason), undefined)
      } catch (thrown) {
        throwSoon(thrown)
      }
    },
  )
}

/** @param {any} value what a promise of an iteratee has come to */
export function fulfilled(value) {
  return value === skip ? undefined : value
}

/**
 * An error without a message becomes one that has it.
 * @param {any} reason
 */
export function rejected(reason) {
  return reason && (reason instanceof Error || reason.message) ? reason : new Error(reason)
}

/**
 * What a callback throws is not the failure of the promise that it was called for: nobody is there to catch it.
 * @param {unknown} thrown
 */
export function throwSoon(thrown) {
  queueMicrotask(() => {
    throw thrown
  })
}

/** @param {any} fn */
function isAsync(fn) {
  return fn[Symbol.toStringTag] === 'AsyncFunction'
}

function nothing() {}

const SO_FAR = 'what is so far, a memo or an accumulator, stays in this process'
