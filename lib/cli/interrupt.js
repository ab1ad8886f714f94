// Ctrl-C and its relatives: the first lets running work end, the second stops at once. The workers are in process groups
// of their own, so the terminal's signal reaches this process alone.

import { constants } from 'node:os'

export class Interrupt {
  /** The exit code that a shell expects; undefined: there was none. @type {number | undefined} */
  exitCode

  #soft
  #hard
  #stage = 0

  /**
   * @param {(signal: string) => void} soft
   * @param {() => void} hard
   */
  constructor(soft, hard) {
    this.#soft = soft
    this.#hard = hard
    for (const signal of SIGNALS) process.on(signal, this.#onSignal)
  }

  #onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    this.exitCode ??= 128 + constants.signals[signal]
    if (this.#stage++ === 0) {
      this.#soft(signal)
      return
    }
    // A third one does what it does to any program.
    for (const handled of SIGNALS) process.off(handled, this.#onSignal)
    this.#hard()
  }
}

/** @type {readonly NodeJS.Signals[]} */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
