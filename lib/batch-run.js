// Items of a source, gathered in arrays.

import { types } from 'node:util'
import { serialize } from 'node:v8'
import { MORE, SourceRun, TAKEN } from './source-run.js'

export class BatchRun extends SourceRun {
  #size
  #bytes
  #wait
  /** @type {unknown[]} */
  #held = []
  #heldBytes = 0
  /** An item that found no room in the batch before it, and its bytes. @type {{ item: unknown, bytes: number } | undefined} */
  #next
  /** The source has had its time for this batch. */
  #late = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /**
   * @param {import('./source.js').Source} source
   * @param {Readonly<import('./options.js').BatchSettings>} settings
   */
  constructor(source, settings) {
    super(source)
    this.#size = settings.size
    this.#bytes = settings.bytes
    this.#wait = settings.wait
  }

  /**
   * @override
   * @param {boolean} ended
   */
  offer(ended) {
    if (this.#next !== undefined) {
      const { item, bytes } = this.#next
      this.#next = undefined
      this.#hold(item, bytes)
    }
    if (this.#isFull() || (ended && this.#held.length > 0)) {
      this.#handOut()
      return TAKEN
    }
    return MORE
  }

  /**
   * @override
   * @param {import('./source.js').Source} source
   */
  pull(source) {
    // Where nothing has to be known of each item, the source can do it alone.
    const counts = this.#bytes === Infinity && this.#wait === undefined
    return counts ? source.fill(this.#held, this.#size) : source.pull()
  }

  /**
   * @override
   * @param {any} item
   */
  accept(item) {
    const bytes = this.#bytes === Infinity ? 0 : bytesOf(item)
    if (this.#heldBytes + bytes > this.#bytes && this.#held.length > 0) {
      this.#next = { item, bytes }
      this.#handOut()
      return TAKEN
    }
    this.#hold(item, bytes)
    if (!this.#isFull()) return MORE
    this.#handOut()
    return TAKEN
  }

  /** @override */
  stalled() {
    if (!this.#late || this.#held.length === 0) return false
    this.#handOut()
    return true
  }

  /** @override */
  clear() {
    clearTimeout(this.#timer)
    this.#held = []
    this.#next = undefined
  }

  #isFull() {
    return this.#held.length >= this.#size || this.#heldBytes >= this.#bytes
  }

  /**
   * @param {unknown} item
   * @param {number} bytes
   */
  #hold(item, bytes) {
    this.#held.push(item)
    this.#heldBytes += bytes
    if (this.#wait === undefined || this.#held.length > 1) return
    this.#timer = setTimeout(() => {
      this.#late = true
      this.wake()
    }, this.#wait)
  }

  #handOut() {
    clearTimeout(this.#timer)
    this.#late = false
    this.value = this.#held
    this.#held = []
    this.#heldBytes = 0
  }
}

/**
 * @param {unknown} item
 * @throws what `v8.serialize` throws of an item that cannot be cloned
 */
function bytesOf(item) {
  if (typeof item === 'string') return Buffer.byteLength(item)
  if (ArrayBuffer.isView(item) || types.isAnyArrayBuffer(item)) return item.byteLength
  return serialize(item).length
}
