// The results of a run on the readable side of a Node stream: `toReadable()` is nothing else, `throughWorkers()` has
// a writable side as well.

import { Readable } from 'node:stream'
import { heedAbort, ignoreAbort } from './abort-listeners.js'
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
    this.#results.read()
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
  /** The stream has room. */
  #wanted = false
  /** The loop of `#push()` is at work: who reads in a 'data' listener comes back to it. */
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

  /** Destroy the stream when the signal is aborted. */
  heedSignal() {
    // If it is already: later, because a pipeline refuses to be made of what was destroyed before.
    if (this.#signal?.aborted) process.nextTick(this.#onAbort)
    else this.#heed()
  }

  /** The stream asks for more: it does not ask again before it has got some. */
  read() {
    this.#wanted = true
    this.#push()
  }

  /** There may be more now, and the stream may have room for it without having asked. */
  proceed() {
    const { readableLength, readableHighWaterMark } = this.#stream
    if (readableLength < readableHighWaterMark) this.#wanted = true
    this.#push()
  }

  /**
   * The stream is being destroyed: cancel.
   * @param {Error | null} error
   * @param {(error?: Error | null) => void} callback
   */
  leave(error, callback) {
    this.#over = true
    this.#ignore()
    const leave = this.#leave
    leave().then(
      () => callback(error),
      // What came first wins over a failure to close the source.
      (failure) => callback(error ?? forStream(failure)),
    )
  }

  /** Push as long as the stream wants more; if there is nothing to push, what comes next. */
  #push() {
    if (this.#asked || this.#pushing || this.#over) return
    this.#pushing = true
    try {
      const run = this.#run ?? this.#start()
      while (run !== undefined && this.#isWanted()) {
        // Without a promise per result as long as there are any.
        if (run.poll()) {
          this.#give(run.value)
        } else if (this.#isWanted()) {
          this.#asked = true
          run.next().then(this.#onResult, this.#onError)
          break
        }
      }
    } finally {
      this.#pushing = false
    }
  }

  /** What ran meanwhile may have destroyed the stream. */
  #isWanted() {
    return this.#wanted && !this.#over
  }

  #start() {
    // From here on the call hears of an abort first and tells it: it cuts off what runs, where leaving lets that end.
    this.#ignore()
    const started = this.#started
    try {
      this.#run = started()
    } catch (error) {
      this.#onError(error)
      return undefined
    }
    this.#run?.onStop(this.#onStop)
    if (this.#run === undefined) this.#end()
    return this.#run
  }

  /** @param {IteratorResult<any, undefined>} result */
  #onResult = ({ done, value }) => {
    this.#asked = false
    if (this.#over) return
    if (done) {
      this.#end()
    } else {
      this.#give(value)
      this.#push()
    }
  }

  /** @param {unknown} error */
  #onError = (error) => {
    this.#asked = false
    this.#over = true
    const destroy = () => this.#stream.destroy(forStream(error))
    // That drops what is not read. Who reads as it comes has read all of it by the end of this turn.
    if (this.#stream.readableLength > 0) setImmediate(destroy)
    else destroy()
  }

  #onStop = () => {
    if (this.#over) return
    // A call tells one stop only: after that of an item it may yet be aborted.
    if (this.#signal?.aborted) return this.#onAbort()
    this.#heed()
    // Nobody may be reading. Ask for one more, then: what was aborted answers at once, what has failed in its turn.
    // Later, because a reader that is woken here would run in the middle of the call.
    queueMicrotask(() => {
      this.#wanted = true
      this.#push()
    })
  }

  #heed() {
    if (this.#signal !== undefined) heedAbort(this.#signal, this.#onAbort)
  }

  #ignore() {
    if (this.#signal !== undefined) ignoreAbort(this.#signal, this.#onAbort)
  }

  #onAbort = () => {
    this.#stream.destroy(forStream(this.#signal?.reason))
  }

  #end() {
    this.#over = true
    this.#stream.push(null)
  }

  /** @param {any} result */
  #give(result) {
    if (result === null) {
      const expected = 'anything but null, which a stream takes for its end'
      this.#stream.destroy(invalidArgType('result', expected, result))
      return
    }
    // Before the push: who reads in a 'data' listener asks for more in the middle of it.
    this.#wanted = false
    if (this.#stream.push(result)) this.#wanted = true
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
