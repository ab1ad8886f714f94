// A function as the text of a script: compiled by the parent to see whether it stands by itself, and by the worker to
// run it. The worker's script is placed in the pool's `cwd`, so that `import()` and `require` look from there.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { constants, Script } from 'node:vm'

/**
 * What travels of a function.
 * @typedef {object} ShippedFunction
 * @property {string} source
 * @property {boolean} strict whether its code is strict
 * @property {string} name
 */

/**
 * Compile without running.
 * @param {string} source
 * @param {boolean} strict
 * @param {string} [file] where it runs
 * @returns {Script} its value is a function that takes `require` and gives the shipped one
 * @throws {SyntaxError}
 */
export function compile(source, strict, file) {
  const [before, after] = strict ? STRICT : SLOPPY
  return new Script(`${before}${source}\n${after}`, {
    // So that positions are those in the source. (With a sourceURL comment, V8 would ignore this.)
    columnOffset: -before.length,
    ...(file === undefined ? {} : { filename: file, importModuleDynamically: MAIN_LOADER }),
  })
}

/**
 * @param {ShippedFunction & { label: string, cwd: string }} order
 * @returns {import('./worker-task.js').Task}
 */
export function shippedTask({ source, strict, name, label, cwd }) {
  // No such file exists, but modules are looked for from where it would be.
  const file = join(cwd, `${SCHEME}${label.replace(/[\s/"'()]+/g, ' ').trim()}`)
  const run = compile(source, strict, file).runInThisContext()(createRequire(file))
  // The name of an arrow function stands outside its source.
  Object.defineProperty(run, 'name', { value: name, configurable: true })
  if (/\bimport\b/.test(source)) useMainLoader()
  return { run, teardown: undefined, explain: (error) => explain(error, `${file}:`) }
}

/**
 * Node says once per process that this way to its module loader is experimental. That is between Node and us: who
 * wrote the function cannot do anything about it. So the first `import()` is ours, with that one warning left out.
 */
function useMainLoader() {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    new Script("import('node:vm').catch(() => {})", {
      importModuleDynamically: MAIN_LOADER,
    }).runInThisContext()
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * Say why a variable is missing, if it is one that the shipped function itself asks for. The error stays the same
 * object.
 * @param {unknown} error
 * @param {string} place how a position in the script begins
 */
function explain(error, place) {
  if (!(error instanceof ReferenceError)) return error
  try {
    const { message, stack } = error
    const name = MISSING.exec(message)?.[1]
    if (name === undefined || stack === undefined || !firstFrame(stack).includes(place)) return error
    const origin = name.startsWith('__') ? ` (a name like ${name} often comes from a build tool)` : ''
    error.message = `${message}: ${SEES_NOTHING}${origin}`
    error.stack = stack.replace(message, () => error.message)
  } catch {
    // Frozen, or with a stack of its own making: it is fine as it is.
  }
  return error
}

/** @param {string} stack */
function firstFrame(stack) {
  return /^\s+at .*$/m.exec(stack)?.[0] ?? ''
}

/** Begins the file name of a shipped function, as stack traces show it. */
const SCHEME = 'millrace:shipped function '
/**
 * What stands around the source. For strict code, a place where `this` of an arrow function is undefined, as in a module
 * (shipped-function.js has seen to it that none takes `arguments` or `new.target` from there). For sloppy code, one that
 * has neither to lend; `this` is the global object, as in its plain functions.
 */
const STRICT = ["'use strict';(function (require) { return (", ') })']
const SLOPPY = ['((require) => (', '))']
const MAIN_LOADER = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
const MISSING = /^(\S+) is not defined$/
const SEES_NOTHING =
  "a function given to workerPool() is sent as its source, so it sees nothing from outside itself. Put the value into each item, import() what it needs inside it, or use a task file: workerPool(new URL('./task.js', import.meta.url))"
