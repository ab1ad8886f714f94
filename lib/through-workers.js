// `parallelMap` as a stage of Node streams: what is written is the source of a call, its results are read.
// A write is called back when its chunk was pulled, so a full window holds the writer back, and the buffer of the
// writable side then comes as one array.

import { Duplex } from 'node:stream'
import { plannedCall } from './planned-call.js'
import { PushedResults } from './readable.js'
import { DONE, ITEM, PENDING, Source } from './source.js'

/**
 * @param {unknown} mapper
 * @param {unknown} [options]
 * @returns {Duplex}
 */
export function throughWorkers(mapper, options) {
  const { settings, start } = plannedCall(mapper, options)
  return new MappedStream(start, settings.signal)
}

class MappedStream extends Duplex {
  #written = new WrittenItems()
  #results
  /** @type {import('./outcome.js').Run<any> | undefined} */
  #run
  /** Something was written, or the end. */
  #begun = false

  /**
   * @param {(source: Source) => import('./outcome.js').Run<any>} start
   * @param {AbortSignal | undefined} signal
   */
  constructor(start, signal) {
    super({ objectMode: true })
    const started = () => {
      this.#run = start(this.#written)
      return this.#run
    }
    this.#results = new PushedResults(this, started, async () => this.#run?.return(), signal)
    this.#results.heedSignal()
  }

  /** @override */
  _read() {
    if (this.#begun) this.#results.read()
  }

  /**
   * @override
   * @param {any} chunk
   * @param {BufferEncoding} _encoding
   * @param {(error?: Error | null) => void} callback
   */
  _write(chunk, _encoding, callback) {
    this._writev([{ chunk }], callback)
  }

  /**
   * @override
   * @param {readonly { chunk: any }[]} chunks
   * @param {(error?: Error | null) => void} callback
   */
  _writev(chunks, callback) {
    this.#written.put(chunks, callback)
    this.#proceed()
  }

  /**
   * @override
   * @param {(error?: Error | null) => void} callback
   */
  _final(callback) {
    this.#written.end()
    this.#proceed()
    callback()
  }

  /**
   * @override
   * @param {Error | null} error
   * @param {(error?: Error | null) => void} callback
   */
  _destroy(error, callback) {
    this.#results.leave(error, (failure) => {
      callback(failure)
      const unwritten = this.#written.takeCallback()
      // After 'close': a stream that was destroyed without an error must not look as if it had one until then.
      if (unwritten !== undefined) process.nextTick(unwritten, failure ?? destroyedError())
    })
  }

  /** Work as soon as there is something to do, not only when somebody reads: as a Transform does. */
  #proceed() {
    this.#begun = true
    this.#results.proceed()
  }
}

/** The source of the call: what was written. */
class WrittenItems extends Source {
  /** @type {readonly { chunk: any }[]} */
  #chunks = NOTHING
  #next = 0
  /** Of the write that is under way. @type {((error?: Error | null) => void) | undefined} */
  #callback
  #ended = false
  /** Somebody waits for `ready`. @type {(() => void) | undefined} */
  #wake

  /** @override */
  pull() {
    if (this.#next < this.#chunks.length) {
      this.value = this.#chunks[this.#next++].chunk
      this.index++
      if (this.#next === this.#chunks.length) this.#accepted()
      return ITEM
    }
    this.value = undefined
    if (this.#ended) return DONE
    if (this.#wake === undefined) {
      this.ready = new Promise((resolve) => {
        this.#wake = () => resolve(undefined)
      })
    }
    return PENDING
  }

  /** @override */
  close() {
    this.end()
    this.#chunks = NOTHING
    this.#next = 0
    return super.close()
  }

  /**
   * @param {readonly { chunk: any }[]} chunks
   * @param {(error?: Error | null) => void} callback
   */
  put(chunks, callback) {
    this.#callback = callback
    // After an error of the call, or its end, nothing is accepted any more: the writer waits for what destroys the stream.
    if (this.#ended) return
    this.#chunks = chunks
    this.#next = 0
    this.#tell()
  }

  /** No more will be written. */
  end() {
    this.#ended = true
    this.#tell()
  }

  /** What is still to be called back. */
  takeCallback() {
    const callback = this.#callback
    this.#callback = undefined
    return callback
  }

  #accepted() {
    this.#chunks = NOTHING
    this.#next = 0
    const callback = this.takeCallback()
    // Not from here: whatever listens to the writer would run in the middle of a pull.
    if (callback !== undefined) process.nextTick(callback)
  }

  #tell() {
    this.#wake?.()
    this.#wake = undefined
  }
}

/** As Node says it of the writes that were buffered behind. */
function destroyedError() {
  const error = new Error('Cannot call write after a stream was destroyed')
  return Object.assign(error, { code: 'ERR_STREAM_DESTROYED' })
}

/** @type {readonly { chunk: any }[]} */
const NOTHING = []
