// What callers may pass to `fork()` of `millrace/fork`, checked once: the options of `child_process.fork`, and a clear
// error for those of them that a worker cannot have.

import { constants } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { fileURLPath } from '../containment.js'
import { invalidArgType, outOfRange, unknownOption } from '../errors.js'
import { coded } from '../fork-message.js'
import { workerPoolSettings } from '../worker-pool-options.js'

/**
 * @typedef {object} ForkSettings
 * @property {string} file
 * @property {readonly string[]} args
 * @property {string} execPath
 * @property {import('../fork-message.js').Serialization} serialization
 * @property {AbortSignal | undefined} signal
 * @property {NodeJS.Signals | number} killSignal
 * @property {number} timeout 0: none
 * @property {Readonly<import('../worker-pool-options.js').PoolSettings>} pool
 */

/**
 * @param {unknown} modulePath
 * @param {unknown} args
 * @param {unknown} options
 * @returns {Readonly<ForkSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function forkSettings(modulePath, args, options) {
  if (args !== undefined && args !== null && typeof args !== 'object')
    throw invalidArgType('args', 'an array', args)
  const list = Array.isArray(args) ? args : []
  const given = optionsOf(args !== undefined && args !== null && !Array.isArray(args) ? args : options)
  const cwd = directory(given)
  const file = moduleFile(modulePath, cwd)
  const { stdout, stderr } = outputs(given)
  const serialization = serializationOf(given)
  const pool = workerPoolSettings(pathToFileURL(file), {
    size: 1,
    cwd,
    env: environment(given),
    execArgv: given.execArgv ?? undefined,
    stdout,
    stderr,
    serialization,
    label: path.basename(file),
  })
  return Object.freeze({
    file,
    args: Object.freeze(list.map((argument) => `${argument}`)),
    execPath: text(given, 'execPath', process.execPath),
    serialization,
    signal: abortSignal(given),
    killSignal: killSignalOf(given),
    timeout: timeoutOf(given),
    pool: Object.freeze({ ...pool, protocol: /** @type {const} */ ('child') }),
  })
}

/** @param {unknown} options */
function optionsOf(options) {
  if (options === undefined || options === null) return {}
  if (typeof options !== 'object' || Array.isArray(options))
    throw invalidArgType('options', 'an object', options)
  const given = /** @type {Record<string, unknown>} */ (options)
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || SUPPORTED.includes(name)) continue
    // What is off, or means nothing here, is no wish that could be missed.
    if ((name === 'detached' && value === false) || WINDOWS_ONLY.includes(name)) continue
    if (UNSUPPORTED.includes(name)) {
      throw invalidArgType(
        name,
        `no ${name}: millrace/fork has none of ${UNSUPPORTED.join(', ')} (child_process.fork has)`,
        value,
      )
    }
    throw unknownOption(name, SUPPORTED)
  }
  return given
}

/**
 * @param {unknown} modulePath
 * @param {string} cwd
 */
function moduleFile(modulePath, cwd) {
  const expected = 'a path or a file URL'
  if (typeof modulePath === 'string' && modulePath !== '' && !modulePath.includes('\0'))
    return path.resolve(cwd, modulePath)
  const file = modulePath instanceof URL ? fileURLPath(modulePath) : undefined
  if (file === undefined) throw invalidArgType('modulePath', expected, modulePath)
  return file
}

/** @param {Record<string, unknown>} given */
function directory({ cwd }) {
  if (cwd === undefined || cwd === null) return process.cwd()
  if (typeof cwd === 'string' && cwd !== '') return path.resolve(cwd)
  const folder = cwd instanceof URL ? fileURLPath(cwd) : undefined
  if (folder === undefined) throw invalidArgType('cwd', 'a path or a file URL', cwd)
  return folder
}

/**
 * As Node does it: every value is written as text.
 * @param {Record<string, unknown>} given
 */
function environment({ env }) {
  if (env === undefined || env === null) return undefined
  if (typeof env !== 'object') throw invalidArgType('env', 'an object', env)
  return Object.fromEntries(
    Object.entries(env)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, `${value}`]),
  )
}

/** @param {Record<string, unknown>} given */
function outputs({ silent, stdio }) {
  if (silent !== undefined && typeof silent !== 'boolean') throw invalidArgType('silent', 'a boolean', silent)
  if (stdio === undefined || stdio === null) {
    const output = silent ? 'pipe' : 'inherit'
    return { stdout: output, stderr: output }
  }
  const expected = "'inherit', 'pipe', 'ignore', or an array of them for stdin, stdout and stderr, and 'ipc'"
  if (typeof stdio === 'string') {
    if (!OUTPUTS.includes(stdio)) throw outOfRange('stdio', expected, stdio)
    return { stdout: stdio, stderr: stdio }
  }
  if (!Array.isArray(stdio)) throw invalidArgType('stdio', expected, stdio)
  // 0, 1 and 2 in their own places are what is inherited.
  const [stdin, stdout, stderr, ipc, ...more] = stdio.map((entry, at) =>
    entry === at && at < 3 ? 'inherit' : (entry ?? 'pipe'),
  )
  // A worker's stdin is empty whatever is said here, as it is with 'pipe' for all and with `silent`.
  const fits =
    OUTPUTS.includes(stdin) &&
    OUTPUTS.includes(stdout) &&
    OUTPUTS.includes(stderr) &&
    ipc === 'ipc' &&
    more.length === 0
  if (!fits) throw outOfRange('stdio', expected, `[${stdio.map((entry) => String(entry)).join(', ')}]`)
  return { stdout, stderr }
}

/**
 * @param {Record<string, unknown>} given
 * @returns {import('../fork-message.js').Serialization}
 */
function serializationOf({ serialization }) {
  if (serialization === undefined || serialization === null) return 'json'
  if (serialization !== 'json' && serialization !== 'advanced')
    throw outOfRange('serialization', "'json' or 'advanced'", serialization)
  return serialization
}

/**
 * @param {Record<string, unknown>} given
 * @param {string} name
 * @param {string} byDefault
 */
function text(given, name, byDefault) {
  const value = given[name] ?? byDefault
  if (typeof value !== 'string' || value === '') throw invalidArgType(name, 'a path', value)
  return value
}

/** @param {Record<string, unknown>} given */
function abortSignal({ signal }) {
  if (signal === undefined || signal === null) return undefined
  if (!(signal instanceof AbortSignal)) throw invalidArgType('signal', 'an AbortSignal', signal)
  return signal
}

/**
 * @param {unknown} signal its name, in letters of either case, or its number; 0: none
 * @returns {number}
 * @throws {TypeError} ERR_UNKNOWN_SIGNAL
 */
export function signalNumber(signal) {
  const number = typeof signal === 'number' ? signal : SIGNALS[String(signal).toUpperCase()]
  if (number === undefined || (number !== 0 && !Object.values(SIGNALS).includes(number)))
    throw coded(TypeError, 'ERR_UNKNOWN_SIGNAL', `Unknown signal: ${String(signal)}`)
  return number
}

/** @param {Record<string, unknown>} given */
function killSignalOf({ killSignal }) {
  const signal = /** @type {NodeJS.Signals | number} */ (killSignal ?? 'SIGTERM')
  signalNumber(signal)
  return signal
}

/** @param {Record<string, unknown>} given */
function timeoutOf({ timeout }) {
  if (timeout === undefined || timeout === null) return 0
  const expected = 'milliseconds from 0 to 2147483647'
  if (typeof timeout !== 'number') throw invalidArgType('timeout', expected, timeout)
  if (!(timeout >= 0 && timeout < 2 ** 31)) throw outOfRange('timeout', expected, timeout)
  return timeout
}

/** @type {Record<string, number>} */
const SIGNALS = constants.signals
const SUPPORTED = [
  'cwd',
  'env',
  'execPath',
  'execArgv',
  'serialization',
  'signal',
  'killSignal',
  'silent',
  'stdio',
  'timeout',
]
const UNSUPPORTED = ['detached', 'uid', 'gid', 'argv0', 'shell']
const WINDOWS_ONLY = ['windowsHide', 'windowsVerbatimArguments']
const OUTPUTS = ['inherit', 'pipe', 'ignore']
