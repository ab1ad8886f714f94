// Results of native operations: the codec's values, and two kinds more that only Rust writes (`src/place/row.rs`).

import { Decoder } from '../codec.js'

let takenBytes = 0

/** Values that are beside a batch, by its buffer. @type {WeakMap<Uint8Array, unknown[]>} */
const besideBatches = new WeakMap()

/**
 * @param {Uint8Array} batch
 * @param {unknown[]} values that belong to it
 */
export function putBeside(batch, values) {
  besideBatches.set(batch, values)
}

/** @param {Uint8Array} batch that nobody reads any more */
export function dropBeside(batch) {
  besideBatches.delete(batch)
}

/** Bytes of the values beside batches that were decoded since the last time. */
export function takeBesideBytes() {
  const bytes = takenBytes
  takenBytes = 0
  return bytes
}

export class NativeDecoder extends Decoder {
  /**
   * @override
   * @param {number} depth
   * @returns {unknown}
   */
  value(depth) {
    const tag = this.rows[this.pos]
    if (this.pos >= this.end || (tag !== BIG_INT && tag !== LARGE)) return super.value(depth)
    this.pos++
    if (tag === BIG_INT) {
      const start = this.bytes()
      return BigInt(Buffer.prototype.latin1Slice.call(this.rows, start, this.pos))
    }
    const at = this.uint32()
    takenBytes += this.uint32()
    const values = besideBatches.get(this.text)
    if (values === undefined || !(at in values)) this.malformed('a value is not beside its batch')
    const value = values?.[at]
    // It is decoded once; whoever has it may let go of it before the batch is.
    if (values !== undefined) values[at] = undefined
    return value
  }
}

const BIG_INT = 32
const LARGE = 33
