// Bytes from a hostile process: either a value or a SerializationError, soon, and without much memory.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import v8 from 'node:v8'
import { Decoder } from '../lib/codec.js'
import { SerializationError } from '../lib/errors.js'
import { Channel } from './codec-graph.js'
import { cloneable } from './codec-values.js'

/** A small generator of pseudo-random numbers (mulberry32), so that a failure can be repeated. */
function random(seed) {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

/** Decode; anything but a value or a SerializationError is a failure. */
function attempt(decoder, rows, text, seed) {
  try {
    decoder.open(rows, 0, text.length, text)
    decoder.decode(0, rows.length, 0)
    return true
  } catch (error) {
    assert.ok(error instanceof SerializationError, `seed ${seed}: ${error?.stack}`)
    return false
  }
}

const header = [0xff, v8.serialize(null)[1]]

/** A number as v8 writes it. */
function varint(number) {
  const bytes = []
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) | 128)
  return [...bytes, number]
}

function clone(...bytes) {
  const payload = [...header, ...bytes.flat(Infinity)]
  const rows = Buffer.alloc(5 + payload.length)
  rows[0] = 13
  rows.writeUInt32LE(payload.length, 1)
  rows.set(payload, 5)
  return rows
}

test('mutations of valid rows', () => {
  const channel = new Channel()
  const samples = []
  for (const [name, make] of Object.entries(cloneable)) {
    if (/long|large|500 deep/.test(name)) continue
    for (const value of [
      make(),
      { id: 1, value: make(), name: 'n' },
      [make()],
      new Error('x', { cause: make() }),
    ]) {
      channel.trip(value)
      const { rows, rowPos, text, textPos } = channel.encoder
      if (rowPos < 4000) samples.push([rows.slice(0, rowPos), text.slice(0, textPos)])
    }
  }
  for (let seed = 1; seed <= 20_000; seed++) {
    const next = random(seed)
    const [sample, text] = samples[next(samples.length)]
    let rows = sample.slice()
    for (let i = next(4); i >= 0; i--) {
      const at = next(rows.length)
      switch (next(5)) {
        case 0:
          rows[at] = next(256)
          break
        case 1:
          rows[at] = next(16)
          break
        case 2:
          rows[at] ^= 1 << next(8)
          break
        case 3:
          rows = rows.slice(0, at + 1)
          break
        default:
          rows = Uint8Array.from([...rows.subarray(0, at), ...rows.subarray(next(at + 1))])
      }
    }
    attempt(channel.decoder, rows, text.slice(0, next(text.length + 1)), seed)
  }
})

test('random bytes', () => {
  const decoder = new Decoder()
  decoder.define(0, '["nsbv","a","b","c","d"]')
  decoder.define(1, '["v","__proto__"]')
  for (let seed = 1; seed <= 20_000; seed++) {
    const next = random(seed)
    const rows = Uint8Array.from({ length: next(60) }, () => (next(3) ? next(16) : next(256)))
    attempt(decoder, rows, new Uint8Array(next(40)), seed)
  }
})

test('random bytes for v8', () => {
  const tags = Array.from('_0TFINUZ"cS^o{aA@$DyxnzsRB~V;:\',r\\-?twup')
  for (let seed = 1; seed <= 20_000; seed++) {
    const next = random(seed)
    const bytes = Array.from({ length: next(40) }, () =>
      next(2) ? tags[next(tags.length)].charCodeAt(0) : next(256),
    )
    const rows = clone(bytes)
    if (next(2)) rows[0] = 12
    attempt(new Decoder(), rows, new Uint8Array(0), seed)
  }
})

test('every value is cut off at every byte, or has bytes left over', () => {
  for (const [name, make] of Object.entries(cloneable)) {
    if (/long|large|500 deep|300 keys|100 fields|of records|far apart|last of/.test(name)) continue
    const channel = new Channel()
    for (let i = 0; i < 3; i++) channel.trip({ id: 1, value: make(), name: 'abc' })
    const { rows, rowPos, text, textPos } = channel.encoder
    channel.decoder.open(rows, 0, textPos, text)
    for (let end = 0; end < rowPos; end++) {
      assert.throws(() => channel.decoder.decode(0, end, 0), SerializationError, `${name} cut off at ${end}`)
    }
    rows[rowPos] = 0
    assert.throws(() => channel.decoder.decode(0, rowPos + 1, 0), /left over|cannot be read/, name)
    if (textPos === 0) continue
    channel.decoder.open(rows, 0, textPos - 1, text)
    assert.throws(() => channel.decoder.decode(0, rowPos, 0), SerializationError, name)
  }
})

test('ranges that lie outside', () => {
  const decoder = new Decoder()
  const rows = new Uint8Array(10)
  for (const [start, end] of [
    [-1, 5],
    [0, 11],
    [6, 5],
    [0.5, 5],
    [0, NaN],
    [0, Infinity],
  ]) {
    assert.throws(() => decoder.open(rows, start, end), SerializationError)
    decoder.open(rows, 0, 10)
    assert.throws(() => decoder.decode(start, end, 0), SerializationError)
  }
  decoder.open(rows, 0, 10)
  for (const start of [-1, 11, NaN, 0.5]) assert.throws(() => decoder.decode(0, 1, start), SerializationError)
})

test('counts and lengths beyond the bytes', () => {
  const decoder = new Decoder()
  decoder.open(new Uint8Array(0), 0, 0)
  for (const tag of [5, 6, 7, 8, 9, 11, 12, 13, 14]) {
    for (const count of [2, 1000, 2 ** 31, 2 ** 32 - 1]) {
      const rows = Buffer.alloc(12)
      rows[0] = tag
      rows.writeUInt32LE(count, tag === 11 ? 2 : 1)
      assert.equal(attempt(decoder, rows, new Uint8Array(0)), false, `tag ${tag}, count ${count}`)
    }
  }
})

test('arrays in arrays, too deep', () => {
  const rows = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([8, 1, 0, 0, 0])))
  assert.equal(attempt(new Decoder(), rows, new Uint8Array(0)), false)
  const dictionaries = Buffer.concat(
    Array.from({ length: 1000 }, () => Buffer.from([14, 1, 0, 0, 0, 5, 0, 0, 0, 0])),
  )
  assert.equal(attempt(new Decoder(), dictionaries, new Uint8Array(0)), false)
})

test('a clone inside a value', () => {
  const inner = clone(0x5f)
  assert.ok(attempt(new Decoder(), inner, new Uint8Array(0)))
  const rows = Buffer.concat([Buffer.from([8, 1, 0, 0, 0]), inner])
  assert.equal(attempt(new Decoder(), rows, new Uint8Array(0)), false)
})

test('what v8 would make much room for', () => {
  const holes = (length) => [0x61, varint(length), 0x40, 0, varint(length)]
  const text = new Uint8Array(0)
  assert.ok(attempt(new Decoder(), clone(holes(100_000)), text))
  // V8 makes a hash table of this one.
  assert.ok(attempt(new Decoder(), clone(holes(2 ** 32 - 1)), text))
  assert.equal(attempt(new Decoder(), clone(holes(2 ** 25)), text), false)
  const many = Array.from({ length: 100 }, () => holes(500_000)).flat(3)
  assert.equal(attempt(new Decoder(), clone(0x41, varint(100), many, 0x24, 0, varint(100)), text), false)
  // Each of them claims all bytes that follow.
  const nested = Array.from({ length: 2000 }, (_, i) => [0x41, varint(60_000 - 10 * i)])
  assert.equal(attempt(new Decoder(), clone(nested.flat(2), new Array(60_000).fill(0x5f)), text), false)
  const resizable = Array.from({ length: 1000 }, () => [0x7e, 0, varint(2 ** 32 - 1)]).flat(2)
  assert.equal(
    attempt(new Decoder(), clone(0x41, varint(1000), resizable, 0x24, 0, varint(1000)), text),
    false,
  )
})

test('what is deep enough for v8 is not too deep for its guard', () => {
  const channel = new Channel(1 << 20)
  let value = new Map()
  for (let i = 0; i < 1500; i++) value = i % 2 ? { value } : [value]
  let result = channel.trip(value)
  for (let i = 1499; i >= 0; i--) result = i % 2 ? result.value : result[0]
  assert.ok(result instanceof Map)
})

test('descriptions of errors that unfold without end', () => {
  const description = (properties, dropped = []) => [['Error', 'Error', '', properties, dropped]]
  let list = ['list', []]
  for (let i = 0; i < 60; i++) list = ['list', [list, list]]
  const cyclic = ['list', []]
  cyclic[1].push(cyclic, cyclic)
  const hostile = [
    description([['a', true, list]]),
    description([['a', true, cyclic]]),
    description([['a', true, ['list', new Array(1_000_000)]]]),
    description([['a', true, ['error', 7]]]),
    description([['a', true, ['error', '__proto__']]]),
    description([['a', true, ['error', 'length']]]),
    description([['a', true, ['other', 1]]]),
    description(new Array(1_000_000)),
    description([], new Array(1_000_000)),
    description([[{ toString: 1 }, true, ['value', 1]]]),
    new Array(1_000_000),
    [],
    [null],
    ['Error'],
    {},
    'Error',
    null,
  ]
  for (const value of hostile) {
    const payload = v8.serialize(value)
    const rows = Buffer.alloc(5 + payload.length)
    rows[0] = 12
    rows.writeUInt32LE(payload.length, 1)
    rows.set(payload, 5)
    assert.equal(attempt(new Decoder(), rows, new Uint8Array(0)), false)
  }
})

test('keys pollute nothing', () => {
  const channel = new Channel()
  for (let i = 0; i < 3; i++) {
    channel.trip(JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'))
  }
  const error = new Error('x')
  Object.defineProperty(error, '__proto__', { value: { polluted: 1 }, enumerable: true })
  channel.tripError(error)
  assert.equal({}.polluted, undefined)
  assert.equal(Error.prototype.polluted, undefined)
})
