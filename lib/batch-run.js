// Items of a source, gathered in arrays.

import { types } from 'node:util'
import { serialize } from 'node:v8'
import { MORE, SourceRun, TAKEN } from './source-run.js'

export class BatchRun extends SourceRun {
  #settings
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
    this.#settings = settings
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
   * @param {any} item
   */
  accept(item) {
    const most = this.#settings.bytes
    const bytes = most === Infinity ? 0 : bytesOf(item)
    if (this.#held.length > 0 && this.#heldBytes + bytes > most) {
      this.#next = { item, bytes }
      this.#handOut()
      return true
    }
    this.#hold(item, bytes)
    if (!this.#isFull()) return false
    this.#handOut()
    return true
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
    return this.#held.length >= this.#settings.size || this.#heldBytes >= this.#settings.bytes
  }

  /**
   * @param {unknown} item
   * @param {number} bytes
   */
  #hold(item, bytes) {
    this.#held.push(item)
    this.#heldBytes += bytes
    const { wait } = this.#settings
    if (wait === undefined || this.#held.length > 1) return
    this.#timer = setTimeout(() => {
      this.#late = true
      this.wake()
    }, wait)
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
