// `take()` and `drop()`: the first results, or all but those.

import { MORE, SourceRun, TAKEN } from './source-run.js'

export class TakeRun extends SourceRun {
  #left

  /**
   * @param {import('./source.js').Source} source
   * @param {number} count
   */
  constructor(source, count) {
    super(source)
    this.#left = count
  }

  /** @override */
  offer() {
    if (this.#left === 0) this.enough()
    return super.offer(false)
  }

  /**
   * @override
   * @param {any} item
   */
  accept(item) {
    this.value = item
    // At once, not when somebody asks for more: what is not wanted should not start.
    if (--this.#left === 0) this.enough()
    return TAKEN
  }
}

export class DropRun extends SourceRun {
  #left

  /**
   * @param {import('./source.js').Source} source
   * @param {number} count
   */
  constructor(source, count) {
    super(source)
    this.#left = count
  }

  /**
   * @override
   * @param {any} item
   */
  accept(item) {
    if (this.#left > 0) {
      this.#left--
      return MORE
    }
    this.value = item
    return TAKEN
  }
}
