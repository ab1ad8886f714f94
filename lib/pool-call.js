// One call on a pool: pulls the source on credit, encodes items into chunks, and serves results from a local buffer.
// The engine (Rust) decides everything that concerns more than one item: order, window, who runs what.

import { heedAbort, ignoreAbort } from './abort-listeners.js'
import { runIn } from './async-context.js'
import { ERROR, SKIPPED, VALUE } from './batch-reader.js'
import { FILTER, FLATTEN, TIMED } from './chunk-flags.js'
import { notIterable } from './collected.js'
import { noteFailure } from './failure.js'
import { checkedKey, KeyList, NO_KEYS, partitionOf } from './item-key.js'
import { fulfilled, ItemErrors, rejected } from './outcome.js'
import { PoolResults } from './pool-results.js'
import { PromisedItems } from './promised-items.js'
import { DONE, FAILED, ITEM, isThenable, PENDING, watched } from './source.js'

/** @typedef {import('./batch-reader.js').Entries} Entries */
/**
 * What a call sees of its pool.
 * @typedef {Pick<import('./pool-core.js').PoolCore, 'native' | 'label' | 'capacity' | 'itemWriter' | 'add' | 'keep' | 'hold' | 'decoder' | 'toError' | 'takeBesideBytes'>} CallCore
 */
/** @typedef {{ resolve(result: IteratorResult<any, undefined>): void, reject(error: unknown): void }} Waiter */

export class PoolCall {
  /** The result that the last `poll()` took. @type {any} */
  value = undefined
  /** @type {number} */
  id

  #core
  #source
  #settings
  #flags
  #writer
  /** Of the items that are written; undefined: they have none. @type {KeyList | undefined} */
  #keys
  #results
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
  /** Items that are promises wait here for their values. */
  #promised = new PromisedItems(() => this.#onPromised())
  #pulled = 0
  /** What `filter()` yields, by index: the items themselves, not copies. @type {Map<number, unknown>} */
  #kept = new Map()
  /** Items that were taken by the consumer, or that yield nothing. */
  #taken = 0
  /** Of those, what the engine has not been told. */
  #untold = 0

  /** Calls of `next()` that wait, oldest first. @type {Waiter[]} */
  #waiters = []
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
   * @param {CallCore} core
   * @param {import('./source.js').Source} source
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  constructor(core, source, settings) {
    this.#core = core
    this.#source = source
    this.#settings = settings
    this.#writer = core.itemWriter(settings)
    if (settings.key !== undefined) this.#keys = new KeyList()
    const { signal, preserveOrder, maxBytes, chunkSize, tries } = settings
    const timeout = tries?.timeout ?? 0
    this.#flags = settings.form | (timeout > 0 ? TIMED : 0)
    this.#results = new PoolResults(core, settings.settled || settings.form !== 0, timeout)
    // The pool may change its size: the engine knows how many it has room for.
    const concurrency = Math.min(settings.concurrency ?? NO_LIMIT, NO_LIMIT)
    this.id = core.native.open(
      preserveOrder,
      this.#stopsOnError,
      concurrency,
      Math.min(settings.backpressure ?? 0, MAX_WINDOW),
      maxBytes,
      chunkSize,
      settings.priority,
      settings.key !== undefined,
      tries && tryOptions(tries),
    )
    core.add(this)
    if (signal?.aborted) this.#onAbort()
    else if (signal !== undefined) heedAbort(signal, this.#onAbort)
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
    if (this.#stopsOnError || this.#settings.settled) this.#source.onStop(fn)
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
    if (this.#phase === ACTIVE) this.#results.push(entries)
  }

  /**
   * An error is known that will stop the call.
   * @param {Entries} entries
   */
  stopping(entries) {
    if (this.#phase !== ACTIVE) return
    const error = this.#results.errorOf(entries)
    this.#announceStop(error)
    this.#close()
  }

  /**
   * A try of an item has failed.
   * @param {Entries} entries
   * @param {{ sequence: number, item: number, attempt: number, asks: boolean }} tried
   */
  again(entries, { sequence, item, attempt, asks }) {
    if (this.#phase !== ACTIVE || this.#stop !== undefined) return
    const { index, error } = this.#results.failedTry(entries, attempt)
    if (!asks) return
    this.#mayRetry(error, index, attempt).then(({ again, thrown }) => {
      if (this.#phase !== ACTIVE || this.#stop !== undefined) return
      if (!again) this.#results.refuse(index, thrown)
      this.#core.native.verdict(this.id, sequence, item, attempt, again)
    })
  }

  /**
   * @param {number} index
   * @param {number} attempt of the error that comes for it
   */
  tried(index, attempt) {
    if (this.#phase === ACTIVE) this.#results.attemptOf(index, attempt)
  }

  /**
   * @param {unknown} error
   * @param {number} index
   * @param {number} attempt
   * @returns {Promise<{ again: boolean, thrown: unknown }>} never rejects; `thrown`: what the item fails of, if not again
   */
  async #mayRetry(error, index, attempt) {
    // The batch is still being read, and the function that is called may do anything.
    await undefined
    try {
      const again = await this.#settings.tries?.retryIf?.(error, { index, attempt })
      return { again: Boolean(again), thrown: error }
    } catch (thrown) {
      return { again: false, thrown }
    }
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

  /** The pool has another size: more of the source may be pulled. */
  resized() {
    if (this.#phase !== ACTIVE) return
    this.#tell()
    this.proceed()
  }

  /** Something was received, or the source has something. */
  proceed() {
    runIn(this.#settings.context, this.#goOn)
  }

  #goOn = () => {
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
    if (this.#sourceEnd === ITEM || this.#promised.count > 0 || this.#taken < this.#pulled) return false
    this.#phase = OVER
    this.#release()
    const sourceFailure = this.#sourceEnd === FAILED ? { error: this.#source.error } : undefined
    this.#failure = this.#errors.size > 0 ? { error: this.#errors.toError(sourceFailure) } : sourceFailure
    this.#close()
    return true
  }

  /** Take the next result into `value`; skipped items and collected errors are passed over. */
  #take() {
    const results = this.#results
    while (this.#phase === ACTIVE && results.take()) {
      this.#taken++
      this.#untold++
      const { kind, value } = this.#formed()
      if (kind === VALUE) {
        this.value = this.#settings.settled ? fulfilled(value, results.index) : value
        return true
      }
      if (kind === SKIPPED) continue
      if (this.#settings.settled) {
        this.value = rejected(value, results.index)
        if (results.failure !== undefined) noteFailure(this.value, results.failure)
        return true
      }
      if (!this.#settings.stopOnError) {
        this.#errors.add(results.index, value)
        continue
      }
      // The error at its place: nothing is delivered after it.
      this.#failure = this.#stop ?? { error: value }
      this.#end(false)
      this.#close()
    }
    return false
  }

  /** What the outcome that was taken last is for the consumer. */
  #formed() {
    const results = this.#results
    const { form } = this.#settings
    if (form === FILTER) {
      const item = this.#kept.get(results.index)
      this.#kept.delete(results.index)
      if (results.kind === VALUE) {
        if (results.value) results.value = item
        else results.kind = SKIPPED
      }
    } else if (form === FLATTEN && results.kind === VALUE && !Array.isArray(results.value)) {
      results.kind = ERROR
      results.value = notIterable(results.value)
      results.failure = { index: results.index, attempt: 1, errors: [] }
    }
    return results
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
      if (!this.#isActive()) {
        if (state === ITEM) watched(this.#source.value)
        return
      }
      if (state === ITEM) {
        this.#pulled++
        const { value } = this.#source
        if (this.#promised.count === 0 && !isThenable(value)) this.#write(value)
        else {
          this.#credit--
          this.#promised.push(value)
        }
      } else if (state === PENDING) {
        if (!this.#waitingForSource) {
          this.#waitingForSource = true
          this.#source.whenReady(this.#onSource)
        }
        this.#flushSoon()
        return
      } else {
        this.#sourceEnd = state === DONE ? DONE : FAILED
      }
    }
    if (this.#sourceEnd !== ITEM) {
      this.#flush()
      if (this.#promised.count === 0 && this.#phase === ACTIVE) this.#endSource()
      // With stopOnError: false the errors of items that still run belong to what will be thrown.
      if (this.#sourceEnd === FAILED && (this.#stopsOnError || this.#settings.settled))
        this.#tellStop?.(this.#source.error)
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

  #onPromised() {
    for (let item = this.#promised.shift(); item !== undefined; item = this.#promised.shift()) {
      this.#credit++
      if (item.failed) this.#reject(item.value)
      else this.#write(item.value)
    }
    this.#fill()
    this.#answer()
  }

  /** @param {unknown} item */
  #write(item) {
    const before = this.#writer.bytes
    const { key } = this.#settings
    try {
      const partition = key && partitionOf(checkedKey(key, item))
      // The caller's own code may have ended this call.
      if (partition !== undefined && !this.#isActive()) return
      this.#writer.write(item)
      if (partition !== undefined) this.#keys?.push(partition)
    } catch (error) {
      if (this.#isActive()) this.#reject(error)
      return
    }
    this.#credit--
    this.#creditBytes -= this.#writer.bytes - before
    if (this.#settings.form === FILTER) this.#kept.set(this.#writtenIndex, item)
    if (this.#writer.count >= this.#chunkItems || this.#writer.isFull) this.#flush()
  }

  /** Index of the item that is written now: all items before it were, and promises behind it were not. */
  get #writtenIndex() {
    return this.#pulled - this.#promised.count - 1
  }

  /** @param {unknown} error of an item that cannot leave */
  #reject(error) {
    this.#results.rejectedBefore.set(this.#writtenIndex, error)
    this.#credit--
    this.#writer.writeRejected()
    this.#keys?.push(0)
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
    const { sizes, rows, text, large } = writer
    const keys = this.#keys?.take() ?? NO_KEYS
    const [items, bytes] = this.#forget()
    this.#core.native.submit(this.id, sizes, keys, rows, text, this.#flags, items, bytes, this.#gauge, large)
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
    const told = [this.#untold, this.#results.takenBytes]
    this.#untold = 0
    this.#results.takenBytes = 0
    return told
  }

  #readGauge() {
    this.#credit = this.#gauge[0] - this.#promised.count
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
    if (this.#settings.signal !== undefined) ignoreAbort(this.#settings.signal, this.#onAbort)
    this.#writer.discard()
    this.#results.clear()
    this.#promised.clear()
    this.#kept.clear()
  }

  /** @param {unknown} error */
  #announceStop(error) {
    if (this.#stop !== undefined) return
    this.#stop = { error }
    const tell = this.#tellStop
    if (tell !== undefined) runIn(this.#settings.context, () => tell(error))
  }

  #close() {
    if (this.#closing === undefined) {
      this.#closing = runIn(this.#settings.context, () => this.#source.close())
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

/** @param {Readonly<import('./options.js').TrySettings>} tries */
function tryOptions({ retries, backoff, retryIf, crashRetries, timeout }) {
  const { initial, factor, max, jitter } = backoff
  const asks = retryIf !== undefined
  return { retries: Math.min(retries, NO_LIMIT), initial, factor, max, jitter, asks, crashRetries, timeout }
}

const ACTIVE = 0
const OVER = 1
/** The engine counts in 32 bits. */
const MAX_WINDOW = 2 ** 31
const NO_LIMIT = 0xffffffff
