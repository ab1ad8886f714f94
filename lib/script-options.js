// Options for scripts that were written for `child_process.fork`, checked for `options.js` in the same way as all others.

import { invalidArgType, outOfRange } from './errors.js'

/**
 * @typedef {object} ScriptSettings
 * @property {'function' | 'message' | 'child' | undefined} protocol undefined: the file shows it
 * @property {import('./fork-message.js').Serialization} serialization
 * @property {unknown} lastMessage undefined: there is none
 */

/**
 * @param {Record<string, unknown>} given options of a pool
 * @param {boolean} isFile whether the task is a file
 * @returns {ScriptSettings}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function scriptSettings(given, isFile) {
  const protocol = oneOf(given, 'protocol', ['function', 'message'])
  const serialization = oneOf(given, 'serialization', ['json', 'advanced'])
  const { lastMessage } = given
  if (protocol === 'message') {
    if (!isFile) throw invalidArgType('protocol', "'function': the task is a function, not a file", protocol)
    for (const name of ['exportName', 'setupData'])
      if (given[name] !== undefined)
        throw invalidArgType(name, `no ${name}: a fork script exports nothing`, given[name])
    if (given.concurrencyPerWorker !== undefined && given.concurrencyPerWorker !== 1)
      throw outOfRange('concurrencyPerWorker', "1 with protocol 'message'", given.concurrencyPerWorker)
  } else if (protocol === 'function' || !isFile) {
    for (const [name, value] of Object.entries({ serialization, lastMessage }))
      if (value !== undefined) throw invalidArgType(name, `no ${name} without protocol 'message'`, value)
  }
  if (lastMessage !== undefined && !isJson(lastMessage))
    throw invalidArgType('lastMessage', 'a value that JSON can carry', lastMessage)
  return /** @type {ScriptSettings} */ ({ protocol, serialization: serialization ?? 'json', lastMessage })
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {readonly [string, string]} values
 */
function oneOf(given, name, values) {
  const value = given[name]
  if (value === undefined) return undefined
  const expected = `'${values[0]}' or '${values[1]}'`
  if (typeof value !== 'string') throw invalidArgType(name, expected, value)
  if (!values.includes(value)) throw outOfRange(name, expected, value)
  return value
}

/** @param {unknown} value */
function isJson(value) {
  try {
    return JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}

export const SCRIPT_OPTIONS = ['protocol', 'serialization', 'lastMessage']
