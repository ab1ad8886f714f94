// Every error class and every code of the JavaScript side. It imports nothing: worker processes load it at start.
// The same table, in prose, is docs/errors.md; a test holds the two equal.

/**
 * What is known about a failure; only what applies is set on the error.
 * @typedef {object} FailureDetails
 * @property {unknown} [cause]
 * @property {number} [index] position of the item in the source, from 0
 * @property {number} [attempt] which try at the item it was, from 1
 * @property {number} [worker] number of the worker in its pool, from 0
 * @property {number} [exitCode] exit code of the worker process
 * @property {string} [signal] signal that ended the worker process
 * @property {string} [stderr] the last part of what the worker process wrote to stderr
 * @property {number} [rss] bytes of memory of its own that the worker process had when it was over its limit
 * @property {number} [limit] that limit; most bytes that a result, or a line, may have
 * @property {string} [line] what a program wrote, cut
 */

/** Base class of the errors that Millrace itself makes. Its `code` is stable, its message is not. */
export class MillraceError extends Error {
  /** @type {string | undefined} */
  static code = undefined

  /**
   * @param {string} message
   * @param {FailureDetails} [details]
   */
  constructor(message, details = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    /** @type {string | undefined} */
    this.code = new.target.code
    for (const name of DETAIL_NAMES) {
      if (details[name] !== undefined) Object.assign(this, { [name]: details[name] })
    }
  }
}

/** A worker process ended while it ran an item. */
export class WorkerCrashError extends MillraceError {
  /** @override */
  static code = 'ERR_WORKER_CRASHED'
}

/** A worker process had no memory left, or more than it may have, while it ran an item. */
export class WorkerOutOfMemoryError extends MillraceError {
  /** @override */
  static code = 'ERR_WORKER_OUT_OF_MEMORY'
}

/** A worker process could not get ready: its task file, its `setup()` or the process itself failed. */
export class WorkerStartError extends MillraceError {
  /** @override */
  static code = 'ERR_WORKER_START'
}

/** A value cannot travel between processes; the message names the path to it. */
export class SerializationError extends MillraceError {
  /** @override */
  static code = 'ERR_SERIALIZATION'
}

/** An item took longer than the `timeout` of its call. */
export class TaskTimeoutError extends MillraceError {
  /** @override */
  static code = 'ERR_TASK_TIMEOUT'
}

/** A program answered too much, too little, or what is none of its format; `line` is what it wrote. */
export class CommandProtocolError extends MillraceError {
  /** @override */
  static code = 'ERR_COMMAND_PROTOCOL'
}

/** A program that was started for one item ended with an exit code that is not 0. */
export class CommandExitError extends MillraceError {
  /** @override */
  static code = 'ERR_COMMAND_EXIT'
}

/** A program had read all that it was told, waited for more, and did not answer when there was no more. */
export class StalledError extends MillraceError {
  /** @override */
  static code = 'ERR_STALLED'
}

/** The pool was closed before the work could be given to it. */
export class PoolClosedError extends MillraceError {
  /** @override */
  static code = 'ERR_POOL_CLOSED'
}

/** A line is longer than it may be. */
export class LineTooLongError extends MillraceError {
  /** @override */
  static code = 'ERR_LINE_TOO_LONG'
}

/** Something falsy was thrown, and a Node stream takes that for no error: the `cause` is what it was. */
export class FalsyValueError extends MillraceError {
  /** @override */
  static code = 'ERR_FALSY_VALUE'
}

/** What was to be decoded is not what it should be, or is cut off. */
export class CorruptDataError extends MillraceError {
  /** @override */
  static code = 'ERR_CORRUPT_DATA'
}

/** Bytes that were to be text are not UTF-8. */
export class InvalidTextError extends MillraceError {
  /** @override */
  static code = 'ERR_INVALID_TEXT'
}

/** A result would be larger than it may become. */
export class OutputTooLargeError extends MillraceError {
  /** @override */
  static code = 'ERR_OUTPUT_TOO_LARGE'
}

/** The results of a call were asked for a second time. */
export class ConsumedError extends MillraceError {
  /** @override */
  static code = 'ERR_CONSUMED'
}

for (const errorClass of [
  MillraceError,
  WorkerCrashError,
  WorkerOutOfMemoryError,
  WorkerStartError,
  SerializationError,
  TaskTimeoutError,
  CommandProtocolError,
  CommandExitError,
  StalledError,
  PoolClosedError,
  LineTooLongError,
  FalsyValueError,
  CorruptDataError,
  InvalidTextError,
  OutputTooLargeError,
  ConsumedError,
]) {
  // On the prototype, as the names of the built-in classes are: not one more own property on every error.
  Object.defineProperty(errorClass.prototype, 'name', {
    value: errorClass.name,
    writable: true,
    configurable: true,
  })
}

/**
 * @param {string} name of the argument or option
 * @param {string} expected what would have been right, with its article
 * @param {unknown} actual
 * @returns {TypeError & { code: string }}
 */
export function invalidArgType(name, expected, actual) {
  return withCode(new TypeError(wrongArgument(name, expected, describe(actual))), ERR_INVALID_ARG_TYPE)
}

/**
 * @param {string} name of the argument or option
 * @param {string} expected what would have been right, with its article
 * @param {unknown} actual
 * @returns {RangeError & { code: string }}
 */
export function outOfRange(name, expected, actual) {
  return withCode(new RangeError(wrongArgument(name, expected, describe(actual))), ERR_OUT_OF_RANGE)
}

/**
 * @param {string} unknown the option that does not exist
 * @param {readonly string[]} known all that do
 * @returns {TypeError & { code: string }}
 */
export function unknownOption(unknown, known) {
  const expected = known.length === 0 ? 'no options' : `one of ${known.join(', ')}`
  const message = `Unknown option "${unknown}": expected ${expected}, got "${unknown}"`
  return withCode(new TypeError(message), ERR_INVALID_ARG_TYPE)
}

/**
 * An item of the right type that an operation can do nothing with.
 * @param {string} message
 * @returns {RangeError & { code: string }}
 */
export function unfitValue(message) {
  return withCode(new RangeError(message), ERR_OUT_OF_RANGE)
}

/**
 * An item of a type that an operation does not take.
 * @param {string} message
 * @returns {TypeError & { code: string }}
 */
export function unfitItem(message) {
  return withCode(new TypeError(message), ERR_INVALID_ARG_TYPE)
}

/**
 * A regular expression that cannot run in linear time, or is none.
 * @param {string} message
 * @param {number} position in its source
 * @returns {SyntaxError & { code: string, position: number }}
 */
export function invalidPattern(message, position) {
  return Object.assign(withCode(new SyntaxError(message), ERR_INVALID_PATTERN), { position })
}

/**
 * Say in a few words what a value is. Never throws and never runs code of the value.
 * @param {unknown} value
 * @returns {string}
 */
export function describe(value) {
  if (typeof value === 'string') return JSON.stringify(shorten(value))
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'bigint') return `${shorten(String(value))}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    if (Array.isArray(value)) return 'an array'
    const name = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(value) ?? {}, 'constructor')?.value
      ?.name
    return typeof name === 'string' && name !== '' && name !== 'Object'
      ? `an instance of ${name}`
      : 'an object'
  } catch {
    return 'an object'
  }
}

/**
 * @param {string} name
 * @param {string} expected
 * @param {string} got
 */
function wrongArgument(name, expected, got) {
  return `Invalid "${name}": expected ${expected}, got ${got}`
}

/**
 * @template {Error} E
 * @param {E} error
 * @param {string} code
 * @returns {E & { code: string }}
 */
function withCode(error, code) {
  return Object.assign(error, { code })
}

/** @param {string} text */
function shorten(text) {
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
}

export const ERR_INVALID_ARG_TYPE = 'ERR_INVALID_ARG_TYPE'
export const ERR_OUT_OF_RANGE = 'ERR_OUT_OF_RANGE'
export const ERR_INVALID_PATTERN = 'ERR_INVALID_PATTERN'

/** Code of the process warning about a call that nobody consumed. */
export const MILLRACE_UNCONSUMED = 'MILLRACE_UNCONSUMED'
/** Code of the process warning about a program that holds its answers back. */
export const MILLRACE_BUFFERED_COMMAND = 'MILLRACE_BUFFERED_COMMAND'
/** Code of the process warning about a line that no item waited for. */
export const MILLRACE_SURPLUS_OUTPUT = 'MILLRACE_SURPLUS_OUTPUT'

/** @type {readonly (Exclude<keyof FailureDetails, 'cause'>)[]} */
const DETAIL_NAMES = ['index', 'attempt', 'worker', 'exitCode', 'signal', 'stderr', 'rss', 'limit', 'line']
const LONGEST_SHOWN = 60
