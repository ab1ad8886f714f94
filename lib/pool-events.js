// What a pool tells those who listen: what its workers write, and when they start and end. It happens while a batch is
// read, and listeners may do anything, so they are called when all of the batch has found its place.

import { EventEmitter } from 'node:events'
import { callerContext, runApart, runIn } from './async-context.js'
import { invalidArgType } from './errors.js'

export class PoolEvents {
  #emitter = new EventEmitter()
  /** Listeners are called in the context of the one who made the pool, as those of any resource of Node. */
  #context = callerContext()
  /** @type {[name: string, ...args: unknown[]][]} */
  #waiting = []

  /**
   * @param {'on' | 'once' | 'off'} method
   * @param {unknown} event
   * @param {unknown} listener
   * @throws {TypeError} ERR_INVALID_ARG_TYPE
   */
  change(method, event, listener) {
    if (typeof event !== 'string' || !NAMES.includes(event)) throw invalidArgType('event', EXPECTED, event)
    if (typeof listener !== 'function') throw invalidArgType('listener', 'a function', listener)
    this.#emitter[method](event, /** @type {(...args: any[]) => void} */ (listener))
  }

  /**
   * Whether somebody wants to hear of it.
   * @param {string} event
   */
  has(event) {
    return this.#emitter.listenerCount(event) > 0
  }

  /**
   * @param {string} event
   * @param {unknown[]} args
   */
  add(event, ...args) {
    if (this.has(event)) this.#waiting.push([event, ...args])
  }

  /** Tell what has been added. */
  flush() {
    for (const event of this.#waiting.splice(0)) {
      try {
        runIn(this.#context, () => runApart(() => this.#emitter.emit(...event)))
      } catch (error) {
        // The listener's, which no call of ours may fail of: nobody catches it, as with any listener of Node.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

const NAMES = [
  'stdout',
  'stderr',
  'workerStart',
  'workerRecycle',
  'workerExit',
  'message',
  'progress',
  // Never told. Node's `events.once()` and `events.on()` listen to it beside the one that is asked for.
  'error',
]
const EXPECTED = `one of ${NAMES.map((name) => `'${name}'`).join(', ')}`
