// The source of a call: the lines of the inputs, cut into items without a promise for each. It reads when it is pulled,
// so a slow reader of the results slows down the reading.

import { asSource } from '../open-source.js'
import { DONE, ITEM, PENDING, Source } from '../source.js'
import { ByteParts } from './byte-parts.js'
import { countLines, LinePiece, MAX_BATCH_BYTES, NEWLINE, TooLongLine } from './line-piece.js'

/**
 * @typedef {object} Block what was read of a file
 * @property {string} file
 * @property {Buffer | undefined} bytes undefined: the file has ended
 */

export class LineSource extends Source {
  /** Items that have ended. */
  ended = 0
  /**
   * Why the reading ended early. For the call that is an end like any other: a source that fails would end it at once,
   * and lines that were read are to be finished.
   * @type {{ error: unknown } | undefined}
   */
  failure

  #batch
  #size
  #longest
  #blocks
  /** Calls of the items that were pulled. */
  #calls = 0
  /** Bytes of the pieces that are cut. */
  #bytesCut = 0
  /** @type {LinePiece | undefined} */
  #piece
  /** Pieces that follow it. @type {LinePiece[]} */
  #queue = []
  /** Pieces with items that have not ended, in order. @type {LinePiece[]} */
  #kept = []
  /** The one that was asked for last. @type {LinePiece | undefined} */
  #recent

  #file = ''
  /** Number of the next line. */
  #line = 1
  /** Of this file nothing was looked at; of this file there is no piece. */
  #atStart = true
  #startsFile = true
  /** The beginning of a line. */
  #partial = new ByteParts()
  /** The rest of a line that is too long is read past. */
  #skipping = false
  /** The first lines of a batch, and how many of them are not blank. */
  #held = new ByteParts()
  #heldLines = 0

  /** @type {(() => void) | undefined} */
  #awaken
  /** DONE once nothing more is read. */
  #end = ITEM
  #closed = false
  /** @type {Promise<void> | undefined} */
  #closing

  /**
   * @param {AsyncIterator<Block, undefined>} blocks of the files, one file after the other
   * @param {number} batch lines per call
   * @param {Pick<import('./item-size.js').ItemSize, 'calls' | 'bytesAfter'>} size
   * @param {number} [longest] bytes of a line
   */
  constructor(blocks, batch, size, longest = LONGEST_LINE) {
    super()
    this.#blocks = blocks
    this.#batch = batch
    this.#size = size
    this.#longest = longest
  }

  [asSource]() {
    return this
  }

  /** @override */
  pull() {
    for (;;) {
      if (this.#closed) return DONE
      const piece = this.#piece
      if (piece === undefined) {
        if (this.#begin()) continue
        if (this.#end !== ITEM) return this.#end
        if (!this.pending) this.#read()
        return PENDING
      }
      if (piece.next(this.#size.calls, this.#size.bytesAfter(this.#bytesCut + piece.end))) {
        this.index++
        const { bytes, start, end, failure } = piece
        this.value =
          failure === undefined
            ? { bytes: bytes.subarray(start, end), firstCall: this.#calls }
            : Promise.reject(failure)
        this.#calls += piece.calls
        return ITEM
      }
      this.#finish(piece)
    }
  }

  /** About so many bytes of the inputs are done with: those of the items that have ended. */
  get bytesDone() {
    const cut = this.#bytesCut + (this.#piece?.end ?? 0)
    return this.index < 0 ? cut : (cut * this.ended) / (this.index + 1)
  }

  /**
   * Read no more: what was pulled is all. Unlike `close()`, nobody has to be done with it.
   */
  stop() {
    this.close()
    this.#awaken?.()
  }

  /** @override */
  close() {
    if (this.#closing === undefined) {
      this.#closed = true
      this.value = undefined
      this.#closing = Promise.resolve(this.#blocks.return?.()).then(ignore)
    }
    return this.#closing
  }

  /**
   * An item has ended, nobody will ask for its place.
   * @param {number} index
   */
  settle(index) {
    const piece = this.#pieceOf(index)
    this.ended++
    if (++piece.ended === piece.items && piece.closed) this.#drop(piece)
  }

  /**
   * Where an item stands that has not been settled.
   * @param {number} index
   */
  place(index) {
    return this.#pieceOf(index).place(index)
  }

  /** Take up the next piece; false: there is none. */
  #begin() {
    const piece = this.#queue.shift()
    if (piece === undefined) return false
    if (piece.startsFile) this.#line = 1
    piece.firstIndex = this.index + 1
    piece.firstCall = this.#calls
    piece.firstLine = this.#line
    this.#kept.push(piece)
    this.#piece = piece
    return true
  }

  /** @param {LinePiece} piece */
  #finish(piece) {
    this.#line = piece.nextLine
    const { rest } = piece
    this.#bytesCut += piece.bytes.length - rest.length
    // Only the last piece of a block has a rest.
    if (rest.length > 0) {
      this.#held.add(rest)
      this.#heldLines = countLines(rest)
    }
    this.#piece = undefined
    piece.closed = true
    if (piece.ended === piece.items) this.#drop(piece)
  }

  /** @param {LinePiece} piece */
  #drop(piece) {
    this.#kept.splice(this.#search(piece.firstIndex), 1)
    this.#recent = undefined
  }

  /** @param {number} index */
  #pieceOf(index) {
    const recent = this.#recent
    if (recent !== undefined && index >= recent.firstIndex && index < recent.firstIndex + recent.items)
      return recent
    this.#recent = this.#kept[this.#search(index)]
    return this.#recent
  }

  /**
   * Position of the piece that holds an item.
   * @param {number} index
   */
  #search(index) {
    const kept = this.#kept
    let low = 0
    let high = kept.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (index < kept[middle].firstIndex + kept[middle].items) high = middle
      else low = middle + 1
    }
    return low
  }

  #read() {
    this.pending = true
    this.ready = new Promise((/** @type {(value: void) => void} */ resolve) => {
      this.#awaken = resolve
      const arrived = () => {
        this.pending = false
        resolve()
      }
      this.#blocks.next().then(
        ({ done, value }) => {
          if (done) this.#end = DONE
          else if (!this.#closed) this.#accept(/** @type {Block} */ (value))
          arrived()
        },
        (error) => {
          this.failure = { error }
          this.#end = DONE
          arrived()
        },
      )
    })
  }

  /** @param {Block} block */
  #accept({ file, bytes }) {
    this.#file = file
    if (bytes === undefined) this.#endFile()
    else this.#addBytes(bytes)
  }

  /** @param {Buffer} bytes of whole and partial lines */
  #addBytes(bytes) {
    let rest = bytes
    if (this.#skipping) {
      const newline = rest.indexOf(NEWLINE)
      if (newline < 0) return
      this.#skipping = false
      rest = rest.subarray(newline + 1)
    }
    const newline = rest.indexOf(NEWLINE)
    if (this.#partial.length + (newline < 0 ? rest.length : newline) > this.#longest) {
      this.#skip(rest)
      if (newline >= 0) this.#addBytes(rest.subarray(newline))
      return
    }
    const end = rest.lastIndexOf(NEWLINE) + 1
    this.#partial.add(rest.subarray(0, end))
    if (end > 0) this.#addLines(this.#partial.take(), false)
    this.#partial.add(rest.subarray(end))
  }

  /**
   * The line that is read is too long: what was held before it is an item of its own.
   * @param {Buffer} bytes
   */
  #skip(bytes) {
    this.#partial.add(bytes)
    const [beginning] = this.#partial
      .take(KEPT_BEGINNING)
      .toString('latin1', 0, KEPT_BEGINNING)
      .split('\n', 1)
    this.#addLines(NOTHING, true)
    this.#push(new TooLongLine(beginning, this.#file, this.#longest))
    this.#atStart = false
    this.#skipping = true
  }

  /**
   * @param {Buffer} lines whole ones
   * @param {boolean} isLast no further lines belong to the same batch
   */
  #addLines(lines, isLast) {
    let bytes = lines
    if (this.#atStart && lines.length > 0) {
      this.#atStart = false
      if (BYTE_ORDER_MARK.equals(bytes.subarray(0, BYTE_ORDER_MARK.length)))
        bytes = bytes.subarray(BYTE_ORDER_MARK.length)
    }
    const held = this.#held
    held.add(bytes)
    if (this.#batch > 1 && !isLast) {
      // A batch may be much larger than a block.
      this.#heldLines += countLines(bytes)
      if (this.#heldLines < this.#batch && held.length <= MAX_BATCH_BYTES) return
    }
    this.#heldLines = 0
    if (held.length > 0) this.#push(new LinePiece(held.take(), this.#file, this.#batch, isLast))
  }

  #endFile() {
    if (this.#partial.length > 0) this.#partial.add(LINE_END)
    this.#skipping = false
    this.#addLines(this.#partial.take(), true)
    this.#startsFile = true
    this.#atStart = true
  }

  /** @param {LinePiece} piece */
  #push(piece) {
    piece.startsFile = this.#startsFile
    this.#startsFile = false
    this.#queue.push(piece)
  }
}

function ignore() {}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])
const LINE_END = Buffer.from('\n')
const NOTHING = Buffer.alloc(0)
/** V8 has no string above 512 MiB; the rest is for what a line is put together with. */
const LONGEST_LINE = 480 << 20
/** How much of a line is kept that is too long. */
const KEPT_BEGINNING = 1000
