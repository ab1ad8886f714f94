// The shape of a record: its keys and the kind of each field, and the writer and reader made for exactly that shape.
// Where code may be generated from strings, both are compiled; elsewhere an interpreter does the same bytes.

import types from 'node:util/types'

/** @import { Encoder } from './encoder.js' */
/** @import { Decoder } from './decoder.js' */

/**
 * @typedef {object} Shape
 * @property {number} id
 * @property {string[]} keys
 * @property {string} kinds one letter per key: n number, s short latin1 string, b boolean, v any tagged value
 * @property {number} variants how many shapes these keys have had
 * @property {RecordWriter} write
 */
/** @typedef {(encoder: Encoder, record: any, depth: number) => number} RecordWriter */
/** @typedef {(decoder: Decoder, depth: number) => object} RecordReader */

/** What a writer answers. Numbers, because a throw or an object per item would cost more than the item. */
export const DONE = 0
/** It does not fit into the sink. */
export const FULL = 1
/** Not a plain tree: v8.serialize has to decide about the whole item. */
export const GRAPH = 2
/** Not of this shape (or only v8 knows): look at the value again, the slow way. Nothing was advanced. */
export const MISS = 3

/**
 * A place in the data where values of one origin appear (the items, a field, the elements of an array). It remembers
 * the shape that was last seen there, which is nearly always the next one too.
 */
export class Site {
  constructor() {
    /** @type {Shape | null} */
    this.shape = null
    /** @type {Site | null} */
    this.inner = null
  }

  /** The site of the elements or values in what stands at this site. */
  get element() {
    this.inner ??= new Site()
    return this.inner
  }
}

/**
 * Kind of a field that holds `value`.
 * @param {any} value
 */
export function kindOf(value) {
  switch (typeof value) {
    case 'number':
      return 'n'
    case 'boolean':
      return 'b'
    case 'string':
      return value.length <= MAX_SHORT && !WIDE.test(value) ? 's' : 'v'
    default:
      return 'v'
  }
}

/** @param {string[]} keys @param {string} kinds */
export function formatDefinition(keys, kinds) {
  return JSON.stringify([kinds, ...keys])
}

/**
 * Read a definition strictly: it may come from a hostile process.
 * @param {unknown} definition
 * @returns {{ kinds: string, keys: string[] } | undefined} undefined: it is none
 */
export function parseDefinition(definition) {
  if (typeof definition !== 'string' || definition.length > MAX_DEFINITION) return undefined
  let list
  try {
    list = JSON.parse(definition)
  } catch {
    return undefined
  }
  if (!Array.isArray(list) || list.length < 2 || list.length > MAX_KEYS + 1) return undefined
  const [kinds, ...keys] = list
  if (typeof kinds !== 'string' || kinds.length !== keys.length || !/^[nsbv]+$/.test(kinds)) return undefined
  for (const key of keys) if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH) return undefined
  if (new Set(keys).size !== keys.length) return undefined
  return { kinds, keys }
}

/**
 * Whether records with these keys can have a shape at all.
 * @param {string[]} keys
 */
export function canShape(keys) {
  if (keys.length === 0 || keys.length > MAX_KEYS) return false
  for (const key of keys) if (key.length > MAX_KEY_LENGTH) return false
  return true
}

/** Bytes of the part of a record that is the same for each record of the shape: tag, id, and the fixed fields. */
/** @param {string} kinds */
function fixedSize(kinds) {
  let size = 0
  for (const kind of kinds) size += kind === 'n' ? 8 : kind === 'v' ? 0 : 1
  return size
}

/** @type {boolean | undefined} */
let generates
/** Whether this process may make code from strings (`--disallow-code-generation-from-strings`). */
export function canGenerate() {
  if (generates === undefined) {
    try {
      generates = new Function('return true')()
    } catch {
      generates = false
    }
  }
  return generates
}

/**
 * @param {number} id
 * @param {string[]} keys
 * @param {string} kinds
 * @returns {RecordWriter}
 */
export function recordWriter(id, keys, kinds) {
  const sites = Array.from(kinds, () => new Site())
  if (!canGenerate()) return interpretedWriter(id, keys, kinds, sites)
  const at = (/** @type {string} */ kind) =>
    Array.from(kinds, (k, i) => (k === kind ? i : -1)).filter((i) => i >= 0)
  const strings = at('s')
  const indices = keys.map((_, i) => i)
  const check = { n: "'number'", s: "'string'", b: "'boolean'" }
  const types = indices
    .filter((i) => kinds[i] !== 'v')
    .map((i) => `typeof a${i} !== ${check[/** @type {'n'} */ (kinds[i])]}`)
  const lengths = strings.map((i) => `const n${i} = a${i}.length\n  if (n${i} > ${MAX_SHORT}) return ${MISS}`)
  const total = strings.map((i) => `n${i}`).join(' + ')
  let offset = 5
  const fields = indices.map((i) => {
    const o = offset
    switch (kinds[i]) {
      case 'n':
        offset += 8
        return `view.setFloat64(p + ${o}, a${i}, true)`
      case 's':
        offset += 1
        return `rows[p + ${o}] = n${i}
  if (n${i} > ${LOOPED}) {
    if (!e.latin1(a${i}, t)) return ${MISS}
  } else {
    for (let i = 0; i < n${i}; i++) {
      const c = a${i}.charCodeAt(i)
      if (c > 255) return ${MISS}
      text[t + i] = c
    }
  }
  t += n${i}`
      case 'b':
        offset += 1
        return `rows[p + ${o}] = a${i} ? 1 : 0`
      default:
        return ''
    }
  })
  const values = at('v').map((i) => `if ((code = e.value(a${i}, S[${i}], d + 1)) !== ${DONE}) return code`)
  const body = `'use strict'
return function writeRecord(e, x, d) {
  ${keys.includes('constructor') ? '' : `const c = x.constructor\n  if (c !== Object && c !== undefined) return ${MISS}`}
  ${keys[0] === '0' ? `if (isArguments(x)) return ${MISS}` : ''}
  ${keys.includes('constructor') ? `if (!plain(x)) return ${MISS}` : ''}
  let j = 0
  for (const k in x) if (k !== K[j++]) return ${MISS}
  if (j !== ${keys.length}) return ${MISS}
  const ${keys.map((key, i) => `a${i} = x[${JSON.stringify(key)}]`).join(', ')}
  const proto = getPrototypeOf(x)
  if (proto !== ObjectPrototype && (proto !== null || isNamespace(x))) return ${MISS}
  ${types.length === 0 ? '' : `if (${types.join(' || ')}) return ${MISS}`}
  ${lengths.join('\n  ')}
  const p = e.rowPos
  if (p + ${offset} > e.rowEnd) return ${FULL}
  const rows = e.rows, view = e.view
  ${strings.length === 0 ? '' : `let t = e.textPos\n  if (t + ${total} > e.textEnd) return ${FULL}\n  const text = e.text`}
  rows[p] = ${RECORD}
  view.setUint32(p + 1, ${id}, true)
  ${fields.filter(Boolean).join('\n  ')}
  e.rowPos = p + ${offset}
  ${strings.length === 0 ? '' : 'e.textPos = t'}
  ${values.length === 0 ? '' : `let code\n  ${values.join('\n  ')}`}
  return ${DONE}
}`
  const names = [
    'K',
    'S',
    'Object',
    'ObjectPrototype',
    'getPrototypeOf',
    'isArguments',
    'plain',
    'isNamespace',
  ]
  // One more element than keys: the comparison may read past the last key and must find no key there.
  const known = [...keys, null]
  return new Function(...names, body)(
    known,
    sites,
    Object,
    ObjectPrototype,
    getPrototypeOf,
    isArguments,
    plain,
    isNamespace,
  )
}

/**
 * @param {string[]} keys
 * @param {string} kinds
 * @returns {RecordReader}
 */
export function recordReader(keys, kinds) {
  if (!canGenerate()) return interpretedReader(keys, kinds)
  const strings = Array.from(kinds, (kind, i) => (kind === 's' ? i : -1)).filter((i) => i >= 0)
  const booleans = Array.from(kinds, (kind, i) => (kind === 'b' ? i : -1)).filter((i) => i >= 0)
  let offset = 0
  const fixed = Array.from(kinds, (kind, i) => {
    const o = offset
    if (kind === 'v') return ''
    offset += kind === 'n' ? 8 : 1
    return kind === 'n' ? `const a${i} = view.getFloat64(p + ${o}, true)` : `const n${i} = rows[p + ${o}]`
  })
  const texts = strings.map(
    (i) => `const e${i} = t + n${i}
  const a${i} = n${i} < ${COPIED_BELOW} ? text.substring(t, e${i}) : d.longText(t, n${i})
  t = e${i}`,
  )
  const total = strings.map((i) => `n${i}`).join(' + ')
  const values = Array.from(kinds, (kind, i) => (kind === 'v' ? `const a${i} = d.value(depth + 1)` : ''))
  // A computed key: a literal `__proto__: x` would set the prototype instead of a property.
  const members = keys.map(
    (key, i) =>
      `${key === '__proto__' ? '["__proto__"]' : JSON.stringify(key)}: ${kinds[i] === 'b' ? `n${i} === 1` : `a${i}`}`,
  )
  const body = `'use strict'
return function readRecord(d, depth) {
  const p = d.pos
  if (p + ${offset} > d.end) d.malformed('a record is cut off')
  const rows = d.rows, view = d.view
  ${fixed.filter(Boolean).join('\n  ')}
  ${booleans.length === 0 ? '' : `if ((${booleans.map((i) => `n${i}`).join(' | ')}) > 1) d.malformed('a boolean is neither 0 nor 1')`}
  d.pos = p + ${offset}
  ${
    strings.length === 0
      ? ''
      : `let t = d.textPos
  if (t + ${total} > d.textLength) d.malformed('a string lies outside the text')
  const text = d.textString === null ? d.loadText() : d.textString
  ${texts.join('\n  ')}
  d.textPos = t`
  }
  ${values.filter(Boolean).join('\n  ')}
  return { ${members.join(', ')} }
}`
  return new Function(body)()
}

/**
 * @param {number} id
 * @param {string[]} keys
 * @param {string} kinds
 * @param {Site[]} sites
 * @returns {RecordWriter}
 */
function interpretedWriter(id, keys, kinds, sites) {
  const size = 5 + fixedSize(kinds)
  return (e, x, depth) => {
    if (!plain(x)) return MISS
    const own = Object.keys(x)
    if (own.length !== keys.length) return MISS
    for (let i = 0; i < own.length; i++) if (own[i] !== keys[i]) return MISS
    const values = keys.map((key) => x[key])
    for (let i = 0; i < values.length; i++)
      if (kinds[i] !== 'v' && kindOf(values[i]) !== kinds[i]) return MISS
    let p = e.rowPos
    let t = e.textPos
    if (p + size > e.rowEnd) return FULL
    e.rows[p] = RECORD
    e.view.setUint32(p + 1, id, true)
    p += 5
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      if (kinds[i] === 'n') {
        e.view.setFloat64(p, value, true)
        p += 8
      } else if (kinds[i] === 'b') {
        e.rows[p++] = value ? 1 : 0
      } else if (kinds[i] === 's') {
        if (t + value.length > e.textEnd) return FULL
        e.rows[p++] = value.length
        for (let j = 0; j < value.length; j++) e.text[t++] = value.charCodeAt(j)
      }
    }
    e.rowPos = p
    e.textPos = t
    for (let i = 0; i < values.length; i++) {
      if (kinds[i] !== 'v') continue
      const code = e.value(values[i], sites[i], depth + 1)
      if (code !== DONE) return code
    }
    return DONE
  }
}

/**
 * @param {string[]} keys
 * @param {string} kinds
 * @returns {RecordReader}
 */
function interpretedReader(keys, kinds) {
  const size = fixedSize(kinds)
  return (d, depth) => {
    let p = d.pos
    if (p + size > d.end) d.malformed('a record is cut off')
    /** @type {unknown[]} */
    const values = Array.from(kinds, (kind) => {
      if (kind === 'n') {
        p += 8
        return d.view.getFloat64(p - 8, true)
      }
      if (kind === 's') return d.shortText(d.rows[p++])
      if (kind !== 'b') return undefined
      const byte = d.rows[p++]
      if (byte > 1) d.malformed('a boolean is neither 0 nor 1')
      return byte === 1
    })
    d.pos = p
    const record = {}
    for (let i = 0; i < values.length; i++) if (kinds[i] === 'v') values[i] = d.value(depth + 1)
    for (let i = 0; i < values.length; i++) defineOwn(record, keys[i], values[i])
    return record
  }
}

/**
 * Set an own property whatever stands on Object.prototype (`__proto__`, setters, frozen members).
 * @param {any} target
 * @param {string} key
 * @param {unknown} value
 */
export function defineOwn(target, key, value) {
  if (key in target)
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  else target[key] = value
}

/** @param {object} x */
function plain(x) {
  const proto = getPrototypeOf(x)
  return (proto === ObjectPrototype || (proto === null && !isNamespace(x))) && !isArguments(x)
}

/** Longest string of a field of kind s: its length is one byte. */
const MAX_SHORT = 255
/** Strings up to this length are written character by character (2 ns each); beyond it native calls (50 ns) are cheaper. */
export const LOOPED = 20
/** A string that latin1 cannot carry. On V8's one-byte strings this takes 10 ns at any length. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole range is meant
export const WIDE = /[^\x00-\xff]/
/** From 13 characters on V8's substring is a view that keeps the whole text of the batch alive. */
export const COPIED_BELOW = 13
const MAX_KEYS = 128
/** Objects of further shapes go as dictionaries: an encoder, and the code made for it, stays small. */
export const MAX_SHAPES = 256
const MAX_KEY_LENGTH = 128
// A key of 128 characters can become 6 × 128 when each is escaped.
const MAX_DEFINITION = MAX_KEYS * (6 * MAX_KEY_LENGTH + 3) + MAX_KEYS + 8
const RECORD = 9
const ObjectPrototype = Object.prototype
const { getPrototypeOf } = Object
const { isArgumentsObject: isArguments, isModuleNamespaceObject: isNamespace } = types
