// Lines that could not be mapped: the first ones on stderr, all of them in the file of `--errors`.

import { fileURLToPath } from 'node:url'
import { inspect, types } from 'node:util'

/** @typedef {{ name: string, message: string, code?: string, stack?: string }} ErrorRecord */

export class BadLines {
  /** So many there were. */
  count = 0

  #say
  #keep
  #shown = 0
  #reports = 0

  /**
   * @param {(text: string) => void} say writes a line to stderr
   * @param {((lines: Buffer) => Promise<void> | undefined) | undefined} keep writes lines to the file of `--errors`
   */
  constructor(say, keep) {
    this.#say = say
    this.#keep = keep
  }

  /**
   * @param {string} file
   * @param {number} firstLine of the item
   * @param {import('./item-run.js').BadLines} bad
   * @param {() => string[]} inputs the lines of the item
   * @returns {Promise<void> | undefined} settles when the file takes more
   */
  add(file, firstLine, { from, to, lines, error }, inputs) {
    this.count += lines.length
    this.#reports++
    if (this.#shown < MOST_SHOWN) {
      this.#shown++
      const line = firstLine + from
      const range = to > from ? `${line}-${firstLine + to}` : line
      this.#say(`millrace: ${file}:${range}: ${oneLine(`${error.name}: ${error.message}`)}`)
    }
    if (this.#keep === undefined) return undefined
    const records = lines.map(
      (at) => `${JSON.stringify({ file, line: firstLine + at, error, input: inputs()[at] })}\n`,
    )
    return this.#keep(Buffer.from(records.join('')))
  }

  /** Say how many there were, unless all of them were shown. */
  summarize() {
    if (this.#reports === this.#shown) return
    const all = this.#keep === undefined ? ': --errors <file> keeps all of them' : ''
    this.#say(`millrace: ${this.count} bad lines; the first ${this.#shown} reports are shown${all}`)
  }
}

/**
 * What is written of anything that was thrown.
 * @param {any} thrown
 * @returns {ErrorRecord}
 */
export function errorRecord(thrown) {
  if (!(thrown instanceof Error || types.isNativeError(thrown))) {
    return { name: 'Error', message: typeof thrown === 'string' ? thrown : inspect(thrown) }
  }
  const { code } = /** @type {{ code?: unknown }} */ (thrown)
  // The parent's name for the item is its index; here it is a line.
  const message = String(thrown.message).replace(/ while it ran item \d+/, '')
  const stack = ownStack(thrown)
  return {
    name: String(thrown.name),
    message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(stack === undefined ? {} : { stack }),
  }
}

/**
 * The stack without the frames of this package and of Node; undefined: there are no others.
 * @param {Error} error
 */
export function ownStack(error) {
  const lines = String(error.stack).split('\n')
  const kept = lines.filter(
    (line) => !FRAME.test(line) || !(line.includes(LIBRARY) || line.includes('node:internal/')),
  )
  // What is built in says nothing alone.
  return kept.some((line) => FRAME.test(line) && !line.endsWith('(<anonymous>)'))
    ? kept.join('\n')
    : undefined
}

/**
 * What is shown is one line, and cannot do anything to a terminal.
 * @param {string} text
 */
export function oneLine(text) {
  const shown = text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
  return shown.replace(CONTROL, escaped)
}

/** @param {string} character */
function escaped(character) {
  const json = JSON.stringify(character).slice(1, -1)
  return json === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : json
}

const MOST_SHOWN = 20
const LONGEST_SHOWN = 500
const FRAME = /^\s+at /
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g
const LIBRARY = fileURLToPath(new URL('../', import.meta.url))
