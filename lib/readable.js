// The results of a run on the readable side of a Node stream: `toReadable()` is nothing else, `throughWorkers()` has
// a writable side as well.

import { Readable } from 'node:stream'
import { FalsyValueError, invalidArgType } from './errors.js'

/** @typedef {() => import('./outcome.js').Run<any> | undefined} Started begin, if that has not happened; undefined: it was left before */

/**
 * @param {Started} started called by the first read
 * @param {() => Promise<unknown>} leave cancel, or close what has not begun
 * @param {AbortSignal} [signal] of the call: what nobody reads at the moment hears of its abort, too
 * @returns {Readable}
 */
export function readableOf(started, leave, signal) {
  return new ResultReadable(started, leave, signal)
}

class ResultReadable extends Readable {
  #results

  /**
   * @param {Started} started
   * @param {() => Promise<unknown>} leave
   * @param {AbortSignal | undefined} signal
   */
  constructor(started, leave, signal) {
    super({ objectMode: true })
    this.#results = new PushedResults(this, started, leave, signal)
    this.#results.heedSignal()
  }

  /** @override */
  _read() {
    this.#results.push()
  }

  /**
   * @override
   * @param {Error | null} error
   * @param {(error?: Error | null) => void} callback
   */
  _destroy(error, callback) {
    this.#results.leave(error, callback)
  }
}

/** Takes results from a run as the stream wants them. */
export class PushedResults {
  #stream
  #started
  #leave
  #signal
  /** @type {import('./outcome.js').Run<any> | undefined} */
  #run
  /** A `next()` has not been answered yet: there is never a second one. */
  #asked = false
  /** The loop below is at work: who reads in a 'data' listener comes back to it. */
  #pushing = false
  #over = false

  /**
   * @param {Readable | import('node:stream').Duplex} stream
   * @param {Started} started
   * @param {() => Promise<unknown>} leave
   * @param {AbortSignal | undefined} signal
   */
  constructor(stream, started, leave, signal) {
    this.#stream = stream
    this.#started = started
    this.#leave = leave
    this.#signal = signal
  }

  /** Destroy the stream when the signal is aborted, at once if it is. For the end of the stream's constructor. */
  heedSignal() {
    if (this.#signal?.aborted) this.#onAbort()
    else this.#signal?.addEventListener('abort', this.#onAbort)
  }

  /** Push what the stream has room for; if there is nothing to push, what comes next. */
  push() {
    if (this.#asked || this.#pushing || this.#over) return
    const stream = this.#stream
    this.#pushing = true
    try {
      const run = this.#run ?? this.#start()
      let wants = run !== undefined && stream.readableLength < stream.readableHighWaterMark
      while (wants && run !== undefined) {
        // Without a promise per result as long as there are any.
        if (run.poll()) {
          wants = this.#give(run.value)
        } else {
          wants = false
          // What ran just now may have destroyed the stream.
          if (this.#over) break
          this.#asked = true
          run.next().then(this.#onResult, this.#onError)
        }
      }
    } finally {
      this.#pushing = false
    }
  }

  /**
   * The stream is being destroyed: cancel.
   * @param {Error | null} error
   * @param {(error?: Error | null) => void} callback
   */
  leave(error, callback) {
    this.#over = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    const leave = this.#leave
    leave().then(
      () => callback(error),
      // What came first wins over a failure to close the source.
      (failure) => callback(error ?? forStream(failure)),
    )
  }

  #start() {
    const signal = this.#signal
    // The call has to hear of an abort before the stream does: it cuts off what runs, where leaving lets that end.
    signal?.removeEventListener('abort', this.#onAbort)
    const started = this.#started
    try {
      this.#run = started()
    } catch (error) {
      this.#onError(error)
      return undefined
    }
    signal?.addEventListener('abort', this.#onAbort)
    if (this.#run === undefined) this.#end()
    return this.#run
  }

  /** @param {IteratorResult<any, undefined>} result */
  #onResult = ({ done, value }) => {
    this.#asked = false
    if (this.#over) return
    if (done) this.#end()
    else if (this.#give(value)) this.push()
  }

  /** @param {unknown} error */
  #onError = (error) => {
    this.#asked = false
    this.#stream.destroy(forStream(error))
  }

  #onAbort = () => {
    this.#stream.destroy(forStream(this.#signal?.reason))
  }

  #end() {
    this.#over = true
    this.#stream.push(null)
  }

  /**
   * @param {any} result
   * @returns {boolean} whether the stream wants more
   */
  #give(result) {
    if (result !== null) return this.#stream.push(result)
    this.#stream.destroy(
      invalidArgType('result', 'anything but null, which a stream takes for its end', result),
    )
    return false
  }
}

/**
 * An error as `destroy()` needs it: what is falsy would be no error at all.
 * @param {any} error
 * @returns {Error}
 */
function forStream(error) {
  if (error) return error
  const thrown = typeof error === 'string' ? 'an empty string' : String(error)
  return new FalsyValueError(`What was thrown is ${thrown}, which a stream takes for no error`, {
    cause: error,
  })
}
