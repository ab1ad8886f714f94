// Bytes to values. The bytes may come from a hostile process: every count and length is held against what is there.

import { SerializationError } from '../errors.js'
import { BINARY_TYPES, copyAs } from './binary.js'
import { deserialize } from './clone.js'
import { restoreError } from './error.js'
import { COPIED_BELOW, canGenerate, MAX_SHAPES, parseDefinition, recordReader } from './shape.js'

/** @import { RecordReader } from './shape.js' */

/** Read the values that an Encoder wrote. */
export class Decoder {
  constructor() {
    /** @type {Uint8Array} */
    this.rows = NO_BYTES
    /** @type {DataView} */
    this.view = new DataView(NO_BYTES.buffer)
    /** The next byte of the value being read, and the end of the value. */
    this.pos = 0
    this.end = 0

    /** @type {Uint8Array} */
    this.text = NO_BYTES
    this.textStart = 0
    this.textLength = 0
    /** The next character of the value being read, from `textStart`. */
    this.textPos = 0
    /** @type {string | null} the text of the batch, once a short string has asked for it */
    this.textString = null

    /** @type {(RecordReader | undefined)[]} by the id of the shape */
    this.readers = []
    /** @type {(string | undefined)[]} */
    this.definitions = []
  }

  /**
   * Learn a shape.
   * @param {number} id
   * @param {string} definition
   * @throws {SerializationError} it is no definition
   */
  define(id, definition) {
    if (!Number.isInteger(id) || id < 0 || id >= MAX_SHAPES)
      this.malformed('the id of a shape is out of range')
    const known = this.definitions[id]
    if (known !== undefined && known === definition) return
    const shape = parseDefinition(definition)
    if (shape === undefined || known !== undefined)
      throw new SerializationError('the definition of a shape is malformed')
    this.definitions[id] = definition
    this.readers[id] = recordReader(shape.keys, shape.kinds)
  }

  /**
   * Begin a batch.
   * @param {Uint8Array} rows
   * @param {number} textStart
   * @param {number} textEnd
   * @param {Uint8Array} [text] default: `rows`
   */
  open(rows, textStart, textEnd, text = rows) {
    if (!isRange(textStart, textEnd, text.length)) this.malformed('the text lies outside its area')
    if (rows !== this.rows) {
      this.rows = rows
      this.view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength)
    }
    this.text = text
    this.textStart = textStart
    this.textLength = textEnd - textStart
    this.textString = null
  }

  /**
   * The value in these bytes.
   * @param {number} rowStart
   * @param {number} rowEnd
   * @param {number} textStart from the start of the batch's text
   * @returns {unknown}
   * @throws {SerializationError} they are no value, or more than one
   */
  decode(rowStart, rowEnd, textStart) {
    if (!isRange(rowStart, rowEnd, this.rows.length) || !isRange(textStart, textStart, this.textLength)) {
      this.malformed('a value lies outside its batch')
    }
    this.pos = rowStart
    this.end = rowEnd
    this.textPos = textStart
    try {
      const value = this.value(0)
      if (this.pos !== rowEnd) this.malformed('bytes are left over')
      return value
    } catch (error) {
      if (error instanceof SerializationError) throw error
      return this.malformed('they cannot be read', error)
    }
  }

  /**
   * @param {number} depth
   * @returns {unknown}
   */
  value(depth) {
    const { rows, pos } = this
    if (pos >= this.end) this.malformed('a value is missing')
    const tag = rows[pos]
    this.pos = pos + 1
    switch (tag) {
      case 0:
        return undefined
      case 1:
        return null
      case 2:
        return false
      case 3:
        return true
      case 4:
        if (pos + 9 > this.end) this.malformed('a number is cut off')
        this.pos = pos + 9
        return this.view.getFloat64(pos + 1, true)
      case 5:
        return this.shortText(this.uint32())
      case 6: {
        const start = this.bytes()
        return utf8Slice.call(rows, start, this.pos)
      }
      case 7: {
        const start = this.bytes()
        if ((this.pos - start) % 2 !== 0) this.malformed('half a character')
        return ucs2Slice.call(rows, start, this.pos)
      }
      case 8:
        return this.array(depth)
      case 9: {
        const read = this.readers[this.uint32()]
        if (read === undefined) this.malformed('the shape of a record is unknown')
        if (depth > MAX_DEPTH) this.malformed('it is too deep')
        return /** @type {RecordReader} */ (read)(this, depth)
      }
      case 10:
        if (pos + 9 > this.end) this.malformed('a date is cut off')
        this.pos = pos + 9
        return new Date(this.view.getFloat64(pos + 1, true))
      case 11:
        return this.binary()
      case 12:
        return this.payload(restoreError)
      case 13:
        if (depth > 0) this.malformed('a clone inside a value')
        return this.payload(deserialize)
      case 14:
        return this.dictionary(depth)
      default:
        return this.malformed(`unknown tag ${tag}`)
    }
  }

  /** @param {number} depth */
  array(depth) {
    const count = this.uint32()
    // The smallest value is one byte: a count says nothing that the bytes do not.
    if (count > this.end - this.pos) this.malformed('an array is longer than its bytes')
    if (depth > MAX_DEPTH) this.malformed('it is too deep')
    const array = []
    for (let i = 0; i < count; i++) array.push(this.value(depth + 1))
    return array
  }

  /** @param {number} depth */
  dictionary(depth) {
    const count = this.uint32()
    if (count > (this.end - this.pos) / 6) this.malformed('an object is longer than its bytes')
    if (depth > MAX_DEPTH) this.malformed('it is too deep')
    // Ever new keys would make ever new hidden classes: V8 keeps what has no prototype as a hash table from the start
    // (half the time). It also has no setters and no `__proto__`.
    const object = Object.create(null)
    for (let i = 0; i < count; i++) {
      const tag = this.rows[this.pos]
      if (tag < 5 || tag > 7) this.malformed('a key is not a string')
      const key = /** @type {string} */ (this.value(depth))
      object[key] = this.value(depth + 1)
    }
    return Object.setPrototypeOf(object, Object.prototype)
  }

  binary() {
    const Type = BINARY_TYPES[this.rows[this.pos++]]
    if (Type === undefined) this.malformed('unknown kind of binary value')
    const start = this.bytes()
    const value = copyAs(Type, this.rows.subarray(start, this.pos))
    if (value === undefined) this.malformed('half an element')
    return value
  }

  /**
   * @param {(bytes: Uint8Array) => unknown} read
   */
  payload(read) {
    const start = this.bytes()
    return read(this.rows.subarray(start, this.pos))
  }

  /** Step over a length and that many bytes; where they start. */
  bytes() {
    const length = this.uint32()
    const start = this.pos
    if (length > this.end - start) this.malformed('bytes are cut off')
    this.pos = start + length
    return start
  }

  uint32() {
    const { pos } = this
    if (pos + 4 > this.end) this.malformed('a length is cut off')
    this.pos = pos + 4
    return this.view.getUint32(pos, true)
  }

  /**
   * The next `length` characters of the text.
   * @param {number} length
   */
  shortText(length) {
    const start = this.textPos
    const end = start + length
    if (end > this.textLength) this.malformed('a string lies outside the text')
    this.textPos = end
    if (length >= COPIED_BELOW) return this.longText(start, length)
    return (this.textString === null ? this.loadText() : this.textString).substring(start, end)
  }

  /**
   * A string of its own: substring would keep the text of the whole batch alive for it.
   * @param {number} start
   * @param {number} length at least COPIED_BELOW
   * @returns {string}
   */
  longText(start, length) {
    const from = this.textStart + start
    if (length <= COPIED_BY_ARGUMENTS) return (COPIERS[length] ?? copier(length))(this.text, from)
    return latin1Slice.call(this.text, from, from + length)
  }

  /** @returns {string} */
  loadText() {
    this.textString = /** @type {string} */ (
      latin1Slice.call(this.text, this.textStart, this.textStart + this.textLength)
    )
    return this.textString
  }

  /**
   * @param {string} why
   * @param {unknown} [cause]
   * @returns {never}
   */
  malformed(why, cause) {
    const message = `the bytes of a value are malformed: ${why}`
    throw cause === undefined ? new SerializationError(message) : new SerializationError(message, { cause })
  }
}

/**
 * A function that makes a string of exactly `length` characters: one call of String.fromCharCode with a fixed number of
 * arguments takes 22 ns for 19 of them, where a native latin1Slice takes 40.
 * @param {number} length
 * @returns {(text: Uint8Array, start: number) => string}
 */
function copier(length) {
  const characters = Array.from({ length }, (_, i) => `text[start + ${i}]`)
  COPIERS[length] = canGenerate()
    ? new Function('fromCharCode', `return (text, start) => fromCharCode(${characters.join(', ')})`)(
        String.fromCharCode,
      )
    : (text, start) => latin1Slice.call(text, start, start + length)
  return COPIERS[length]
}

/**
 * @param {number} start
 * @param {number} end
 * @param {number} size
 */
function isRange(start, end, size) {
  return Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= size
}

const { latin1Slice, utf8Slice, ucs2Slice } = /** @type {any} */ (Buffer.prototype)
const NO_BYTES = new Uint8Array(0)
/** @type {((text: Uint8Array, start: number) => string)[]} */
const COPIERS = []
/** From about here on a native call is as fast. */
const COPIED_BY_ARGUMENTS = 30
/** Deeper than an encoder goes; v8 looks after itself. */
const MAX_DEPTH = 66
