// What callers may pass to calls, checked once, with every default. Each function turns an options object, which it
// never writes to, into a frozen value of settings. An unknown name is an error: a typo must not be a silent default.

import { callerContext, heldIn } from './async-context.js'
import { FILTER } from './chunk-flags.js'
import { invalidArgType, outOfRange, unknownOption } from './errors.js'
import {
  countUpTo,
  flag,
  isOptionsObject,
  MAX_MILLISECONDS,
  milliseconds,
  numberWithin,
  positiveInteger,
  positiveIntegerOrInfinity,
} from './option-values.js'
import { startCall, takesAway } from './outcome.js'

/**
 * @typedef {object} CallSettings
 * @property {number | undefined} concurrency undefined: as many as the pool can run at once
 * @property {boolean} preserveOrder
 * @property {number | undefined} backpressure the window in items; undefined: automatic
 * @property {number} maxBytes the window in bytes
 * @property {number} chunkSize 0: automatic
 * @property {AbortSignal | undefined} signal
 * @property {boolean} stopOnError
 * @property {boolean} settled
 * @property {Readonly<TrySettings> | undefined} tries undefined: an item has one try, and any time
 * @property {import('node:async_hooks').AsyncResource} [context] of the one who made the call, where something is stored in it
 * @property {number} priority
 * @property {((item: any) => unknown) | undefined} key undefined: items have no keys
 * @property {number} form what becomes of the mapper's results: 0, or FILTER or FLATTEN (chunk-flags.js)
 * @property {boolean} transfer items are given away
 */

/**
 * How often an item is tried, and how long; where nothing of it is asked for, there are no such settings.
 * @typedef {object} TrySettings
 * @property {number} retries of a failed item, or Infinity
 * @property {Readonly<Backoff>} backoff
 * @property {RetryIf | undefined} retryIf undefined: always
 * @property {number} crashRetries
 * @property {number} timeout milliseconds of a try; 0: any time
 */

/** @typedef {(error: unknown, context: { index: number, attempt: number }) => unknown} RetryIf */

/**
 * What is waited before a retry, in milliseconds.
 * @typedef {object} Backoff
 * @property {number} initial
 * @property {number} factor
 * @property {number} max
 * @property {number} jitter the part of it, from 0 to 1, of which a random share is left out
 */

/**
 * @typedef {object} BatchSettings
 * @property {number} size Infinity: any number
 * @property {number} bytes Infinity: any number
 * @property {number | undefined} wait undefined: for ever
 */

/** @typedef {'function' | 'pool' | 'native'} MapperKind */

/**
 * @param {unknown} mapper
 * @returns {MapperKind}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function mapperKind(mapper) {
  if (typeof mapper === 'function') return 'function'
  if (typeof mapper === 'object' && mapper !== null && startCall in mapper)
    return takesAway in mapper ? 'native' : 'pool'
  throw invalidArgType('mapper', 'a function, a pool or a native operation', mapper)
}

/**
 * @param {unknown} options
 * @param {MapperKind} kind of the mapper
 * @param {number} [form] 0, FILTER or FLATTEN
 * @returns {Readonly<CallSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function parallelMapSettings(options, kind, form = 0) {
  const defaults = kind === 'function' ? FUNCTION_DEFAULTS : POOL_DEFAULTS
  const given = optionsObject(options, CALL_OPTIONS)
  if (given === undefined) return form === 0 ? defaults : Object.freeze({ ...defaults, form })
  const { concurrency, backpressure } = windowSettings(given, kind, defaults)
  return Object.freeze({
    concurrency,
    preserveOrder: flag(given, 'preserveOrder', defaults.preserveOrder),
    backpressure,
    maxBytes: positiveInteger(given, 'maxBytes', defaults.maxBytes),
    chunkSize: chunkSize(given, defaults.chunkSize),
    signal: abortSignal(given),
    stopOnError: flag(given, 'stopOnError', defaults.stopOnError),
    settled: flag(given, 'settled', defaults.settled),
    tries: trySettings(given),
    priority: priority(given),
    key: keyFunction(given),
    form,
    transfer: transfer(given, kind, form),
  })
}

/**
 * @param {unknown} options of `batch()`: a number is the size
 * @returns {Readonly<BatchSettings>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function batchSettings(options) {
  const expected = 'a positive integer, or an object with size or bytes'
  const short = typeof options === 'number'
  if (!short && (typeof options !== 'object' || options === null))
    throw invalidArgType('size', expected, options)
  const given = short ? { size: options } : (optionsObject(options, BATCH_OPTIONS) ?? {})
  if (given.size === undefined && given.bytes === undefined) throw invalidArgType('size', expected, options)
  return Object.freeze({
    size: positiveInteger(given, 'size', Infinity),
    bytes: positiveInteger(given, 'bytes', Infinity),
    wait: milliseconds(given, 'wait', undefined),
  })
}

/**
 * @param {unknown} count of `take()` or `drop()`
 * @returns {number}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {RangeError} ERR_OUT_OF_RANGE
 */
export function resultCount(count) {
  const expected = '0, a positive integer or Infinity'
  if (typeof count !== 'number') throw invalidArgType('count', expected, count)
  if (count !== Infinity && (!Number.isSafeInteger(count) || count < 0))
    throw outOfRange('count', expected, count)
  return count
}

/**
 * @param {unknown} options of `pool.run()`
 * @returns {Readonly<{ signal: AbortSignal | undefined, tries: Readonly<TrySettings> | undefined, priority: number }>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function runSettings(options) {
  const given = optionsObject(options, RUN_OPTIONS)
  if (given === undefined) return RUN_DEFAULTS
  return Object.freeze({ signal: abortSignal(given), tries: trySettings(given), priority: priority(given) })
}

/**
 * @param {unknown} options of `run()` of a native operation
 * @returns {ReturnType<typeof runSettings> & Readonly<{ transfer: boolean }>}
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function nativeRunSettings(options) {
  const given = optionsObject(options, NATIVE_RUN_OPTIONS)
  if (given === undefined) return NATIVE_RUN_DEFAULTS
  const { transfer: _, ...others } = given
  return Object.freeze({ ...runSettings(others), transfer: flag(given, 'transfer', false) })
}

/**
 * @param {unknown} options
 * @param {readonly string[]} known
 * @returns {Record<string, unknown> | undefined}
 */
export function optionsObject(options, known) {
  if (options === undefined) return undefined
  if (!isOptionsObject(options)) throw invalidArgType('options', 'an object', options)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw unknownOption(name, known)
  }
  return options
}

/**
 * @param {Record<string, unknown>} given
 * @param {MapperKind} kind
 * @param {Readonly<CallSettings>} defaults
 */
function windowSettings(given, kind, defaults) {
  // "All at once" is a fine thing to say to a pool, too: it means its capacity, as every number above that does.
  let concurrency = positiveIntegerOrInfinity(given, 'concurrency', defaults.concurrency)
  if (kind !== 'function' && concurrency === Infinity) concurrency = undefined
  let backpressure =
    kind === 'function'
      ? positiveIntegerOrInfinity(given, 'backpressure', undefined)
      : positiveInteger(given, 'backpressure', undefined)
  if (backpressure === undefined && kind === 'function') backpressure = 2 * Number(concurrency)
  if (backpressure !== undefined && concurrency !== undefined && backpressure < concurrency) {
    throw outOfRange('backpressure', `at least the concurrency (${concurrency})`, backpressure)
  }
  return { concurrency, backpressure }
}

/**
 * @param {Record<string, unknown>} given
 * @returns {Readonly<TrySettings> | undefined}
 */
function trySettings(given) {
  const { retryIf } = given
  if (retryIf !== undefined && typeof retryIf !== 'function')
    throw invalidArgType('retryIf', 'a function', retryIf)
  const settings = {
    retries: countUpTo(given, 'retries', Infinity),
    backoff: backoffSettings(given),
    retryIf: retryIf && heldIn(callerContext(), /** @type {RetryIf} */ (retryIf)),
    crashRetries: countUpTo(given, 'crashRetries', MAX_CRASH_RETRIES),
    timeout: numberWithin(given, 'timeout', 'milliseconds', 1, MAX_MILLISECONDS, 0),
  }
  if (settings.retries === 0 && settings.crashRetries === 0 && settings.timeout === 0) return undefined
  return Object.freeze(settings)
}

/** @param {Record<string, unknown>} given */
function priority(given) {
  const value = given.priority
  if (value === undefined) return 0
  const expected = `an integer from ${-MAX_PRIORITY} to ${MAX_PRIORITY}`
  if (typeof value !== 'number') throw invalidArgType('priority', expected, value)
  if (!Number.isInteger(value) || Math.abs(value) > MAX_PRIORITY)
    throw outOfRange('priority', expected, value)
  return value
}

/**
 * @param {Record<string, unknown>} given
 * @param {MapperKind} kind
 * @param {number} form
 */
function transfer(given, kind, form) {
  const value = flag(given, 'transfer', false)
  if (value && kind !== 'native')
    throw invalidArgType('transfer', 'false, because the mapper is no native operation', value)
  if (value && form === FILTER)
    throw invalidArgType('transfer', 'false, because filter() yields its items', value)
  return value
}

/** @param {Record<string, unknown>} given */
function keyFunction({ key }) {
  if (key !== undefined && typeof key !== 'function') throw invalidArgType('key', 'a function', key)
  return key && heldIn(callerContext(), /** @type {(item: any) => unknown} */ (key))
}

/** @param {Record<string, unknown>} given */
function backoffSettings({ backoff }) {
  if (backoff === undefined) return BACKOFF_DEFAULTS
  if (!isOptionsObject(backoff)) throw invalidArgType('backoff', 'an object', backoff)
  for (const name of Object.keys(backoff))
    if (!(name in BACKOFF_DEFAULTS)) throw unknownOption(`backoff.${name}`, Object.keys(BACKOFF_DEFAULTS))
  const prefixed = Object.fromEntries(
    Object.entries(backoff).map(([name, value]) => [`backoff.${name}`, value]),
  )
  const { initial, factor, max, jitter } = BACKOFF_DEFAULTS
  return Object.freeze({
    initial: milliseconds(prefixed, 'backoff.initial', initial),
    factor: numberWithin(prefixed, 'backoff.factor', 'a number', 1, MAX_FACTOR, factor),
    max: milliseconds(prefixed, 'backoff.max', max),
    jitter: numberWithin(prefixed, 'backoff.jitter', 'a number', 0, 1, jitter),
  })
}

/**
 * @param {Record<string, unknown>} given
 * @param {number} byDefault
 */
function chunkSize(given, byDefault) {
  const value = given.chunkSize
  if (value === undefined || value === 'auto') return byDefault
  const expected = `'auto' or an integer from 1 to ${MAX_CHUNK_SIZE}`
  if (typeof value !== 'number') throw invalidArgType('chunkSize', expected, value)
  if (!Number.isInteger(value) || value < 1 || value > MAX_CHUNK_SIZE)
    throw outOfRange('chunkSize', expected, value)
  return value
}

/** @param {Record<string, unknown>} given */
function abortSignal(given) {
  const signal = /** @type {AbortSignal | undefined} */ (given.signal)
  if (signal === undefined) return undefined
  // By shape: signals of other realms (jsdom, vm contexts) are as good.
  const fits =
    typeof signal === 'object' &&
    signal !== null &&
    typeof signal.aborted === 'boolean' &&
    typeof signal.addEventListener === 'function'
  if (!fits) throw invalidArgType('signal', 'an AbortSignal', signal)
  return signal
}

const TRY_OPTIONS = ['retries', 'backoff', 'retryIf', 'crashRetries', 'timeout']
const CALL_OPTIONS = [
  'concurrency',
  'preserveOrder',
  'backpressure',
  'maxBytes',
  'chunkSize',
  'signal',
  'stopOnError',
  'settled',
  'priority',
  'key',
  'transfer',
  ...TRY_OPTIONS,
]
const BATCH_OPTIONS = ['size', 'bytes', 'wait']
const RUN_OPTIONS = ['signal', 'priority', ...TRY_OPTIONS]
const NATIVE_RUN_OPTIONS = [...RUN_OPTIONS, 'transfer']
/** The most items that travel together; also the bound of an automatic window, so that one chunk can fill it. */
const MAX_CHUNK_SIZE = 16_384
/** Each is a process that has to start: more would be a program that does nothing else. */
const MAX_CRASH_RETRIES = 1_000
const MAX_FACTOR = 1_000
/** More than anyone tells apart; the engine counts in 32 bits. */
const MAX_PRIORITY = 1_000_000
const BACKOFF_DEFAULTS = Object.freeze({ initial: 100, factor: 2, max: 30_000, jitter: 0.5 })

/** @type {Readonly<CallSettings>} */
const POOL_DEFAULTS = Object.freeze({
  concurrency: undefined,
  preserveOrder: true,
  backpressure: undefined,
  maxBytes: 64 * 1024 * 1024,
  chunkSize: 0,
  signal: undefined,
  stopOnError: true,
  settled: false,
  tries: undefined,
  priority: 0,
  key: undefined,
  form: 0,
  transfer: false,
})
/** @type {Readonly<CallSettings>} */
const FUNCTION_DEFAULTS = Object.freeze({ ...POOL_DEFAULTS, concurrency: 16, backpressure: 32 })
const RUN_DEFAULTS = Object.freeze({ signal: undefined, tries: undefined, priority: 0 })
const NATIVE_RUN_DEFAULTS = Object.freeze({ ...RUN_DEFAULTS, transfer: false })
