// Loads a worker's task: a file with the mapper, and `setup` and `teardown` if it has them; or a function, as source.

import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { types } from 'node:util'
import { offerScript, scriptTask } from './script-task.js'

/**
 * What the parent tells a worker to load.
 * @typedef {FileOrder | FunctionOrder} TaskOrder
 */

/**
 * The same, how many items run at the same time, and whether the pool has given a `permission`.
 * @typedef {TaskOrder & { concurrency: number, confined: boolean }} WorkerOrder
 */

/**
 * @typedef {object} FileOrder
 * @property {string} url of the task file
 * @property {string} path of the same
 * @property {string} exportName
 * @property {unknown} setupData
 * @property {'function' | 'message' | 'child' | undefined} protocol undefined: the file shows it
 * @property {import('./fork-message.js').Serialization} serialization of messages
 * @property {unknown} lastMessage
 * @property {readonly string[]} args of the script
 */

/** @typedef {import('./shipped-script.js').ShippedFunction & { label: string, cwd: string }} FunctionOrder */

/**
 * @typedef {object} Task
 * @property {(item: any, context: any) => unknown} run
 * @property {(() => unknown) | undefined} teardown
 * @property {((value: any) => unknown) | undefined} [onMessage] for what the pool says to all of its workers
 * @property {(error: unknown) => unknown} explain what to report of an error that it throws
 * @property {(item: any, context: any) => unknown} [runMany] instead of `run`, for `flatMap()`
 * @property {() => { value: any } | undefined} [answer] the result of the item that runs, if the process exits and it has one:
 *   only of tasks that run one item at a time
 * @property {() => boolean} [waits] whether no item may begin now; somebody will say when
 */

/**
 * @param {WorkerOrder} order
 * @param {import('./fork-script.js').ScriptLink} link
 * @param {(error: Error) => void} ended told if the process ends before it is ready
 * @returns {Promise<Task>}
 * @throws whatever loading the file or its `setup` throws; an Error where it has no such function
 */
export async function loadTask(order, link, ended) {
  if ('path' in order) return fileTask(order, link, ended)
  // As in a program that `node --eval` runs: there is no file, and nothing of ours.
  process.argv.splice(1)
  // Files do not need it, nor `node:vm`, and a process starts sooner without.
  const { shippedTask } = await import('./shipped-script.js')
  return shippedTask(order)
}

/**
 * @param {FileOrder & { concurrency: number }} order
 * @param {import('./fork-script.js').ScriptLink} link
 * @param {(error: Error) => void} ended
 * @returns {Promise<Task>}
 */
async function fileTask(order, link, ended) {
  const { url, path, exportName, protocol } = order
  // As in a program that `fork` starts: argv[1] is the file, and nothing of ours is behind it.
  process.argv.splice(1, Infinity, path, ...order.args)
  if (protocol === 'message' || protocol === 'child') return scriptTask(order, link, ended)
  const offer = protocol === undefined && exportName === 'default' ? offerScript(link, order) : undefined
  const exported = await exportsOf(url, path)
  if (offer !== undefined && isScript(exported)) {
    if (order.concurrency > 1)
      throw new Error(
        `The fork script ${path} runs one item at a time: expected concurrencyPerWorker 1, got ${order.concurrency}`,
      )
    return offer.task()
  }
  offer?.withdraw()
  return functionTask(order, exported)
}

/**
 * The mapper of a file, and what belongs to it.
 * @param {Pick<FileOrder, 'path' | 'exportName' | 'setupData'>} order
 * @param {unknown} exported by the file
 * @returns {Promise<Task>}
 */
export async function functionTask({ path, exportName, setupData }, exported) {
  const run = exportOf(exported, exportName)
  if (typeof run !== 'function') throw new Error(missingFunction(path, exportName, exported))
  const setup = exportOf(exported, 'setup')
  if (typeof setup === 'function') await setup(setupData)
  const teardown = exportOf(exported, 'teardown')
  const onMessage = exportOf(exported, 'onMessage')
  return {
    run,
    teardown: typeof teardown === 'function' ? teardown : undefined,
    onMessage: typeof onMessage === 'function' ? onMessage : undefined,
    explain: (error) => error,
  }
}

/**
 * @param {string} url
 * @param {string} path
 */
export async function exportsOf(url, path) {
  try {
    return await import(url)
  } catch (error) {
    const require = createRequire(url)
    const extension = extname(path)
    if (!isLanguageUnknown(error, extension) || require.extensions[extension] === undefined) throw error
    // Loaders of the older kind, `node --require`, teach require() alone what a .ts file is.
    const exported = required(require, path, error)
    return types.isModuleNamespaceObject(exported) ? exported : { default: exported }
  }
}

/**
 * @param {NodeJS.Require} require
 * @param {string} path
 * @param {Error & { code: unknown }} refusal of import()
 */
function required(require, path, refusal) {
  try {
    return require(path)
  } catch (error) {
    throw /** @type {NodeJS.ErrnoException} */ (error)?.code === refusal.code ? refusal : error
  }
}

/**
 * Whether import() does not know the language of the file itself (rather than one that it imports), or only the types
 * of it.
 * @param {unknown} error
 * @param {string} extension
 * @returns {error is Error & { code: unknown }}
 */
function isLanguageUnknown(error, extension) {
  if (!(error instanceof Error) || !('code' in error)) return false
  if (error.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return /^\.[cm]?ts$/.test(extension)
  return error.code === 'ERR_UNKNOWN_FILE_EXTENSION' && error.message.includes(`"${extension}"`)
}

/**
 * Whether a file that was loaded is a script for `child_process.fork`: it listens for messages, and exports no function.
 * @param {any} exported
 */
function isScript(exported) {
  const whole = exported.default
  const all = [
    ...Object.values(exported),
    ...(typeof whole === 'object' && whole !== null ? Object.values(whole) : []),
  ]
  return process.listenerCount('message') > 0 && !all.some((value) => typeof value === 'function')
}

/**
 * An export by its name, also where the file is CommonJS (`module.exports = { name }`), and where that was compiled
 * from ESM (`exports.default`).
 * @param {any} exported
 * @param {string} name
 */
function exportOf(exported, name) {
  const whole = exported.default
  if (name === 'default')
    return whole?.__esModule ? whole.default : typeof whole === 'function' ? whole : whole?.default
  return exported[name] ?? whole?.[name]
}

/**
 * @param {string} path
 * @param {string} exportName
 * @param {any} exported
 */
function missingFunction(path, exportName, exported) {
  const names = Object.keys(exported).filter((name) => typeof exported[name] === 'function')
  const wanted = exportName === 'default' ? 'default function' : `function "${exportName}"`
  const found = names.length > 0 ? `functions ${names.join(', ')}` : 'no function'
  const listens = process.listenerCount('message') > 0
  const script = listens
    ? `it listens for messages: if it is a fork script, set protocol: 'message'`
    : NO_SCRIPT
  return `The task file ${path} must export a ${wanted}, expected "export default function (item, context) { … }" or "module.exports = function …" (${script}), got ${found}`
}

const NO_SCRIPT = "or, for a script of child_process.fork, a 'message' listener on process"
