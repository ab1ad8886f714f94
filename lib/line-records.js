// Lines of text, or of bytes, as items. Each is a string of its own: it does not keep the text around it alive.

import { isUtf8 } from 'node:buffer'
import { InvalidTextError, LineTooLongError } from './errors.js'
import { RecordSource } from './record-source.js'

export class LineRecords extends RecordSource {
  #settings
  /** Nothing was read before. */
  #atStart = true

  /**
   * @param {import('./rust-feed.js').Feed} feed
   * @param {Readonly<import('./source-options.js').LineSettings>} settings
   */
  constructor(feed, settings) {
    // A carriage return may belong to the ending, and a mark of the byte order stand before the first line.
    super(feed, NEWLINE, settings.maxLineBytes + (settings.encoding === 'utf8' ? 1 + MARK_BYTES : 1))
    this.#settings = settings
  }

  /**
   * @override
   * @param {Buffer} bytes
   * @param {number} start
   * @param {number} end
   * @param {boolean} isEnded
   */
  read(bytes, start, end, isEnded) {
    const { encoding, keepEnding, maxLineBytes, fatal } = this.#settings
    const from = this.#atStart ? this.#afterMark(bytes, start, end) : start
    const stop = isEnded && end > from && bytes[end - 1] === RETURN ? end - 1 : end
    if (stop - from > maxLineBytes) return this.tooLong()
    const to = keepEnding ? (isEnded ? end + 1 : end) : stop
    if (encoding === 'utf8') {
      if (this.isAscii) return latin1Slice.call(bytes, from, to)
      if (fatal && !isUtf8(bytes.subarray(from, to))) return rejected(this.#notUtf8())
      return utf8Slice.call(bytes, from, to)
    }
    return encoding === 'latin1' ? latin1Slice.call(bytes, from, to) : Buffer.from(bytes.subarray(from, to))
  }

  /** @override */
  tooLong() {
    this.#atStart = false
    const { maxLineBytes } = this.#settings
    const index = this.index + 1
    const message = `Line ${index + 1} is longer than ${maxLineBytes} bytes (maxLineBytes)`
    return rejected(new LineTooLongError(message, { index, limit: maxLineBytes }))
  }

  #notUtf8() {
    const index = this.index + 1
    return new InvalidTextError(`Line ${index + 1} is not valid UTF-8`, { index })
  }

  /**
   * A mark of the byte order is not part of the text.
   * @param {Buffer} bytes
   * @param {number} start
   * @param {number} end
   */
  #afterMark(bytes, start, end) {
    this.#atStart = false
    const marked =
      this.#settings.encoding === 'utf8' &&
      end - start >= MARK_BYTES &&
      bytes[start] === 0xef &&
      bytes[start + 1] === 0xbb &&
      bytes[start + 2] === 0xbf
    return marked ? start + MARK_BYTES : start
  }
}

/**
 * An item that has failed: what comes after it does not end with it.
 * @param {Error} error
 */
function rejected(error) {
  const promise = Promise.reject(error)
  // It may be dropped unseen.
  promise.catch(() => {})
  return promise
}

const { latin1Slice, utf8Slice } = /** @type {any} */ (Buffer.prototype)
const NEWLINE = 10
const MARK_BYTES = 3
const RETURN = 13
