// Messages as `child_process.fork` knows them: what may be one, and how it travels. With JSON, objects and strings are
// texts on the way, so that what JSON makes of them is what arrives; numbers, booleans and null are themselves. Parent
// and worker both load it, for pools of fork scripts and for `millrace/fork`.

import { Decoder, Encoder } from './codec.js'
import { SerializationError } from './errors.js'

/** @typedef {'json' | 'advanced'} Serialization */

/**
 * The arguments of `send()`, which may leave out those in the middle.
 * @param {unknown} handle
 * @param {unknown} options
 * @param {unknown} callback
 * @returns {((error: Error | null) => void) | undefined}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_HANDLE_TYPE
 */
export function sendCallback(handle, options, callback) {
  if (typeof handle === 'function') return /** @type {any} */ (handle)
  if (handle) throw coded(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
  if (typeof options === 'function') return /** @type {any} */ (options)
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw coded(TypeError, 'ERR_INVALID_ARG_TYPE', 'The "options" argument must be of type object')
  }
  return typeof callback === 'function' ? /** @type {any} */ (callback) : undefined
}

/**
 * @param {unknown} message
 * @throws {TypeError} ERR_MISSING_ARGS, ERR_INVALID_ARG_TYPE: it is none
 */
export function checkMessage(message) {
  if (message === undefined)
    throw coded(TypeError, 'ERR_MISSING_ARGS', 'The "message" argument must be specified')
  if (!MESSAGE_TYPES.includes(typeof message)) {
    throw coded(
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "message" argument must be one of type string, object, number, or boolean. Received ${typeof message}`,
    )
  }
}

/**
 * Whether a message is one of those that Node keeps for itself: `{ cmd: 'NODE_…' }` is no 'message' but an 'internalMessage'.
 * @param {any} message
 */
export function isInternal(message) {
  if (typeof message !== 'object' || message === null || typeof message.cmd !== 'string') return false
  return message.cmd.startsWith('NODE_') && message.cmd.length > 'NODE_'.length
}

/** What `send()` says when nobody can hear it. */
export function channelClosed() {
  return coded(Error, 'ERR_IPC_CHANNEL_CLOSED', 'Channel closed')
}

/** What a second `disconnect()` says. */
export function alreadyDisconnected() {
  return coded(Error, 'ERR_IPC_DISCONNECTED', 'IPC channel is already disconnected')
}

/**
 * @template {Error} E
 * @param {new (message: string) => E} ErrorClass
 * @param {string} code
 * @param {string} message
 */
export function coded(ErrorClass, code, message) {
  return Object.assign(new ErrorClass(message), { code })
}

/**
 * What travels of a message with JSON: any → number, boolean, null, '' or a text of JSON.
 * @param {unknown} message
 * @returns {unknown}
 * @throws {TypeError} JSON refuses it
 */
export function toJson(message) {
  // As JSON has them: no -0, and nothing that is not finite.
  if (typeof message === 'number') return Number.isFinite(message) ? message + 0 : null
  // An empty text stays itself, so that what is false is false on the way, too.
  if (typeof message === 'boolean' || message === null || message === '') return message
  const text = JSON.stringify(message)
  if (text === undefined) {
    throw coded(TypeError, 'ERR_INVALID_ARG_TYPE', 'The message has a toJSON() that returns no value of JSON')
  }
  return text
}

/**
 * @param {unknown} wire what `toJson` made
 * @returns {unknown}
 * @throws {SyntaxError} it did not
 */
export function fromJson(wire) {
  return typeof wire === 'string' && wire !== '' ? JSON.parse(wire) : wire
}

/** Items of a pool as messages of JSON. */
export class JsonEncoder extends Encoder {
  /** The item that is being written, which may take several runs, and its text. @type {unknown} */
  #message = undefined
  /** @type {unknown} */
  #wire = undefined

  /**
   * @override
   * @param {unknown} item
   * @returns {boolean}
   */
  encode(item) {
    if (item === undefined || item !== this.#message) {
      this.#message = undefined
      try {
        checkMessage(item)
        this.#wire = toJson(item)
      } catch (error) {
        const { message } = /** @type {Error} */ (error)
        throw new SerializationError(`The item cannot be a message of JSON: ${message}`, { cause: error })
      }
      this.#message = item
    }
    const fits = super.encode(this.#wire)
    // The next item may be the same object with something else in it.
    if (fits) {
      this.#message = undefined
      this.#wire = undefined
    }
    return fits
  }
}

/** What a worker has sent as JSON: one message, or an array of several. */
export class JsonDecoder extends Decoder {
  /**
   * @override
   * @param {number} rowStart
   * @param {number} rowEnd
   * @param {number} textStart
   */
  decode(rowStart, rowEnd, textStart) {
    const wire = super.decode(rowStart, rowEnd, textStart)
    try {
      return Array.isArray(wire) ? wire.map(fromJson) : fromJson(wire)
    } catch (error) {
      throw new SerializationError('A message of a worker is no JSON', { cause: error })
    }
  }
}

/**
 * A function that copies values as they would arrive: what is changed after `send()` is not sent.
 * @returns {(value: unknown) => unknown}
 */
export function copying() {
  const decoder = new Decoder()
  const encoder = new Encoder((id, definition) => decoder.define(id, definition))
  let size = 4096
  return (value) => {
    if (typeof value !== 'object' || value === null) return value
    for (;;) {
      encoder.rows = new Uint8Array(size)
      encoder.text = new Uint8Array(size)
      encoder.rowPos = 0
      encoder.textPos = 0
      encoder.rowEnd = size
      encoder.textEnd = size
      if (encoder.encode(value)) break
      size *= 2
    }
    decoder.open(encoder.rows, 0, encoder.textPos, encoder.text)
    const copy = decoder.decode(0, encoder.rowPos, 0)
    size = Math.min(size, MAX_KEPT_BYTES)
    return copy
  }
}

const MESSAGE_TYPES = ['string', 'object', 'number', 'boolean']
const MAX_KEPT_BYTES = 1 << 20
