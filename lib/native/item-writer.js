// Items of native operations on their way to Rust; `src/place/row.rs` reads them. What is small is copied into the
// chunk's rows; what is large goes beside them: copied once, by Rust, or as it is, if it is given away.

import { fileURLToPath } from 'node:url'
import { types } from 'node:util'
import { binaryKind } from '../codec/binary.js'
import { invalidArgType, outOfRange } from '../errors.js'
import { ItemWriter } from '../item-writer.js'
import { givenAway, isDetached, mustBeTransferable } from './transfer.js'

/**
 * What an operation takes as an item.
 * @typedef {'bytes' | 'array' | 'arrays' | 'path'} ItemKind
 */

/**
 * Where the bytes go that are too large for a row; `isOurs`: nobody else has them.
 * @typedef {(bytes: Uint8Array, isOurs: boolean) => void} Beside
 */

/** Items of one call, of which some have parts beside the chunk. */
export class NativeItemWriter extends ItemWriter {
  #native
  #encoder
  /** Number of the item in the chunk and of what was put, in turn. @type {number[]} */
  #large = []
  #largeBytes = 0

  /**
   * @param {import('../binding.js').NativePool} native
   * @param {ItemKind} kind
   * @param {Pick<import('../options.js').CallSettings, 'transfer' | 'tries'>} settings
   */
  constructor(native, kind, { transfer, tries }) {
    // What is to be tried again must be there again.
    const mayChange = tries === undefined || tries.retries === 0
    const beside = (/** @type {Uint8Array} */ bytes, /** @type {boolean} */ isOurs) => {
      this.#large.push(this.count, isOurs ? native.putTransferred(bytes, mayChange) : native.putLarge(bytes))
      this.#largeBytes += bytes.length
    }
    const encoder = new NativeItemEncoder(kind, beside, transfer)
    super(encoder)
    this.#encoder = encoder
    this.#native = native
  }

  /** @override */
  get bytes() {
    return super.bytes + this.#largeBytes
  }

  /** @override */
  get isFull() {
    return super.isFull || this.#largeBytes >= LARGE_CHUNK_BYTES
  }

  /** What goes along with the rows, for `submit`. @override */
  get large() {
    return this.#large.length === 0 ? undefined : Uint32Array.from(this.#large)
  }

  /** @override */
  clear() {
    super.clear()
    this.#large.length = 0
    this.#largeBytes = 0
  }

  /** What was written does not leave. @override */
  discard() {
    const { large } = this
    if (large !== undefined) this.#native.dropLarge(large.filter((_, at) => at % 2 === 1))
    this.clear()
    this.#encoder.clear()
  }
}

/** One item at a time, for `runSync`: nothing has to be copied, because nothing else runs meanwhile. */
export class SingleItem {
  /** @type {Uint8Array[]} */
  #large = []
  #writer

  /** @param {ItemKind} kind */
  constructor(kind) {
    this.#writer = new ItemWriter(new NativeItemEncoder(kind, (bytes) => this.#large.push(bytes)))
  }

  /**
   * @param {unknown} item
   * @param {(row: Uint8Array, large: Uint8Array[]) => unknown} use
   */
  with(item, use) {
    try {
      this.#writer.write(item)
      return use(this.#writer.rows, this.#large)
    } finally {
      this.#writer.clear()
      this.#large = []
    }
  }
}

class NativeItemEncoder {
  /** @type {Uint8Array} */
  rows = new Uint8Array(0)
  rowPos = 0
  rowEnd = 0
  text = new Uint8Array(0)
  textPos = 0
  textEnd = 0
  wanted = 0
  #kind
  #beside
  #transfers
  #scratch = NO_BYTES

  /**
   * @param {ItemKind} kind
   * @param {Beside} beside
   * @param {boolean} [transfers] items are given away
   */
  constructor(kind, beside, transfers = false) {
    this.#kind = kind
    this.#beside = beside
    this.#transfers = transfers
  }

  clear() {
    this.#scratch = NO_BYTES
  }

  /**
   * @param {any} item
   * @returns {boolean} whether there was room for it
   */
  encode(item) {
    switch (this.#kind) {
      case 'array':
        return this.#part(kindOf(item, 'item'), item)
      case 'arrays':
        return this.#several(item)
      case 'path':
        return this.#path(item)
      default:
        if (typeof item === 'string') return this.#string(item)
        if (ArrayBuffer.isView(item)) return this.#part(BYTES, item)
        if (types.isAnyArrayBuffer(item)) return this.#part(BYTES, viewOf(item))
        throw invalidArgType('item', 'a string, a Buffer, a TypedArray, a DataView or an ArrayBuffer', item)
    }
  }

  /** @param {unknown} item */
  #path(item) {
    if (typeof item === 'string') return this.#string(pathWithoutZero(item))
    if (item instanceof URL) return this.#string(pathWithoutZero(fileURLToPath(item)))
    if (types.isUint8Array(item)) {
      if (item.includes(0)) throw invalidArgType('item', WITHOUT_ZERO, item)
      return this.#part(BYTES, item)
    }
    throw invalidArgType('item', 'a path: a string, a Buffer or a file URL', item)
  }

  /** @param {string} item */
  #string(item) {
    // No character takes more than three bytes.
    const most = item.length * 3
    if (most <= INLINE_BYTES) {
      if (!this.#hasRoom(1 + most)) return false
      const rows = Buffer.from(this.rows.buffer, this.rows.byteOffset, this.rows.byteLength)
      this.rows[this.rowPos] = TEXT
      this.rowPos += 1 + rows.write(item, this.rowPos + 1)
      return true
    }
    if (!this.#hasRoom(1)) return false
    if (this.#scratch.length < most) {
      const bytes = Buffer.byteLength(item)
      if (this.#scratch.length < bytes)
        this.#scratch = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(most, KEPT_BYTES)))
    }
    const written = this.#scratch.write(item)
    const bytes = this.#scratch.subarray(0, sized(written))
    if (this.#scratch.length > KEPT_BYTES) this.#scratch = NO_BYTES
    this.#beside(bytes, false)
    this.rows[this.rowPos++] = TEXT | BESIDE
    return true
  }

  /**
   * @param {number} tag
   * @param {ArrayBufferView} view
   */
  #part(tag, view) {
    const byteLength = bytesThere(view)
    const isLarge = byteLength > INLINE_BYTES
    if (!this.#hasRoom(isLarge ? 1 : 1 + byteLength)) return false
    const given = this.#transfers ? this.#given(view) : undefined
    const bytes = given ?? bytesOf(view)
    if (isLarge) {
      this.#beside(bytes, given !== undefined)
      this.rows[this.rowPos++] = tag | BESIDE
      return true
    }
    this.rows[this.rowPos] = tag
    this.rows.set(bytes, this.rowPos + 1)
    this.rowPos += 1 + byteLength
    return true
  }

  /** @param {unknown} item */
  #several(item) {
    if (!Array.isArray(item)) throw invalidArgType('item', 'an array of typed arrays', item)
    // All of them are looked at before anything is written; a hole is one that is no array.
    const arrays = Array.from(item)
    const kinds = arrays.map((array, at) => kindOf(array, `item[${at}]`))
    const sizes = arrays.map(({ byteLength }) => (byteLength > INLINE_BYTES ? 0 : byteLength))
    if (!this.#hasRoom(5 + 5 * arrays.length + sizes.reduce((sum, size) => sum + size, 0))) return false
    this.rows[this.rowPos] = SEVERAL
    this.#word(this.rowPos + 1, arrays.length)
    this.rowPos += 5
    const given = this.#transfers ? this.#givenAll(arrays, kinds) : []
    for (const [at, array] of arrays.entries()) {
      const bytes = given[at]?.bytes ?? bytesOf(array)
      const isLarge = bytes.length > INLINE_BYTES
      this.rows[this.rowPos] = isLarge ? kinds[at] | BESIDE : kinds[at]
      this.#word(this.rowPos + 1, bytes.length)
      this.rowPos += 5
      if (isLarge) this.#beside(bytes, given[at]?.isOurs ?? false)
      else this.rows.set(bytes, this.rowPos)
      this.rowPos += sizes[at]
    }
    return true
  }

  /** @param {ArrayBufferView} view */
  #given(view) {
    mustBeTransferable(view)
    sized(view.byteLength)
    return givenAway(view)
  }

  /**
   * The bytes of all parts of an item; two of them may be the same memory.
   * @param {ArrayBufferView[]} views
   * @param {readonly number[]} kinds of their elements
   * @returns {{ bytes: Uint8Array, isOurs: boolean }[]} nothing: they are copied
   */
  #givenAll(views, kinds) {
    for (const view of views) mustBeTransferable(view)
    // Those that do not go together are an error that Rust tells of, and keep their memory.
    const [first] = views
    const fit = views.every((view, at) => kinds[at] === kinds[0] && view.byteLength === first.byteLength)
    if (views.length !== 2 || !fit) return []
    /** As they are equally large, no view is all of the memory that another one has a part of. @type {Map<ArrayBufferLike, Uint8Array | undefined>} */
    const moved = new Map()
    return views.map((view) => {
      const { buffer } = view
      if (!moved.has(buffer)) moved.set(buffer, givenAway(view))
      const given = moved.get(buffer)
      return { bytes: given ?? bytesOf(view), isOurs: given !== undefined }
    })
  }

  /** @param {number} bytes */
  #hasRoom(bytes) {
    return this.rowPos + bytes <= this.rowEnd
  }

  /**
   * @param {number} at
   * @param {number} word
   */
  #word(at, word) {
    new DataView(this.rows.buffer, this.rows.byteOffset).setUint32(at, word, true)
  }
}

/**
 * @param {unknown} item
 * @param {string} name
 * @returns {number} the code of its elements
 */
function kindOf(item, name) {
  const kind = types.isTypedArray(item) ? CODES.get(item[Symbol.toStringTag]) : undefined
  if (kind === undefined) throw invalidArgType(name, EXPECTED_ARRAY, item)
  sized(bytesThere(/** @type {ArrayBufferView} */ (item), name))
  return kind
}

/**
 * How large a view is, if its memory has not gone: it may be detached, or a resizable ArrayBuffer that has shrunk.
 * @param {ArrayBufferView} view
 * @param {string} name
 */
function bytesThere(view, name = 'item') {
  let bytes = 0
  try {
    bytes = view.byteLength
    // A DataView says so itself; a typed array says 0, and is asked for its first element.
    if (bytes === 0 && types.isTypedArray(view)) elementAt.call(view, 0)
  } catch {
    const expected = isDetached(view.buffer)
      ? 'memory that is not detached'
      : 'a view inside of its ArrayBuffer, which has not shrunk'
    throw invalidArgType(name, expected, view)
  }
  return bytes
}

/** @param {ArrayBufferLike} buffer */
function viewOf(buffer) {
  if (isDetached(buffer)) throw invalidArgType('item', 'memory that is not detached', buffer)
  return new Uint8Array(buffer)
}

/**
 * @param {ArrayBufferView} view
 * @returns {Uint8Array}
 */
function bytesOf(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, sized(view.byteLength))
  // Another thread may write into shared memory while Rust reads it: that reads a copy.
  return types.isSharedArrayBuffer(view.buffer) ? Uint8Array.from(bytes) : bytes
}

/** @param {number} bytes */
function sized(bytes) {
  if (bytes > MAX_BYTES) throw outOfRange('item', `at most ${MAX_BYTES} bytes`, bytes)
  return bytes
}

/** @param {string} path */
function pathWithoutZero(path) {
  if (path.includes('\0')) throw invalidArgType('item', WITHOUT_ZERO, path)
  return path
}

/**
 * A chunk leaves with so much beside it. With half as much, digests of 64 KiB are a quarter slower, because each chunk is a
 * crossing; with twice as much, so much of the source is copied at once that the event loop waits three times as long.
 */
const LARGE_CHUNK_BYTES = 512 << 10
const WITHOUT_ZERO = 'a path without null bytes'
const EXPECTED_ARRAY = 'a typed array (of integers up to 64 bits, Float32Array or Float64Array)'
const NO_BYTES = Buffer.alloc(0)
/** That of all typed arrays. @type {(this: NodeJS.TypedArray, index: number) => unknown} */
const elementAt = Object.getPrototypeOf(Uint8Array.prototype).at
const TEXT = 0
const BYTES = 1
const BESIDE = 0x20
const SEVERAL = 0x40
/** From here on a part is worth a crossing of its own, and saves the copy into the rows and those out of it. */
const INLINE_BYTES = 8 << 10
/** What encoded a text is kept for the next one up to this size. */
const KEPT_BYTES = 4 << 20
/** Sizes are counted in 32 bits. */
const MAX_BYTES = 2 ** 32 - 2 ** 16
/** By what a typed array says itself, subclasses (such as Buffer) too. @type {Map<string, number>} */
const CODES = new Map(
  [
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
  ].map((type) => [type.name, Number(binaryKind(type.prototype))]),
)
