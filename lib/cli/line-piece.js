// A piece of input: bytes with whole lines of one file, from which items are cut. An item is a run of lines for one or
// more calls of the function: a call takes a line that is not blank or, with `--batch`, up to so many of them. A piece is
// kept until all its items have ended: as long as that, it can be asked where an item stands in its file, and what it said.
//
// Nothing is decoded here, and nothing copied. The workers decode, all at the same time.

export class LinePiece {
  /** The item that was cut last: the bytes from `start` to `end`, for so many calls. */
  start = 0
  end = 0
  calls = 0
  /** Items that were cut so far, the first of them is item `firstIndex` of the source. @type {number} */
  items = 0
  firstIndex = 0
  /** Number of the first call, from 0, and of the first line, from 1. */
  firstCall = 0
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
  /** Calls of every item. @type {number[]} */
  #cuts = []
  /** Where the first items stand, and what found that out. @type {Place[]} */
  #places = []
  /** @type {LinePiece | undefined} */
  #again

  /**
   * @param {Buffer} bytes every line ends with a newline
   * @param {string} file
   * @param {number} batch lines per call
   * @param {boolean} isLast the last call may have fewer
   */
  constructor(bytes, file, batch, isLast) {
    this.bytes = bytes
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

  /** What is left when there is no further item: the first lines of a call that goes on in the next piece. */
  get rest() {
    return this.bytes.subarray(this.#at)
  }

  /**
   * Cut the next item; false: there is none.
   * @param {number} mostCalls
   * @param {number} mostBytes it is full when it has so many, whatever the last line adds
   */
  next(mostCalls, mostBytes) {
    const { bytes } = this
    const batch = this.#batch
    const first = this.#at
    let calls = 0
    let start = -1
    let lines = 0
    // Of the call that is not complete: its lines, and where it begins.
    let found = 0
    let callStart = 0
    let last = 0
    for (let at = first; at < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, at)
      lines++
      if (bytes[at] > SPACE || !isBlank(bytes, at, end)) {
        if (start < 0) start = at
        if (found++ === 0) callStart = at
        last = end
        if (found === batch || end - callStart > MAX_BATCH_BYTES) {
          calls++
          found = 0
          this.#cut(start, end, calls, end + 1, lines)
          lines = 0
          if (calls === mostCalls || end + 1 - start >= mostBytes) break
        }
      }
      at = end + 1
    }
    if (found > 0 && this.#isLast) this.#cut(start, last, ++calls, bytes.length, lines)
    else if (calls === 0 && found === 0) {
      this.#at = bytes.length
      this.#lines += lines
    }
    if (calls === 0) return false
    this.items++
    this.#cuts.push(calls)
    return true
  }

  /**
   * Where an item stands.
   * @param {number} index of the source
   * @returns {Place}
   */
  place(index) {
    // Only items that fail are asked for, so nothing is noted before.
    if (index - this.firstIndex >= this.#places.length) this.#survey()
    return this.#places[index - this.firstIndex]
  }

  /**
   * The item goes on to here.
   * @param {number} start
   * @param {number} end
   * @param {number} calls
   * @param {number} at
   * @param {number} lines since it was said last
   */
  #cut(start, end, calls, at, lines) {
    this.start = start
    this.end = end
    this.calls = calls
    this.#at = at
    this.#lines += lines
  }

  /** Cut once more what has been cut by now. */
  #survey() {
    const { bytes, file, firstCall, firstLine } = this
    if (this.#again === undefined) {
      this.#again = new LinePiece(bytes, file, this.#batch, this.#isLast)
      this.#again.firstCall = firstCall
      this.#again.firstLine = firstLine
    }
    const again = this.#again
    while (again.items < this.items) {
      const at = again.#at
      const line = again.nextLine
      again.next(this.#cuts[again.items], Infinity)
      const { start, end, calls } = again
      const first = line + newlinesIn(bytes, at, start)
      const last = first + newlinesIn(bytes, start, end)
      this.#places.push({
        file,
        firstLine: first,
        lastLine: last,
        bytes,
        start,
        end,
        firstCall: again.firstCall,
        calls,
      })
      again.firstCall += calls
    }
  }
}

/** A line that no string can hold: an item that fails, of which only the beginning is kept. */
export class TooLongLine extends LinePiece {
  #isCut = false

  /**
   * @param {string} beginning a character for each byte
   * @param {string} file
   * @param {number} limit
   */
  constructor(beginning, file, limit) {
    super(Buffer.from(`${beginning}\n`, 'latin1'), file, 1, true)
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
    return NOTHING
  }

  /** @override */
  next() {
    if (this.#isCut) return false
    this.#isCut = true
    this.items = this.calls = 1
    return true
  }

  /** @override */
  place() {
    const { file, firstLine, bytes, firstCall } = this
    return {
      file,
      firstLine,
      lastLine: firstLine,
      bytes,
      start: 0,
      end: bytes.length - 1,
      firstCall,
      calls: 1,
    }
  }
}

/**
 * Where an item stands in its file.
 * @typedef {object} Place
 * @property {string} file
 * @property {number} firstLine from 1
 * @property {number} lastLine
 * @property {Buffer} bytes those from `start` to `end` are the item's; then comes a newline
 * @property {number} start
 * @property {number} end
 * @property {number} firstCall number of its first call, from 0
 * @property {number} calls
 */

/**
 * What travels to a worker.
 * @typedef {object} Item
 * @property {Buffer} bytes of its lines
 * @property {number} firstCall
 */

/**
 * Cut an item anew, into smaller ones.
 * @param {Place} place
 * @param {number} from so many of its calls are left out
 * @param {number} batch lines per call
 * @param {number} calls of an item
 * @returns {Place[]}
 */
export function cutAnew({ file, firstLine, bytes, start, end, firstCall }, from, batch, calls) {
  const piece = new LinePiece(bytes.subarray(start, end + 1), file, batch, true)
  piece.firstLine = firstLine
  piece.firstCall = firstCall
  const left = from > 0 && piece.next(from, Infinity) ? 1 : 0
  while (piece.next(calls, Infinity));
  return Array.from({ length: piece.items - left }, (_, at) => piece.place(at + left))
}

/**
 * The lines of an item, as they stand in the file.
 * @param {Place} place
 * @returns {string[]}
 */
export function linesAt({ bytes, start, end }) {
  const lines = bytes.toString('utf8', start, end).split('\n')
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
}

/**
 * Count lines that are not blank.
 * @param {Buffer} bytes every line ends with a newline
 */
export function countLines(bytes) {
  let count = 0
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, at)
    if (!isBlank(bytes, at, end)) count++
    at = end + 1
  }
  return count
}

/**
 * Whether there is only white space, as JSON knows it.
 * @param {Buffer} bytes
 * @param {number} start
 * @param {number} end
 */
function isBlank(bytes, start, end) {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]
    if (byte !== SPACE && byte !== RETURN && byte !== TAB) return false
  }
  return true
}

/**
 * @param {Buffer} bytes
 * @param {number} start
 * @param {number} end
 */
function newlinesIn(bytes, start, end) {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE, start); at !== -1 && at < end; at = bytes.indexOf(NEWLINE, at + 1))
    count++
  return count
}

const TAB = 9
export const NEWLINE = 10
const RETURN = 13
const SPACE = 32
/** A batch of this size is full, however few its lines. */
export const MAX_BATCH_BYTES = 16 << 20
const NOTHING = Buffer.alloc(0)
