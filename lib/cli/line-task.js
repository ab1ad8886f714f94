// The task that the workers of the command line run: it parses lines, calls the user's function, and writes its results as
// JSON. So the parent never looks into a line. Text travels as its UTF-8 bytes, both ways.

import { exportsOf, functionTask } from '../worker-task.js'
import { ItemRun } from './item-run.js'

/**
 * @typedef {object} LineTaskSetup
 * @property {string} url of the user's task file
 * @property {string} path of the same
 * @property {number} batch 1: the function gets a line; more: an array
 * @property {boolean} stopOnError
 */

/** @type {import('./item-run.js').RunSettings} */
let settings

/** @param {LineTaskSetup} order */
export async function setup({ url, path, batch, stopOnError }) {
  // Results go through our stdout. What the task prints would end up between them.
  Object.defineProperty(process, 'stdout', {
    configurable: true,
    enumerable: true,
    get: () => process.stderr,
  })
  process.argv.splice(1, Infinity, path)
  const file = { path, exportName: 'default', setupData: undefined }
  const task = await functionTask(file, await exportsOf(url, path))
  settings = { task, batch, stopOnError }
}

export async function teardown() {
  await settings.task.teardown?.()
}

/**
 * @param {import('./line-piece.js').Item} item
 * @param {import('../context.js').Context} context
 */
export default function runLines(item, context) {
  return new ItemRun(item, context, settings).run()
}
