// Values through the codec, held against v8.deserialize(v8.serialize(x)).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import v8 from 'node:v8'
import { SerializationError } from '../lib/errors.js'
import { assertSameGraph, Channel } from './codec-graph.js'
import * as tables from './codec-plain-module.js'
import { cloneable, uncloneable } from './codec-values.js'

const throughV8 = (value) => v8.deserialize(v8.serialize(value))
const names = Object.keys(cloneable)

test('the table is as long as it should be', () => {
  assert.ok(names.length + Object.keys(uncloneable).length >= 135, String(names.length))
})

for (const name of names) {
  const make = cloneable[name]

  test(`${name}: as v8 sends it`, () => {
    assertSameGraph(new Channel().trip(make()), throughV8(make()))
  })

  test(`${name}: inside of other values, as v8 sends it`, () => {
    const around = [
      (value) => ({ id: 1, value, name: 'after it' }),
      (value) => ({ outer: { inner: { value } } }),
      (value) => [value],
      (value) => ['before', value, { after: [1.5] }],
      (value) => new Map([['value', value]]),
    ]
    const channel = new Channel()
    // Three times: a shape is made of the second object, and predicted from then on.
    for (let round = 0; round < 3; round++) {
      for (const wrap of around) assertSameGraph(channel.trip(wrap(make())), throughV8(wrap(make())))
    }
  })

  test(`${name}: anywhere in a batch, as v8 sends it`, () => {
    const values = [
      'first',
      make(),
      2,
      make(),
      { id: 1, value: make() },
      make(),
      { id: 2, value: 'x' },
      make(),
    ]
    const results = new Channel().batch(values)
    results.forEach((result, i) => {
      assertSameGraph(result, throughV8(values[i]))
    })
  })

  test(`${name}: as a value of an object with other keys each time`, () => {
    const channel = new Channel()
    for (let i = 0; i < 3; i++)
      assertSameGraph(channel.trip({ [`k${i}`]: make() }), throughV8({ [`k${i}`]: make() }))
  })
}

test('every value after every other one, in one batch', () => {
  const values = names.flatMap((name) => [cloneable[name](), { value: cloneable[name]() }])
  const channel = new Channel()
  for (let round = 0; round < 2; round++) {
    channel.batch(values).forEach((result, i) => {
      assertSameGraph(result, throughV8(values[i]), names[i >> 1])
    })
  }
})

test('two values of the table twice in the same item', () => {
  for (const name of names) {
    const pair = () => [cloneable[name](), cloneable[name]()]
    assertSameGraph(new Channel().trip(pair()), throughV8(pair()), name)
  }
})

for (const [name, make] of Object.entries(uncloneable)) {
  test(`${name}: refused, with the path to it`, () => {
    const channel = new Channel()
    const refused = (value, path) => {
      channel.rewind()
      channel.encoder.encode('before')
      const { rowPos, textPos } = channel.encoder
      assert.throws(
        () => channel.encoder.encode(value),
        (error) => {
          assert.ok(error instanceof SerializationError)
          assert.equal(error.code, 'ERR_SERIALIZATION')
          assert.ok(error.message.startsWith(`${path} cannot be cloned`), error.message)
          assert.ok(error.message.length < 500)
          return true
        },
      )
      assert.deepEqual([channel.encoder.rowPos, channel.encoder.textPos], [rowPos, textPos])
    }
    assert.throws(() => v8.serialize(make()))
    for (let round = 0; round < 3; round++) {
      refused(make(), 'value')
      refused({ id: 1, value: make(), name: 'x' }, 'value.value')
      refused([0, [make()]], 'value[1][0]')
      refused({ user: { 'first name': [make()] } }, 'value.user["first name"][0]')
      refused({ map: new Map([['k', make()]]) }, 'value.map.get("k")')
      refused({ set: new Set([1, make()]) }, 'value.set.values(1)')
      refused(new Error('e', { cause: { reason: make() } }).cause, 'value.reason')
      const cyclic = { fine: {} }
      cyclic.fine.back = cyclic
      cyclic.bad = make()
      refused(cyclic, 'value.bad')
    }
  })
}

test('only the item that cannot be cloned fails', () => {
  const channel = new Channel()
  const values = [
    { a: 1, f: 'x' },
    { a: 2, f: () => {} },
    { a: 3, f: 'y' },
  ]
  const sent = values.filter((value) => {
    try {
      return channel.encoder.encode(value)
    } catch {
      return false
    }
  })
  assert.equal(sent.length, 2)
  channel.decoder.open(channel.encoder.rows, 0, channel.encoder.textPos, channel.encoder.text)
})

test('a getter that throws is named, and its error is the cause', () => {
  const failure = new RangeError('not now')
  const value = {
    user: {
      ok: 1,
      get name() {
        throw failure
      },
    },
  }
  for (let round = 0; round < 3; round++) {
    assert.throws(
      () => new Channel().encoder.encode(value),
      (error) => {
        assert.equal(error.message, 'value.user.name cannot be read: not now')
        assert.equal(error.cause, failure)
        return true
      },
    )
  }
})

test('something enumerable on Object.prototype changes nothing', () => {
  const channel = new Channel()
  const values = () => [
    { a: 1, b: 'x' },
    [1, 2],
    {},
    [],
    { nested: { a: 2 } },
    Object.create(null),
    [undefined],
    [, 1],
  ]
  channel.batch([...values(), ...values(), ...values()])
  try {
    Object.prototype.b = 'inherited'
    Object.prototype[0] = 'inherited'
    const list = [...values(), { a: 1 }, { a: 1 }, { a: 1 }]
    const results = channel.batch(list)
    const expected = list.map(throughV8)
    delete Object.prototype.b
    delete Object.prototype[0]
    results.forEach((result, i) => {
      assertSameGraph(result, expected[i])
    })
  } finally {
    delete Object.prototype.b
    delete Object.prototype[0]
  }
})

test('an enumerable property of Object.prototype is not taken for a field of a known shape', () => {
  const channel = new Channel()
  for (let i = 0; i < 3; i++) channel.trip({ a: 1, b: 'x' })
  try {
    Object.prototype.b = 'inherited'
    for (let i = 0; i < 3; i++) assert.deepEqual(Object.keys(channel.trip({ a: 1 })), ['a'])
  } finally {
    delete Object.prototype.b
  }
})

test('a module is refused, also where an object of its keys is expected', () => {
  const channel = new Channel()
  for (let i = 0; i < 3; i++) channel.trip({ ...tables })
  assert.throws(() => v8.serialize(tables))
  for (let i = 0; i < 3; i++) {
    assert.throws(() => channel.encoder.encode(tables), /^SerializationError: value cannot be cloned/)
  }
})

test('setters on Object.prototype are not called by what arrives', () => {
  const channel = new Channel()
  const calls = []
  Object.defineProperty(Object.prototype, 'trap', { set: (value) => calls.push(value), configurable: true })
  try {
    for (let i = 0; i < 3; i++) {
      const result = channel.trip(Object.defineProperty({}, 'trap', { value: 1, enumerable: true }))
      assert.ok(Object.hasOwn(result, 'trap'))
    }
  } finally {
    delete Object.prototype.trap
  }
  assert.deepEqual(calls, [])
})

test('what arrives shares no memory with the bytes it came from', () => {
  const channel = new Channel()
  const values = [Buffer.from('abc'), new Uint8Array([1, 2, 3]), new Float64Array([1.5]), new ArrayBuffer(4)]
  const carriers = values.map((value) => [value, (result) => [result]])
  carriers.push([new Map(values.entries()), (result) => [...result.values()]])
  carriers.push([Object.assign(new Error('x'), { values }), (result) => result.values])
  for (const [value, parts] of carriers) {
    const result = channel.trip(value)
    for (const part of parts(result)) assert.notEqual(part.buffer ?? part, channel.encoder.rows.buffer)
    const before = v8.serialize(result)
    channel.encoder.rows.fill(0xff)
    assert.deepEqual(v8.serialize(result), before)
  }
})

test('a Buffer that arrives carries nothing but its own bytes, or is one of the pool', () => {
  const result = new Channel().trip(new Uint8Array(1000).subarray(10, 20))
  assert.equal(result.buffer.byteLength, 10)
})

test('the order of keys decides about a shape, not their set', () => {
  const channel = new Channel()
  const values = [
    { a: 1, b: 2 },
    { b: 2, a: 1 },
  ]
  for (let round = 0; round < 3; round++) {
    channel.batch(values).forEach((result, i) => {
      assertSameGraph(result, values[i])
    })
  }
})
