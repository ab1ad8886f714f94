// `child_process.fork`, with its messages in our channel: `import { fork } from 'millrace/fork'`. A child is a pool of one
// process that is started once. What the parent sends are items without a result, so that many messages cross together;
// what the child sends comes as messages of its worker. The contract is fork.d.ts.

import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { getSystemErrorName } from 'node:util'
import { NativePool } from '../binding.js'
import { Encoder } from '../codec.js'
import {
  alreadyDisconnected,
  channelClosed,
  checkMessage,
  coded,
  fromJson,
  isInternal,
  sendCallback,
  toJson,
} from '../fork-message.js'
import { NO_KEYS } from '../item-key.js'
import { PoolCore } from '../pool-core.js'
import { nativeLives } from '../pool-lives.js'
import { processOptions } from '../worker-pool.js'
import { forkSettings, signalNumber } from './fork-options.js'

/** @typedef {import('./fork-options.js').ForkSettings} ForkSettings */

/** A child lives as long as its process, whoever holds it. @type {Set<ForkedChild>} */
const running = new Set()

/**
 * @param {string | URL} modulePath
 * @param {readonly unknown[] | object} [args]
 * @param {object} [options]
 * @returns {ForkedChild}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function fork(modulePath, args, options) {
  return new ForkedChild(forkSettings(modulePath, args, options))
}

class ForkedChild extends EventEmitter {
  /** @type {number | undefined} */
  pid
  connected = true
  killed = false
  /** @type {number | null} */
  exitCode = null
  /** @type {string | null} */
  signalCode = null
  stdin = null
  /** @type {Readable | null} */
  stdout
  /** @type {Readable | null} */
  stderr
  spawnfile
  spawnargs
  /** @type {(EventEmitter & { ref(): void, unref(): void }) | null} */
  channel

  #core
  #messages
  #toWire
  #fromWire
  /** Whether the parent waits for it. */
  #referenced = true
  #channelReferenced = true
  #held = false
  /** What has come in the batch that is being read, oldest first. @type {(() => void)[]} */
  #heard = []
  /** Messages for which there is no listener yet. @type {unknown[]} */
  #pending = []
  #ended = false
  #settings

  /** @param {ForkSettings} settings */
  constructor(settings) {
    super()
    this.#settings = settings
    const { pool, args, execPath, serialization } = settings
    const isJson = serialization === 'json'
    this.#toWire = isJson ? toJson : (/** @type {unknown} */ message) => message
    this.#fromWire = isJson ? fromJson : (/** @type {unknown} */ wire) => wire
    const native = { ...processOptions(pool, args), once: true, program: execPath }
    this.spawnfile = execPath
    this.spawnargs = [execPath, ...pool.execArgv, settings.file, ...args]
    this.stdout = pool.stdout === 'pipe' ? new Readable({ read() {} }) : null
    this.stderr = pool.stderr === 'pipe' ? new Readable({ read() {} }) : null
    this.channel = Object.assign(new EventEmitter(), {
      ref: () => this.#reference(this.#referenced, true),
      unref: () => this.#reference(this.#referenced, false),
    })
    this.#core = new PoolCore(
      pool.label,
      1,
      (onWake) => NativePool.processes(1, 1, 0, nativeLives(pool), native, onWake),
      (define) => new Encoder(define),
      {
        message: (_worker, _index, take) => this.#onMessage(take),
        written: (_worker, stream, take) => {
          const bytes = take()
          this.#heard.push(() => this[stream]?.push(bytes))
        },
        startFailed: ({ message }) => {
          // The process itself could not be started; anything else that is said here has an exit, too.
          if (this.pid === undefined) this.#heard.push(() => this.#onExit(null, null, message))
        },
        // In a turn of its own, as in Node: who awaits a message may then begin to wait for the end.
        exited: ({ exitCode, signal }) => {
          this.#heard.push(() => setImmediate(() => this.#onExit(exitCode, signal, '')))
        },
        read: () => this.#tell(),
      },
    )
    this.#messages = new Messages(this.#core)
    this.#core.native.listen(MESSAGES)
    running.add(this)
    this.#reference(true, true)
    this.on('newListener', (event) => {
      if (event === 'message' && this.#pending.length > 0) process.nextTick(() => this.#deliverPending())
    })
    this.#core.native.warmUp(1)
    // As in Node: the number of the process is known when fork() returns.
    const pid = this.#core.native.startedPid()
    if (pid === 0) return
    this.pid = pid
    process.nextTick(() => this.emit('spawn'))
    this.#watch()
  }

  get stdio() {
    return [this.stdin, this.stdout, this.stderr, null]
  }

  /**
   * @param {unknown} message
   * @param {unknown} [handle]
   * @param {unknown} [options]
   * @param {unknown} [callback]
   * @returns {boolean}
   */
  send(message, handle, options, callback) {
    const sent = sendCallback(handle, options, callback)
    if (!this.connected) {
      const error = channelClosed()
      if (sent === undefined) process.nextTick(() => this.emit('error', error))
      else process.nextTick(sent, error)
      return false
    }
    checkMessage(message)
    return this.#messages.send(this.#toWire(message), sent)
  }

  disconnect() {
    if (!this.connected) {
      this.emit('error', alreadyDisconnected())
      return
    }
    this.#disconnected()
    this.#messages.end()
    this.#core.native.close(false)
    process.nextTick(() => this.emit('disconnect'))
  }

  /**
   * @param {NodeJS.Signals | number} [signal]
   * @returns {boolean} whether the process was there to get it
   */
  kill(signal = 'SIGTERM') {
    const number = signalNumber(signal)
    if (this.#ended || this.pid === undefined) return false
    try {
      process.kill(this.pid, number)
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false
      throw error
    }
    this.killed = true
    return true
  }

  ref() {
    this.#reference(true, this.#channelReferenced)
  }

  unref() {
    this.#reference(false, this.#channelReferenced)
  }

  [Symbol.dispose]() {
    this.kill()
  }

  /** `timeout` and `signal` of the options. */
  #watch() {
    const { timeout, signal, killSignal } = this.#settings
    if (timeout > 0) {
      const timer = setTimeout(() => this.kill(killSignal), timeout)
      this.once('exit', () => clearTimeout(timer))
    }
    if (signal === undefined) return
    const onAbort = () => {
      if (!this.kill(killSignal)) return
      const error = coded(Error, 'ABORT_ERR', 'The operation was aborted')
      this.emit('error', Object.assign(error, { name: 'AbortError', cause: signal.reason }))
    }
    if (signal.aborted) process.nextTick(onAbort)
    else {
      signal.addEventListener('abort', onAbort, { once: true })
      this.once('exit', () => signal.removeEventListener('abort', onAbort))
    }
  }

  /** @param {() => unknown} take */
  #onMessage(take) {
    const wire = take()
    this.#heard.push(() => {
      if (!this.connected) return
      if (wire === undefined) {
        this.#disconnected()
        this.emit('disconnect')
        return
      }
      const message = this.#fromWire(wire)
      if (isInternal(message)) {
        this.#emitSafely(() => this.emit('internalMessage', message, undefined))
        return
      }
      this.#pending.push(message)
      if (this.#pending.length === 1) this.#deliverPending()
    })
  }

  #deliverPending() {
    while (this.#pending.length > 0 && this.listenerCount('message') > 0) {
      const message = this.#pending.shift()
      this.#emitSafely(() => this.emit('message', message, undefined))
    }
  }

  /** A batch has been read. */
  #tell() {
    for (const tell of this.#heard.splice(0)) this.#emitSafely(tell)
  }

  /**
   * What a listener throws is nobody's, and must not keep the others from theirs.
   * @param {() => void} emit
   */
  #emitSafely(emit) {
    try {
      emit()
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }

  /**
   * @param {number | null} exitCode
   * @param {string | null} signal
   * @param {string} refusal why it could not be started, if it could not
   */
  #onExit(exitCode, signal, refusal) {
    if (this.#ended) return
    this.#ended = true
    const wasConnected = this.connected
    if (wasConnected) this.#disconnected()
    this.#messages.drop()
    running.delete(this)
    this.#reference(this.#referenced, this.#channelReferenced)
    // The batch that told of it is still being read.
    setImmediate(() => this.#core.native.dispose())
    if (this.pid === undefined) {
      // As in Node: there is no exit of what has not begun, but it is closed, with the number of the error.
      const error = spawnFailure(refusal, this.spawnfile, this.spawnargs)
      this.exitCode = 'errno' in error ? Number(error.errno) : NOT_STARTED
      this.#emitSafely(() => this.emit('error', error))
    } else {
      this.exitCode = exitCode
      this.signalCode = signal
    }
    if (wasConnected) this.#emitSafely(() => this.emit('disconnect'))
    if (this.pid !== undefined) this.#emitSafely(() => this.emit('exit', exitCode, signal))
    const streams = [this.stdout, this.stderr].filter((stream) => stream !== null)
    let open = streams.length
    const onClosed = () => {
      if (open-- === 0) this.emit('close', this.exitCode, signal)
    }
    for (const stream of streams) {
      stream.once('close', onClosed)
      stream.push(null)
      // What nobody reads is dropped, as in Node.
      if (stream.readableFlowing === null) process.nextTick(() => stream.resume())
    }
    process.nextTick(onClosed)
  }

  #disconnected() {
    this.connected = false
    this.channel = null
    this.#reference(this.#referenced, this.#channelReferenced)
  }

  /**
   * @param {boolean} child
   * @param {boolean} channel
   */
  #reference(child, channel) {
    this.#referenced = child
    this.#channelReferenced = channel
    const holds = !this.#ended && (child || (channel && this.connected))
    if (holds === this.#held) return
    this.#held = holds
    this.#core.hold(holds ? 1 : -1)
  }
}

/** What the parent sends: one call of the engine, whose items have no results. */
class Messages {
  /** @type {number} */
  id
  #core
  #writer
  #gauge = new Float64Array(4)
  #flushing = false
  /** Called when what is written has left. @type {((error: Error | null) => void)[]} */
  #callbacks = []
  /** Messages that the child has not heard. */
  #backlog = 0
  #heard = 0
  #over = false

  /** @param {PoolCore} core */
  constructor(core) {
    this.#core = core
    this.#writer = core.itemWriter()
    this.id = core.native.open(false, false, 1, NO_LIMIT, Number.MAX_SAFE_INTEGER, 0, 0, false)
    core.add(this)
  }

  /** Whether the program lives is for its child to say. */
  get idle() {
    return true
  }

  /**
   * @param {unknown} wire
   * @param {((error: Error | null) => void) | undefined} callback
   */
  send(wire, callback) {
    this.#writer.write(wire)
    if (callback !== undefined) this.#callbacks.push(callback)
    this.#backlog++
    if (this.#writer.count >= MAX_CHUNK_ITEMS || this.#writer.isFull) this.#flush()
    else if (!this.#flushing) {
      this.#flushing = true
      process.nextTick(this.#flushNow)
    }
    return this.#backlog < MAX_BACKLOG
  }

  /** Nothing more is sent; what was, arrives. */
  end() {
    this.#flush()
    this.#over = true
    this.#core.native.end(this.id)
  }

  /** Nobody is left to hear it. */
  drop() {
    this.#over = true
    this.#writer.clear()
    for (const callback of this.#callbacks.splice(0)) process.nextTick(callback, channelClosed())
  }

  /** @param {import('../batch-reader.js').Entries} entries */
  receive({ count }) {
    this.#backlog -= count
    this.#heard += count
  }

  stopping() {}
  again() {}
  tried() {}
  fail() {}
  allEnded() {}
  proceed() {}

  #flushNow = () => {
    this.#flushing = false
    if (!this.#over) this.#flush()
  }

  #flush() {
    const writer = this.#writer
    if (writer.count === 0) return
    const { sizes, rows, text, large } = writer
    this.#core.native.submit(this.id, sizes, NO_KEYS, rows, text, 0, this.#heard, 0, this.#gauge, large)
    this.#heard = 0
    writer.clear()
    for (const callback of this.#callbacks.splice(0)) process.nextTick(callback, null)
  }
}

/**
 * @param {string} reason in the system's words, with its number
 * @param {string} file
 * @param {string[]} spawnargs
 */
function spawnFailure(reason, file, [, ...spawnargs]) {
  const number = /os error (\d+)/.exec(reason)?.[1]
  if (number === undefined) return coded(Error, 'ERR_WORKER_START', `spawn ${file}: ${reason}`)
  const code = getSystemErrorName(-Number(number))
  const syscall = `spawn ${file}`
  return Object.assign(coded(Error, code, `${syscall} ${code}`), {
    errno: -Number(number),
    syscall,
    path: file,
    spawnargs,
  })
}

/** The exit code of a process that the system has refused for a reason without a number. */
const NOT_STARTED = -1
/** A bit of what somebody listens to. */
const MESSAGES = 1
const NO_LIMIT = 0xffffffff
/** As many items as a chunk can have. */
const MAX_CHUNK_ITEMS = 16_384
/** From here on `send()` says that it is enough for now. */
const MAX_BACKLOG = 8_192
