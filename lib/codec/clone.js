// v8's structured clone as bytes. node:v8 is only loaded by the first value that needs it: most workers never do.

/**
 * @param {unknown} value
 * @returns {Uint8Array}
 */
export function serialize(value) {
  return load().serialize(value)
}

/**
 * Never returns a view on `bytes`: all binary values are copies of their own.
 * @param {Uint8Array} bytes
 * @returns {unknown}
 */
export function deserialize(bytes) {
  version ??= load().serialize(null)[1]
  if (bytes[0] !== 0xff || bytes[1] !== version) throw new Error('written by another version of v8')
  checkClone(bytes)
  const deserializer = new (deserializerClass())(bytes)
  deserializer.readHeader()
  return deserializer.readValue()
}

/** @type {number | undefined} of V8's format */
let version
/** @type {typeof import('node:v8') | undefined} */
let v8
function load() {
  v8 ??= process.getBuiltinModule('node:v8')
  return v8
}

/** @type {typeof import('node:v8').DefaultDeserializer | undefined} */
let copying
function deserializerClass() {
  copying ??= class extends load().DefaultDeserializer {
    _readHostObject() {
      // @ts-expect-error: how Node reads views; its types leave it out
      const view = super._readHostObject()
      const buffer = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)
      return view.constructor === Buffer || Buffer.isBuffer(view)
        ? Buffer.from(buffer)
        : new view.constructor(buffer)
    }
  }
  return copying
}

/**
 * A guard in front of v8.deserialize, which makes room before it looks: a sparse array of a few bytes unfolds to 8 bytes
 * per hole (up to 256 MiB), arrays inside of arrays may all claim the same bytes, and a resizable buffer takes address
 * space. Enough of them end the process that reads them. This walks V8's format (src/objects/value-serializer.cc,
 * version 15, and Node's host objects), and refuses bytes whose arrays are larger than what is in them.
 *
 * @param {Uint8Array} bytes with the header
 * @throws {Error} V8 should not read them
 */
function checkClone(bytes) {
  const walk = new Walk(bytes)
  walk.value()
  while (walk.frames.length > 0) walk.step()
}

/** Keeps its own stack: what is deep enough for V8 must not be too deep for its guard. */
class Walk {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes
    this.pos = HEADER_LENGTH
    /** Open values: the tag that ends one, IN_ERROR, or how many values are still to come as -1 - n. */
    /** @type {number[]} */
    this.frames = []
    this.dense = bytes.length
    this.sparse = bytes.length + MAX_HOLES
  }

  /** Go on in the innermost value that is open. */
  step() {
    const { frames } = this
    const top = frames.length - 1
    const frame = frames[top]
    if (frame < 0) {
      if (frame === -1) frames.pop()
      else {
        frames[top] = frame + 1
        this.value()
      }
    } else if (frame === IN_ERROR) {
      this.errorPart()
    } else if (this.peek() === frame) {
      this.pos++
      this.number()
      // Arrays are followed by the number of their properties and by their length.
      if (frame === END_SPARSE || frame === END_DENSE) this.number()
      frames.pop()
    } else {
      this.value()
    }
  }

  value() {
    const tag = this.peek()
    this.pos++
    switch (tag) {
      case 0x5f: // _ undefined
      case 0x30: // 0 null
      case 0x54: // T true
      case 0x46: // F false
      case 0x2d: // - hole
      case 0x79: // y boxed true
      case 0x78: // x boxed false
        return
      case 0x49: // I int32
      case 0x55: // U uint32
      case 0x5e: // ^ object seen before
        this.number()
        return
      case 0x4e: // N double
      case 0x6e: // n boxed double
      case 0x44: // D date
        this.skip(8)
        return
      case 0x5a: // Z bigint
      case 0x7a: // z boxed bigint
        this.skip((this.number() >>> 1) & 0x3fffffff)
        return
      case 0x22: // " latin1
      case 0x63: // c two bytes per character
      case 0x53: // S utf8
        this.skip(this.number())
        return
      case 0x73: // s boxed string
        this.string()
        return
      case 0x52: // R pattern
        this.string()
        this.number()
        return
      case 0x6f: // o object
        this.frames.push(0x7b)
        return
      case 0x3b: // ; Map
        this.frames.push(0x3a)
        return
      case 0x27: // ' Set
        this.frames.push(0x2c)
        return
      case 0x61: // a sparse array
        this.room(this.number())
        this.frames.push(END_SPARSE)
        return
      case 0x41: // A dense array
        return this.denseArray(this.number())
      case 0x42: // B buffer
        this.skip(this.number())
        this.bufferView()
        return
      case 0x7e: {
        // ~ resizable buffer
        const length = this.number()
        this.number()
        this.skip(length)
        this.room(RESIZABLE_COST)
        this.bufferView()
        return
      }
      case 0x72: // r error
        this.frames.push(IN_ERROR)
        return
      case 0x5c: // \ host object, of Node: a view
        this.number()
        this.skip(this.number())
        return
      default:
        throw new Error(`unknown tag ${tag} of v8`)
    }
  }

  /** @param {number} length */
  denseArray(length) {
    // Each element is at least a byte, so all arrays together are never longer than the bytes.
    this.dense -= length
    if (this.dense < 0) throw new Error('an array is longer than its bytes')
    this.frames.push(END_DENSE, -1 - length)
  }

  /** @param {number} length */
  room(length) {
    // V8 makes a hash table of what is longer.
    if (length <= LONGEST_UNFOLDED) this.sparse -= length
    if (this.sparse < 0) throw new Error(`more than ${MAX_HOLES} holes in arrays`)
  }

  errorPart() {
    const tag = this.number(2) & 0xff
    switch (tag) {
      case 0x2e: // . end
        this.frames.pop()
        return
      case 0x6d: // m message
      case 0x73: // s stack
        this.string()
        return
      case 0x63: // c cause
        this.value()
        return
      default:
        // The class of the error: one of E R F S T U.
        if (!ERROR_CLASSES.includes(tag)) throw new Error('unknown part of an error')
    }
  }

  /** A view may follow its buffer. */
  bufferView() {
    if (this.pos >= this.bytes.length || this.peek() !== 0x56) return
    this.pos++
    this.number(2)
    this.number()
    this.number()
    this.number()
  }

  string() {
    const tag = this.peek()
    if (tag !== 0x22 && tag !== 0x63 && tag !== 0x53) throw new Error('no string where one has to be')
    this.value()
  }

  /** The next tag that is no padding. */
  peek() {
    while (this.bytes[this.pos] === 0) this.pos++
    if (this.pos >= this.bytes.length) throw new Error('the end is missing')
    return this.bytes[this.pos]
  }

  /** @param {number} length */
  skip(length) {
    this.pos += length
    if (this.pos > this.bytes.length) throw new Error('bytes are missing')
  }

  /**
   * An unsigned number, 7 bits per byte; V8 reads one byte more than the type is wide and no further.
   * @param {number} longest
   */
  number(longest = 5) {
    let value = 0
    for (let i = 0; i < longest; i++) {
      const byte = this.bytes[this.pos++]
      if (byte === undefined) throw new Error('a number is cut off')
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) break
    }
    return value % 2 ** 32
  }
}

/** Its own tag and the version, which is below 128. */
const HEADER_LENGTH = 2
const END_DENSE = 0x24
const END_SPARSE = 0x40
const IN_ERROR = 0x72
const ERROR_CLASSES = [0x45, 0x52, 0x46, 0x53, 0x54, 0x55]
/** JSArray::kMaxFastArrayLength. */
const LONGEST_UNFOLDED = 32 * 1024 * 1024
/** Room for 8 MiB of holes in one value, beyond one per byte. */
const MAX_HOLES = 1 << 20
/** In holes: 256 of them in one value, far below the number of mappings that Linux allows. */
const RESIZABLE_COST = 1 << 12
