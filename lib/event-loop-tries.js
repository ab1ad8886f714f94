// How often items on this event loop are tried, and how long: what waits for its next try, and what runs against time.
// Made only for a call with `retries` or a `timeout`; the run asks it, and is told what became of an item.

import { CallSignal } from './context.js'
import { TaskTimeoutError } from './errors.js'
import { noteFailure, withError } from './failure.js'

/** @typedef {import('./event-loop.js').Slot} Slot */
/**
 * What the run is told.
 * @typedef {object} Told
 * @property {(slot: Slot, error: unknown) => void} failed a try has failed: its time is over
 * @property {(index: number, error: unknown, attempt: number, errors: readonly unknown[]) => void} concluded the item has failed
 * @property {() => void} goOn something has ended, or is due, that no slot waits for
 */
/**
 * @typedef {object} Retry
 * @property {number} index
 * @property {any} item
 * @property {number} attempt the try that failed
 * @property {readonly unknown[]} errors of the tries before it
 * @property {unknown} error of it
 * @property {NodeJS.Timeout | undefined} clock
 */
/** @typedef {{ timer: NodeJS.Timeout, started: number, signal: CallSignal }} Clock */

export class ItemTries {
  /** Milliseconds for one try; 0: as long as it likes. @type {number} */
  timeout

  #settings
  #told
  /** Of the whole call. */
  #signal
  /** Items that failed and wait for their next try, or for the word that there is one. @type {Set<Retry>} */
  #waiting = new Set()
  /** Those of them whose time has come. @type {Retry[]} */
  #due = []
  /** Items with a time-out that run: each has a signal of its own. @type {Set<Slot>} */
  #timed = new Set()

  /**
   * @param {Readonly<import('./options.js').TrySettings>} settings
   * @param {CallSignal} signal of the call
   * @param {Told} told
   */
  constructor(settings, signal, told) {
    this.#settings = settings
    this.timeout = settings.timeout
    this.#signal = signal
    this.#told = told
  }

  /** Whether something waits for its next try. */
  get waits() {
    return this.#waiting.size > 0
  }

  /** Take an item whose next try is due. */
  takeDue() {
    const retry = this.#due.shift()
    if (retry !== undefined) this.#waiting.delete(retry)
    return retry
  }

  /**
   * A try has failed. False: it was the last. True: the item waits, for its next try or for the word that there is one.
   * @param {Slot} slot
   * @param {unknown} error
   */
  keep({ index, item, attempt, errors }, error) {
    if (attempt > this.#settings.retries || attempt === 0) return false
    noteFailure(error, { index, attempt, errors })
    const retry = { index, item, attempt, errors, error, clock: undefined }
    this.#waiting.add(retry)
    if (this.#settings.retryIf === undefined) this.#delay(retry)
    else this.#ask(retry)
    return true
  }

  /**
   * Nothing waits for another try any more.
   * @returns {number[]} the indexes of what did
   */
  drop() {
    this.#due.length = 0
    const indexes = []
    for (const { index, clock } of this.#waiting) {
      clearTimeout(clock)
      indexes.push(index)
    }
    this.#waiting.clear()
    return indexes
  }

  /**
   * An item begins: its time runs.
   * @param {Slot} slot
   */
  time(slot) {
    const signal = new CallSignal()
    const timer = setTimeout(() => {
      this.#cutOff(slot, signal)
      this.#told.goOn()
    }, this.timeout)
    slot.clock = { timer, started: performance.now(), signal }
    this.#timed.add(slot)
    if (this.#signal.raised) signal.raise(undefined)
    return signal
  }

  /**
   * A mapper has come back. True: too late, or it did not run; its outcome is known.
   * @param {Slot} slot
   */
  isLate(slot) {
    const { clock, cutOff } = slot
    if (clock === undefined) return false
    slot.clock = undefined
    slot.cutOff = false
    this.#timed.delete(slot)
    if (cutOff) return true
    clearTimeout(clock.timer)
    // One that never lets go of the event loop is past its timer.
    if (performance.now() - clock.started < this.timeout) return false
    this.#cutOff(slot, clock.signal)
    slot.cutOff = false
    return true
  }

  /** @param {unknown} reason the results are no longer wanted */
  raise(reason) {
    for (const { clock } of this.#timed) clock?.signal.raise(reason)
  }

  /** What still runs is given its time, but nobody waits for that. */
  unref() {
    for (const { clock } of this.#timed) clock?.timer.unref()
  }

  /**
   * The time of an item is over. It keeps its slot until it has really ended: nobody can stop it.
   * @param {Slot} slot
   * @param {CallSignal} signal
   */
  #cutOff(slot, signal) {
    const { index, attempt } = slot
    const error = new TaskTimeoutError(`Item ${index} took longer than ${this.timeout} ms`, {
      index,
      attempt,
    })
    slot.cutOff = true
    signal.raise(error)
    this.#told.failed(slot, error)
  }

  /** @param {Retry} retry */
  async #ask(retry) {
    const { index, attempt, error } = retry
    let again
    let thrown = error
    let { errors } = retry
    try {
      again = await this.#settings.retryIf?.(error, { index, attempt })
    } catch (reason) {
      thrown = reason
      errors = withError(errors, error)
    }
    if (!this.#waiting.has(retry)) return
    if (again) {
      this.#delay(retry)
      return
    }
    this.#waiting.delete(retry)
    this.#told.concluded(index, thrown, attempt, errors)
    this.#told.goOn()
  }

  /** @param {Retry} retry */
  #delay(retry) {
    const { initial, factor, max, jitter } = this.#settings.backoff
    const whole = initial === 0 ? 0 : Math.min(max, initial * factor ** (retry.attempt - 1))
    retry.clock = setTimeout(
      () => {
        this.#due.push(retry)
        this.#told.goOn()
      },
      whole * (1 - jitter * Math.random()),
    )
  }
}
