// The results of one run as the source of the next: stages of one chain, without a promise per result as long as there
// are any.

import { DONE, FAILED, ITEM, PENDING, Source } from './source.js'

/**
 * What is pulled.
 * @typedef {object} Stage
 * @property {() => import('./outcome.js').Run<any> | undefined} started begin, if that has not happened; undefined: it was left before
 * @property {() => Promise<unknown>} leave cancel, or close what has not begun
 * @property {Promise<void>} finished nothing of it runs any more
 */

/**
 * A run that has begun, as a stage.
 * @param {import('./outcome.js').Run<any>} run
 * @returns {Stage}
 */
export function stageOf(run) {
  return {
    started: () => run,
    leave: () => run.return(),
    get finished() {
      return run.finished
    },
  }
}

export class RunSource extends Source {
  #stage
  /** @type {import('./outcome.js').Run<any> | undefined} */
  #run
  /** DONE or FAILED once nothing more comes. */
  #end = ITEM
  #waiting = false
  /** Whether `#arrived` holds a result that was not handed out yet. */
  #full = false
  /** @type {unknown} */
  #arrived
  /** @type {Promise<void> | undefined} */
  #closed
  /** @type {((error: unknown) => void) | undefined} */
  #tellStop
  /** @type {(() => void) | undefined} */
  #wake

  /** @param {Stage} stage */
  constructor(stage) {
    super()
    this.#stage = stage
  }

  /** @override */
  pull() {
    if (this.#full) {
      this.#full = false
      this.value = this.#arrived
      this.#arrived = undefined
      this.index++
      return ITEM
    }
    if (this.#end !== ITEM) return this.#end
    if (this.#closed !== undefined) return DONE
    if (this.#waiting) return PENDING
    const run = this.#started()
    if (run === undefined) return this.#end
    if (run.poll()) {
      this.value = run.value
      this.index++
      return ITEM
    }
    // What it has pulled itself may have closed this one.
    if (this.#end !== ITEM || this.#closed !== undefined) return DONE
    this.#waiting = true
    this.ready = run.next().then(this.#onResult, this.#onError)
    return PENDING
  }

  /** @override */
  whenReady(/** @type {() => void} */ fn) {
    this.#wake = fn
  }

  /** @override */
  onStop(/** @type {(error: unknown) => void} */ fn) {
    this.#tellStop = fn
    this.#run?.onStop(fn)
  }

  /** @override */
  close() {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** @override */
  get finished() {
    return this.#stage.finished
  }

  #started() {
    if (this.#run !== undefined) return this.#run
    try {
      this.#run = this.#stage.started()
      if (this.#run === undefined) this.#end = DONE
      else if (this.#tellStop !== undefined) this.#run.onStop(this.#tellStop)
    } catch (error) {
      this.#fail(error)
    }
    return this.#run
  }

  async #close() {
    this.#full = false
    this.#arrived = undefined
    if (this.#end !== ITEM) return
    this.#end = DONE
    // It answers a next() that waits, so nobody has to wait for that.
    await this.#stage.leave()
  }

  /** @param {IteratorResult<any, undefined>} result */
  #onResult = (result) => {
    this.#waiting = false
    if (this.#end === ITEM) {
      this.#full = !result.done
      if (result.done) this.#end = DONE
      else this.#arrived = result.value
    }
    this.#tell()
  }

  /** @param {unknown} error */
  #onError = (error) => {
    this.#waiting = false
    this.#fail(error)
    this.#tell()
  }

  #tell() {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#end !== ITEM) return
    this.error = error
    this.#end = FAILED
  }
}
