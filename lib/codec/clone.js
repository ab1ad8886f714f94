// v8's structured clone as bytes. node:v8 is only loaded by the first value that needs it: most workers never do.

import { checkClone } from './clone-format.js'

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
