// Values to bytes. A single walk proves that an item is plain while it writes it; what it cannot prove goes to v8.

import types from 'node:util/types'
import { binaryKind, bytesOf } from './binary.js'
import { serialize } from './clone.js'
import { describeError, describeThrown, isErrorObject } from './error.js'
import { cloneFailure } from './path.js'
import { canShape, DONE, FULL, GRAPH, MISS, Site } from './shape.js'
import { ShapeTable } from './shape-table.js'
import { Sink } from './sink.js'

/**
 * A value as a row that stands alone, without text and shapes.
 * @param {unknown} value
 * @returns {Uint8Array}
 * @throws {SerializationError} it cannot be cloned
 */
export function encodedAlone(value) {
  try {
    const bytes = serialize(value)
    const row = new Uint8Array(5 + bytes.length)
    row[0] = V8
    new DataView(row.buffer).setUint32(1, bytes.length, true)
    row.set(bytes, 5)
    return row
  } catch (error) {
    throw cloneFailure(value, error)
  }
}

/**
 * Write values into a sink of two byte areas, `rows` and `text`. The owner sets the areas and their limits before each
 * `encode`; nothing is written at or behind a limit, since live data may stand there.
 */
export class Encoder extends Sink {
  /** @param {(id: number, definition: string) => void} define called once per new shape, before the value that uses it is complete */
  constructor(define) {
    super()
    /** @type {any} the item being written, to see a reference back to it */
    this.root = undefined
    /** @type {any[]} the other objects of the item so far */
    this.seen = []
    this.seenCount = 0
    /** @type {Set<any> | null} the same, once there are many */
    this.seenSet = null
    /** Something enumerable stands on Object.prototype: `for in` proves nothing. */
    this.polluted = false
    this.site = new Site()
    this.shapes = new ShapeTable(define)
  }

  /**
   * Append one value: any → true, and both positions advanced.
   * @param {unknown} value
   * @returns {boolean} false: it did not fit; positions as before
   * @throws {SerializationError} it cannot be cloned; positions as before
   */
  encode(value) {
    if (this.viewed !== this.rows) this.attach()
    const { rowPos, textPos } = this
    if (typeof value === 'number') return this.float(4, value) === DONE
    let code = DONE
    try {
      if (typeof value === 'object' && value !== null) {
        this.polluted = isPolluted()
        this.root = value
        code = this.object(value, this.site, 0)
        this.root = undefined
        if (this.seenCount > 0) this.forget()
      } else {
        code = this.value(value, this.site, 0)
      }
      if (code === GRAPH) {
        this.rowPos = rowPos
        this.textPos = textPos
        code = this.payload(V8, serialize(value))
      }
    } catch (error) {
      this.root = undefined
      this.forget()
      this.rowPos = rowPos
      this.textPos = textPos
      throw cloneFailure(value, error)
    }
    if (code === DONE) return true
    this.rowPos = rowPos
    this.textPos = textPos
    return false
  }

  /**
   * Append a thrown value. Errors keep all that they carry; anything else goes as `encode` does it, or, if it cannot
   * be cloned, as a SerializationError that says what was thrown.
   * @param {unknown} error
   * @returns {boolean} as of `encode`; never throws
   */
  encodeError(error) {
    if (this.viewed !== this.rows) this.attach()
    if (!isErrorObject(error) && !isErrorLike(error)) {
      try {
        return this.encode(error)
      } catch (failure) {
        return this.payload(ERROR, describeThrown(error, failure)) === DONE
      }
    }
    return this.payload(ERROR, describeError(error)) === DONE
  }

  /**
   * Write any value with its tag. Used by the writers of records too.
   * @param {unknown} value
   * @param {Site} site
   * @param {number} depth
   * @returns {number} DONE, FULL or GRAPH
   */
  value(value, site, depth) {
    switch (typeof value) {
      case 'number':
        return this.float(4, value)
      case 'string':
        return this.string(value)
      case 'boolean':
        return this.tag(value ? 3 : 2)
      case 'undefined':
        return this.tag(0)
      case 'object':
        return value === null ? this.tag(1) : this.object(value, site, depth)
      default:
        return GRAPH
    }
  }

  /**
   * @param {any} x
   * @param {Site} site
   * @param {number} depth
   * @returns {number} DONE, FULL or GRAPH
   */
  object(x, site, depth) {
    // First of all: everything else that one asks a proxy runs somebody's code and can be a lie.
    if (isProxy(x)) return GRAPH
    if (depth > 0 && (depth > MAX_DEPTH || this.shared(x))) return GRAPH
    if (isArray(x)) return this.array(x, site, depth)
    const shape = site.shape
    if (shape !== null && !this.polluted) {
      const code = shape.write(this, x, depth)
      if (code !== MISS) return code
    }
    return this.unpredicted(x, site, depth)
  }

  /**
   * What was not of the shape that was expected.
   * @param {any} x
   * @param {Site} site
   * @param {number} depth
   */
  unpredicted(x, site, depth) {
    const proto = getPrototypeOf(x)
    if (proto === ObjectPrototype)
      return isArguments(x) || x === process.env ? GRAPH : this.record(x, site, depth)
    if (proto === null) return isNamespace(x) || isExternal(x) ? GRAPH : this.record(x, site, depth)
    if (proto === DatePrototype) return this.date(x)
    const kind = binaryKind(proto)
    if (kind !== undefined) return this.binary(x, kind)
    if (isErrorObject(x)) return this.payload(ERROR, describeError(x))
    return GRAPH
  }

  /**
   * @param {any} x
   * @param {Site} site
   * @param {number} depth
   */
  record(x, site, depth) {
    const keys = keysOf(x)
    if (this.polluted || !canShape(keys)) return this.dictionary(x, keys, site, depth)
    let shape = this.shapes.find(keys)
    if (shape === undefined) return this.dictionary(x, keys, site, depth)
    let code = shape.write(this, x, depth)
    if (code === MISS) {
      shape = this.shapes.widen(shape, x)
      code = shape === undefined ? MISS : shape.write(this, x, depth)
      if (shape === undefined || code === MISS) return this.dictionary(x, keys, site, depth)
    }
    site.shape = shape
    return code
  }

  /**
   * @param {any} x
   * @param {string[]} keys
   * @param {Site} site
   * @param {number} depth
   */
  dictionary(x, keys, site, depth) {
    // Reading a value by its key costs more than everything else here: 17 to 75 ns, against 9 for all of them at once.
    const values = valuesOf(x)
    if (values.length !== keys.length) return GRAPH
    if (this.head(14, keys.length) === FULL) return FULL
    const element = site.element
    for (let i = 0; i < keys.length; i++) {
      let code = this.string(keys[i])
      if (code !== DONE) return code
      code = this.value(values[i], element, depth + 1)
      if (code !== DONE) return code
    }
    return DONE
  }

  /**
   * @param {any[]} x
   * @param {Site} site
   * @param {number} depth
   */
  array(x, site, depth) {
    const { length } = x
    if (getPrototypeOf(x) !== ArrayPrototype || !isBare(x)) return GRAPH
    if (this.head(8, length) === FULL) return FULL
    const element = site.element
    for (let i = 0; i < length; i++) {
      const value = x[i]
      let code
      if (typeof value === 'number') code = this.float(4, value)
      else if (typeof value === 'object' && value !== null) code = this.object(value, element, depth + 1)
      else if (value === undefined && !hasOwn(x, i)) return GRAPH
      else code = this.value(value, element, depth + 1)
      if (code !== DONE) return code
    }
    return x.length === length ? DONE : GRAPH
  }

  /** @param {Date} x */
  date(x) {
    return isDate(x) ? this.float(10, timeOf.call(x)) : GRAPH
  }

  /**
   * @param {any} x
   * @param {number} kind
   */
  binary(x, kind) {
    const bytes = bytesOf(x, kind)
    if (bytes === undefined) return GRAPH
    const p = this.rowPos
    const { length } = bytes
    if (p + 6 + length > this.rowEnd) return FULL
    this.rows[p] = 11
    this.rows[p + 1] = kind
    this.view.setUint32(p + 2, length, true)
    setBytes.call(this.rows, bytes, p + 6)
    this.rowPos = p + 6 + length
    return DONE
  }

  /**
   * Whether `x` is already part of the item: identity is only kept by v8.
   * @param {object} x
   */
  shared(x) {
    if (x === this.root) return true
    const { seen, seenCount } = this
    if (seenCount < FEW) {
      for (let i = 0; i < seenCount; i++) if (seen[i] === x) return true
      seen[seenCount] = x
      this.seenCount = seenCount + 1
      return false
    }
    this.seenSet ??= new Set(seen)
    const { size } = this.seenSet
    return this.seenSet.add(x).size === size
  }

  /** Let go of the item's objects. */
  forget() {
    for (let i = 0; i < this.seenCount; i++) this.seen[i] = undefined
    this.seenCount = 0
    this.seenSet = null
  }
}

/**
 * No properties besides the elements (holes are seen when the elements are read). `for in` costs 13 ns per element,
 * Object.values 50 ns and then 2 to 8 ns per element, whichever kind they are.
 * @param {any[]} array
 */
function isBare(array) {
  if (array.length === 0) {
    for (const _ in array) return false
    return true
  }
  return valuesOf(array).length === array.length
}

function isPolluted() {
  for (const _ in EMPTY) return true
  return false
}

/** @param {unknown} value */
function isErrorLike(value) {
  return typeof value === 'object' && value !== null && !isProxy(value) && value instanceof Error
}

const {
  isProxy,
  isDate,
  isExternal,
  isArgumentsObject: isArguments,
  isModuleNamespaceObject: isNamespace,
} = types
const { getPrototypeOf, hasOwn, keys: keysOf, values: valuesOf, prototype: ObjectPrototype } = Object
const { isArray, prototype: ArrayPrototype } = Array
const { getTime: timeOf } = Date.prototype
const DatePrototype = Date.prototype
const { set: setBytes } = Uint8Array.prototype

const EMPTY = {}
const ERROR = 12
const V8 = 13
/** Deeper than this goes to v8, which knows how deep it may recurse. */
const MAX_DEPTH = 64
/** Up to here a scan is cheaper than a Set. */
const FEW = 16
