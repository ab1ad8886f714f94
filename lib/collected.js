// What the mapper of `flatMap()` may return, and how a worker brings that home: iterated to its end, as one array.
// Promises among the results are awaited.

import { invalidArgType } from './errors.js'
import { skip } from './outcome.js'
import { isThenable } from './source.js'

/**
 * The results of one item as an array, or a promise of it. `skip` stays as it is.
 * @param {unknown} returned what the mapper returned
 * @param {{ readonly raised: boolean }} signal once it is raised, nobody wants more of them
 * @returns {unknown}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE (or as a rejection): what was returned has no results in it
 */
export function collected(returned, signal) {
  if (returned === skip) return returned
  if (Array.isArray(returned)) return returned.some(isThenable) ? Promise.all(returned) : returned
  if (isThenable(returned)) return returned.then((value) => collected(value, signal))
  if (isIterable(returned, Symbol.asyncIterator)) return collectAsync(returned, signal)
  if (!isIterable(returned, Symbol.iterator)) throw notIterable(returned)
  return collected(Array.from(returned), signal)
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
 * Strings are iterable, but by character, which is never what was meant.
 * @template {typeof Symbol.iterator | typeof Symbol.asyncIterator} S
 * @param {unknown} value
 * @param {S} symbol
 * @returns {value is S extends typeof Symbol.iterator ? Iterable<unknown> : AsyncIterable<unknown>}
 */
export function isIterable(value, symbol) {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (/** @type {any} */ (value)[symbol]) === 'function'
}

/**
 * @param {AsyncIterable<unknown>} iterable
 * @param {{ readonly raised: boolean }} signal
 */
async function collectAsync(iterable, signal) {
  const results = []
  for await (const result of iterable) {
    results.push(result)
    if (signal.raised) break
  }
  return results
}
