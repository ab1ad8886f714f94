// How items ended, from the end of an item to its delivery: entries in the order in which they are to be delivered,
// filled in any order. A power of two of them, which grows to the most that was ever between head and newest entry.

/** Not there yet. */
export const EMPTY = 0
export const VALUE = 1
/** Nothing to deliver. Never stands at the head for long: see `passSkipped()`. */
export const SKIPPED = 2
/** Here something is thrown; what, the owner knows. */
export const FAILURE = 3

export class ResultRing {
  /** Position of the next entry to deliver. */
  head = 0
  #mask
  /** @type {number[]} */
  #states
  /** @type {unknown[]} */
  #values

  /** @param {number} window the most entries there will be; small ones are made at once */
  constructor(window) {
    const size = powerOfTwo(Math.min(window, LARGEST_AT_FIRST))
    this.#mask = size - 1
    this.#states = new Array(size).fill(EMPTY)
    this.#values = new Array(size).fill(undefined)
  }

  /** What stands at the head. */
  get state() {
    return this.#states[this.head & this.#mask]
  }

  /**
   * @param {number} position
   * @param {number} state
   * @param {unknown} value
   */
  put(position, state, value) {
    if (position - this.head > this.#mask) this.#grow(position - this.head + 1)
    this.#states[position & this.#mask] = state
    this.#values[position & this.#mask] = value
  }

  /** Take the VALUE at the head. */
  take() {
    const entry = this.head & this.#mask
    const value = this.#values[entry]
    this.#states[entry] = EMPTY
    this.#values[entry] = undefined
    this.head++
    return value
  }

  /** @returns {number} how many entries at the head were SKIPPED and are gone now */
  passSkipped() {
    const start = this.head
    while (this.#states[this.head & this.#mask] === SKIPPED) {
      this.#states[this.head & this.#mask] = EMPTY
      this.head++
    }
    return this.head - start
  }

  /** Drop everything; nothing is put after that. */
  clear() {
    this.#mask = 0
    this.#states = [EMPTY]
    this.#values = [undefined]
  }

  /** @param {number} entries that have to fit */
  #grow(entries) {
    const size = powerOfTwo(entries)
    const states = new Array(size).fill(EMPTY)
    const values = new Array(size).fill(undefined)
    for (let from = this.head; from <= this.head + this.#mask; from++) {
      states[from & (size - 1)] = this.#states[from & this.#mask]
      values[from & (size - 1)] = this.#values[from & this.#mask]
    }
    this.#mask = size - 1
    this.#states = states
    this.#values = values
  }
}

/** @param {number} least */
function powerOfTwo(least) {
  return least <= 1 ? 1 : 1 << (32 - Math.clz32(least - 1))
}

const LARGEST_AT_FIRST = 64
