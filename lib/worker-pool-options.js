// What callers may pass to worker pools: the task, the processes that run it, and what is asked of a pool later.

import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { CONTAINMENT_OPTIONS, containment, fileURLPath } from './containment.js'
import { invalidArgType } from './errors.js'
import { flag, integerUpTo, milliseconds, positiveInteger, text } from './option-values.js'
import { optionsObject } from './options.js'
import { LIVES_OPTIONS, livesSettings } from './pool-lives.js'
import { SCRIPT_OPTIONS, scriptSettings } from './script-options.js'
import { shippedFunction } from './shipped-function.js'

/** @typedef {PoolFields & import('./pool-lives.js').Lives & import('./containment.js').Containment & import('./script-options.js').ScriptSettings} PoolSettings */

/**
 * @typedef {object} PoolFields
 * @property {TaskFile | import('./shipped-script.js').ShippedFunction} task
 * @property {number} concurrencyPerWorker
 * @property {number} gracePeriod milliseconds that an item may go on when it is cut off
 * @property {readonly string[]} execArgv
 * @property {string} cwd
 * @property {unknown} setupData
 * @property {string} exportName
 * @property {string} label
 */

/**
 * Where a task file is, both ways.
 * @typedef {Readonly<{ url: string, path: string }>} TaskFile
 */

/**
 * @param {unknown} task
 * @param {unknown} options
 * @returns {Readonly<PoolSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function workerPoolSettings(task, options) {
  const given = optionsObject(options, POOL_OPTIONS) ?? {}
  const cwd = directory(given)
  const checked = typeof task === 'function' ? functionTask(task, given) : taskFile(task, cwd)
  return Object.freeze({
    task: checked,
    ...livesSettings(given),
    concurrencyPerWorker: integerUpTo(given, 'concurrencyPerWorker', MAX_CONCURRENCY_PER_WORKER, 1),
    gracePeriod: milliseconds(given, 'gracePeriod', GRACE_MS),
    execArgv: execArgv(given),
    cwd,
    ...containment(given, cwd),
    ...scriptSettings(given, 'path' in checked),
    setupData: given.setupData,
    exportName: text(given, 'exportName', 'default'),
    label: text(given, 'label', 'path' in checked ? path.basename(checked.path) : checked.name || 'function'),
  })
}

/**
 * @param {unknown} options of `pool.close()`
 * @returns {Readonly<{ force: boolean }>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function closeSettings(options) {
  const given = optionsObject(options, CLOSE_OPTIONS) ?? {}
  return Object.freeze({ force: flag(given, 'force', false) })
}

/**
 * @param {unknown} size what is assigned to `pool.size`
 * @returns {number}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function poolSize(size) {
  const checked = positiveInteger({ size }, 'size', undefined)
  if (checked === undefined) throw invalidArgType('size', 'a positive integer', size)
  return checked
}

/**
 * What worker processes take over of the parent's own flags: loaders and limits, but not what belongs to the parent's
 * one program or terminal (a debugger's port, a test run, a watcher, code given on the command line).
 * @param {readonly string[]} flags `process.execArgv`
 * @returns {string[]}
 */
export function inheritedExecArgv(flags) {
  const inherited = []
  let dropping = false
  for (const flag of flags) {
    // What does not begin with a dash is the value of the flag before it.
    if (flag.startsWith('-')) dropping = PARENT_ONLY_FLAG.test(flag)
    if (!dropping) inherited.push(flag)
  }
  return inherited
}

/**
 * @param {Function} task
 * @param {Record<string, unknown>} given
 */
function functionTask(task, given) {
  if (given.exportName !== undefined) {
    throw invalidArgType('exportName', 'no exportName: the task is a function, not a file', given.exportName)
  }
  if (given.setupData !== undefined) {
    throw invalidArgType(
      'setupData',
      'no setupData: the task is a function, which has no setup() (a task file has)',
      given.setupData,
    )
  }
  return shippedFunction(task)
}

/**
 * @param {unknown} task
 * @param {string} cwd
 * @returns {TaskFile}
 */
function taskFile(task, cwd) {
  const expected = 'a file URL, the path of a file or a function'
  if (typeof task === 'string' && task !== '' && !task.startsWith('file:')) {
    const file = path.resolve(cwd, task)
    return Object.freeze({ url: pathToFileURL(file).href, path: file })
  }
  const file = fileURLPath(task)
  if (file === undefined) throw invalidArgType('task', expected, shown(task))
  return Object.freeze({ url: String(task), path: file })
}

/** @param {Record<string, unknown>} given */
export function directory(given) {
  const { cwd } = given
  if (cwd === undefined) return process.cwd()
  if (typeof cwd === 'string' && cwd !== '' && !cwd.startsWith('file:')) return path.resolve(cwd)
  const directory = fileURLPath(cwd)
  if (directory === undefined)
    throw invalidArgType('cwd', 'a file URL or the path of a directory', shown(cwd))
  return directory
}

/** @param {unknown} value */
export function shown(value) {
  return value instanceof URL ? value.href : value
}

/** @param {Record<string, unknown>} given */
function execArgv(given) {
  const flags = given.execArgv
  if (flags === undefined) return Object.freeze(inheritedExecArgv(process.execArgv))
  if (!Array.isArray(flags)) throw invalidArgType('execArgv', 'an array of strings', flags)
  for (const [i, flag] of flags.entries()) {
    if (typeof flag !== 'string') throw invalidArgType(`execArgv[${i}]`, 'a string', flag)
  }
  return Object.freeze([...flags])
}

const POOL_OPTIONS = [
  ...LIVES_OPTIONS,
  'concurrencyPerWorker',
  'gracePeriod',
  'execArgv',
  'cwd',
  ...CONTAINMENT_OPTIONS,
  ...SCRIPT_OPTIONS,
  'setupData',
  'exportName',
  'label',
]
const CLOSE_OPTIONS = ['force']

/** As in `src/engine/contract.rs`: a worker can hold so many chunks of one item. */
const MAX_CONCURRENCY_PER_WORKER = 128
/** How long an item that is cut off may go on before its worker is killed. */
export const GRACE_MS = 200
const PARENT_ONLY_FLAG =
  /^--(inspect|test|experimental-test|watch|eval|print|check|interactive|input-type|build-snapshot)\b|^-(e|p|pe|i|c)$/
