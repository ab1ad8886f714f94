// What the codec's tests share: an encoder and a decoder back to back, and an equality that sees everything.

import assert from 'node:assert/strict'
import { types } from 'node:util'
import { Decoder, Encoder } from '../lib/codec.js'

/** An encoder with its sink, and the decoder that learns what it defines. */
export class Channel {
  constructor(size = 1 << 16) {
    this.decoder = new Decoder()
    this.definitions = []
    this.encoder = new Encoder((id, definition) => {
      this.definitions.push(definition)
      this.decoder.define(id, definition)
    })
    this.resize(size)
  }

  resize(size) {
    this.size = size
    this.encoder.rows = new Uint8Array(size)
    this.encoder.text = new Uint8Array(size)
    this.rewind()
  }

  rewind() {
    const { encoder } = this
    encoder.rowPos = 0
    encoder.textPos = 0
    encoder.rowEnd = this.size
    encoder.textEnd = this.size
  }

  /** All values in one batch, there and back. */
  batch(values, encode = (value) => this.encoder.encode(value)) {
    const { encoder, decoder } = this
    for (;;) {
      this.rewind()
      const starts = []
      const fits = values.every((value) => {
        starts.push([encoder.rowPos, encoder.textPos])
        return encode(value)
      })
      if (!fits) {
        this.resize(this.size * 4)
        continue
      }
      starts.push([encoder.rowPos, encoder.textPos])
      decoder.open(encoder.rows, 0, encoder.textPos, encoder.text)
      return values.map((_, i) => decoder.decode(starts[i][0], starts[i + 1][0], starts[i][1]))
    }
  }

  trip(value) {
    return this.batch([value])[0]
  }

  tripError(error) {
    return this.batch([error], (value) => this.encoder.encodeError(value))[0]
  }
}

/**
 * Assert that two graphs are the same: values by Object.is, prototypes, property order and attributes, holes, contents
 * of built-in objects, and which references lead to the same object.
 */
export function assertSameGraph(actual, expected, path = 'value', pairs = new Map()) {
  const say = (what) => `${path}: ${what}`
  if (typeof expected !== 'object' || expected === null) {
    assert.ok(Object.is(actual, expected), say(`got ${String(actual)}, expected ${String(expected)}`))
    return
  }
  assert.equal(typeof actual, 'object', say('an object'))
  if (pairs.has(actual) || [...pairs.values()].includes(expected)) {
    assert.equal(pairs.get(actual), expected, say('the same references'))
    return
  }
  pairs.set(actual, expected)
  assert.equal(Object.getPrototypeOf(actual), Object.getPrototypeOf(expected), say('the same prototype'))
  if (ArrayBuffer.isView(expected) || types.isAnyArrayBuffer(expected)) {
    assert.deepEqual(bytesOf(actual), bytesOf(expected), say('the same bytes'))
    return
  }
  if (types.isDate(expected)) assert.ok(Object.is(actual.getTime(), expected.getTime()), say('the same time'))
  if (types.isRegExp(expected)) assert.equal(String(actual), String(expected), say('the same pattern'))
  if (types.isBoxedPrimitive(expected))
    assert.ok(Object.is(actual.valueOf(), expected.valueOf()), say('boxed'))
  if (types.isMap(expected) || types.isSet(expected)) {
    assertSameGraph([...actual], [...expected], `${path}(entries)`, pairs)
  }
  const keys = Reflect.ownKeys(expected)
  assert.deepEqual(Reflect.ownKeys(actual), keys, say('the same keys in the same order'))
  for (const key of keys) {
    const is = Object.getOwnPropertyDescriptor(actual, key)
    const should = Object.getOwnPropertyDescriptor(expected, key)
    assert.equal(is.enumerable, should.enumerable, say(`${String(key)} as enumerable`))
    // The stack of an error is a getter in some versions of V8.
    assertSameGraph(actual[key], expected[key], `${path}.${String(key)}`, pairs)
  }
}

function bytesOf(value) {
  return types.isAnyArrayBuffer(value)
    ? Array.from(new Uint8Array(value))
    : Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
}
