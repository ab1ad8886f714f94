// Where the codec differs from structuredClone: the list of docs/codec.md, line by line, and nothing else.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { types } from 'node:util'
import { assertSameGraph, Channel } from './codec-graph.js'
import { cloneable, uncloneable } from './codec-values.js'

const trip = (value) => new Channel().trip(value)

/** Each with the line of the list that it proves. */
const differences = {
  'A `Buffer` stays a `Buffer`': () => {
    assert.ok(Buffer.isBuffer(trip(Buffer.from('x'))))
    assert.ok(!Buffer.isBuffer(structuredClone(Buffer.from('x'))))
  },
  'A view carries only its own bytes': () => {
    const view = new Uint8Array(1000).subarray(0, 2)
    assert.equal(trip(view).buffer.byteLength, 2)
    assert.equal(structuredClone(view).buffer.byteLength, 1000)
  },
  'Views on the same memory arrive with memory of their own each': () => {
    const { buffer } = new Uint8Array(4)
    const views = [new Uint8Array(buffer), new Uint8Array(buffer)]
    const arrived = trip(views)
    assert.notEqual(arrived[0].buffer, arrived[1].buffer)
    const cloned = structuredClone(views)
    assert.equal(cloned[0].buffer, cloned[1].buffer)
  },
  'Shared memory is copied': () => {
    const view = new Uint8Array(new SharedArrayBuffer(2))
    assert.ok(!types.isSharedArrayBuffer(trip(view).buffer))
    assert.ok(types.isSharedArrayBuffer(structuredClone(view).buffer))
    assert.throws(() => trip(view.buffer), { code: 'ERR_SERIALIZATION' })
  },
  'A view on a resizable `ArrayBuffer` arrives on one of fixed length': () => {
    const view = new Uint8Array(new ArrayBuffer(2, { maxByteLength: 4 }))
    assert.equal(trip(view).buffer.resizable, false)
  },
  'Objects of Node and the web platform': () => {
    assert.deepEqual(trip(new URL('https://example.com')), {})
    const port = new MessageChannel().port1
    assert.throws(() => trip(port), { code: 'ERR_SERIALIZATION' })
    port.close()
  },
  'Errors keep everything': () => {
    const error = Object.assign(new AggregateError([new TypeError('inner')], 'outer'), { code: 'E_OUTER' })
    error.name = 'OuterError'
    const arrived = trip(error)
    assert.equal(arrived.name, 'OuterError')
    assert.equal(arrived.code, 'E_OUTER')
    assert.ok(arrived instanceof AggregateError)
    assert.ok(arrived.errors[0] instanceof TypeError)
    const cloned = structuredClone(error)
    assert.equal(cloned.code, undefined)
    assert.equal(cloned.errors, undefined)
  },
  'A property of an error that cannot be cloned is left out': () => {
    const arrived = trip(Object.assign(new Error('x'), { request: () => {}, code: 1 }))
    assert.deepEqual(arrived.droppedProperties, ['request'])
    assert.ok(!('request' in arrived))
  },
  'An error in an item that is not a plain tree': () => {
    const error = Object.assign(new Error('x'), { code: 'E_X' })
    assert.equal(trip({ errors: [error] }).errors[0].code, 'E_X')
    assert.equal(
      trip({ errors: new Set([error]) })
        .errors.values()
        .next().value.code,
      undefined,
    )
  },
  'An error twice in one plain item is two errors afterwards': () => {
    const error = new Error('x')
    // The same object twice: v8 keeps the identity, and so not the properties.
    const [a, b] = trip([error, error])
    assert.equal(a, b)
    const outer = [error, new Error('y', { cause: error })]
    const [first, second] = trip(outer)
    assert.notEqual(first, second.cause)
    const cloned = structuredClone(outer)
    assert.equal(cloned[0], cloned[1].cause)
  },
  'A getter may be read more than once': () => {
    let reads = 0
    const item = {
      get a() {
        reads++
        return new Map()
      },
    }
    trip(item)
    assert.ok(reads > 1)
  },
  'An array with very many holes': () => {
    assert.throws(() => trip(new Array(30_000_000)), { code: 'ERR_SERIALIZATION' })
    assert.equal(trip(new Array(100_000)).length, 100_000)
  },
  'An exotic object whose prototype was set to `Object.prototype`': () => {
    const disguised = Object.setPrototypeOf(new Map([[1, 2]]), Object.prototype)
    assert.ok(!types.isMap(trip(disguised)))
    assert.ok(types.isMap(structuredClone(disguised)))
  },
}

for (const [line, prove] of Object.entries(differences)) test(line, prove)

test('the list in docs/codec.md is the one that is proved here', () => {
  const document = readFileSync(new URL('../docs/codec.md', import.meta.url), 'utf8')
  const lines = Array.from(document.matchAll(/^- \*\*(.+?)\*\*/gm), (match) => match[1].replace(/[.:]$/, ''))
  assert.deepEqual(lines, Object.keys(differences))
})

/** Names of the table for which the list above says that structuredClone does something else. */
const elsewhere = new Set([
  'Buffer',
  'empty Buffer',
  'large Buffer',
  'Buffer out of the pool',
  'Buffer with a property',
  'Buffer twice',
  'all binary kinds',
  'resizable ArrayBuffer',
  'view on shared memory',
  'URL',
])

for (const [name, make] of Object.entries(cloneable)) {
  if (elsewhere.has(name)) continue
  test(`${name}: as structuredClone sends it`, () => {
    assertSameGraph(trip(make()), structuredClone(make()))
  })
}

for (const [name, make] of Object.entries(uncloneable)) {
  if (name === 'SharedArrayBuffer' || name === 'environment of the process') continue
  test(`${name}: refused by structuredClone too`, () => {
    assert.throws(() => structuredClone(make()))
  })
}
