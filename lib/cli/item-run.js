// One item in a worker: its lines run one after the other, and what comes of them goes back in one piece.

import { isAscii, isUtf8 } from 'node:buffer'
import { Context } from '../context.js'
import { describe } from '../errors.js'
import { skip } from '../outcome.js'
import { isThenable } from '../source.js'
import { errorRecord } from './bad-lines.js'

/**
 * @typedef {object} RunSettings
 * @property {import('../worker-task.js').Task} task of the user
 * @property {number} batch 1: the function gets a line; more: an array
 * @property {boolean} stopOnError
 */

/**
 * What came of an item.
 * @typedef {object} ItemReport
 * @property {Buffer} output
 * @property {number} calls that were made; the lines of the others were not run
 * @property {number} lines of those calls that are not blank
 * @property {boolean} isWhole all calls were made
 * @property {number} micros
 * @property {BadLines[]} bad in the order in which they were found
 */

/**
 * Lines that an error concerns.
 * @typedef {object} BadLines
 * @property {number} from first and last line of what failed, from 0 within the item
 * @property {number} to
 * @property {number[]} lines those that it concerns
 * @property {import('./bad-lines.js').ErrorRecord} error
 */

export class ItemRun {
  #settings
  #firstCall
  #context
  #text = ''
  /** Not all of it is UTF-8: then it holds bytes, and each line is decoded for itself. */
  #isMixed = false
  /** The next line: where it begins, and its number, from 0. */
  #at = 0
  #line = 0

  /** Calls that were made, and lines that they took. */
  #calls = 0
  #lines = 0
  /** First and last line of the call that was made last, and those that its function got; undefined: all. */
  #from = 0
  #to = 0
  /** @type {number[] | undefined} */
  #given

  #output = ''
  /** What came before `#output`. @type {Buffer[]} */
  #full = []
  /** @type {BadLines[]} */
  #bad = []

  #started = performance.now()
  /** When the clock was read last; it is read again after so many calls. */
  #read = this.#started
  #readAt = 1
  #stride = 1

  /**
   * @param {import('./line-piece.js').Item} item
   * @param {Context} context of the item
   * @param {RunSettings} settings
   */
  constructor({ bytes, firstCall }, context, settings) {
    this.#settings = settings
    this.#firstCall = firstCall
    this.#context = context
    this.#isMixed = !isAscii(bytes) && !isUtf8(bytes)
    this.#text = bytes.toString(this.#isMixed || isAscii(bytes) ? 'latin1' : 'utf8')
  }

  /** @returns {ItemReport | Promise<ItemReport>} */
  run() {
    for (;;) {
      const pending = this.#call()
      if (pending !== undefined) return this.#runAsync(pending)
      if (this.#isOver()) return this.#report()
    }
  }

  /**
   * @param {PromiseLike<unknown>} first
   * @returns {Promise<ItemReport>}
   */
  async #runAsync(first) {
    /** @type {PromiseLike<unknown> | undefined} */
    let pending = first
    for (;;) {
      if (pending !== undefined) {
        try {
          this.#write(await pending)
        } catch (error) {
          this.#fail(error)
        }
      }
      if (this.#isOver()) return this.#report()
      pending = this.#call()
    }
  }

  /**
   * Call the function with the next line, or the next batch.
   * @returns {PromiseLike<unknown> | undefined} what it returns, if that has to be awaited
   */
  #call() {
    const { task, batch } = this.#settings
    const index = this.#firstCall + this.#calls++
    let value
    if (batch === 1) {
      const line = this.#nextLine()
      this.#lines++
      this.#from = this.#to = this.#line - 1
      try {
        value = this.#parse(line)
      } catch (error) {
        this.#fail(error)
        return undefined
      }
    } else {
      value = this.#nextBatch(batch)
      if (value.length === 0) return undefined
    }
    try {
      const result = task.run(value, new Context(index, this.#context))
      if (isThenable(result)) return result
      this.#write(result)
    } catch (error) {
      this.#fail(error)
    }
    return undefined
  }

  /** The next line that is not blank: there is one. */
  #nextLine() {
    const text = this.#text
    for (;;) {
      const at = this.#at
      const end = text.indexOf('\n', at)
      const line = end < 0 ? text.slice(at) : text.slice(at, end)
      this.#at = at + line.length + 1
      this.#line++
      if (text.charCodeAt(at) > SPACE || !BLANK.test(line)) return line
    }
  }

  /**
   * The values of the next lines; those that are no JSON are left out.
   * @param {number} size
   */
  #nextBatch(size) {
    /** @type {unknown[]} */
    const values = []
    /** @type {number[]} */
    const given = []
    this.#from = -1
    for (let count = 0; count < size && this.#at < this.#text.length; count++) {
      const line = this.#nextLine()
      const number = this.#line - 1
      if (this.#from < 0) this.#from = number
      this.#to = number
      this.#lines++
      try {
        values.push(this.#parse(line))
        given.push(number)
      } catch (error) {
        this.#bad.push({ from: number, to: number, lines: [number], error: recordOf(error) })
      }
    }
    this.#given = given
    return values
  }

  /**
   * @param {string} line
   * @returns {unknown}
   * @throws {SyntaxError}
   */
  #parse(line) {
    if (!this.#isMixed) return JSON.parse(line)
    const bytes = Buffer.from(line, 'latin1')
    // Not replaced in silence: what is written would not be what was read.
    if (!isUtf8(bytes)) throw new SyntaxError('The line is not valid UTF-8')
    return JSON.parse(bytes.toString())
  }

  /**
   * @param {unknown} result
   * @throws {TypeError} JSON cannot hold it; nothing is written
   */
  #write(result) {
    const lines =
      this.#settings.batch > 1 && Array.isArray(result)
        ? Array.from(result, (element) => jsonLine(element)).join('')
        : jsonLine(result)
    if (lines.length < LARGE) {
      this.#output += lines
    } else {
      // Not into one string with others: the longest are as long as a string can be.
      this.#full.push(Buffer.from(this.#output), Buffer.from(lines))
      this.#output = ''
    }
  }

  /** @param {unknown} error of the call that was made last */
  #fail(error) {
    const lines = this.#given ?? [this.#from]
    this.#bad.push({ from: this.#from, to: this.#to, lines, error: recordOf(error) })
  }

  /** Whether there are no more lines, or they are not to wait for each other, or not to run at all. */
  #isOver() {
    if (this.#at >= this.#text.length) return true
    if (this.#settings.stopOnError && this.#bad.length > 0) return true
    if (this.#full.length > 0 || this.#output.length >= LARGE) return true
    if (this.#calls < this.#readAt) return false
    // Reading the clock takes as long as parsing a short line.
    const now = performance.now()
    if (now - this.#started > LONGEST_MS) return true
    this.#stride = now - this.#read > SLOW_MS ? 1 : Math.min(this.#stride * 2, MOST_STRIDE)
    this.#readAt = this.#calls + this.#stride
    this.#read = now
    return false
  }

  /** @returns {ItemReport} */
  #report() {
    const output = Buffer.from(this.#output)
    return {
      output: this.#full.length === 0 ? output : Buffer.concat([...this.#full, output]),
      calls: this.#calls,
      lines: this.#lines,
      isWhole: this.#at >= this.#text.length,
      micros: Math.round((performance.now() - this.#started) * 1000),
      bad: this.#bad,
    }
  }
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
  return `${json}\n`
}

/** @param {unknown} thrown */
function recordOf(thrown) {
  try {
    return errorRecord(thrown)
  } catch {
    // Looking at it throws, too.
    return { name: 'Error', message: 'What was thrown cannot be described' }
  }
}

const SPACE = 32
const BLANK = /^[ \t\r]*$/
/** Lines wait for each other no longer than this, apart from the last one of them. */
const LONGEST_MS = 20
/** Where calls take so long, the clock is read after each, else after so many. */
const SLOW_MS = 0.2
const MOST_STRIDE = 8
/** Characters of output: an item that has more ends. */
const LARGE = 1 << 20
