// Memory that is given away (the option `transfer`): it goes to an ArrayBuffer that nobody else knows, uncopied, and the
// one that it was in is detached.

import { types } from 'node:util'
import * as workerThreads from 'node:worker_threads'
import { invalidArgType } from '../errors.js'

/**
 * @param {ArrayBufferView} view that is an item, or a part of one
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 */
export function mustBeTransferable(view) {
  if (types.isSharedArrayBuffer(view.buffer))
    throw invalidArgType('item', 'memory that can be transferred, not shared memory', view.buffer)
}

/**
 * The bytes of a view, given away; nobody else sees them any more.
 * @param {ArrayBufferView} view that may be transferred, and is not detached
 * @returns {Uint8Array<ArrayBuffer> | undefined} undefined: it stays as it is, and is to be copied
 */
export function givenAway({ buffer, byteLength }) {
  // What else is in the ArrayBuffer is no part of the item, and may be anybody's: small Buffers share one.
  if (byteLength !== buffer.byteLength) return undefined
  const moved = move(/** @type {ArrayBuffer} */ (buffer))
  return moved && new Uint8Array(moved)
}

/** @param {ArrayBufferLike} buffer */
export function isDetached(buffer) {
  if (buffer.byteLength > 0 || types.isSharedArrayBuffer(buffer)) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** The function of this platform, whatever becomes of the prototype. @type {((this: ArrayBuffer) => ArrayBuffer) | undefined} */
const transfer = /** @type {any} */ (ArrayBuffer.prototype).transfer
/** @type {((value: unknown) => boolean) | undefined} */
const isMarked = /** @type {any} */ (workerThreads).isMarkedAsUntransferable
const { structuredClone } = globalThis

/**
 * @param {ArrayBuffer} buffer
 * @returns {ArrayBuffer | undefined} undefined: Node does not transfer it
 */
function move(buffer) {
  // Node 20: what cannot be transferred is copied by this.
  if (transfer === undefined) return structuredClone(buffer, { transfer: [buffer] })
  if (isMarked?.(buffer)) return undefined
  try {
    return transfer.call(buffer)
  } catch {
    // That of a WebAssembly.Memory.
    return undefined
  }
}
