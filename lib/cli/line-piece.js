// A piece of input: text with whole lines of one file, from which items are cut. An item is a line that is not blank or,
// with `--batch`, up to so many of them. A piece is kept until all its items have ended: as long as that, it can be asked
// where an item stands in its file, and what it said.
//
// The text holds the bytes of the file, one character each: to cut it costs nothing, and it travels to the workers as it
// is. They decode it, all at the same time.

export class LinePiece {
  /** The item that was cut last: the characters from `start` to `end`. */
  start = 0
  end = 0
  /** Items that were cut so far, the first of them is item `firstIndex` of the source. @type {number} */
  items = 0
  firstIndex = 0
  /** Number of the first line, from 1. */
  firstLine = 1
  /** It is the first of its file. */
  startsFile = false
  /** Nothing more is cut from it. */
  closed = false
  /** Items that have ended. */
  ended = 0

  #batch
  #isLast
  #at = 0
  /** Lines up to `#at`. */
  #lines = 0
  /** @type {Place[] | undefined} */
  #places

  /**
   * @param {string} text every line ends with a newline
   * @param {string} file
   * @param {number} batch lines per item
   * @param {boolean} isLast the last item may have fewer
   */
  constructor(text, file, batch, isLast) {
    this.text = text
    this.file = file
    this.#batch = batch
    this.#isLast = isLast
  }

  /**
   * Why its items are none, though they have a place among them.
   * @returns {Error | undefined}
   */
  get failure() {
    return undefined
  }

  /** Number of the first line that belongs to no item yet. */
  get nextLine() {
    return this.firstLine + this.#lines
  }

  /** What is left when there is no further item: the first lines of one that goes on in the next piece. */
  get rest() {
    return this.text.slice(this.#at)
  }

  /** Cut the next item; false: there is none. */
  next() {
    const { text } = this
    let lines = 0
    let found = 0
    let start = 0
    let end = 0
    for (let at = this.#at; at < text.length; at = end + 1) {
      end = text.indexOf('\n', at)
      lines++
      if (text.charCodeAt(at) > SPACE || !isBlank(text, at, end)) {
        if (found++ === 0) start = at
        this.end = end
        if (found === this.#batch || end - start > MAX_BATCH_BYTES) return this.#cut(start, end + 1, lines)
      }
    }
    if (found > 0) return this.#isLast && this.#cut(start, text.length, lines)
    this.#at = text.length
    this.#lines += lines
    return false
  }

  /**
   * Where an item stands.
   * @param {number} index of the source
   * @returns {Place}
   */
  place(index) {
    // Only items that fail are asked for, so nothing is noted before.
    this.#places ??= this.#survey()
    return this.#places[index - this.firstIndex]
  }

  /**
   * @param {number} start
   * @param {number} at
   * @param {number} lines
   */
  #cut(start, at, lines) {
    this.start = start
    this.#at = at
    this.#lines += lines
    this.items++
    return true
  }

  /** Cut everything once more. */
  #survey() {
    const { text, file } = this
    /** @type {Place[]} */
    const places = []
    const again = new LinePiece(text, file, this.#batch, this.#isLast)
    again.firstLine = this.firstLine
    for (let at = 0, line = this.firstLine; again.next(); at = again.#at, line = again.nextLine) {
      const { start, end } = again
      const firstLine = line + newlinesIn(text, at, start)
      places.push({ file, firstLine, lastLine: firstLine + newlinesIn(text, start, end), text, start, end })
    }
    return places
  }
}

/** A line that no string can hold: an item that fails, of which only the beginning is kept. */
export class TooLongLine extends LinePiece {
  #isCut = false

  /**
   * @param {string} beginning
   * @param {string} file
   * @param {number} limit
   */
  constructor(beginning, file, limit) {
    super(`${beginning}\n`, file, 1, true)
    this.limit = limit
  }

  /** @override */
  get failure() {
    return new RangeError(`The line is longer than ${this.limit} bytes`)
  }

  /** @override */
  get nextLine() {
    return this.firstLine + 1
  }

  /** @override */
  get rest() {
    return ''
  }

  /** @override */
  next() {
    if (this.#isCut) return false
    this.#isCut = true
    this.items = 1
    return true
  }

  /** @override */
  place() {
    const { file, firstLine, text } = this
    return { file, firstLine, lastLine: firstLine, text, start: 0, end: text.length - 1 }
  }
}

/**
 * Where an item stands in its file.
 * @typedef {object} Place
 * @property {string} file
 * @property {number} firstLine from 1
 * @property {number} lastLine
 * @property {string} text the characters from `start` to `end` are the bytes of the item
 * @property {number} start
 * @property {number} end
 */

/**
 * The lines of an item, as they stand in the file.
 * @param {Place} place
 * @returns {string[]}
 */
export function linesAt({ text, start, end }) {
  const lines = Buffer.from(text.slice(start, end), 'latin1').toString().split('\n')
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
}

/**
 * Count lines that are not blank.
 * @param {string} text every line ends with a newline
 */
export function countLines(text) {
  let count = 0
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at)
    if (!isBlank(text, at, end)) count++
    at = end + 1
  }
  return count
}

/**
 * Whether there is only white space, as JSON knows it.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
function isBlank(text, start, end) {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code !== SPACE && code !== RETURN && code !== TAB) return false
  }
  return true
}

/**
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
function newlinesIn(text, start, end) {
  let count = 0
  for (let at = text.indexOf('\n', start); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) count++
  return count
}

const TAB = 9
const RETURN = 13
const SPACE = 32
/** A batch of this size is full, however few its lines. */
export const MAX_BATCH_BYTES = 16 << 20
