// Where an encoder writes to, and the values that need no walk.

import { DONE, FULL, LOOPED, WIDE } from './shape.js'

/** Two byte areas with a limit each. */
export class Sink {
  constructor() {
    /** @type {Uint8Array} set by the owner */
    this.rows = NO_BYTES
    this.rowPos = 0
    this.rowEnd = 0
    /** @type {Uint8Array} set by the owner */
    this.text = NO_BYTES
    this.textPos = 0
    this.textEnd = 0
    /** Where a payload that did not fit would end: it is not to be made again for each doubling of the room. */
    this.wanted = 0

    /** @type {DataView} a view on `rows`, for the writers of records */
    this.view = new DataView(NO_BYTES.buffer)
    /** @type {Uint8Array} the `rows` that `view` belongs to: the owner may swap them at any time */
    this.viewed = NO_BYTES
  }

  /**
   * @param {number} tag
   * @param {number} value
   */
  float(tag, value) {
    const p = this.rowPos
    if (p + 9 > this.rowEnd) return FULL
    this.rows[p] = tag
    this.view.setFloat64(p + 1, value, true)
    this.rowPos = p + 9
    return DONE
  }

  /** @param {string} value */
  string(value) {
    const { text, textPos: t } = this
    const { length } = value
    if (length > LOOPED) {
      if (WIDE.test(value)) return this.wideString(value)
      if (t + length > this.textEnd || this.head(5, length) === FULL) return FULL
      latin1Write.call(text, value, t, length)
      this.textPos = t + length
      return DONE
    }
    if (t + length > this.textEnd) return WIDE.test(value) ? this.wideString(value) : FULL
    if (this.rowPos + 5 > this.rowEnd) return FULL
    for (let i = 0; i < length; i++) {
      const c = value.charCodeAt(i)
      if (c > 255) return this.wideString(value)
      text[t + i] = c
    }
    this.head(5, length)
    this.textPos = t + length
    return DONE
  }

  /**
   * Write the characters to the text at `t`, where there is space for them; false: they are not latin1.
   * @param {string} value
   * @param {number} t
   */
  latin1(value, t) {
    if (WIDE.test(value)) return false
    latin1Write.call(this.text, value, t, value.length)
    return true
  }

  /**
   * In UTF-16, as V8 itself holds such strings: exact for lone surrogates, and a copy instead of a conversion.
   * @param {string} value
   */
  wideString(value) {
    const size = value.length * 2
    const p = this.rowPos + 5
    if (p + size > this.rowEnd) return FULL
    if (value.length <= LOOPED) {
      const view = this.view
      for (let i = 0; i < value.length; i++) view.setUint16(p + 2 * i, value.charCodeAt(i), true)
    } else {
      ucs2Write.call(this.rows, value, p, size)
    }
    this.head(7, size)
    this.rowPos = p + size
    return DONE
  }

  /**
   * @param {number} tag
   * @param {Uint8Array} bytes
   */
  payload(tag, bytes) {
    const p = this.rowPos
    if (p + 5 + bytes.length > this.rowEnd) {
      this.wanted = p + 5 + bytes.length
      return FULL
    }
    this.head(tag, bytes.length)
    setBytes.call(this.rows, bytes, p + 5)
    this.rowPos = p + 5 + bytes.length
    return DONE
  }

  /** @param {number} tag */
  tag(tag) {
    if (this.rowPos + 1 > this.rowEnd) return FULL
    this.rows[this.rowPos++] = tag
    return DONE
  }

  /**
   * @param {number} tag
   * @param {number} size
   */
  head(tag, size) {
    const p = this.rowPos
    if (p + 5 > this.rowEnd) return FULL
    this.rows[p] = tag
    this.view.setUint32(p + 1, size, true)
    this.rowPos = p + 5
    return DONE
  }

  attach() {
    const { rows } = this
    this.view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength)
    this.viewed = rows
  }
}

const { set: setBytes } = Uint8Array.prototype
const { latin1Write, ucs2Write } = /** @type {any} */ (Buffer.prototype)
const NO_BYTES = new Uint8Array(0)
