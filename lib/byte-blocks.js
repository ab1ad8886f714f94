// Blocks of bytes as items, each in memory of its own, so that it can be kept, changed and transferred.

import { FedSource } from './fed-source.js'

export class ByteBlocks extends FedSource {
  #size
  /** @type {Buffer | undefined} */
  #block
  #length = 0

  /**
   * @param {import('./rust-feed.js').Feed} feed
   * @param {number} size
   */
  constructor(feed, size) {
    super(feed)
    this.#size = size
  }

  /**
   * @override
   * @param {boolean} isFed
   */
  cut(isFed) {
    const block = this.#block
    const length = this.#length
    if (block === undefined || length === 0) return false
    if (length === this.#size) this.value = block
    else if (isFed) this.value = fitted(block, length)
    else return false
    this.#block = undefined
    this.#length = 0
    return true
  }

  /** @override */
  room() {
    if (this.#block === undefined) this.#block = Buffer.allocUnsafeSlow(Math.min(this.#size, FIRST))
    if (this.#length === this.#block.length) {
      // A file that is smaller than a block does not take as much as one.
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#size, this.#block.length * 4))
      this.#block.copy(larger)
      this.#block = larger
    }
    return this.#block.subarray(this.#length)
  }

  /**
   * @override
   * @param {number} count
   */
  fed(count) {
    this.#length += count
  }

  /** @override */
  clear() {
    this.#block = undefined
  }
}

/**
 * @param {Buffer} block
 * @param {number} length
 */
function fitted(block, length) {
  const fitting = Buffer.allocUnsafeSlow(length)
  block.copy(fitting, 0, 0, length)
  return fitting
}

const FIRST = 1 << 20
