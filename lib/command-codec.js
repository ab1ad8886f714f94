// Items for programs, and what they answer. A row begins with a byte of its own: of an item 0 (another one: it has failed
// already), of an answer 0, or 1 with the JSON of what went wrong. What frames them in the stream is Rust's.

import { types } from 'node:util'
import { Decoder } from './codec.js'
import { invalidArgType, outOfRange } from './errors.js'

/** @typedef {'ndjson' | 'lines' | 'nul' | 'length-prefixed'} Format */

/** Items as the programs of one pool read them. */
export class CommandEncoder {
  /** @type {Uint8Array} */
  rows = new Uint8Array(0)
  rowPos = 0
  rowEnd = 0
  text = new Uint8Array(0)
  textPos = 0
  textEnd = 0
  /** So that a long item is not made into JSON once for each doubling of the room. */
  wanted = 0
  #perItem
  /** @type {(item: unknown) => string | Uint8Array} */
  #plain

  /**
   * @param {Format} format
   * @param {boolean} perItem an item is an argument
   */
  constructor(format, perItem) {
    this.#perItem = perItem
    this.#plain = perItem ? argumentOf : ITEMS[format]
  }

  /**
   * @param {unknown} item
   * @returns {boolean}
   */
  encode(item) {
    const { rows, rowPos, rowEnd } = this
    const plain = this.#plain(item)
    if (typeof plain !== 'string') {
      if (this.#perItem && plain.includes(0)) throw outOfRange('item', 'bytes without NUL', item)
      this.wanted = rowPos + 1 + plain.byteLength
      if (this.wanted > rowEnd) return false
      rows[rowPos] = 0
      rows.set(plain, rowPos + 1)
      this.rowPos = rowPos + 1 + plain.byteLength
      return true
    }
    // No character takes more than three bytes.
    this.wanted = rowPos + 1 + plain.length * 3
    if (this.wanted > rowEnd) return false
    rows[rowPos] = 0
    this.rowPos = rowPos + 1 + utf8Write.call(rows, plain, rowPos + 1)
    return true
  }
}

/** What the programs of one pool answer. */
export class CommandDecoder extends Decoder {
  #format

  /** @param {Format} format */
  constructor(format) {
    super()
    this.#format = format
  }

  /**
   * @override
   * @param {number} start
   * @param {number} end
   * @returns {unknown}
   */
  decode(start, end) {
    const { rows } = this
    if (rows[start] !== 0) return JSON.parse(utf8Slice.call(rows, start + 1, end))
    if (this.#format === 'length-prefixed') return Buffer.from(rows.subarray(start + 1, end))
    const text = utf8Slice.call(rows, start + 1, end)
    return this.#format === 'ndjson' ? JSON.parse(text) : text
  }
}

/** What an item is in each format. @type {Record<Format, (item: unknown) => string | Uint8Array>} */
const ITEMS = {
  ndjson(item) {
    const expected = 'a value that JSON can hold'
    let text
    try {
      text = JSON.stringify(item)
    } catch (error) {
      throw Object.assign(invalidArgType('item', expected, item), { cause: error })
    }
    if (text === undefined) throw invalidArgType('item', expected, item)
    return text
  },
  lines: (item) => textWithout(item, '\n', 'a string without a newline'),
  nul: (item) => textWithout(item, '\0', 'a string without NUL'),
  'length-prefixed': (item) => {
    const bytes = bytesOf(item)
    if (bytes === undefined)
      throw invalidArgType('item', 'a Buffer, a TypedArray, a DataView or an ArrayBuffer', item)
    return bytes
  },
}

/**
 * An item as an argument: a string and bytes as they are, anything else as JSON.
 * @param {unknown} item
 * @returns {string | Uint8Array}
 */
function argumentOf(item) {
  if (typeof item === 'string') return textWithout(item, '\0', 'a string without NUL')
  return bytesOf(item) ?? ITEMS.ndjson(item)
}

/**
 * @param {unknown} item
 * @param {string} end
 * @param {string} expected
 */
function textWithout(item, end, expected) {
  if (typeof item !== 'string') throw invalidArgType('item', expected, item)
  if (item.includes(end)) throw outOfRange('item', expected, item)
  return item
}

/**
 * @param {unknown} item
 * @returns {Uint8Array | undefined}
 */
function bytesOf(item) {
  if (ArrayBuffer.isView(item)) return new Uint8Array(item.buffer, item.byteOffset, item.byteLength)
  return types.isAnyArrayBuffer(item) ? new Uint8Array(item) : undefined
}

// They take any Uint8Array, and making a Buffer of it costs as much as a short item.
const { utf8Write, utf8Slice } = /** @type {any} */ (Buffer.prototype)
