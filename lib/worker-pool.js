// Pools of worker processes, the parent's side. A pool starts nothing until there is work.

import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { serialize } from 'node:v8'
import { addonPath, availableParallelism, NativePool } from './binding.js'
import { Encoder } from './codec.js'
import { invalidArgType, PoolClosedError, SerializationError, WorkerStartError } from './errors.js'
import { JsonDecoder, JsonEncoder } from './fork-message.js'
import { isWorker } from './is-worker.js'
import { runSettings } from './options.js'
import { openRuns, startCall } from './outcome.js'
import { permissionFlags } from './permission.js'
import { PoolCall } from './pool-call.js'
import { PoolCore } from './pool-core.js'
import { PoolEvents } from './pool-events.js'
import { nativeLives } from './pool-lives.js'
import { PoolRuns } from './pool-runs.js'
import { runAlone } from './single-run.js'
import { closeSettings, poolSize, workerPoolSettings } from './worker-pool-options.js'
import { MAX_MESSAGE_BYTES, NO_ITEM } from './worker-port.js'

export { isWorker }
export const spent = (/** @type {WorkerPool} */ pool) => WorkerPool.spent(pool)

/**
 * @param {string | URL | Function} task
 * @param {unknown} [options]
 * @returns {WorkerPool}
 */
export function workerPool(task, options) {
  const settings = workerPoolSettings(task, options)
  // A function needs no such guard: its worker loads no file, and argv[1] is nothing there.
  if (isWorker && 'path' in settings.task && samePath(settings.task.path, process.argv[1])) {
    throw new WorkerStartError(
      `The task file ${settings.task.path} makes a pool of itself inside its own worker, which would never end: keep the pool in another file, or make it only where isWorker is false`,
    )
  }
  return new WorkerPool(settings, coreOf)
}

/**
 * What every kind of pool is told; the rest is for whoever makes its core.
 * @typedef {object} PoolBasics
 * @property {string} label
 * @property {number | undefined} maxWorkers
 * @property {number} concurrencyPerWorker
 * @property {object} [task] none of a command
 * @property {boolean} [perItem] a process is started with its item, not before
 */

/**
 * @template S
 * @typedef {(settings: S, size: number, listener: import('./pool-core.js').PoolListener) => PoolCore} CoreOf
 */

/**
 * A pool of processes. What they are is the core's.
 * @template {PoolBasics} [S=Readonly<import('./worker-pool-options.js').PoolSettings>]
 */
export class WorkerPool {
  #settings
  #coreOf
  /** @type {PoolCore | undefined} */
  #core
  /** @type {PoolRuns | undefined} */
  #runs
  #size
  /** Of workers that are up. @type {Map<number, number>} */
  #pids = new Map()
  #events = new PoolEvents()
  #phase = OPEN
  /** What the workers know that somebody listens to. */
  #listening = 0
  /** @type {{ promise: Promise<void>, resolve: () => void, reject: (error: unknown) => void } | undefined} */
  #ready
  /** @type {{ promise: Promise<void>, resolve: () => void } | undefined} */
  #closed

  /**
   * @param {S} settings
   * @param {CoreOf<S>} coreOf
   */
  constructor(settings, coreOf) {
    this.#settings = settings
    this.#coreOf = coreOf
    this.#size = settings.maxWorkers ?? availableParallelism()
  }

  /** @returns {number} */
  get size() {
    return this.#size
  }

  /** @param {unknown} size */
  set size(size) {
    const checked = Math.min(poolSize(size), MAX_CAPACITY)
    this.#size = checked
    const core = this.#core
    if (core === undefined || this.#phase !== OPEN) return
    core.capacity = capacityOf(this.#settings, checked)
    core.native.resize(checked)
    for (const call of [...core.calls]) call.resized?.()
    this.#checkReady()
  }

  get label() {
    return this.#settings.label
  }

  /**
   * @param {unknown} event
   * @param {unknown} listener
   */
  on(event, listener) {
    this.#events.change('on', event, listener)
    this.#listen()
    return this
  }

  /**
   * @param {unknown} event
   * @param {unknown} listener
   */
  once(event, listener) {
    this.#events.change('once', event, listener)
    this.#listen()
    return this
  }

  /**
   * @param {unknown} event
   * @param {unknown} listener
   */
  off(event, listener) {
    this.#events.change('off', event, listener)
    this.#listen()
    return this
  }

  /**
   * @param {unknown} event
   * @param {unknown} listener
   */
  removeListener(event, listener) {
    return this.off(event, listener)
  }

  /**
   * @param {unknown} item
   * @param {unknown} [options]
   * @returns {Promise<any>}
   */
  async run(item, options) {
    const settings = runSettings(options)
    const { signal, tries, priority } = settings
    if (signal !== undefined || tries !== undefined || priority !== 0)
      return runAlone(this.#open(), item, settings)
    const core = this.#open()
    if (this.#runs === undefined || this.#runs.over) this.#runs = new PoolRuns(core)
    return this.#runs.run(item)
  }

  /**
   * @param {unknown} value
   * @returns {number}
   */
  postMessage(value) {
    const { task } = this.#settings
    // Only its source is left of a function.
    if (task === undefined) throw invalidArgType('task', 'a file that exports onMessage', this.label)
    if (!('path' in task)) throw invalidArgType('task', 'a file that exports onMessage', Function)
    const core = this.#open()
    const writer = core.itemWriter()
    writer.write(value)
    if (writer.bytes > MAX_MESSAGE_BYTES)
      throw new SerializationError(`The message is too large: ${writer.bytes} bytes when encoded`)
    return core.native.post(writer.rows, writer.text)
  }

  /** @returns {Promise<void>} */
  async ready() {
    const core = this.#open()
    if (this.#settings.perItem) return undefined
    core.native.warmUp(this.#size)
    if (this.#ready === undefined) {
      if (core.native.awaitedWorkers() === 0) return undefined
      this.#ready = deferred()
      core.hold(1)
    }
    return this.#ready.promise
  }

  /**
   * @param {unknown} [options]
   * @returns {Promise<void>}
   */
  async close(options) {
    const { force } = closeSettings(options)
    const core = this.#core
    if (this.#phase === OPEN) {
      this.#phase = CLOSING
      this.#onStartFailed(this.#closedError())
      if (core === undefined) return undefined
      this.#closed = deferred()
      core.hold(1)
      if (this.#runs !== undefined && !this.#runs.over) this.#runs.end()
      core.native.close(false)
    }
    if (force && core !== undefined) {
      for (const call of [...core.calls]) call.fail(this.#closedError(), true)
      core.native.close(true)
    }
    return this.#closed?.promise
  }

  async [Symbol.asyncDispose]() {
    await this.close()
  }

  /**
   * @param {import('./source.js').Source} source
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  [startCall](source, settings) {
    return new PoolCall(this.#open(), source, settings)
  }

  /** @param {unknown} skipped */
  [openRuns](skipped) {
    return new PoolRuns(this.#open(), skipped)
  }

  /**
   * Where the time of a crossing goes, for the benchmark; not part of the contract.
   * @param {WorkerPool} pool
   * @returns {number[]} milliseconds in Rust so far: reading what workers published; everything else
   */
  static spent(pool) {
    return pool.#core?.native.spent() ?? [0, 0]
  }

  #open() {
    if (this.#phase !== OPEN) throw this.#closedError()
    this.#core ??= this.#coreOf(this.#settings, this.#size, {
      ready: (worker, pid) => {
        this.#pids.set(worker, pid)
        this.#events.add('workerStart', { worker, pid })
        this.#checkReady()
      },
      startFailed: (error) => this.#onStartFailed(error),
      closed: () => this.#onClosed(),
      written: (worker, stream, take) => {
        if (this.#events.has(stream)) this.#events.add(stream, take(), worker)
      },
      recycled: (worker, reason) => this.#onRecycled(worker, reason),
      exited: ({ worker, pid, exitCode, signal, outOfMemory }) => {
        if (outOfMemory?.limit) this.#onRecycled(worker, 'maxMemory')
        this.#pids.delete(worker)
        this.#events.add('workerExit', { worker, pid, exitCode, signal })
      },
      message: (worker, index, take) => this.#onMessage(worker, index, take),
      progress: (progress) => this.#events.add('progress', progress),
      read: () => {
        this.#events.flush()
        this.#listen()
      },
    })
    this.#listen()
    return this.#core
  }

  /** Workers say only what somebody listens to. */
  #listen() {
    const to = (this.#events.has('message') ? MESSAGES : 0) | (this.#events.has('progress') ? PROGRESS : 0)
    if (this.#core === undefined || to === this.#listening) return
    this.#listening = to
    this.#core.native.listen(to)
  }

  /**
   * @param {number} worker
   * @param {number} index
   * @param {() => unknown} take
   */
  #onMessage(worker, index, take) {
    if (!this.#events.has('message')) return
    let value
    try {
      value = take()
    } catch {
      // Nonsense from a hostile worker: what an honest one sends was encoded as a whole.
      return
    }
    this.#events.add('message', value, { worker, index: index === NO_ITEM ? undefined : index })
  }

  /**
   * @param {number} worker
   * @param {string} reason
   */
  #onRecycled(worker, reason) {
    const pid = this.#pids.get(worker)
    // One that goes while it starts has done nothing that anybody knows of.
    if (pid !== undefined) this.#events.add('workerRecycle', { worker, pid, reason })
  }

  /** A worker has become ready, or the pool needs fewer than when somebody began to wait for them. */
  #checkReady() {
    const core = this.#core
    if (this.#ready === undefined || core === undefined || core.native.awaitedWorkers() > 0) return
    // Those that are ready are announced first.
    if (this.#pids.size < core.native.readyWorkers()) return
    core.hold(-1)
    this.#ready.resolve()
    this.#ready = undefined
  }

  /** @param {Error} error */
  #onStartFailed(error) {
    if (this.#ready === undefined) return
    this.#core?.hold(-1)
    this.#ready.reject(error)
    this.#ready = undefined
  }

  #onClosed() {
    this.#core?.hold(-1)
    this.#core?.native.dispose()
    this.#closed?.resolve()
  }

  #closedError() {
    return new PoolClosedError(`The pool ${this.label} was closed`)
  }
}

/**
 * @param {PoolBasics} settings
 * @param {number} size
 */
function capacityOf({ concurrencyPerWorker }, size) {
  // Each number is small enough, their product need not be.
  return Math.min(size * concurrencyPerWorker, MAX_CAPACITY)
}

/** @type {CoreOf<Readonly<import('./worker-pool-options.js').PoolSettings>>} */
function coreOf(settings, size, listener) {
  const { concurrencyPerWorker: lanes, gracePeriod, label, protocol, serialization } = settings
  const speaksJson = protocol === 'message' && serialization === 'json'
  return new PoolCore(
    label,
    capacityOf(settings, size),
    (onWake) =>
      NativePool.processes(size, lanes, gracePeriod, nativeLives(settings), processOptions(settings), onWake),
    (define) => (speaksJson ? new JsonEncoder(define) : new Encoder(define)),
    listener,
    speaksJson ? () => new JsonDecoder() : undefined,
  )
}

/**
 * @param {Readonly<import('./worker-pool-options.js').PoolSettings>} settings
 * @param {readonly string[]} [args] of a fork script
 */
export function processOptions(settings, args = []) {
  const { task, env, execArgv, cwd, stdout, stderr, setupData, exportName, label } = settings
  const { niceIncrement, rlimits, permission, maxMemory, protocol, serialization, lastMessage } = settings
  const script = { protocol, serialization, lastMessage, args }
  const addon = addonPath()
  if (addon === null) throw new WorkerStartError('The native addon does not know where it was loaded from')
  const file = 'path' in task ? task.path : undefined
  const permissions = permission === undefined ? [] : permissionFlags(permission, addon, file)
  return {
    program: process.execPath,
    args: [...execArgv, ...permissions, BOOT_FILE, addon],
    env: Object.entries(env).flat(),
    cwd,
    stdout,
    stderr,
    niceIncrement,
    ...rlimits,
    maxMemory,
    init: orderOf({
      ...('path' in task ? { ...task, exportName, setupData, ...script } : { ...task, label, cwd }),
      concurrency: settings.concurrencyPerWorker,
      confined: permission !== undefined,
    }),
  }
}

/** @param {import('./worker-task.js').WorkerOrder} order */
function orderOf(order) {
  try {
    return serialize(order)
  } catch (error) {
    throw new SerializationError(`The setupData cannot be cloned: ${/** @type {Error} */ (error).message}`, {
      cause: error,
    })
  }
}

/**
 * @param {string} one
 * @param {string | undefined} other
 */
function samePath(one, other) {
  if (other === undefined) return false
  const real = (/** @type {string} */ file) => {
    try {
      return realpathSync(file)
    } catch {
      return file
    }
  }
  return real(one) === real(other)
}

/** @returns {{ promise: Promise<void>, resolve: () => void, reject: (error: unknown) => void }} */
function deferred() {
  let resolve = () => {}
  let reject = (/** @type {unknown} */ _) => {}
  const promise = /** @type {Promise<void>} */ (
    new Promise((...both) => {
      resolve = /** @type {() => void} */ (both[0])
      reject = both[1]
    })
  )
  return { promise, resolve, reject }
}

/** Bits of what somebody listens to. */
const MESSAGES = 1
const PROGRESS = 2
const OPEN = 0
const CLOSING = 1
/** The engine counts in 32 bits. */
const MAX_CAPACITY = 2 ** 32 - 1
const BOOT_FILE = fileURLToPath(new URL('./worker-boot.cjs', import.meta.url))
