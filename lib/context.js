// What a mapper is told beside its item. A context is made per item, so it holds three fields and looks up the rest; the
// signal is one for the whole call, and made only if a mapper looks at it (an AbortController costs 1.6 µs).

import { setMaxListeners } from 'node:events'
import { skip } from './outcome.js'

export class Context {
  #call
  #attempt

  /**
   * @param {number} index position of the item in its source, from 0
   * @param {{ readonly signal: AbortSignal }} call
   * @param {number} [attempt] which try at the item it is, from 1
   */
  constructor(index, call, attempt = 1) {
    this.index = index
    this.#call = call
    this.#attempt = attempt
  }

  get attempt() {
    return this.#attempt
  }

  get signal() {
    return this.#call.signal
  }

  get skip() {
    return skip
  }
}

/** Where the `signal` of all contexts of one call comes from. */
export class CallSignal {
  /** @type {AbortController | undefined} */
  #controller
  /** @type {{ reason: unknown } | undefined} */
  #raised

  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      // Every item that runs may listen: that is no leak to warn about.
      setMaxListeners(0, this.#controller.signal)
      if (this.#raised !== undefined) this.#controller.abort(this.#raised.reason)
    }
    return this.#controller.signal
  }

  get raised() {
    return this.#raised !== undefined
  }

  /**
   * The results are no longer wanted. The first reason counts.
   * @param {unknown} reason undefined: an AbortError
   */
  raise(reason) {
    if (this.#raised !== undefined) return
    this.#raised = { reason }
    this.#controller?.abort(reason)
  }
}
