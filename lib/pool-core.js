// What all calls of one pool share: the Rust pool, the encoder for items, a decoder per worker, and the one place where
// batches are read and handed to their calls. Process pools and native operations differ only in how the Rust pool is
// made and how an item becomes bytes, and bytes a result.

import { runApart } from './async-context.js'
import { BatchReader, SECTION } from './batch-reader.js'
import { Decoder } from './codec.js'
import { ItemWriter } from './item-writer.js'
import { dropBeside, putBeside, takeBesideBytes } from './native/decoder.js'
import { exitOf, startError } from './worker-failure.js'

/** @typedef {import('./binding.js').NativePool} NativePool */
/**
 * What a call hears of its pool.
 * @typedef {object} PoolCall
 * @property {number} id
 * @property {(entries: import('./batch-reader.js').Entries) => void} receive
 * @property {(entries: import('./batch-reader.js').Entries) => void} stopping
 * @property {(entries: import('./batch-reader.js').Entries, tried: { sequence: number, item: number, attempt: number, asks: boolean }) => void} again
 *   a try has failed, and there is another, or (`asks`) may be
 * @property {(index: number, attempt: number) => void} tried which try the error is of that comes for the item
 * @property {(error: unknown, hard?: boolean) => void} fail
 * @property {() => void} allEnded
 * @property {() => void} proceed
 * @property {() => void} [resized] the pool has another size
 * @property {boolean} [idle] nobody waits for anything of it
 */

/**
 * Pools with calls under way: while somebody waits, a pool must not be collected, even if only its results are held.
 * @type {Set<PoolCore>}
 */
const busy = new Set()

export class PoolCore {
  /** @type {NativePool} */
  native
  /** @type {string} */
  label
  /** How many items can run at once. @type {number} */
  capacity
  #encoder
  #decoderOf
  /** @type {Map<number, PoolCall>} */
  #calls = new Map()
  /** @type {Map<number, Decoder>} */
  #decoders = new Map()
  #holds = 0
  /** Batches that somebody still reads. @type {Set<BatchReader>} */
  #batches = new Set()
  /** Workers that have gone, each with the batches that may hold outcomes of it. @type {Set<{ worker: number, batches: Set<BatchReader> }>} */
  #forgotten = new Set()
  /** Buffers for batches that nobody reads any more. @type {Uint8Array[]} */
  #buffers = []
  /** @type {PoolListener} */
  #listener

  /**
   * @typedef {object} PoolListener
   * @property {(worker: number, pid: number) => void} [ready]
   * @property {(error: Error) => void} [startFailed]
   * @property {() => void} [closed]
   * @property {(worker: number, stream: 'stdout' | 'stderr', take: () => Buffer) => void} [written] `take` copies it
   * @property {(exit: import('./worker-failure.js').Exit) => void} [exited]
   * @property {(worker: number, reason: string) => void} [recycled] it goes, and why
   * @property {(worker: number, index: number, take: () => unknown) => void} [message] `take` decodes it, or throws
   * @property {(progress: { worker: number, index: number, done: number, total: number }) => void} [progress]
   * @property {(worker: number, kind: number, text: string) => void} [notice] something to warn of
   * @property {() => void} [read] a batch has been read
   */

  /**
   * @param {string} label
   * @param {number} capacity
   * @param {(onWake: () => void) => NativePool} make
   * @param {((define: (id: number, definition: string) => void) => import('./item-writer.js').ItemEncoder) | undefined} encoderOf
   *   undefined: each call has a writer of its own
   * @param {PoolListener} [listener]
   * @param {() => Decoder} [decoderOf]
   */
  constructor(label, capacity, make, encoderOf, listener = {}, decoderOf = () => new Decoder()) {
    this.native = make(wakeOf(this))
    this.label = label
    this.capacity = capacity
    this.#encoder = encoderOf?.((id, definition) => this.native.define(id, definition))
    this.#decoderOf = decoderOf
    this.#listener = listener
  }

  /** @param {PoolCall} call */
  add(call) {
    this.#calls.set(call.id, call)
    this.keep()
  }

  /**
   * For the items of one call.
   * @param {Readonly<import('./options.js').CallSettings>} [_settings]
   */
  itemWriter(_settings) {
    return new ItemWriter(/** @type {import('./item-writer.js').ItemEncoder} */ (this.#encoder))
  }

  /**
   * What a worker's error is for the consumer.
   * @param {any} thrown
   * @param {{ index?: number, attempt: number, worker: number }} _where
   * @returns {unknown}
   */
  toError(thrown, _where) {
    return thrown
  }

  /** Bytes of values that were decoded since the last time, and had no row. */
  takeBesideBytes() {
    return takeBesideBytes()
  }

  get calls() {
    return this.#calls.values()
  }

  /**
   * The decoder for what this worker wrote.
   * @param {number} worker
   */
  decoder(worker) {
    let decoder = this.#decoders.get(worker)
    if (decoder === undefined) {
      decoder = this.#decoderOf()
      this.#decoders.set(worker, decoder)
    }
    return decoder
  }

  /**
   * Somebody waits for something of the pool that is not a result (+1), or no longer (-1): the program stays alive.
   * @param {1 | -1} change
   */
  hold(change) {
    this.#holds += change
    if (this.#holds === (change === 1 ? 1 : 0)) this.native.hold(change === 1)
    this.keep()
  }

  /** Say whether somebody waits: while one does, nobody else may hold the pool, and it must not be collected. */
  keep() {
    let waits = this.#holds > 0
    for (const call of this.#calls.values()) waits ||= !call.idle
    if (waits) busy.add(this)
    else busy.delete(this)
  }

  /**
   * Read everything that has happened, then let every call that has heard of something go on. Called when the native
   * side rings, so between two batches the event loop has its turn, even where results are always there.
   */
  collect() {
    let buffer = this.#buffers.pop() ?? new Uint8Array(FIRST_BATCH_BYTES)
    let bytes = this.native.collect(buffer)
    if (bytes > buffer.length) {
      buffer = new Uint8Array(2 ** Math.ceil(Math.log2(bytes)))
      bytes = this.native.collect(buffer)
    }
    const batch = new BatchReader(buffer, this.#recycle)
    this.#batches.add(batch)
    if (bytes > 0 && batch.large > 0) putBeside(buffer, this.native.takeLarge())
    const touched = bytes === 0 ? undefined : this.#read(batch)
    batch.release()
    if (touched === undefined) return
    this.#listener.read?.()
    for (const call of touched) call.proceed()
    this.keep()
  }

  #recycle = (/** @type {BatchReader} */ batch) => {
    this.#batches.delete(batch)
    if (batch.large > 0) dropBeside(batch.bytes)
    for (const gone of this.#forgotten) {
      gone.batches.delete(batch)
      if (gone.batches.size > 0) continue
      this.#forgotten.delete(gone)
      this.#decoders.delete(gone.worker)
    }
    const { bytes } = batch
    if (bytes.length <= MAX_KEPT_BYTES && this.#buffers.length < MAX_KEPT_BUFFERS) this.#buffers.push(bytes)
  }

  /**
   * @param {BatchReader} batch
   * @returns {Set<PoolCall>} calls that have heard of something
   */
  #read(batch) {
    /** @type {Set<PoolCall>} */
    const touched = new Set()
    const callOf = (/** @type {number} */ id) => {
      const call = this.#calls.get(id)
      if (call !== undefined) touched.add(call)
      return call
    }
    while (!batch.ended) {
      switch (batch.word()) {
        case SECTION.OUTCOMES: {
          const call = callOf(batch.word())
          const entries = batch.entries(batch.word())
          call?.receive(entries)
          break
        }
        case SECTION.STOPPING: {
          const call = callOf(batch.word())
          const entries = batch.entries(1)
          call?.stopping(entries)
          break
        }
        case SECTION.FAILED: {
          const call = callOf(batch.word())
          const { row, worker } = batch.failure()
          call?.fail(startError(row, this.label, this.#decodeAlone(worker)))
          break
        }
        case SECTION.FINISHED: {
          const id = batch.word()
          const call = callOf(id)
          this.#calls.delete(id)
          call?.allEnded()
          break
        }
        case SECTION.DEFINE:
          this.#define(batch)
          break
        case SECTION.FORGET:
          // Its outcomes may have come and wait to be decoded, even in calls that are over.
          this.#forgotten.add({ worker: batch.word(), batches: new Set(this.#batches) })
          break
        case SECTION.READY: {
          const worker = batch.word()
          const pid = batch.word()
          this.#listener.ready?.(worker, pid)
          break
        }
        case SECTION.WRITTEN:
          this.#written(batch)
          break
        case SECTION.NOTICE: {
          const worker = batch.word()
          const kind = batch.word()
          const text = batch.part(batch.word()).toString()
          this.#listener.notice?.(worker, kind, text)
          break
        }
        case SECTION.EXITED:
          this.#listener.exited?.(exitOf(batch.failure().row))
          break
        case SECTION.MESSAGE:
          this.#message(batch)
          break
        case SECTION.PROGRESS: {
          const worker = batch.word()
          this.#listener.progress?.({
            worker,
            index: batch.wide(),
            done: batch.double(),
            total: batch.double(),
          })
          break
        }
        case SECTION.RECYCLED: {
          const worker = batch.word()
          const reason = REASONS[batch.word()]
          if (reason !== undefined) this.#listener.recycled?.(worker, reason)
          break
        }
        case SECTION.CLOSED:
          this.#listener.closed?.()
          break
        case SECTION.AGAIN: {
          const call = callOf(batch.word())
          const tried = {
            sequence: batch.word(),
            item: batch.word(),
            attempt: batch.word(),
            asks: batch.word() === 1,
          }
          const entries = batch.entries(1)
          call?.again(entries, tried)
          break
        }
        case SECTION.TRIED: {
          const call = callOf(batch.word())
          const index = batch.wide()
          call?.tried(index, batch.word())
          break
        }
        case SECTION.START_FAILED: {
          const { row, worker } = batch.failure()
          this.#listener.startFailed?.(startError(row, this.label, this.#decodeAlone(worker)))
          break
        }
      }
    }
    return touched
  }

  /** @param {BatchReader} batch */
  #written(batch) {
    const worker = batch.word()
    const stream = batch.word() === 1 ? 'stdout' : 'stderr'
    const bytes = batch.part(batch.word())
    // The batch's buffer is used again.
    this.#listener.written?.(worker, stream, () => Buffer.from(bytes))
  }

  /** @param {BatchReader} batch */
  #message(batch) {
    const worker = batch.word()
    const index = batch.wide()
    const { row, rowEnd, text, textEnd } = batch.value()
    this.#listener.message?.(worker, index, () => {
      const decoder = this.decoder(worker)
      decoder.open(batch.bytes, text, textEnd)
      return decoder.decode(row, rowEnd, 0)
    })
  }

  /** @param {BatchReader} batch */
  #define(batch) {
    const decoder = this.decoder(batch.word())
    const id = batch.word()
    const definition = batch.part(batch.word()).toString()
    try {
      decoder.define(id, definition)
    } catch {
      // Nonsense from a hostile worker: the values that refer to it will say so, each for its own item.
    }
  }

  /**
   * Decode a value that stands alone: the error that a worker reported of itself.
   * @param {number} worker
   * @returns {(bytes: Uint8Array) => unknown}
   */
  #decodeAlone(worker) {
    return (bytes) => {
      const decoder = this.decoder(worker)
      decoder.open(bytes, 0, 0)
      try {
        return decoder.decode(0, bytes.length, 0)
      } catch (error) {
        return error
      }
    }
  }
}

/** Why workers go, in the names of options; that its pool closes is no reason to tell. */
const REASONS = [undefined, 'size', 'idleTimeout', 'maxTasksPerWorker', 'maxAge', 'minFreeMemory']
const FIRST_BATCH_BYTES = 64 << 10
const MAX_KEPT_BYTES = 1 << 20
const MAX_KEPT_BUFFERS = 8

/**
 * What the native side calls, and holds for ever: it must not hold the pool. A function of its own, because closures of
 * one function share what any of them holds.
 * @param {PoolCore} core
 */
function wakeOf(core) {
  const weak = new WeakRef(core)
  return () => runApart(() => weak.deref()?.collect())
}
