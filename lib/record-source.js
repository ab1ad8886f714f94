// Records of bytes with a separator after each, as lines are. Nothing is looked at twice, and no record is copied but by
// what makes a value of it.

import { isAscii } from 'node:buffer'
import { FedSource } from './fed-source.js'

export class RecordSource extends FedSource {
  /** What is read: from `#at` to `#end`, up to `#looked` there is no separator. */
  #bytes = NOTHING
  #at = 0
  #end = 0
  #looked = 0
  #separator
  #longest
  /** The rest of a record that is too long is read past. */
  #skipping = false
  /** Whether what is in the buffer is. */
  isAscii = true

  /**
   * @param {import('./rust-feed.js').Feed} feed
   * @param {number} separator
   * @param {number} longest bytes of a record, and of what may stand before its separator
   */
  constructor(feed, separator, longest) {
    super(feed)
    this.#separator = separator
    this.#longest = longest
  }

  /**
   * The value of a record.
   * @param {Buffer} _bytes
   * @param {number} _start
   * @param {number} _end
   * @param {boolean} _isEnded a separator follows
   * @returns {unknown}
   */
  read(_bytes, _start, _end, _isEnded) {
    return undefined
  }

  /**
   * The value of a record that is too long.
   * @returns {unknown}
   */
  tooLong() {
    return undefined
  }

  /**
   * @override
   * @param {boolean} isFed
   */
  cut(isFed) {
    for (;;) {
      const start = this.#at
      const found = this.#find()
      if (found < 0) return this.#cutRest(isFed)
      this.#at = this.#looked = found + 1
      if (this.#skipping) {
        this.#skipping = false
        continue
      }
      this.value = found - start > this.#longest ? this.tooLong() : this.read(this.#bytes, start, found, true)
      return true
    }
  }

  /** @override */
  room() {
    const length = this.#end - this.#at
    if (length === 0) {
      // Not for ever as large as the longest record.
      if (this.#bytes.length !== LEAST) this.#bytes = Buffer.allocUnsafeSlow(LEAST)
      this.#at = this.#end = this.#looked = 0
      this.isAscii = true
      return this.#bytes
    }
    if (this.#end === this.#bytes.length) {
      const large = length > this.#bytes.length / 2
      const bytes = large ? Buffer.allocUnsafeSlow(this.#bytes.length * 2) : this.#bytes
      this.#bytes.copy(bytes, 0, this.#at, this.#end)
      this.#bytes = bytes
      this.#looked -= this.#at
      this.#end = length
      this.#at = 0
    }
    return this.#bytes.subarray(this.#end)
  }

  /**
   * @override
   * @param {number} count
   */
  fed(count) {
    const end = this.#end + count
    if (this.isAscii) this.isAscii = isAscii(this.#bytes.subarray(this.#end, end))
    this.#end = end
  }

  /** @override */
  clear() {
    this.#bytes = NOTHING
    this.#at = this.#end = this.#looked = 0
  }

  /** @returns {number} where the next separator is, or -1 */
  #find() {
    if (this.#looked === this.#end) return -1
    const found = this.#bytes.indexOf(this.#separator, this.#looked)
    // Behind the end there is what was read before.
    if (found !== -1 && found < this.#end) return found
    this.#looked = this.#end
    return -1
  }

  /**
   * What has no separator.
   * @param {boolean} isFed
   */
  #cutRest(isFed) {
    const start = this.#at
    const end = this.#end
    if (this.#skipping) {
      this.#at = end
      return false
    }
    if (end - start > this.#longest) {
      this.#skipping = true
      this.#at = end
      this.value = this.tooLong()
      return true
    }
    if (!isFed || start === end) return false
    this.#at = end
    this.value = this.read(this.#bytes, start, end, false)
    return true
  }
}

const NOTHING = Buffer.alloc(0)
/** As much as a thread reads at once. */
const LEAST = 256 << 10
