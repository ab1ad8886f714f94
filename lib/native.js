// Native operations: mappers that run on Rust threads and never touch JavaScript. All calls of one kind share a pool of
// threads, one per processor.

import { types } from 'node:util'
import { availableParallelism, NativePool } from './binding.js'
import { invalidArgType, MillraceError } from './errors.js'
import { openRuns, startCall } from './outcome.js'
import { PoolCall } from './pool-call.js'
import { PoolCore } from './pool-core.js'
import { PoolRuns } from './pool-runs.js'

export const native = Object.freeze({
  /** @param {...unknown} options none */
  sha256(...options) {
    if (options.length > 0 && options[0] !== undefined)
      throw invalidArgType('options', 'no options', options[0])
    return new NativeOperation('sha256')
  },
})

class NativeOperation {
  #name

  /** @param {string} name */
  constructor(name) {
    this.#name = name
  }

  /**
   * @param {import('./source.js').Source} source
   * @param {Readonly<import('./options.js').CallSettings>} settings
   */
  [startCall](source, settings) {
    return new PoolCall(coreOf(this.#name), source, settings)
  }

  /** @param {unknown} skipped */
  [openRuns](skipped) {
    return new PoolRuns(coreOf(this.#name), skipped)
  }
}

/** @type {Map<string, PoolCore>} */
const cores = new Map()

/** @param {string} name */
function coreOf(name) {
  let core = cores.get(name)
  if (core === undefined) {
    const threads = availableParallelism()
    core = new PoolCore(
      `native.${name}()`,
      threads,
      (onWake) => NativePool.threads(threads, name, onWake),
      () => new BytesEncoder(),
      {},
      // An operation's error is its message.
      (message) => new MillraceError(`native.${name}() failed: ${message}`),
    )
    cores.set(name, core)
  }
  return core
}

/** Items of native operations: one byte that is no item's, then the bytes themselves, copied. */
class BytesEncoder {
  /** @type {Uint8Array} */
  rows = new Uint8Array(0)
  rowPos = 0
  rowEnd = 0
  text = new Uint8Array(0)
  textPos = 0
  textEnd = 0

  /**
   * @param {unknown} item
   * @returns {boolean}
   */
  encode(item) {
    const { rowPos } = this
    if (typeof item === 'string') {
      // No character takes more than three bytes.
      if (rowPos + 1 + item.length * 3 > this.rowEnd) return false
      const rows = Buffer.from(this.rows.buffer, this.rows.byteOffset, this.rows.byteLength)
      this.rows[rowPos] = 0
      this.rowPos = rowPos + 1 + rows.write(item, rowPos + 1)
      return true
    }
    const bytes = bytesOf(item)
    if (rowPos + 1 + bytes.byteLength > this.rowEnd) return false
    this.rows[rowPos] = 0
    this.rows.set(bytes, rowPos + 1)
    this.rowPos = rowPos + 1 + bytes.byteLength
    return true
  }
}

/**
 * @param {unknown} item
 * @returns {Uint8Array}
 */
function bytesOf(item) {
  if (ArrayBuffer.isView(item)) return new Uint8Array(item.buffer, item.byteOffset, item.byteLength)
  if (types.isAnyArrayBuffer(item)) return new Uint8Array(item)
  throw invalidArgType('item', 'a string, a Buffer, a TypedArray, a DataView or an ArrayBuffer', item)
}
