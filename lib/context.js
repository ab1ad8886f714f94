// What a mapper is told beside its item. A context is made per item, so it holds three fields and looks up the rest; the
// signal is one for the whole call, and made only if a mapper looks at it (an AbortController costs 1.6 µs).

import { setMaxListeners } from 'node:events'
import { invalidArgType, outOfRange } from './errors.js'
import { skip } from './outcome.js'

export class Context {
  #call
  #attempt

  /**
   * @param {number} index position of the item in its source, from 0
   * @param {{ readonly signal: AbortSignal, readonly talk?: import('./worker-talk.js').Talk | undefined }} call
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

  /** A function of its own, so that it can be taken out of its context. */
  get emit() {
    const { index } = this
    const { talk } = this.#call
    return (/** @type {unknown} */ value) => talk?.emit(index, value)
  }

  get progress() {
    const { index } = this
    const { talk } = this.#call
    return (/** @type {number} */ done, /** @type {number} */ total = 1) => {
      if (!(typeof done === 'number' && done >= 0 && done < Infinity))
        throw invalidNumber('done', AT_LEAST, done)
      if (!(typeof total === 'number' && total > 0 && total < Infinity))
        throw invalidNumber('total', OVER, total)
      talk?.progress(index, done, total)
    }
  }
}

/**
 * @param {string} name
 * @param {string} expected
 * @param {unknown} value
 */
function invalidNumber(name, expected, value) {
  return typeof value === 'number' ? outOfRange(name, expected, value) : invalidArgType(name, expected, value)
}

const AT_LEAST = 'a finite number from 0'
const OVER = 'a finite number over 0'

/** Where the `signal` of all contexts of one call comes from. */
export class CallSignal {
  /** @type {AbortController | undefined} */
  #controller
  /** @type {{ reason: unknown } | undefined} */
  #raised

  /** @param {import('./worker-talk.js').Talk} [talk] where its mappers can be heard */
  constructor(talk) {
    this.talk = talk
  }

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
