// The worker's end of the channel, as far as it is JavaScript: claims and outcomes, written straight into shared memory.
// A record becomes visible to the parent when the row ring's tail moves past it; from then on its outcome survives
// whatever happens to this process. `crates/channel` (layout.rs, parent.rs) holds the same numbers; a test compares them.

import { Encoder, encodedAlone } from './codec.js'
import { SerializationError } from './errors.js'

/** Bytes before the first ring. */
const HEADER_BYTES = 16384
/** Word offsets (bytes / 4) in the segment's header. */
const ROW_TAIL = 192 / 4
const ROW_HEAD = 256 / 4
const TEXT_HEAD = 260 / 4
const MESSAGE_HEAD = 264 / 4
const PARENT_SLEEPS = 384 / 4
const LISTENING = 576 / 4
const CLAIMS = 1024 / 4
const CLAIM_STRIDE = 64 / 4
/** A bit of what somebody listens to. */
const MESSAGES = 1

const RECORD_BYTES = 24
const PADDING = 0
const OUTCOME = 1
const CHUNK_DONE = 2
const DEFINE = 3
const READY = 4
const START_ERROR = 5
const FATAL = 6
const MESSAGE = 7
const ABORT_HEARD = 8

/** How an item ended. */
export const VALUE = 0
export const ERROR = 1
export const SKIPPED = 2

/** In the place of an item's index: a message is in nobody's name. */
export const NO_ITEM = Number.MAX_SAFE_INTEGER

/** Frames from the parent: their kind is word 1. */
export const FRAME = {
  INIT: 1,
  DEFINE: 2,
  CHUNK: 3,
  ABORT: 4,
  FORGET: 5,
  RETIRE: 6,
  ABORT_ITEM: 7,
  MESSAGE: 8,
}

/** @typedef {import('./binding.js').WorkerPort} NativePort */

export class Port {
  #native
  #words
  #rows
  #rowsView
  #rowCapacity
  #text
  #textCapacity
  /** Positions in the rings: they count bytes and wrap at 2^32. */
  #rowTail = 0
  #rowHead = 0
  #textTail = 0
  #textHead = 0
  /** @type {{ id: number, definition: string }[]} */
  #newShapes = []
  /** For what does not fit where the ring stands. */
  #scratchRows = new Uint8Array(4096)
  #scratchText = new Uint8Array(1024)
  #encoder = new Encoder((id, definition) => {
    this.#newShapes.push({ id, definition })
  })
  /** A value is being encoded. Its getters may emit: what they say waits, and stands before the value then. */
  #encoding = false
  /** @type {{ index: number, rows: Uint8Array }[]} */
  #interjections = []
  /** Bytes of messages, as the parent counts them. */
  #messageTail = 0

  /** @param {NativePort} native */
  constructor(native) {
    this.#native = native
    const memory = native.memory()
    this.memory = memory
    const [rowAt, rowCapacity, textAt, textCapacity] = native.layout()
    this.#words = new Uint32Array(memory, 0, HEADER_BYTES / 4)
    this.#rows = new Uint8Array(memory, rowAt, rowCapacity)
    this.#rowsView = new DataView(memory, rowAt, rowCapacity)
    this.#text = new Uint8Array(memory, textAt, textCapacity)
    this.#rowCapacity = rowCapacity
    this.#textCapacity = textCapacity
  }

  /**
   * Claim the next item of the chunk in this cell: nobody else runs it then.
   * @param {number} cell
   * @returns {number} its position in the chunk; -1: the chunk is over
   */
  claim(cell) {
    const word = Atomics.add(this.#words, CLAIMS + cell * CLAIM_STRIDE, 1)
    const next = word & 0xffff
    return next < word >>> 16 ? next : -1
  }

  /**
   * Whether something of the chunk in this cell is left to claim.
   * @param {number} cell
   */
  hasMore(cell) {
    const word = Atomics.load(this.#words, CLAIMS + cell * CLAIM_STRIDE)
    return (word & 0xffff) < word >>> 16
  }

  /**
   * Publish the value that an item became.
   * @param {number} cell
   * @param {number} item
   * @param {unknown} value
   * @throws {import('./errors.js').SerializationError} nothing was published
   */
  value(cell, item, value) {
    const encoder = this.#encoder
    const rowAt = this.#aim(encoder)
    // Stays set where it throws: then the error is encoded next.
    this.#encoding = true
    const isWhole = encoder.rowPos <= encoder.rowEnd && encoder.encode(value)
    this.#encoding = false
    if (isWhole && this.#newShapes.length === 0 && this.#interjections.length === 0) {
      this.#commit(rowAt, OUTCOME, cell, VALUE, item, 0)
    } else {
      // They are made once more.
      this.#interjections.length = 0
      this.#viaScratch(OUTCOME, cell, VALUE, item, () => encoder.encode(value))
    }
  }

  /**
   * Publish what a mapper threw.
   * @param {number} cell
   * @param {number} item
   * @param {unknown} error
   */
  error(cell, item, error) {
    this.#viaScratch(OUTCOME, cell, ERROR, item, () => this.#encoder.encodeError(error))
  }

  /**
   * Publish that an item yields nothing.
   * @param {number} cell
   * @param {number} item
   */
  skipped(cell, item) {
    this.#bare(OUTCOME, cell, SKIPPED, item, 0)
  }

  /**
   * Publish an outcome that is known without its bytes: the parent keeps them.
   * @param {number} cell
   * @param {number} item
   */
  rejectedBefore(cell, item) {
    this.#bare(OUTCOME, cell, REJECTED, item, 0)
  }

  /**
   * Publish that a chunk is over.
   * @param {number} cell
   * @param {number} micros
   */
  chunkDone(cell, micros) {
    this.#bare(CHUNK_DONE, cell, 0, 0, micros)
    this.announce()
  }

  /**
   * Publish that an item has heard that its time is over: nothing holds the event loop.
   * @param {number} cell
   * @param {number} item
   */
  abortHeard(cell, item) {
    this.#bare(ABORT_HEARD, cell, 0, item, 0)
    this.announce()
  }

  ready() {
    this.#bare(READY, 0, 0, 0, 0)
    this.announce()
  }

  /** @param {unknown} error why this worker cannot start */
  startError(error) {
    this.#viaScratch(START_ERROR, 0, 0, 0, () => this.#encoder.encodeError(error))
    this.announce()
  }

  /** @param {unknown} error what is about to end this worker */
  fatal(error) {
    this.#viaScratch(FATAL, 0, 0, 0, () => this.#encoder.encodeError(error))
    this.announce()
  }

  /**
   * Publish something for whoever listens to the pool; nothing happens where nobody does. Waits while the parent's event
   * loop has not taken what was said before.
   * @param {number} index of the item in whose name it is
   * @param {unknown} value
   * @param {boolean} [quiet] the caller announces it
   * @throws {import('./errors.js').SerializationError} nothing was published
   */
  message(index, value, quiet = false) {
    if ((Atomics.load(this.#words, LISTENING) & MESSAGES) === 0) return
    if (this.#encoding) {
      this.#interjections.push({ index, rows: encodedAlone(value) })
      return
    }
    try {
      const { rows, text } = this.#encoded(() => this.#encoder.encode(value))
      this.#copyMessage(index, rows, text)
    } finally {
      this.#encoding = false
      this.#interject()
      this.#shrink()
    }
    if (!quiet) this.announce()
  }

  /** Wake the parent if it sleeps: what was published should be seen now. */
  announce() {
    if (Atomics.load(this.#words, PARENT_SLEEPS) === 1) this.#native.ring()
  }

  /**
   * Point the encoder behind the header of the next record; what it may write ends where the ring does, or live data.
   * @param {Encoder} encoder
   * @returns {number} where the record begins in the ring
   */
  #aim(encoder) {
    const rowAt = this.#rowTail & (this.#rowCapacity - 1)
    const rowRoom = this.#rowCapacity - ((this.#rowTail - this.#rowHead) >>> 0)
    const rowEnd = rowAt + rowRoom
    encoder.rows = this.#rows
    encoder.rowPos = rowAt + RECORD_BYTES
    // Rounded down: the record's padding must fit too.
    encoder.rowEnd = Math.min(rowEnd, this.#rowCapacity) & ~7
    const textAt = this.#textTail & (this.#textCapacity - 1)
    const textEnd = textAt + this.#textCapacity - ((this.#textTail - this.#textHead) >>> 0)
    encoder.text = this.#text
    encoder.textPos = textAt
    encoder.textEnd = Math.min(textEnd, this.#textCapacity)
    return rowAt
  }

  /**
   * Publish what the encoder has written since `#aim`.
   * @param {number} rowAt
   * @param {number} kind
   * @param {number} cell
   * @param {number} status
   * @param {number} item
   * @param {number} number
   */
  #commit(rowAt, kind, cell, status, item, number) {
    const encoder = this.#encoder
    const rowBytes = encoder.rowPos - rowAt - RECORD_BYTES
    const textBytes = encoder.textPos - (this.#textTail & (this.#textCapacity - 1))
    const view = this.#rowsView
    view.setUint32(rowAt, rowBytes, true)
    view.setUint32(rowAt + 4, textBytes, true)
    view.setUint32(rowAt + 8, this.#textTail, true)
    view.setUint32(rowAt + 12, kind | (cell << 8) | (status << 16), true)
    view.setUint32(rowAt + 16, item, true)
    view.setUint32(rowAt + 20, number, true)
    this.#textTail = (this.#textTail + textBytes) >>> 0
    this.#rowTail = (this.#rowTail + RECORD_BYTES + ((rowBytes + 7) & ~7)) >>> 0
    Atomics.store(this.#words, ROW_TAIL, this.#rowTail)
  }

  /**
   * Publish a record without row and text.
   * @param {number} kind
   * @param {number} cell
   * @param {number} status
   * @param {number} item
   * @param {number} number
   */
  #bare(kind, cell, status, item, number) {
    this.#place(0, 0)
    this.#commit(this.#aim(this.#encoder), kind, cell, status, item, number)
  }

  /**
   * Publish a record that was not, or not only, written in place: it comes with new shapes, or finds no room.
   * @param {number} kind
   * @param {number} cell
   * @param {number} status
   * @param {number} item
   * @param {() => boolean} encode
   */
  #viaScratch(kind, cell, status, item, encode) {
    const { rows, text } = this.#encoded(encode)
    this.#copy(kind, cell, status, item, 0, rows, text)
    this.#shrink()
  }

  /**
   * Encode a value where there is room for it, and publish what belongs before it: new shapes, and what its getters say.
   * @param {() => boolean} encode
   */
  #encoded(encode) {
    const encoder = this.#encoder
    const said = this.#interjections.length
    for (;;) {
      encoder.rows = this.#scratchRows
      encoder.rowPos = 0
      encoder.rowEnd = this.#scratchRows.length
      encoder.text = this.#scratchText
      encoder.textPos = 0
      encoder.textEnd = this.#scratchText.length
      encoder.wanted = 0
      this.#encoding = true
      const isWhole = encode()
      this.#encoding = false
      if (isWhole) break
      this.#interjections.length = said
      this.#scratchRows = new Uint8Array(Math.max(this.#scratchRows.length * 2, encoder.wanted))
      this.#scratchText = new Uint8Array(Math.min(this.#scratchText.length * 2, MAX_SCRATCH_TEXT))
    }
    const rows = this.#scratchRows.subarray(0, encoder.rowPos)
    const text = this.#scratchText.subarray(0, encoder.textPos)
    for (const { id, definition } of this.#newShapes.splice(0)) {
      this.#copy(DEFINE, 0, 0, 0, id, new TextEncoder().encode(definition), NO_BYTES)
    }
    this.#interject()
    return { rows, text }
  }

  /** What one large value needed is not kept for ever. */
  #shrink() {
    if (this.#scratchRows.length > MAX_SCRATCH_KEPT) this.#scratchRows = new Uint8Array(4096)
  }

  #interject() {
    for (const { index, rows } of this.#interjections.splice(0)) this.#copyMessage(index, rows, NO_BYTES)
  }

  /**
   * @param {number} index
   * @param {Uint8Array} rows
   * @param {Uint8Array} text
   */
  #copyMessage(index, rows, text) {
    const bytes = rows.length + text.length
    if (bytes > MAX_MESSAGE_BYTES)
      throw new SerializationError(`The message is too large: ${bytes} bytes when encoded`)
    for (;;) {
      const head = Atomics.load(this.#words, MESSAGE_HEAD)
      if ((this.#messageTail - head) >>> 0 < MESSAGE_WINDOW) break
      this.#native.waitForMessages(head)
    }
    this.#messageTail = (this.#messageTail + RECORD_BYTES + bytes) >>> 0
    this.#copy(MESSAGE, 0, 0, index >>> 0, Math.floor(index / 2 ** 32), rows, text)
  }

  /**
   * @param {number} kind
   * @param {number} cell
   * @param {number} status
   * @param {number} item
   * @param {number} number
   * @param {Uint8Array} rows
   * @param {Uint8Array} text
   */
  #copy(kind, cell, status, item, number, rows, text) {
    if (rows.length + RECORD_BYTES > this.#rowCapacity / 4 || text.length > this.#textCapacity / 4) {
      if (rows.length + text.length > MAX_RECORD_BYTES) {
        throw new SerializationError(
          `The value is too large: ${rows.length + text.length} bytes when encoded`,
        )
      }
      this.#native.stream(kind, cell, status, item, number, rows, text)
      this.#rowTail = Atomics.load(this.#words, ROW_TAIL)
      // Much has gone past the head that we know: where streams follow each other, it must not fall behind by 2^32.
      this.#rowHead = Atomics.load(this.#words, ROW_HEAD)
      return
    }
    this.#place(rows.length, text.length)
    const encoder = this.#encoder
    const rowAt = this.#aim(encoder)
    this.#rows.set(rows, encoder.rowPos)
    encoder.rowPos += rows.length
    this.#text.set(text, encoder.textPos)
    encoder.textPos += text.length
    this.#commit(rowAt, kind, cell, status, item, number)
  }

  /**
   * Move on to where a record of this size fits in one piece; wait for the parent if need be.
   * @param {number} rowBytes
   * @param {number} textBytes
   */
  #place(rowBytes, textBytes) {
    const needed = RECORD_BYTES + ((rowBytes + 7) & ~7)
    const toEnd = this.#rowCapacity - (this.#rowTail & (this.#rowCapacity - 1))
    if (toEnd < needed) {
      this.#waitFor(toEnd, 0)
      this.#pad(toEnd)
    }
    const textToEnd = this.#textCapacity - (this.#textTail & (this.#textCapacity - 1))
    if (textToEnd < textBytes) {
      // The parent learns from the next record where its text begins, so the rest of the ring is simply passed over.
      this.#waitFor(needed, textToEnd + textBytes)
      this.#textTail = (this.#textTail + textToEnd) >>> 0
    }
    this.#waitFor(needed, textBytes)
  }

  /** @param {number} bytes up to the end of the ring */
  #pad(bytes) {
    if (bytes >= RECORD_BYTES) {
      const at = this.#rowTail & (this.#rowCapacity - 1)
      this.#rowsView.setUint32(at, bytes - RECORD_BYTES, true)
      this.#rowsView.setUint32(at + 4, 0, true)
      this.#rowsView.setUint32(at + 12, PADDING, true)
    }
    this.#rowTail = (this.#rowTail + bytes) >>> 0
    Atomics.store(this.#words, ROW_TAIL, this.#rowTail)
  }

  /**
   * @param {number} rowBytes
   * @param {number} textBytes
   */
  #waitFor(rowBytes, textBytes) {
    for (;;) {
      const rowRoom = this.#rowCapacity - ((this.#rowTail - this.#rowHead) >>> 0)
      const textRoom = this.#textCapacity - ((this.#textTail - this.#textHead) >>> 0)
      if (rowRoom >= rowBytes && textRoom >= textBytes) return
      const rowHead = Atomics.load(this.#words, ROW_HEAD)
      const textHead = Atomics.load(this.#words, TEXT_HEAD)
      if (rowHead === this.#rowHead && textHead === this.#textHead) {
        this.#native.waitForRoom(rowHead, textHead)
        continue
      }
      this.#rowHead = rowHead
      this.#textHead = textHead
    }
  }
}

/** A status of outcomes beside those of batch-reader.js: nothing of the item ran, so it is not tried again. */
const REJECTED = 3
const NO_BYTES = new Uint8Array(0)
const MAX_SCRATCH_TEXT = 64 << 20
/** As in `layout.rs`. */
const MAX_RECORD_BYTES = 2 ** 31
export const MAX_MESSAGE_BYTES = 64 << 20
const MESSAGE_WINDOW = 256 << 10
const MAX_SCRATCH_KEPT = 1 << 20
