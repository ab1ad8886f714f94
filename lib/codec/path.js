// Which part of a value could not be cloned. Only runs once it is known that one could not.

import types from 'node:util/types'
import { SerializationError } from '../errors.js'
import { serialize } from './clone.js'

/**
 * @param {unknown} value what could not be cloned
 * @param {any} reason what v8, or a getter of the value, threw
 */
export function cloneFailure(value, reason) {
  const found = search(value)
  const said = firstLine(reason)
  if (found === undefined) return new SerializationError(`value cannot be cloned: ${said}`, { cause: reason })
  if (found.threw)
    return new SerializationError(`${found.path} cannot be read: ${firstLine(found.value)}`, {
      cause: found.value,
    })
  return new SerializationError(`${found.path} cannot be cloned: it is ${describe(found.value)}`, {
    cause: reason,
  })
}

/**
 * A few words for a value, without running any of its code.
 * @param {any} value
 * @returns {string}
 */
export function describe(value) {
  switch (typeof value) {
    case 'function': {
      const name = types.isProxy(value) ? '' : Object.getOwnPropertyDescriptor(value, 'name')?.value
      return typeof name === 'string' && name !== '' ? `the function ${short(name)}` : 'a function'
    }
    case 'symbol':
      return `the symbol ${short(String(value))}`
    case 'object':
      if (value === null) return 'null'
      if (types.isProxy(value)) return 'a Proxy'
      return `an object of type ${typeName(value)}`
    default:
      return `the ${typeof value} ${short(String(value))}`
  }
}

/** @param {any} error */
function firstLine(error) {
  try {
    const message =
      typeof error === 'object' && error !== null && typeof error.message === 'string'
        ? error.message
        : describe(error)
    return short(message.split('\n', 1)[0])
  } catch {
    return 'unknown reason'
  }
}

/** @param {string} text */
function short(text) {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

/** @param {object} value */
function typeName(value) {
  for (
    let proto = Object.getPrototypeOf(value);
    proto !== null && !types.isProxy(proto);
    proto = Object.getPrototypeOf(proto)
  ) {
    const type = Object.getOwnPropertyDescriptor(proto, 'constructor')?.value
    if (typeof type !== 'function' || types.isProxy(type)) continue
    const name = Object.getOwnPropertyDescriptor(type, 'name')?.value
    if (typeof name === 'string' && name !== '') return short(name)
  }
  return 'Object'
}

/** @typedef {{ path: string, value: any, threw?: boolean }} Found */

/**
 * Depth first, in the order in which v8 comes to things, with a stack of our own: a value may be deep.
 * @param {unknown} root
 * @returns {Found | undefined}
 */
function search(root) {
  const visited = new Set()
  /** @type {Found[]} */
  const stack = [{ path: 'value', value: root }]
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const found = stack.pop()
    if (found === undefined) break
    const { path, value } = found
    if (found.threw || typeof value === 'function' || typeof value === 'symbol') return found
    if (typeof value !== 'object' || value === null || visited.has(value)) continue
    visited.add(value)
    if (isNeverCloned(value)) return found
    const below = parts(path, value)
    for (let i = below.length - 1; i >= 0; i--) stack.push(below[i])
  }
  return undefined
}

/**
 * What v8 goes into when it comes to `value`.
 * @param {string} path
 * @param {any} value
 * @returns {Found[]}
 */
function parts(path, value) {
  /** @type {Found[]} */
  const found = []
  if (types.isMap(value)) {
    for (const [key, entry] of mapEntries.call(value)) {
      const shown = typeof key === 'string' ? JSON.stringify(short(key)) : describe(key)
      found.push(
        { path: `${path}.keys(${shown})`, value: key },
        { path: `${path}.get(${shown})`, value: entry },
      )
    }
    return found
  }
  if (types.isSet(value)) {
    let i = 0
    for (const entry of setValues.call(value)) found.push({ path: `${path}.values(${i++})`, value: entry })
    return found
  }
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value) || types.isBoxedPrimitive(value))
    return found
  if (types.isDate(value) || types.isRegExp(value)) return found
  // Of an error v8 sends the cause and no other property.
  const keys = types.isNativeError(value) ? ['cause'] : Object.keys(value)
  for (const key of keys) {
    const below = path + accessor(key, Array.isArray(value))
    try {
      found.push({ path: below, value: value[key] })
    } catch (error) {
      found.push({ path: below, value: error, threw: true })
      return found
    }
  }
  return found
}

/** @param {any} value */
function isNeverCloned(value) {
  if (types.isProxy(value) || types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value))
    return true
  if (types.isSharedArrayBuffer(value) || types.isGeneratorObject(value) || types.isArgumentsObject(value))
    return true
  if (types.isMapIterator(value) || types.isSetIterator(value) || types.isModuleNamespaceObject(value))
    return true
  if (types.isExternal(value) || types.isSymbolObject(value)) return true
  if (types.isMap(value) || types.isSet(value) || types.isNativeError(value)) return false
  // What has no parts can be tried by itself.
  if (!ArrayBuffer.isView(value) && Object.keys(value).length > 0) return value === process.env
  try {
    serialize(value)
    return false
  } catch {
    return true
  }
}

/**
 * @param {string} key
 * @param {boolean} ofArray
 */
function accessor(key, ofArray) {
  if (ofArray && /^\d+$/.test(key)) return `[${key}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key)
    ? `.${short(key)}`
    : `[${JSON.stringify(short(key))}]`
}

const { entries: mapEntries } = Map.prototype
const { values: setValues } = Set.prototype
/** A message is not worth more of the event loop's time. */
const MAX_STEPS = 1e5
