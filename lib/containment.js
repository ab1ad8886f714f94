// Options that hold a worker process in: what becomes of its output, and what it may use of the machine. Checked for
// `options.js`, in the same way as all others.

import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { invalidArgType, outOfRange, unknownOption } from './errors.js'
import { isOptionsObject } from './option-values.js'

/** What becomes of what workers write. @typedef {'inherit' | 'ignore' | 'pipe'} Output */

/**
 * @typedef {object} Containment
 * @property {Output} stdout
 * @property {Output} stderr
 * @property {Readonly<Record<string, string>>} env the whole environment of a worker
 * @property {number} niceIncrement
 * @property {Readonly<Rlimits>} rlimits
 * @property {Readonly<import('./permission.js').Permission> | undefined} permission undefined: everything
 * @property {number | undefined} maxMemory bytes; undefined: no limit
 */

/**
 * Undefined: as it is for this program.
 * @typedef {object} Rlimits
 * @property {number | undefined} cpuSeconds
 * @property {number | undefined} openFiles
 * @property {number | undefined} coreSize in bytes
 */

/**
 * @param {Record<string, unknown>} given options of a pool
 * @param {string} cwd of its workers
 * @returns {Containment}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function containment(given, cwd) {
  return {
    stdout: output(given, 'stdout'),
    stderr: output(given, 'stderr'),
    env: environment(given),
    niceIncrement: count(given, 'niceIncrement', MAX_NICENESS, 0),
    rlimits: rlimits(given),
    permission: permission(given, cwd),
    maxMemory: maxMemory(given),
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

/**
 * The variables of this program, all or those of `inheritEnv`, and those of `env` over them. `env` alone is all there is.
 * @param {Record<string, unknown>} given
 */
function environment(given) {
  const own = ownVariables(given)
  if (given.env === undefined) return Object.freeze(own ?? { ...programEnv() })
  if (!isOptionsObject(given.env)) throw invalidArgType('env', 'an object of strings', given.env)
  const env = own ?? {}
  for (const [name, value] of Object.entries(given.env)) {
    if (value === undefined) continue
    if (typeof value !== 'string') throw invalidArgType(`env.${name}`, 'a string', value)
    // A NUL ends a C string: the variable would arrive cut, or as two.
    if (!isVariable(name) || value.includes('\0')) {
      throw outOfRange(`env.${name}`, 'a name without "=" and NUL, and a value without NUL', value)
    }
    env[name] = value
  }
  return Object.freeze(env)
}

/**
 * @param {Record<string, unknown>} given
 * @returns {Record<string, string> | undefined} undefined: nothing was said
 */
function ownVariables(given) {
  const names = given.inheritEnv
  if (names === undefined) return undefined
  if (!Array.isArray(names)) throw invalidArgType('inheritEnv', 'an array of strings', names)
  /** @type {Record<string, string>} */
  const env = {}
  for (const [i, name] of names.entries()) {
    if (typeof name !== 'string') throw invalidArgType(`inheritEnv[${i}]`, 'a string', name)
    if (!isVariable(name)) throw outOfRange(`inheritEnv[${i}]`, 'a name without "=" and NUL', name)
    // One that is not set is none of theirs either.
    const value = programEnv()[name]
    if (value !== undefined) env[name] = value
  }
  return env
}

function programEnv() {
  return /** @type {Record<string, string>} */ (process.env)
}

/** @param {string} name */
function isVariable(name) {
  return name !== '' && !/[=\0]/.test(name)
}

/**
 * @param {Record<string, unknown>} given
 * @returns {Readonly<Rlimits>}
 */
function rlimits(given) {
  const limits = object(given, 'rlimits', RLIMITS)
  const limit = (/** @type {string} */ name) =>
    count(limits, name, Number.MAX_SAFE_INTEGER, undefined, 'rlimits.')
  return Object.freeze({
    cpuSeconds: limit('cpuSeconds'),
    openFiles: limit('openFiles'),
    coreSize: limit('coreSize'),
  })
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} cwd
 */
function permission(given, cwd) {
  if (given.permission === undefined) return undefined
  const allowed = object(given, 'permission', PERMISSIONS)
  return Object.freeze({
    fsRead: files(allowed, 'fsRead', cwd),
    fsWrite: files(allowed, 'fsWrite', cwd),
    childProcess: flag(allowed, 'childProcess'),
    worker: flag(allowed, 'worker'),
  })
}

/**
 * @param {Record<string, unknown>} given
 * @param {'fsRead' | 'fsWrite'} name
 * @param {string} cwd
 */
function files(given, name, cwd) {
  const value = given[name]
  if (value === undefined) return Object.freeze([])
  const expected = 'an array of paths and file URLs'
  if (!Array.isArray(value)) throw invalidArgType(`permission.${name}`, expected, value)
  return Object.freeze(
    value.map((file, i) => {
      // All files there are, in Node's own words.
      if (file === '*') return file
      const full = `permission.${name}[${i}]`
      if (typeof file === 'string' && (file === '' || file.includes('\0')))
        throw outOfRange(full, 'a path or a file URL', file)
      if (typeof file === 'string' && !file.startsWith('file:')) return path.resolve(cwd, file)
      const ofURL = fileURLPath(file)
      if (ofURL === undefined) throw invalidArgType(full, 'a path or a file URL', file)
      return path.resolve(ofURL)
    }),
  )
}

/**
 * @param {Record<string, unknown>} given
 * @param {'childProcess' | 'worker'} name
 */
function flag(given, name) {
  const value = given[name]
  if (value === undefined) return false
  if (typeof value !== 'boolean') throw invalidArgType(`permission.${name}`, 'a boolean', value)
  return value
}

/**
 * @param {unknown} url a URL, or a string that starts as a file URL does
 * @returns {string | undefined} undefined if it is no URL of a file on this machine
 */
export function fileURLPath(url) {
  if (typeof url !== 'string' && typeof (/** @type {URL | undefined} */ (url)?.href) !== 'string')
    return undefined
  try {
    return fileURLToPath(/** @type {string | URL} */ (url))
  } catch {
    return undefined
  }
}

/** @param {Record<string, unknown>} given */
function maxMemory(given) {
  const expected = 'a positive integer'
  const value = count(given, 'maxMemory', Number.MAX_SAFE_INTEGER, undefined)
  if (value === 0) throw outOfRange('maxMemory', expected, value)
  return value
}

/**
 * An option that is an object of options.
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {readonly string[]} known
 * @returns {Record<string, unknown>}
 */
function object(given, name, known) {
  const value = given[name]
  if (value === undefined) return {}
  if (!isOptionsObject(value)) throw invalidArgType(name, 'an object', value)
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw unknownOption(`${name}.${key}`, known)
  }
  return value
}

/**
 * @template D
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {number} most
 * @param {D} byDefault
 * @param {string} [before] the name, in messages
 * @returns {number | D}
 */
function count(given, name, most, byDefault, before = '') {
  const value = given[name]
  if (value === undefined) return byDefault
  const expected =
    most === Number.MAX_SAFE_INTEGER ? '0 or a positive integer' : `an integer from 0 to ${most}`
  if (typeof value !== 'number') throw invalidArgType(before + name, expected, value)
  if (!Number.isSafeInteger(value) || value < 0 || value > most)
    throw outOfRange(before + name, expected, value)
  return value
}

export const CONTAINMENT_OPTIONS = [
  'stdout',
  'stderr',
  'inheritEnv',
  'env',
  'niceIncrement',
  'rlimits',
  'permission',
  'maxMemory',
]

const PERMISSIONS = ['fsRead', 'fsWrite', 'childProcess', 'worker']
const RLIMITS = ['cpuSeconds', 'openFiles', 'coreSize']
/** The highest there is: what is added beyond it makes no difference. */
const MAX_NICENESS = 19
