// What the value of an option may be: each function looks one up, and says what is expected where it is something else.

import { invalidArgType, outOfRange } from './errors.js'

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {number} most Infinity: it may be that, too
 */
export function countUpTo(given, name, most) {
  const value = given[name]
  if (value === undefined) return 0
  const expected = most === Infinity ? '0, a positive integer or Infinity' : `an integer from 0 to ${most}`
  if (typeof value !== 'number') throw invalidArgType(name, expected, value)
  if (value === Infinity && most === Infinity) return value
  if (!Number.isSafeInteger(value) || value < 0 || value > most) throw outOfRange(name, expected, value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {string} what it is
 * @param {number} least
 * @param {number} most
 * @param {number} byDefault
 */
export function numberWithin(given, name, what, least, most, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  const expected = `${what} from ${least} to ${most}`
  if (typeof value !== 'number') throw invalidArgType(name, expected, value)
  if (!(value >= least && value <= most)) throw outOfRange(name, expected, value)
  return value
}

/**
 * @template D
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {D} byDefault
 * @returns {number | D}
 */
export function positiveInteger(given, name, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  if (typeof value !== 'number') throw invalidArgType(name, 'a positive integer', value)
  if (!Number.isSafeInteger(value) || value < 1) throw outOfRange(name, 'a positive integer', value)
  return value
}

/**
 * @template D
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {D} byDefault
 * @returns {number | D}
 */
export function milliseconds(given, name, byDefault) {
  const value = given[name]
  const expected = `milliseconds from 0 to ${MAX_MILLISECONDS}`
  if (value === undefined) return byDefault
  if (typeof value !== 'number') throw invalidArgType(name, expected, value)
  if (!(value >= 0 && value <= MAX_MILLISECONDS)) throw outOfRange(name, expected, value)
  return value
}

/**
 * @template D
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {D} byDefault
 * @returns {number | D}
 */
export function positiveIntegerOrInfinity(given, name, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  if (typeof value !== 'number') throw invalidArgType(name, 'a positive integer or Infinity', value)
  if (value === Infinity) return value
  if (!Number.isSafeInteger(value) || value < 1)
    throw outOfRange(name, 'a positive integer or Infinity', value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {number} most
 * @param {number} byDefault
 */
export function integerUpTo(given, name, most, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  const expected = `an integer from 1 to ${most}`
  if (typeof value !== 'number') throw invalidArgType(name, expected, value)
  if (!Number.isInteger(value) || value < 1 || value > most) throw outOfRange(name, expected, value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {boolean} byDefault
 */
export function flag(given, name, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  if (typeof value !== 'boolean') throw invalidArgType(name, 'a boolean', value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {string} byDefault
 */
export function text(given, name, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  if (typeof value !== 'string') throw invalidArgType(name, 'a string', value)
  if (value === '') throw outOfRange(name, 'a string that is not empty', value)
  return value
}

/**
 * Whether a value can be a group of options. An array, a Map, an AbortSignal or a Date has none that are looked up by
 * name, so that it would silently mean the defaults; instances of classes and namespaces of modules may have them.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isOptionsObject(value) {
  if (typeof value !== 'object' || value === null) return false
  const kind = kindOf.call(value)
  return kind === '[object Object]' || kind === '[object Module]'
}

const kindOf = Object.prototype.toString
/** What a timer can hold. */
export const MAX_MILLISECONDS = 2 ** 31 - 1
