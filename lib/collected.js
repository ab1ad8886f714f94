// What the mapper of `flatMap()` may return, and how a worker brings that home: iterated to its end, as one array.
// Promises among the results are awaited.

import { isAnyArrayBuffer } from 'node:util/types'
import { invalidArgType } from './errors.js'
import { skip } from './outcome.js'
import { isThenable, watched } from './source.js'

/**
 * The results of one item as an array, or a promise of it. `skip` stays as it is.
 * @param {unknown} returned what the mapper returned
 * @param {{ readonly raised: boolean, readonly signal: AbortSignal }} signal once it is raised, nobody wants more of them
 * @returns {unknown}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE (or as a rejection): what was returned has no results in it
 */
export function collected(returned, signal) {
  if (returned === skip) return returned
  if (Array.isArray(returned)) return returned.some(isThenable) ? Promise.all(returned) : returned
  if (isThenable(returned)) return returned.then((value) => collected(value, signal))
  if (isIterable(returned, Symbol.asyncIterator)) return collectAsync(returned, signal)
  if (!isIterable(returned, Symbol.iterator)) throw notIterable(returned)
  const results = []
  for (const result of returned) results.push(watched(result))
  return collected(results, signal)
}

/**
 * @param {unknown} returned
 * @returns {TypeError}
 */
export function notIterable(returned) {
  return invalidArgType(
    'mapper',
    'a function that returns an array, an iterable or an async iterable',
    returned,
  )
}

/**
 * Strings and binary data are iterable, but by character or byte, which is never what was meant.
 * @template {typeof Symbol.iterator | typeof Symbol.asyncIterator} S
 * @param {unknown} value
 * @param {S} symbol
 * @returns {value is S extends typeof Symbol.iterator ? Iterable<unknown> : AsyncIterable<unknown>}
 */
export function isIterable(value, symbol) {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  if (ArrayBuffer.isView(value) || isAnyArrayBuffer(value) || value instanceof String) return false
  return typeof (/** @type {any} */ (value)[symbol]) === 'function'
}

/**
 * @param {AsyncIterable<unknown>} iterable
 * @param {{ readonly raised: boolean, readonly signal: AbortSignal }} signal
 */
async function collectAsync(iterable, signal) {
  const results = []
  for await (const result of iterable) {
    // Only a generator awaits what it yields.
    results.push(isThenable(result) ? await result : result)
    // Not with what there is so far: the item has not failed, so it would pass for its whole result.
    if (signal.raised) throw signal.signal.reason
  }
  return results
}
