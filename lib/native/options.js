// What may be passed to the makers of native operations.

import { invalidArgType, outOfRange } from '../errors.js'
import { optionsObject } from '../options.js'

/**
 * @param {unknown} options
 * @param {readonly string[]} known
 * @returns {Record<string, unknown>} a copy: what the caller does to its object later is of no concern
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function operationOptions(options, known) {
  return { ...optionsObject(options, known) }
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {readonly string[]} choices
 * @param {string} byDefault
 * @returns {string}
 */
export function choice(given, name, choices, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  const expected = choices.map((choice) => `'${choice}'`).join(' or ')
  if (typeof value !== 'string') throw invalidArgType(name, expected, value)
  if (!choices.includes(value)) throw outOfRange(name, expected, value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {number} least
 * @param {number} most
 * @param {number} byDefault
 * @returns {number}
 */
export function integer(given, name, least, most, byDefault) {
  const value = given[name]
  if (value === undefined) return byDefault
  const expected = `an integer from ${least} to ${most}`
  if (typeof value !== 'number') throw invalidArgType(name, expected, value)
  if (!Number.isInteger(value) || value < least || value > most) throw outOfRange(name, expected, value)
  return value
}
