// One call on a pool: pulls the source on credit, encodes items into chunks, and serves results from a local buffer.
// The engine (Rust) decides everything that concerns more than one item: order, window, who runs what.

import { ENTRY_WORDS, ERROR, indexOf, LOST, SKIPPED, statusOf, VALUE } from './batch-reader.js'
import { ItemWriter } from './item-writer.js'
import { fulfilled, ItemErrors, rejected } from './outcome.js'
import { DONE, FAILED, ITEM, isThenable, PENDING } from './source.js'
import { crashError } from './worker-failure.js'

/** @typedef {import('./batch-reader.js').Entries} Entries */
/** @typedef {{ resolve(result: IteratorResult<any, undefined>): void, reject(error: unknown): void }} Waiter */
/** @typedef {{ settled: boolean, failed: boolean, value: unknown }} PromisedItem */

export class PoolCall {
  /** The result that the last `poll()` took. @type {any} */
  value = undefined
  /** @type {number} */
  id

  #core
  #source
  #settings
  #writer
  #phase = ACTIVE

  /** Items and bytes that may still be pulled, items of a chunk, whether a worker has nothing to do. */
  #gauge = new Float64Array(4)
  #credit = 0
  #creditBytes = 0
  #chunkItems = 1
  #sourceEnd = ITEM
  #filling = false
  #waitingForSource = false
  #flushing = false
  /** Items that are promises wait here for their value, in order. @type {PromisedItem[]} */
  #promised = []
  #pulled = 0
  /** Items that were taken by the consumer, or that yield nothing. */
  #taken = 0
  /** Of those, what the engine has not been told. */
  #untold = 0
  #untoldBytes = 0

  /** Entries that have arrived and are not decoded. @type {Entries[]} */
  #arrived = []
  /** Outcomes that are decoded and not taken, from `#next` on. */
  #values = /** @type {any[]} */ ([])
  #indexes = /** @type {number[]} */ ([])
  #kinds = /** @type {number[]} */ ([])
  /** Not all of them are values: `#kinds` says which. */
  #mixed = false
  #next = 0
  #decodedBytes = 0

  /** Calls of `next()` that wait, oldest first. @type {Waiter[]} */
  #waiters = []
  /** Errors of items that never left: an unclonable item, a rejected promise. @type {Map<number, unknown>} */
  #rejectedBefore = new Map()
  #errors = new ItemErrors()
  /** What ends the call, from when it is known until it is thrown. @type {{ error: unknown } | undefined} */
  #failure
  /** @type {((error: unknown) => void) | undefined} */
  #tellStop
  /** @type {{ error: unknown } | undefined} */
  #stop
  /** @type {Promise<void> | undefined} */
  #closing
  #ended = false
  #sourceClosed = false
  /** @type {Promise<void> | undefined} */
  #finished
  /** @type {(() => void) | undefined} */
  #resolveFinished

  /**
   * @param {import('./pool-core.js').PoolCore} core
   * @param {import('./source.js').Source} source
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  constructor(core, source, settings) {
    this.#core = core
    this.#source = source
    this.#settings = settings
    this.#writer = new ItemWriter(core.encoder)
    const { signal, preserveOrder, maxBytes, chunkSize } = settings
    const concurrency = Math.min(settings.concurrency ?? core.capacity, core.capacity)
    this.id = core.native.open(
      preserveOrder,
      this.#stopsOnError,
      concurrency,
      Math.min(settings.backpressure ?? 0, MAX_WINDOW),
      maxBytes,
      chunkSize,
    )
    core.add(this)
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort)
    this.#tell()
  }

  /** @returns {Promise<IteratorResult<any, undefined>>} */
  next() {
    if (this.poll()) return Promise.resolve({ done: false, value: this.value })
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#answer()
    })
  }

  poll() {
    if (this.#waiters.length > 0) return false
    if (this.#take()) return true
    // Only what was consumed since the last time can be new, and that is told at the end of the buffer.
    this.#fill()
    return this.#take()
  }

  /** @returns {Promise<{ done: true, value: undefined }>} */
  async return() {
    this.#failure = undefined
    if (this.#phase !== OVER) {
      this.#end(false)
      this.#answer()
    }
    // An iterator that hangs in a pull must not hang the loop that is left; `finished` waits for it.
    const closing = this.#close()
    if (!this.#source.pending) await closing
    return { done: true, value: undefined }
  }

  /** @param {(error: unknown) => void} fn */
  onStop(fn) {
    this.#tellStop = fn
    if (this.#stop !== undefined) fn(this.#stop.error)
  }

  get finished() {
    this.#finished ??= new Promise((resolve) => {
      if (this.#ended && this.#sourceClosed) return resolve()
      // What is asked for is waited for, even if the results are not wanted any more.
      this.#core.hold(1)
      this.#resolveFinished = () => {
        this.#resolveFinished = undefined
        this.#core.hold(-1)
        resolve()
      }
      return undefined
    })
    return this.#finished
  }

  /**
   * Outcomes have arrived.
   * @param {Entries} entries
   */
  receive(entries) {
    if (this.#phase !== ACTIVE) return
    entries.batch.hold()
    this.#arrived.push(entries)
  }

  /**
   * An error is known that will stop the call.
   * @param {Entries} entries
   */
  stopping(entries) {
    if (this.#phase !== ACTIVE) return
    const { words, at, bytes, row, text } = entries
    const error = this.#errorAt(words, at, bytes, row, text)
    this.#announceStop(error)
    this.#close()
  }

  /**
   * The call fails as a whole: drop everything.
   * @param {unknown} error
   * @param {boolean} [hard] running items are cut off if they do not end
   */
  fail(error, hard = false) {
    if (this.#phase === OVER) {
      // Left by its consumer, or stopped by an error, but an item may still run.
      if (hard && !this.#ended) this.#core.native.cancel(this.id, true)
      return
    }
    this.#end(hard)
    this.#failure = { error }
    this.#announceStop(error)
    this.#close()
    this.#answer()
  }

  /** Nothing of this call runs any more. */
  allEnded() {
    this.#ended = true
    this.#checkFinished()
  }

  /** Something was received, or the source has something. */
  proceed() {
    this.#answer()
    this.#fill()
  }

  get #stopsOnError() {
    return this.#settings.stopOnError && !this.#settings.settled
  }

  /** Hand results to those who wait for them. */
  #answer() {
    while (this.#waiters.length > 0) {
      if (this.#take()) {
        this.#waiters.shift()?.resolve({ done: false, value: this.value })
        continue
      }
      if (!this.#isOver()) {
        this.#fill()
        if (this.#take()) {
          this.#waiters.shift()?.resolve({ done: false, value: this.value })
          continue
        }
        if (!this.#isOver()) return
      }
      const failure = this.#failure
      this.#failure = undefined
      const waiter = this.#waiters.shift()
      if (failure === undefined) waiter?.resolve({ done: true, value: undefined })
      else waiter?.reject(failure.error)
    }
  }

  /** Whether no result can come any more; then `#failure` says how it ended. */
  #isOver() {
    if (this.#phase === OVER) return true
    if (this.#sourceEnd === ITEM || this.#promised.length > 0 || this.#taken < this.#pulled) return false
    this.#phase = OVER
    this.#release()
    const sourceFailure = this.#sourceEnd === FAILED ? { error: this.#source.error } : undefined
    this.#failure = this.#errors.size > 0 ? { error: this.#errors.toError(sourceFailure) } : sourceFailure
    this.#close()
    return true
  }

  /** Take the next result into `value`; skipped items and collected errors are passed over. */
  #take() {
    for (;;) {
      if (this.#phase === OVER) return false
      if (this.#next === this.#values.length && !this.#decode()) return false
      const at = this.#next++
      this.#taken++
      this.#untold++
      const value = this.#values[at]
      this.#values[at] = undefined
      if (!this.#mixed) {
        this.value = value
        return true
      }
      const kind = this.#kinds[at]
      if (kind === VALUE) {
        this.value = this.#settings.settled ? fulfilled(value, this.#indexes[at]) : value
        return true
      }
      if (kind === SKIPPED) continue
      if (this.#settings.settled) {
        this.value = rejected(value, this.#indexes[at])
        return true
      }
      if (!this.#settings.stopOnError) {
        this.#errors.add(this.#indexes[at], value)
        continue
      }
      // The error at its place: nothing is delivered after it.
      this.#failure = this.#stop ?? { error: value }
      this.#end(false)
      this.#close()
      return false
    }
  }

  /** Decode the next entries, as many as are worth holding as values; false: there are none. */
  #decode() {
    this.#untoldBytes += this.#decodedBytes
    this.#decodedBytes = 0
    this.#next = 0
    this.#values.length = 0
    this.#mixed = this.#settings.settled
    const entries = this.#arrived[0]
    if (entries === undefined) return false
    const { words, bytes } = entries
    let { at, row, text } = entries
    const count = Math.min(entries.count, DECODED_AT_ONCE)
    let bytesLeft = DECODED_BYTES_AT_ONCE
    let done = 0
    while (done < count && bytesLeft > 0) {
      // A run of outcomes from one worker shares a decoder, and the text that is opened for it.
      const worker = words[at + 2]
      let last = at
      let runText = 0
      let run = 0
      while (done + run < count && words[last + 2] === worker && bytesLeft > 0) {
        bytesLeft -= words[last + 3] + words[last + 4]
        runText += words[last + 4]
        last += ENTRY_WORDS
        run++
      }
      const decoder = this.#core.decoder(worker)
      decoder.open(bytes, text, text + runText)
      let textAt = 0
      for (; at < last; at += ENTRY_WORDS) {
        const end = row + words[at + 3]
        const status = statusOf(words, at)
        let kind = status
        let value
        if (status === VALUE) {
          try {
            value = decoder.decode(row, end, textAt)
          } catch (error) {
            kind = ERROR
            value = error
          }
        } else if (status !== SKIPPED) {
          value = this.#errorAt(words, at, bytes, row, text + textAt)
          decoder.open(bytes, text, text + runText)
        }
        if (kind !== VALUE) this.#mix()
        if (this.#mixed) {
          this.#kinds[this.#values.length] = kind
          this.#indexes[this.#values.length] = indexOf(words, at)
        }
        this.#values.push(value)
        row = end
        textAt += words[at + 4]
      }
      text += runText
      done += run
    }
    this.#decodedBytes = row - entries.row + (text - entries.text)
    if (done === entries.count) {
      this.#arrived.shift()
      entries.batch.release()
    } else {
      entries.at = at
      entries.row = row
      entries.text = text
      entries.count -= done
    }
    return true
  }

  /** From here on kinds and indexes are noted; so far there were only values. */
  #mix() {
    if (this.#mixed) return
    this.#mixed = true
    for (let at = 0; at < this.#values.length; at++) this.#kinds[at] = VALUE
  }

  /**
   * The error of an entry.
   * @param {Uint32Array} words
   * @param {number} at
   * @param {Uint8Array} bytes
   * @param {number} row
   * @param {number} text
   * @returns {unknown}
   */
  #errorAt(words, at, bytes, row, text) {
    const index = indexOf(words, at)
    if (this.#rejectedBefore.has(index)) return this.#rejectedBefore.get(index)
    const decoder = this.#core.decoder(words[at + 2])
    const decode = (
      /** @type {Uint8Array} */ from,
      /** @type {number} */ start,
      /** @type {number} */ end,
    ) => {
      try {
        decoder.open(from, text, text + words[at + 4], bytes)
        return decoder.decode(start, end, 0)
      } catch (error) {
        return error
      }
    }
    if (statusOf(words, at) === LOST) {
      const said = bytes.subarray(row, row + words[at + 3])
      return crashError(said, index, this.#core.label, (value) => decode(value, 0, value.length))
    }
    return this.#core.toError(decode(bytes, row, row + words[at + 3]))
  }

  /** Pull the source as far as there is credit, and send what is due. */
  #fill() {
    if (this.#filling || this.#phase === OVER || this.#stop !== undefined) return
    this.#filling = true
    try {
      this.#pull()
    } finally {
      this.#filling = false
    }
  }

  #pull() {
    while (this.#isActive() && this.#stop === undefined && this.#sourceEnd === ITEM) {
      if (!this.#hasCredit()) break
      const state = this.#source.pull()
      // The source's own code may have ended this call.
      if (!this.#isActive()) return
      if (state === ITEM) {
        this.#pulled++
        const { value } = this.#source
        if (this.#promised.length > 0 || isThenable(value)) this.#promise(value)
        else this.#write(value)
      } else if (state === PENDING) {
        if (!this.#waitingForSource) {
          this.#waitingForSource = true
          this.#source.ready.then(this.#onSource)
        }
        this.#flushSoon()
        return
      } else {
        this.#sourceEnd = state === DONE ? DONE : FAILED
      }
    }
    if (this.#sourceEnd !== ITEM) {
      this.#flush()
      if (this.#promised.length === 0 && this.#phase === ACTIVE) this.#endSource()
    } else if (this.#writer.count > 0) {
      this.#flushSoon()
    }
  }

  #isActive() {
    return this.#phase === ACTIVE
  }

  #onSource = () => {
    this.#waitingForSource = false
    this.#fill()
    this.#answer()
  }

  #endSource() {
    this.#core.native.end(this.id)
  }

  #hasCredit() {
    if (this.#credit > 0 && this.#creditBytes > 0) return true
    // Items that are written and not sent would be missed by those who are to free the credit.
    if (this.#writer.count > 0) this.#flush()
    else if (this.#untold > 0) this.#tell()
    return this.#phase === ACTIVE && this.#credit > 0 && this.#creditBytes > 0
  }

  /** @param {unknown} value */
  #promise(value) {
    this.#credit--
    /** @type {PromisedItem} */
    const item = { settled: !isThenable(value), failed: false, value }
    this.#promised.push(item)
    if (item.settled) return
    const settle = (/** @type {boolean} */ failed) => (/** @type {unknown} */ result) => {
      item.settled = true
      item.failed = failed
      item.value = result
      this.#onPromised()
    }
    Promise.resolve(value).then(settle(false), settle(true))
  }

  /** Items leave in their order, so a promise waits for those before it. */
  #onPromised() {
    while (this.#phase === ACTIVE && this.#promised[0]?.settled) {
      const { failed, value } = /** @type {PromisedItem} */ (this.#promised.shift())
      this.#credit++
      if (failed) this.#reject(value)
      else this.#write(value)
    }
    this.#fill()
    this.#answer()
  }

  /** @param {unknown} item */
  #write(item) {
    const before = this.#writer.bytes
    try {
      this.#writer.write(item)
    } catch (error) {
      this.#reject(error)
      return
    }
    this.#credit--
    this.#creditBytes -= this.#writer.bytes - before
    if (this.#writer.count >= this.#chunkItems || this.#writer.bytes >= CHUNK_BYTES) this.#flush()
  }

  /** @param {unknown} error of an item that cannot leave */
  #reject(error) {
    // Its index: all items before it were written, and promises behind it were not.
    this.#rejectedBefore.set(this.#pulled - this.#promised.length - 1, error)
    this.#credit--
    this.#writer.writeRejected()
    if (this.#writer.count >= this.#chunkItems) this.#flush()
  }

  /** At the end of this turn of the event loop: more items may come until then. */
  #flushSoon() {
    if (this.#writer.count === 0 || this.#flushing) return
    this.#flushing = true
    setImmediate(this.#flushNow)
  }

  #flushNow = () => {
    this.#flushing = false
    if (this.#phase === ACTIVE) this.#flush()
  }

  /** Send what is written. */
  #flush() {
    const writer = this.#writer
    if (writer.count === 0) return
    const { sizes, rows, text } = writer
    const [items, bytes] = this.#forget()
    this.#core.native.submit(this.id, sizes, rows, text, false, items, bytes, this.#gauge)
    writer.clear()
    this.#readGauge()
  }

  /** Tell how much was consumed, and learn how much may be pulled. */
  #tell() {
    const [items, bytes] = this.#forget()
    this.#core.native.consumed(this.id, items, bytes, this.#gauge)
    this.#readGauge()
  }

  #forget() {
    const told = [this.#untold, this.#untoldBytes]
    this.#untold = 0
    this.#untoldBytes = 0
    return told
  }

  #readGauge() {
    this.#credit = this.#gauge[0] - this.#promised.length
    this.#creditBytes = this.#gauge[1]
    this.#chunkItems = this.#gauge[2]
  }

  #onAbort = () => {
    this.fail(this.#settings.signal?.reason, true)
  }

  /**
   * Nothing more is wanted.
   * @param {boolean} hard
   */
  #end(hard) {
    this.#phase = OVER
    this.#release()
    this.#core.native.cancel(this.id, hard)
  }

  /** Let go of everything that was held for the consumer. */
  #release() {
    this.#settings.signal?.removeEventListener('abort', this.#onAbort)
    for (const { batch } of this.#arrived.splice(0)) batch.release()
    this.#values.length = 0
    this.#next = 0
    this.#promised.length = 0
    this.#rejectedBefore.clear()
  }

  /** @param {unknown} error */
  #announceStop(error) {
    if (this.#stop !== undefined) return
    this.#stop = { error }
    this.#tellStop?.(error)
  }

  #close() {
    if (this.#closing === undefined) {
      this.#closing = this.#source.close()
      const closed = () => {
        this.#sourceClosed = true
        this.#checkFinished()
      }
      this.#closing.then(closed, closed)
    }
    return this.#closing
  }

  #checkFinished() {
    if (this.#ended && this.#sourceClosed) this.#resolveFinished?.()
  }
}

const ACTIVE = 0
const OVER = 1
/** The engine counts in 32 bits. */
const MAX_WINDOW = 2 ** 31
/** A chunk leaves at this size, however few its items. */
const CHUNK_BYTES = 256 << 10
/** Outcomes are decoded in groups: large enough for a tight loop, small enough not to hold everything twice. */
const DECODED_AT_ONCE = 256
const DECODED_BYTES_AT_ONCE = 1 << 20
