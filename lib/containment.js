// Options that hold a worker process in: what becomes of its output, and what it may use of the machine. Checked for
// `options.js`, in the same way as all others.

import { invalidArgType, outOfRange } from './errors.js'

/** What becomes of what workers write. @typedef {'inherit' | 'ignore' | 'pipe'} Output */

/**
 * @typedef {object} Containment
 * @property {Output} stdout
 * @property {Output} stderr
 */

/**
 * @param {Record<string, unknown>} given options of a pool
 * @returns {Containment}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function containment(given) {
  return {
    stdout: output(given, 'stdout'),
    stderr: output(given, 'stderr'),
  }
}

/**
 * @param {Record<string, unknown>} given
 * @param {'stdout' | 'stderr'} name
 * @returns {Output}
 */
function output(given, name) {
  const value = given[name]
  if (value === undefined) return 'inherit'
  const expected = "'inherit', 'ignore' or 'pipe'"
  if (typeof value !== 'string') throw invalidArgType(name, expected, value)
  if (value !== 'inherit' && value !== 'ignore' && value !== 'pipe') throw outOfRange(name, expected, value)
  return value
}

export const CONTAINMENT_OPTIONS = ['stdout', 'stderr']
