// Loads a script that was written for `child_process.fork`, as the task of a worker; and finds out, of a file that exports
// no function, whether it is such a script.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** @typedef {import('./fork-script.js').ScriptLink} ScriptLink */
/** @typedef {import('./fork-script.js').ForkScript} ForkScript */

/**
 * @param {import('./worker-task.js').FileOrder} order with a protocol of messages
 * @param {ScriptLink} link
 * @param {(error: Error) => void} ended told if the process ends before the script listens
 * @returns {Promise<import('./worker-task.js').Task>}
 */
export async function scriptTask(order, link, ended) {
  const { ForkScript, rethrowSoon } = forkScript()
  const script = new ForkScript(link, { ...order, texts: order.serialization === 'json' })
  script.begin()
  const loaded = runMain(order)
  if (order.protocol === 'child') {
    // As an error of a main file: Node prints it, and the process ends.
    loaded.catch(rethrowSoon)
    return script.childTask()
  }
  await script.listening(loaded, ended)
  return script.poolTask()
}

/**
 * What a file of unknown kind finds on `process` while it is loaded: the script's side of fork, made when it is used.
 * @param {ScriptLink} link
 * @param {import('./worker-task.js').FileOrder} order
 */
export function offerScript(link, order) {
  /** @type {ForkScript | undefined} */
  let script
  const make = () => {
    // The parent does not know: items come, and results go, as they do for functions.
    script ??= new (forkScript().ForkScript)(link, { ...order, texts: false })
    return script
  }
  for (const name of SCRIPT_PROPERTIES) {
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get() {
        make()
        return Reflect.get(process, name)
      },
      set(value) {
        Object.defineProperty(process, name, { value, writable: true, enumerable: true, configurable: true })
      },
    })
  }
  return {
    /** The file is a script. */
    task() {
      const made = make()
      made.begin()
      return made.poolTask()
    },
    /** It is not. */
    withdraw() {
      script?.withdraw()
      for (const name of SCRIPT_PROPERTIES) Reflect.deleteProperty(process, name)
    },
  }
}

/** @returns {typeof import('./fork-script.js')} */
function forkScript() {
  // At once, also where a script asks for `process.send` in the middle of being loaded.
  return createRequire(import.meta.url)('./fork-script.js')
}

/**
 * Run a file as Node runs its main one: in CommonJS `require.main` is the module.
 * @param {import('./worker-task.js').FileOrder} order
 */
async function runMain({ url, path: given }) {
  const require = createRequire(import.meta.url)
  const file = resolved(require, given)
  if (isCommonJs(file)) {
    const { _load: load } = /** @type {any} */ (require('node:module'))
    try {
      load(file, null, true)
      return
    } catch (error) {
      // What was written as a module after all, and awaits something while it is loaded.
      const { code } = /** @type {NodeJS.ErrnoException} */ (error ?? {})
      if (code !== 'ERR_REQUIRE_ASYNC_MODULE' && code !== 'ERR_REQUIRE_ESM') throw error
    }
  }
  const { exportsOf } = await import('./worker-task.js')
  await exportsOf(file === given ? url : pathToFileURL(file).href, file)
}

/**
 * The file that a path means which leaves out its extension, or names a folder.
 * @param {NodeJS.Require} require
 * @param {string} file
 */
function resolved(require, file) {
  if (path.extname(file) !== '' && statSync(file, { throwIfNoEntry: false })?.isFile()) return file
  try {
    return require.resolve(file)
  } catch {
    // Whoever loads it says why not.
    return file
  }
}

/** @param {string} file */
function isCommonJs(file) {
  const extension = path.extname(file)
  if (extension === '.cjs') return true
  if (extension !== '.js') return false
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json')
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, 'utf8')).type !== 'module'
    if (folder === path.dirname(folder)) return true
  }
}

const SCRIPT_PROPERTIES = ['send', 'connected', 'disconnect', 'channel']
