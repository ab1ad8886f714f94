// Buffers, typed arrays and what they stand on. The index in the list is the kind that is written.

import types from 'node:util/types'

/** @type {readonly any[]} */
export const BINARY_TYPES = [
  ArrayBuffer,
  Buffer,
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
]

/**
 * Kind of what has this prototype, if it looks binary. Subclasses and later types (Float16Array) are left to v8.
 * @param {object} prototype
 */
export function binaryKind(prototype) {
  return KINDS.get(prototype)
}

/**
 * The bytes of a binary value, those of a view alone; undefined: v8 has to look at it.
 * @param {any} x
 * @param {number} kind
 * @returns {Uint8Array | undefined}
 */
export function bytesOf(x, kind) {
  // v8 keeps a resizable one resizable where it can.
  if (kind === 0) {
    return isFixedBuffer(x) && !isDetached(x) ? new Uint8Array(x) : undefined
  }
  // As v8.serialize of Node tells a Buffer: by what it says itself.
  if (!ArrayBuffer.isView(x) || (kind === 1) !== (x.constructor === Buffer)) return undefined
  if (x.byteLength === 0 && isDetached(x.buffer)) return undefined
  return kind === 1 || kind === 2
    ? /** @type {Uint8Array} */ (x)
    : new Uint8Array(x.buffer, x.byteOffset, x.byteLength)
}

/**
 * A value of its own from bytes that belong to somebody else; undefined: not a whole number of elements.
 * @param {any} Type one of BINARY_TYPES
 * @param {Uint8Array} bytes
 */
export function copyAs(Type, bytes) {
  // Small Buffers come from Node's pool, as Buffer.from gives them to everybody.
  if (Type === Buffer) return Buffer.from(bytes)
  const copy = new Uint8Array(bytes)
  if (Type === Uint8Array) return copy
  if (Type === ArrayBuffer) return copy.buffer
  const { BYTES_PER_ELEMENT: size = 1 } = Type
  return copy.length % size === 0 ? new Type(copy.buffer) : undefined
}

/** @param {any} x */
function isFixedBuffer(x) {
  return types.isArrayBuffer(x) && !(/** @type {any} */ (x).resizable)
}

/** @param {any} buffer */
function isDetached(buffer) {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** @type {Map<object, number>} */
const KINDS = new Map(BINARY_TYPES.map((type, kind) => [type.prototype, kind]))
