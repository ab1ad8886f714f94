// Keys of items: what `key(item)` may be, and the partition that stands for it where workers run the items.

import { invalidArgType } from './errors.js'

/** @typedef {string | number | bigint | boolean} Key */

/**
 * @param {(item: any) => unknown} keyOf
 * @param {unknown} item
 * @returns {Key}
 * @throws whatever `keyOf` throws; {TypeError} ERR_INVALID_ARG_TYPE: it is no key
 */
export function checkedKey(keyOf, item) {
  const key = keyOf(item)
  switch (typeof key) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return key
    default:
      throw invalidArgType('key(item)', 'a string, a number, a bigint or a boolean', key)
  }
}

/** The partitions of the items of a chunk that is written. */
export class KeyList {
  #keys = new Uint16Array(64)
  #count = 0

  /** @param {number} partition */
  push(partition) {
    if (this.#count === this.#keys.length) {
      const keys = new Uint16Array(this.#count * 2)
      keys.set(this.#keys)
      this.#keys = keys
    }
    this.#keys[this.#count++] = partition
  }

  /** All of them, to be copied before the next one comes: the chunk has left. */
  take() {
    const count = this.#count
    this.#count = 0
    return this.#keys.subarray(0, count)
  }
}

/** What is sent of items that have none. */
export const NO_KEYS = new Uint16Array(0)

/**
 * FNV-1a (Fowler, Noll, Vo) over the characters, and over the type: 1 and '1' are two keys.
 * @param {Key} key
 * @returns {number} from 0 to 4095: `PARTITIONS` in `src/engine/keyed.rs`
 */
export function partitionOf(key) {
  const text = String(key)
  let hash = 0x811c9dc5 ^ (typeof key).charCodeAt(0)
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  // Its high bits are the better ones.
  return (hash ^ (hash >>> 15)) >>> 20
}
