// The task that the workers of the command line run: it parses lines, calls the user's function, and writes its results as
// JSON. So the parent never looks into a line. Text travels as its UTF-8 bytes, one character each, both ways.

import { isUtf8 } from 'node:buffer'
import { inspect } from 'node:util'
import { describe } from '../errors.js'
import { skip } from '../outcome.js'
import { isThenable } from '../source.js'
import { loadTask } from '../worker-task.js'

/**
 * @typedef {object} LineTaskSetup
 * @property {string} url of the user's task file
 * @property {string} path of the same
 * @property {number} batch 1: the function gets a line; more: an array
 */

/**
 * What came of an item: its output as text, or more to say than that.
 * @typedef {string | LineReport} LineResult
 */

/**
 * @typedef {object} LineReport
 * @property {string} text
 * @property {number} lines of the item that are not blank
 * @property {BadLine[]} bad
 * @property {unknown[]} [thrown] what the function threw for all lines that are not among the bad ones
 */

/**
 * @typedef {object} BadLine
 * @property {number} line of the item, from 0; -1: all of them
 * @property {string} name
 * @property {string} message
 * @property {string} [code]
 */

/** @type {import('../worker-task.js').Task} */
let task
let isBatch = false

/** @param {LineTaskSetup} order */
export async function setup({ url, path, batch }) {
  // Results go through our stdout. What the task prints would end up between them.
  Object.defineProperty(process, 'stdout', {
    configurable: true,
    enumerable: true,
    get: () => process.stderr,
  })
  isBatch = batch > 1
  task = await loadTask({ url, path, exportName: 'default', setupData: undefined })
}

export async function teardown() {
  await task.teardown?.()
}

/**
 * @param {string} text the lines of an item
 * @param {object} context
 * @returns {LineResult | Promise<LineResult>}
 */
export default function runLines(text, context) {
  return isBatch ? runBatch(text, context) : runLine(text, context)
}

/**
 * @param {string} text
 * @param {object} context
 * @returns {LineResult | Promise<LineResult>}
 */
function runLine(text, context) {
  let value
  try {
    value = parse(text)
  } catch (error) {
    return { text: '', lines: 1, bad: [badLine(0, error)] }
  }
  const result = task.run(value, context)
  return isThenable(result) ? Promise.resolve(result).then(lineOutput) : lineOutput(result)
}

/**
 * @param {unknown} result
 * @returns {LineResult}
 */
function lineOutput(result) {
  try {
    return jsonLine(result)
  } catch (error) {
    return { text: '', lines: 1, bad: [badLine(ALL, error)] }
  }
}

/**
 * @param {string} text
 * @param {object} context
 * @returns {LineResult | Promise<LineResult>}
 */
function runBatch(text, context) {
  /** @type {unknown[]} */
  const values = []
  /** @type {BadLine[]} */
  const bad = []
  let lines = 0
  for (const [number, line] of text.split('\n').entries()) {
    if (BLANK.test(line)) continue
    lines++
    try {
      values.push(parse(line))
    } catch (error) {
      bad.push(badLine(number, error))
    }
  }
  if (values.length === 0) return { text: '', lines, bad }
  const output = (/** @type {unknown} */ result) => batchOutput(result, lines, bad)
  // Without bad lines beside it, what is thrown travels as any error does.
  const failed = (/** @type {unknown} */ error) => {
    if (bad.length === 0) throw error
    return { text: '', lines, bad, thrown: [error] }
  }
  try {
    const result = task.run(values, context)
    return isThenable(result) ? Promise.resolve(result).then(output, failed) : output(result)
  } catch (error) {
    return failed(error)
  }
}

/**
 * @param {unknown} result
 * @param {number} lines
 * @param {BadLine[]} bad
 * @returns {LineResult}
 */
function batchOutput(result, lines, bad) {
  try {
    const text = Array.isArray(result)
      ? Array.from(result, (element) => jsonLine(element)).join('')
      : jsonLine(result)
    return { text, lines, bad }
  } catch (error) {
    return { text: '', lines, bad: [...bad, badLine(ALL, error)] }
  }
}

/**
 * @param {string} line
 * @returns {unknown}
 * @throws {SyntaxError}
 */
function parse(line) {
  if (!BEYOND_ASCII.test(line)) return JSON.parse(line)
  const bytes = Buffer.from(line, 'latin1')
  // Not replaced in silence: what is written would not be what was read.
  if (!isUtf8(bytes)) throw new SyntaxError('The line is not valid UTF-8')
  return JSON.parse(bytes.toString())
}

/**
 * @param {unknown} value
 * @returns {string} nothing for `skip`
 * @throws {TypeError} JSON cannot hold it
 */
function jsonLine(value) {
  if (value === skip) return ''
  const json = value === undefined ? 'null' : JSON.stringify(value)
  if (json === undefined) {
    throw new TypeError(
      `The result cannot be written as JSON: expected a value that it can hold, got ${describe(value)}`,
    )
  }
  return BEYOND_ASCII.test(json) ? Buffer.from(`${json}\n`).toString('latin1') : `${json}\n`
}

/**
 * @param {number} line
 * @param {any} error
 * @returns {BadLine}
 */
function badLine(line, error) {
  if (!(error instanceof Error)) return { line, name: 'Error', message: inspect(error) }
  const { code } = /** @type {{ code?: unknown }} */ (error)
  const known = { line, name: String(error.name), message: String(error.message) }
  return typeof code === 'string' ? { ...known, code } : known
}

const ALL = -1
const BLANK = /^[ \t\r]*$/
const BEYOND_ASCII = /[^\0-\x7f]/
