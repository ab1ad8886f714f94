// Scripts that were written for `child_process.fork`, in a worker: `process.on('message')`, `process.send()` and what
// belongs to them, over the channel of the worker. Loaded only where a script needs it.
//
// In a pool each item is one message, and the next `send()` is its result. There the script is the mapper, and ends with
// its worker. Under `millrace/fork` messages go both ways as they come, and the script ends as a forked one does.

import { SerializationError } from './errors.js'
import {
  alreadyDisconnected,
  channelClosed,
  checkMessage,
  copying,
  fromJson,
  isInternal,
  sendCallback,
  toJson,
} from './fork-message.js'
import { skip } from './outcome.js'

/**
 * What a script needs of its worker.
 * @typedef {object} ScriptLink
 * @property {(value: unknown) => void} say something that is no result; undefined: the script has disconnected
 * @property {(alive: boolean) => void} keepAlive whether the channel keeps the process from ending
 * @property {() => void} resume items can run again
 */

/**
 * @typedef {object} ScriptOrder
 * @property {import('./fork-message.js').Serialization} serialization
 * @property {boolean} texts the parent writes and reads JSON: it knew of the protocol
 * @property {unknown} lastMessage undefined: there is none
 */

/**
 * An item that runs.
 * @typedef {object} Running
 * @property {unknown[] | undefined} results of `flatMap()`; undefined: one is all
 * @property {unknown} value the one
 * @property {boolean} open it may be sent more
 * @property {number} promised by listeners, and not settled
 * @property {((value: unknown) => void) | undefined} settle
 * @property {boolean} ended the worker has its outcome
 */

export class ForkScript {
  #link
  /** @type {(message: unknown) => unknown} */
  #toWire = toJson
  /** @type {(wire: unknown) => unknown} */
  #fromWire = fromJson
  /** What ends an item, as JSON. @type {string | undefined} */
  #lastMessage
  /** @type {Running | undefined} */
  #running
  #connected = true
  #referenced = true
  /** Whether the channel keeps the process from ending, as the worker was told. @type {boolean | undefined} */
  #alive
  /** Items are its messages: the worker waits for its answers. */
  #inPool = false
  /** Messages for which there is no listener yet. @type {unknown[]} */
  #pending = []
  #changing = false
  /** @type {(() => void) | undefined} */
  #onListener
  /** Ends a script that can do no work. @type {NodeJS.Timeout | undefined} */
  #deadline

  /**
   * @param {ScriptLink} link
   * @param {ScriptOrder} order
   */
  constructor(link, { serialization, texts, lastMessage }) {
    this.#link = link
    if (lastMessage !== undefined) this.#lastMessage = JSON.stringify(lastMessage)
    if (serialization === 'advanced') {
      this.#toWire = copying()
      this.#fromWire = (value) => value
    } else if (!texts) {
      const asJson = (/** @type {unknown} */ value) => fromJson(toJson(value))
      this.#toWire = asJson
      this.#fromWire = (item) => {
        // The parent did not know that it is a message.
        checkMessage(item)
        return asJson(item)
      }
    }
    // As fork makes them: plain properties.
    const properties = {
      connected: true,
      channel: { ref: () => this.#reference(true), unref: () => this.#reference(false) },
      send: this.#send,
      disconnect: this.#disconnect,
    }
    for (const [name, value] of Object.entries(properties))
      Object.defineProperty(process, name, { value, writable: true, enumerable: true, configurable: true })
    process.on('newListener', this.#onChange)
    process.on('removeListener', this.#onChange)
  }

  /** It was no such script. */
  withdraw() {
    process.off('newListener', this.#onChange)
    process.off('removeListener', this.#onChange)
  }

  /** It is such a script: from now on it keeps the process only as far as it listens. */
  begin() {
    this.#alive = true
    this.#keepAlive()
  }

  /**
   * The script as the mapper of a pool.
   * @returns {import('./worker-task.js').Task}
   */
  poolTask() {
    this.#inPool = true
    return {
      run: (item) => this.#run(item, undefined),
      runMany: (item) => this.#run(item, []),
      waits: () => this.#waits(),
      teardown: () => this.#farewell(),
      answer: () => this.#answer(),
      explain: (error) => error,
    }
  }

  /**
   * The script as a child of `millrace/fork`.
   * @returns {import('./worker-task.js').Task}
   */
  childTask() {
    return {
      run: (wire) => this.#receive(this.#fromWire(wire)),
      teardown: () => {
        if (this.#connected) this.#disconnect()
        // It ends by itself, as soon as it has nothing to do.
        return new Promise(() => {})
      },
      explain: (error) => error,
    }
  }

  /**
   * Wait until the script listens for messages. It may do so before it is loaded, and await the first one.
   * @param {Promise<unknown>} loaded
   * @param {(error: Error) => void} ended told if the process ends before
   * @throws what loading throws; an Error if it does not listen
   */
  async listening(loaded, ended) {
    const heard = new Promise((resolve) => {
      this.#onListener = () => resolve(undefined)
    })
    if (isHeard()) this.#onListener?.()
    const onExit = () => ended(new Error(`${NO_LISTENER}, and has ended`))
    const timer = setTimeout(() => this.#onListener?.(), MAX_START_MS).unref()
    process.on('exit', onExit)
    try {
      await Promise.race([heard, loaded.then(() => heard)])
      // What fails in the same turn is a failed start, too.
      await Promise.race([loaded.then(nextTurn), nextTurn()])
    } finally {
      process.off('exit', onExit)
      clearTimeout(timer)
      this.#onListener = undefined
    }
    if (!isHeard()) throw new Error(`${NO_LISTENER} after ${MAX_START_MS} ms`)
    loaded.catch(rethrowSoon)
  }

  /**
   * @param {unknown} item
   * @param {unknown[] | undefined} results
   */
  #run(item, results) {
    /** @type {Running} */
    const running = { results, value: skip, open: true, promised: 0, settle: undefined, ended: false }
    const message = this.#messageOf(item)
    this.#running = running
    const threw = this.#deliver(message, running)
    // A listener that has done all of its work needs no turn of the event loop.
    if (!running.open && results === undefined && running.promised === 0 && !threw) {
      running.ended = true
      return running.value
    }
    return new Promise((resolve) => {
      running.settle = resolve
      this.#settle(running)
    })
  }

  /** @param {unknown} item */
  #messageOf(item) {
    try {
      return this.#fromWire(item)
    } catch (error) {
      const { message } = /** @type {Error} */ (error)
      throw new SerializationError(`The item cannot be a message of JSON: ${message}`, { cause: error })
    }
  }

  /**
   * End the item if it is over: at the end of this turn of the event loop, so that what is sent, or fails, together
   * with its last message still belongs to it.
   * @param {Running} running
   */
  #settle(running) {
    const { settle, results } = running
    if (settle === undefined) return
    if (running.open && (running.promised > 0 || !this.#hasResults(running))) return
    running.settle = undefined
    setImmediate(() => {
      running.open = false
      running.ended = true
      settle(results ?? running.value)
    })
  }

  /**
   * Whether a list of results is one that may be over.
   * @param {Running} running
   */
  #hasResults({ results }) {
    return this.#lastMessage === undefined && results !== undefined && results.length > 0
  }

  /**
   * What was sent for the item that runs, where the process exits before its turn is over: under fork it arrives, too.
   * @returns {{ value: unknown } | undefined} undefined: none runs, or it was not answered
   */
  #answer() {
    const running = this.#running
    if (running === undefined || running.ended) return undefined
    if (running.open && !this.#hasResults(running)) return undefined
    return { value: running.results ?? running.value }
  }

  /**
   * Hand a message to the listeners, as `process.emit` does.
   * @param {unknown} message
   * @param {Running} [running]
   * @param {string} [event]
   * @returns {boolean} whether one has thrown: nobody catches that, as under fork
   */
  #deliver(message, running, event = 'message') {
    try {
      for (const listener of process.rawListeners(event)) {
        const returned = Reflect.apply(listener, process, [message, undefined])
        if (running === undefined || typeof returned?.then !== 'function') continue
        running.promised++
        // Not caught here: a rejection that nobody handles ends the process.
        returned.then(() => {
          running.promised--
          this.#settle(running)
        })
      }
    } catch (error) {
      process.nextTick(rethrow, error)
      return true
    }
    return false
  }

  /**
   * A message for a child of `millrace/fork`.
   * @param {unknown} message
   */
  #receive(message) {
    if (!this.#connected) return skip
    if (isInternal(message))
      return this.#deliver(message, undefined, 'internalMessage') ? nextTurn().then(() => skip) : skip
    if (this.#pending.length > 0 || !isHeard()) {
      this.#pending.push(message)
      return skip
    }
    // The next one must not be heard by a process that ends.
    return this.#deliver(message) ? nextTurn().then(() => skip) : skip
  }

  #send = (
    /** @type {unknown} */ message,
    /** @type {unknown} */ handle,
    /** @type {unknown} */ options,
    /** @type {unknown} */ callback,
  ) => {
    const sent = sendCallback(handle, options, callback)
    if (!this.#connected) {
      const error = channelClosed()
      if (sent === undefined) process.nextTick(() => emitError(error))
      else process.nextTick(sent, error)
      return false
    }
    checkMessage(message)
    this.#pass(message, this.#toWire(message))
    if (sent !== undefined) process.nextTick(sent, null)
    return true
  }

  /**
   * @param {unknown} message
   * @param {unknown} wire
   */
  #pass(message, wire) {
    const running = this.#running
    const isLast = this.#isLast(message)
    if (running?.open !== true) {
      if (!isLast) this.#link.say(wire)
      return
    }
    if (isLast) running.open = false
    else if (running.results !== undefined) running.results.push(wire)
    else if (running.value === skip) {
      running.value = wire
      running.open = this.#lastMessage !== undefined
    } else this.#link.say(wire)
    this.#settle(running)
  }

  /** @param {unknown} message */
  #isLast(message) {
    if (this.#lastMessage === undefined) return false
    try {
      return JSON.stringify(message) === this.#lastMessage
    } catch {
      return false
    }
  }

  #disconnect = () => {
    if (!this.#connected) {
      emitError(alreadyDisconnected())
      return
    }
    this.#close()
    if (!this.#inPool) this.#link.say(undefined)
    // What runs cannot be answered any more.
    else if (this.#running?.open) this.#endSoon()
    process.nextTick(() => process.emit('disconnect'))
  }

  #close() {
    this.#connected = false
    Object.assign(process, { connected: false, channel: null })
    this.#keepAlive()
  }

  /** The pool needs the worker no more. */
  async #farewell() {
    if (!this.#connected) return
    this.#close()
    await Promise.all(
      process.rawListeners('disconnect').map((listener) => Reflect.apply(listener, process, [])),
    )
  }

  /** @param {boolean} referenced */
  #reference(referenced) {
    this.#referenced = referenced
    this.#keepAlive()
  }

  #onChange = (/** @type {string | symbol} */ event) => {
    if ((event !== 'message' && event !== 'disconnect') || this.#changing) return
    // A listener is told of before it is there; `once()` is often followed by the next one.
    this.#changing = true
    process.nextTick(() => {
      this.#changing = false
      this.#keepAlive()
      if (isHeard()) this.#heard()
    })
  }

  #heard() {
    this.#onListener?.()
    if (this.#deadline !== undefined && this.#connected) {
      clearTimeout(this.#deadline)
      this.#deadline = undefined
      this.#link.resume()
    }
    for (const message of this.#pending.splice(0)) this.#deliver(message)
  }

  /** As in Node: a channel to which nobody listens keeps no process. */
  #keepAlive() {
    const alive =
      this.#connected && this.#referenced && (isHeard() || process.listenerCount('disconnect') > 0)
    if (this.#alive === undefined || this.#alive === alive) return
    this.#alive = alive
    this.#link.keepAlive(alive)
  }

  /** Whether no item may begin: nobody would hear of it. */
  #waits() {
    if (this.#connected && isHeard()) return false
    this.#endSoon()
    return true
  }

  /** The process ends by itself, if it has nothing to do; or listens again; or is ended, for another one to do its work. */
  #endSoon() {
    this.#deadline ??= setTimeout(() => process.exit(), MAX_DEAF_MS).unref()
  }
}

function isHeard() {
  return process.listenerCount('message') > 0
}

/**
 * To the process's own listeners, as fork does it; an uncaught exception if there is none.
 * @param {Error} error
 */
function emitError(error) {
  const emitter = /** @type {import('node:events').EventEmitter} */ (process)
  emitter.emit('error', error)
}

/** @returns {Promise<void>} */
function nextTurn() {
  return new Promise((resolve) => setImmediate(resolve))
}

/** @param {unknown} error */
function rethrow(error) {
  throw error
}

/** @param {unknown} error */
export function rethrowSoon(error) {
  setImmediate(rethrow, error)
}

/** How long a script may take from when it has nothing more to load to its first listener. */
const MAX_START_MS = 10_000
/** How long items wait for a script that has taken its listener away. */
const MAX_DEAF_MS = 1_000
const NO_LISTENER = "The fork script has no 'message' listener"
