// Items that are promises, waiting for their values. They leave in the order in which they came, so one waits for those
// before it; all of them are awaited at once.

import { isThenable } from './source.js'

/** @typedef {{ settled: boolean, failed: boolean, value: unknown }} PromisedItem */

export class PromisedItems {
  /** @type {PromisedItem[]} */
  #items = []
  #onSettled

  /** @param {() => void} onSettled one of them has settled */
  constructor(onSettled) {
    this.#onSettled = onSettled
  }

  get count() {
    return this.#items.length
  }

  /** @param {unknown} value a promise, or a value that follows one */
  push(value) {
    /** @type {PromisedItem} */
    const item = { settled: !isThenable(value), failed: false, value }
    this.#items.push(item)
    if (item.settled) return
    const settle = (/** @type {boolean} */ failed) => (/** @type {unknown} */ result) => {
      item.settled = true
      item.failed = failed
      item.value = result
      this.#onSettled()
    }
    Promise.resolve(value).then(settle(false), settle(true))
  }

  /** The first one, if it has settled. */
  shift() {
    return this.#items[0]?.settled ? this.#items.shift() : undefined
  }

  clear() {
    this.#items.length = 0
  }
}
