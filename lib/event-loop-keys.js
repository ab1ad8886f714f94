// Items with keys on this event loop: of each key one item at a time, in the order of the source. An item whose key is
// busy waits here without a slot. Made only for a call with `key`; the run asks it what may start.

import { checkedKey } from './item-key.js'
import { PromisedItems } from './promised-items.js'
import { isThenable } from './source.js'

/**
 * An item that waits, or may start.
 * @typedef {object} KeyedItem
 * @property {number} index
 * @property {any} value of the item, or why it has failed before anything of it ran
 * @property {boolean} failed
 * @property {import('./item-key.js').Key} key not of one that has failed
 */

export class ItemKeys {
  #keyOf
  /** Items that are promises, and all after them: a key is known only of what is there. */
  #promised
  /** The index of the next item to get its key. */
  #next = 0
  /** Those that may start, oldest first. @type {KeyedItem[]} */
  #ready = []
  /** Those that wait for another one of their key: every key that is busy has a list. @type {Map<import('./item-key.js').Key, KeyedItem[]>} */
  #waiting = new Map()
  /** Those that are under way, by index: they have not ended, or something of them still runs. @type {Map<number, { key: import('./item-key.js').Key, slots: number, ended: boolean }>} */
  #underWay = new Map()

  /**
   * @param {(item: any) => unknown} keyOf
   * @param {() => void} onReady a promise has settled: something may start
   */
  constructor(keyOf, onReady) {
    this.#keyOf = keyOf
    this.#promised = new PromisedItems(onReady)
  }

  /** Whether something waits to be started. */
  get waits() {
    if (this.#promised.count > 0 || this.#ready.length > 0) return true
    for (const items of this.#waiting.values()) if (items.length > 0) return true
    return false
  }

  /** @param {any} value an item that was pulled, or a promise of it */
  add(value) {
    if (this.#promised.count > 0 || isThenable(value)) this.#promised.push(value)
    else this.#admit(value, false)
  }

  /** The next item that may start. It is under way then, and has a slot, unless it has failed. */
  take() {
    for (let item = this.#promised.shift(); item !== undefined; item = this.#promised.shift())
      this.#admit(item.value, item.failed)
    const item = this.#ready.shift()
    if (item !== undefined && !item.failed)
      this.#underWay.set(item.index, { key: item.key, slots: 1, ended: false })
    return item
  }

  /** @param {number} index of an item that has a slot again, for its next try */
  startAgain(index) {
    const item = this.#underWay.get(index)
    if (item !== undefined) item.slots++
  }

  /** @param {number} index of an item that has its outcome */
  end(index) {
    const item = this.#underWay.get(index)
    if (item === undefined) return
    item.ended = true
    this.#leave(index, item)
  }

  /** @param {number} index of an item whose slot is free again */
  release(index) {
    const item = this.#underWay.get(index)
    if (item === undefined) return
    item.slots--
    this.#leave(index, item)
  }

  /**
   * Nothing starts any more.
   * @returns {number[]} the indexes of what has waited
   */
  drop() {
    const indexes = this.#ready.map(({ index }) => index)
    for (const items of this.#waiting.values()) for (const { index } of items) indexes.push(index)
    for (let left = this.#promised.count; left > 0; left--) indexes.push(this.#next++)
    this.#ready = []
    this.#waiting.clear()
    this.#underWay.clear()
    this.#promised = new PromisedItems(() => {})
    return indexes
  }

  /**
   * @param {any} value
   * @param {boolean} failed
   */
  #admit(value, failed) {
    const index = this.#next++
    /** @type {KeyedItem} */
    const item = { index, value, failed, key: '' }
    if (!failed) {
      try {
        item.key = checkedKey(this.#keyOf, value)
      } catch (error) {
        item.failed = true
        item.value = error
      }
    }
    if (item.failed) {
      this.#ready.push(item)
      return
    }
    const waiting = this.#waiting.get(item.key)
    if (waiting !== undefined) {
      waiting.push(item)
      return
    }
    this.#waiting.set(item.key, [])
    this.#ready.push(item)
  }

  /**
   * @param {number} index
   * @param {{ key: import('./item-key.js').Key, slots: number, ended: boolean }} item
   */
  #leave(index, { key, slots, ended }) {
    if (!ended || slots > 0) return
    this.#underWay.delete(index)
    const next = this.#waiting.get(key)?.shift()
    if (next === undefined) this.#waiting.delete(key)
    else this.#ready.push(next)
  }
}
