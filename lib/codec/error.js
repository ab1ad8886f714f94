// Errors keep what they carry: class (the nearest built-in one), name, message, stack, cause, errors, own properties.
// An error travels as v8.serialize of a plain description, in which other errors stand as numbers of a table, so that
// a cause may lead back to where it came from.

import types from 'node:util/types'
import { SerializationError } from '../errors.js'
import { deserialize, serialize } from './clone.js'
import { describe } from './path.js'

/**
 * @typedef {['value', unknown] | ['error', number] | ['list', Slot[]]} Slot
 * @typedef {[key: string, enumerable: boolean, slot: Slot]} Property
 * @typedef {[type: string, name: string, message: string, properties: Property[], dropped: string[]]} Description
 */

/** @param {unknown} value */
export function isErrorObject(value) {
  return types.isNativeError(value) || isDomException(value)
}

/**
 * Bytes of an error; never throws.
 * @param {any} error
 * @returns {Uint8Array}
 */
export function describeError(error) {
  try {
    const table = new Table()
    table.number(error, 0)
    const { descriptions } = table
    try {
      return serialize(descriptions)
    } catch {
      for (const description of descriptions) dropUncloneable(description)
      return serialize(descriptions)
    }
  } catch (failure) {
    return describeThrown(error, failure)
  }
}

/**
 * Bytes of an error that stands for a thrown value which cannot be cloned.
 * @param {unknown} thrown
 * @param {any} failure
 * @returns {Uint8Array}
 */
export function describeThrown(thrown, failure) {
  let said = ''
  try {
    const { message } = /** @type {any} */ (thrown)
    if (typeof message === 'string' && message !== '')
      said = ` with the message ${JSON.stringify(message.slice(0, 1000))}`
  } catch {}
  const why = failure instanceof SerializationError ? `: ${failure.message}` : ''
  const message = `thrown was ${describe(thrown)}${said}, which cannot be cloned${why}`
  return serialize([
    ['SerializationError', 'SerializationError', message, [['message', false, ['value', message]]], []],
  ])
}

/**
 * @param {Uint8Array} bytes
 * @returns {Error}
 * @throws {Error} when they describe no error
 */
export function restoreError(bytes) {
  const descriptions = /** @type {Description[]} */ (deserialize(bytes))
  if (!Array.isArray(descriptions) || descriptions.length === 0) throw new Error('no description of an error')
  // v8 can be made to return arrays that are much longer than their bytes, and lists that contain one another.
  const budget = { left: bytes.length }
  spend(budget, descriptions)
  const errors = descriptions.map(bareError)
  descriptions.forEach(([, , , properties, dropped], i) => {
    const error = errors[i]
    spend(budget, properties)
    spend(budget, dropped)
    for (const [key, enumerable, slot] of properties) {
      const value = restored(slot, errors, budget)
      // Everybody puts them into texts, which an object can make throw; as we describe errors they are texts.
      if (TEXTS.includes(String(key)) && typeof value !== 'string') throw new Error(`the ${key} is no text`)
      defineProperty(error, String(key), value, enumerable === true)
    }
    if (dropped.length > 0) defineProperty(error, DROPPED, dropped.map(String), true)
  })
  return errors[0]
}

/** The errors of one graph, each described once. */
class Table {
  constructor() {
    /** @type {Description[]} */
    this.descriptions = []
    /** @type {Map<object, number>} */
    this.numbers = new Map()
  }

  /**
   * @param {any} error
   * @param {number} depth
   */
  number(error, depth) {
    const known = this.numbers.get(error)
    if (known !== undefined) return known
    const type = nearestType(error)
    /** @type {Description} */
    const description = [type, text(() => error.name) ?? type, text(() => error.message) ?? '', [], []]
    const number = this.descriptions.push(description) - 1
    this.numbers.set(error, number)
    this.describe(error, description, depth)
    return number
  }

  /**
   * @param {any} error
   * @param {Description} description
   * @param {number} depth
   */
  describe(error, [type, name, message, properties, dropped], depth) {
    /** @type {Map<string, boolean>} own properties, and whether they are enumerable */
    const own = new Map()
    for (const key of ['cause', 'errors']) if (Object.hasOwn(error, key)) own.set(key, false)
    for (const key of Object.keys(error)) own.set(key, true)
    // Name, message and stack are mostly inherited, hidden or made on demand: they are read as a printer reads them.
    const stack = text(() => error.stack)
    if (type !== 'DOMException') {
      if (name !== type) properties.push(['name', own.has('name'), ['value', name]])
      if (message !== '' || Object.hasOwn(error, 'message')) {
        properties.push(['message', own.has('message'), ['value', message]])
      }
    }
    if (stack !== undefined) properties.push(['stack', own.has('stack'), ['value', stack]])
    for (const key of TEXTS) own.delete(key)
    for (const [key, enumerable] of own) {
      try {
        const value = error[key]
        if (key === DROPPED && Array.isArray(value))
          dropped.push(...value.filter((name) => typeof name === 'string'))
        else properties.push([key, enumerable, this.slot(value, depth + 1)])
      } catch {
        dropped.push(key)
      }
    }
  }

  /**
   * @param {any} value
   * @param {number} depth
   * @returns {Slot}
   */
  slot(value, depth) {
    if (isErrorObject(value)) {
      if (depth > MAX_DEPTH) throw new RangeError('too many causes')
      return ['error', this.number(value, depth)]
    }
    if (Array.isArray(value) && !types.isProxy(value) && value.some(isErrorObject)) {
      if (depth > MAX_DEPTH) throw new RangeError('too many causes')
      return ['list', Array.from(value, (element) => this.slot(element, depth + 1))]
    }
    return ['value', value]
  }
}

/**
 * Take out what v8 refuses, and note the name.
 * @param {Description} description
 */
function dropUncloneable(description) {
  const [, , , properties, dropped] = description
  description[3] = properties.filter(([key, , slot]) => {
    try {
      serialize(slot)
      return true
    } catch {
      dropped.push(key)
      return false
    }
  })
}

/**
 * The nearest class that the reader knows.
 * @param {any} error
 */
function nearestType(error) {
  if (isDomException(error)) return 'DOMException'
  for (let proto = error; proto !== null; proto = Object.getPrototypeOf(proto)) {
    const type = TYPE_OF.get(proto)
    if (type !== undefined) return type
  }
  // An error of another realm (node:vm): its classes are others, with the same names.
  const name = text(() => error.name)
  return name !== undefined && TYPES.has(name) ? name : 'Error'
}

/** @param {Description} description */
function bareError([type, name, message]) {
  if (type === 'DOMException') return withoutStack(() => new DOMException(String(message), String(name)))
  const Type = TYPES.get(type) ?? Error
  return withoutStack(() =>
    Type === AggregateError ? new AggregateError([]) : new /** @type {any} */ (Type)(),
  )
}

/**
 * Capturing a stack costs more than all the rest, and it would be the reader's.
 * @param {() => Error} make
 */
function withoutStack(make) {
  const limit = Error.stackTraceLimit
  if (Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable !== true) return make()
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}

/**
 * Count what a description unfolds to against the size of its bytes.
 * @param {{ left: number }} budget
 * @param {unknown} list
 */
function spend(budget, list) {
  if (Array.isArray(list)) budget.left -= list.length
  if (!Array.isArray(list) || budget.left < 0) throw new Error('no description of an error')
}

/**
 * @param {Slot} slot
 * @param {Error[]} errors
 * @param {{ left: number }} budget
 * @returns {unknown}
 */
function restored([kind, content], errors, budget) {
  if (kind === 'value') return content
  if (kind === 'error' && Number.isInteger(content) && content in errors) return errors[content]
  if (kind === 'list') {
    spend(budget, content)
    return content.map((slot) => restored(slot, errors, budget))
  }
  throw new Error('no property of an error')
}

/**
 * @param {Error} error
 * @param {string} key
 * @param {unknown} value
 * @param {boolean} enumerable
 */
function defineProperty(error, key, value, enumerable) {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true })
}

/**
 * What `read` gives, if that is a string: these may be getters, and may throw.
 * @param {() => unknown} read
 */
function text(read) {
  try {
    const value = read()
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** @param {unknown} value */
function isDomException(value) {
  if (typeof value !== 'object' || value === null || types.isProxy(value) || !(value instanceof Error))
    return false
  try {
    // The class is only loaded where somebody uses it; an instance shows that somebody did.
    return Object.prototype.toString.call(value) === '[object DOMException]' && value instanceof DOMException
  } catch {
    return false
  }
}

/** @type {Map<string, Function>} */
const TYPES = new Map(
  [
    Error,
    TypeError,
    RangeError,
    SyntaxError,
    ReferenceError,
    EvalError,
    URIError,
    AggregateError,
    SerializationError,
  ].map((type) => [type.name, type]),
)
/** @type {Map<object, string>} */
const TYPE_OF = new Map(Array.from(TYPES, ([name, type]) => [type.prototype, name]))
/** The own property of an arrived error that names the properties which could not come along. */
const DROPPED = 'droppedProperties'
/** What is a text in every error. */
const TEXTS = ['name', 'message', 'stack']
/** How many causes deep an error may be. */
const MAX_DEPTH = 64
